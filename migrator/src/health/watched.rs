//! However many ask, and however long a reading takes: one at a time, nobody waits too long, and nothing old is told.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::watch::{Asker, Limits, Watch};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(40);

/// A database that answers when the test says so.
struct Slow {
    begun: AtomicUsize,
    answer: Mutex<Receiver<u32>>,
}

type Read = Arc<dyn Fn() -> u32 + Send + Sync>;

fn slow() -> (Arc<Slow>, Read, Sender<u32>) {
    let (sender, answer) = channel();
    let slow = Arc::new(Slow { begun: AtomicUsize::new(0), answer: Mutex::new(answer) });
    let theirs = Arc::clone(&slow);
    let read = move || {
        theirs.begun.fetch_add(1, Ordering::SeqCst);
        theirs.answer.lock().expect("one at a time").recv().unwrap_or(0)
    };
    (slow, Arc::new(read), sender)
}

fn counting() -> (Arc<AtomicUsize>, Arc<dyn Fn() -> usize + Send + Sync>) {
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&count);
    (count, Arc::new(move || theirs.fetch_add(1, Ordering::SeqCst) + 1))
}

fn limits(fresh: Duration, stuck: Duration) -> Limits {
    Limits { fresh, stuck, most: 3 }
}

/// Waits for an event of another thread.
fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is() {
        assert!(Instant::now() < end, "waited for {what}");
        thread::yield_now();
    }
}

#[test]
fn sixty_four_callers_are_one_reading() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let (slow, read, answer) = slow();
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..64).map(|_| scope.spawn(|| watch.ask(Asker::now(0, LONG), &read).as_deref().copied())).collect();
        until("the reading", || slow.begun.load(Ordering::SeqCst) == 1);
        answer.send(7).expect("it is waited for");
        for caller in callers {
            assert_eq!(caller.join().expect("no panic"), Some(7));
        }
    });
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
    assert_eq!(watch.ask(Asker::now(0, SHORT), &read).as_deref(), Some(&7), "it is still fresh");
}

#[test]
fn a_reading_is_told_until_it_is_old_or_the_state_changes() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let (count, read) = counting();
    let ask = |epoch| watch.ask(Asker::now(epoch, LONG), &read).as_deref().copied();
    assert_eq!([ask(0), ask(0), ask(1), ask(1)], [Some(1), Some(1), Some(2), Some(2)]);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let hasty = Arc::new(Watch::with(limits(Duration::ZERO, LONG)));
    let ask = || hasty.ask(Asker::now(0, LONG), &read).as_deref().copied();
    assert_eq!([ask(), ask()], [Some(3), Some(4)], "without a cache each caller has its own");
}

#[test]
fn nobody_waits_longer_than_its_bound_and_a_late_answer_is_none() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let (slow, read, answer) = slow();
    assert_eq!(watch.ask(Asker::now(0, SHORT), &read), None);
    until("the reading", || slow.begun.load(Ordering::SeqCst) == 1);
    // It is too late already: whoever comes now knows it without waiting.
    let start = Instant::now();
    (0..100).for_each(|_| assert_eq!(watch.ask(Asker::now(0, SHORT), &read), None));
    assert!(start.elapsed() < SHORT * 100, "each of them waited");
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1, "one that is stuck is not tried again at once");
    answer.send(7).expect("it is waited for");
    assert_eq!(watch.ask(Asker::now(0, LONG), &read).as_deref(), Some(&7), "who has the time gets it");
    assert_eq!(watch.ask(Asker::now(0, SHORT), &read), None, "to the others the database is too slow");
}

#[test]
fn a_stuck_reading_is_followed_by_two_more_and_never_by_a_third() {
    let watch = Arc::new(Watch::with(limits(LONG, Duration::ZERO)));
    let (count, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(channel::<()>())));
    let (theirs, gate) = (Arc::clone(&count), Arc::clone(&stuck));
    let held = stuck.lock().expect("nobody else");
    let read: Read = Arc::new(move || {
        theirs.fetch_add(1, Ordering::SeqCst);
        drop(gate.lock());
        7
    });
    for _ in 0..10 {
        assert_eq!(watch.ask(Asker::now(0, SHORT), &read), None);
    }
    until("three readings", || count.load(Ordering::SeqCst) >= 3);
    drop(held);
    until("their return", || watch.ask(Asker::now(0, LONG), &read).is_some());
    // None of the ten was started that was only slow to begin.
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn a_reading_that_panics_is_no_answer_and_another_one_begins() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let count = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&count);
    let read: Read = Arc::new(move || match theirs.fetch_add(1, Ordering::SeqCst) {
        0 => panic!("the test wants it"),
        _ => 7,
    });
    assert_eq!(watch.ask(Asker::now(0, LONG), &read).as_deref(), Some(&7));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// A runtime of one thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let (waker, mut future) = (Waker::from(Arc::new(Unpark(thread::current()))), pin!(future));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn who_must_not_block_waits_for_the_same_reading_with_the_same_bound() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let (slow, read, answer) = slow();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|_| scope.spawn(|| block_on(watch.ask_async(Asker::now(0, LONG), &read)).as_deref().copied()))
            .collect();
        until("the reading", || slow.begun.load(Ordering::SeqCst) == 1);
        answer.send(7).expect("it is waited for");
        for caller in callers {
            assert_eq!(caller.join().expect("no panic"), Some(7));
        }
    });
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
    assert_eq!(block_on(watch.ask_async(Asker::now(1, SHORT), &read)), None, "a silent one is no answer");
    until("its reading", || slow.begun.load(Ordering::SeqCst) == 2);
    drop(answer);
}

#[test]
fn who_must_not_block_and_has_little_time_does_not_wait_for_who_has_more() {
    let watch = Arc::new(Watch::with(limits(LONG, LONG)));
    let (slow, read, answer) = slow();
    thread::scope(|scope| {
        let patient = scope.spawn(|| block_on(watch.ask_async(Asker::now(0, LONG), &read)).as_deref().copied());
        until("the reading", || slow.begun.load(Ordering::SeqCst) == 1);
        let start = Instant::now();
        assert_eq!(block_on(watch.ask_async(Asker::now(0, SHORT), &read)), None);
        assert!(start.elapsed() < LONG / 2 && !patient.is_finished(), "it waited for as long as the other one");
        answer.send(7).expect("it is still waited for");
        assert_eq!(patient.join().expect("no panic"), Some(7));
    });
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
}
