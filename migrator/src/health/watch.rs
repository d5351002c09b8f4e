//! One reading at a time however many ask, and none of them waits longer than it wants to.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// What rules a watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For how long a reading is given to whoever asks.
    pub(super) fresh: Duration,
    /// After how long a reading that does not come back is given up, and another one may begin: the network has lost the connection
    /// that it waits on, and new ones work.
    pub(super) stuck: Duration,
    /// How many readings may be under way at most, those that were given up included.
    pub(super) most: usize,
}

const LIMITS: Limits = Limits { fresh: Duration::from_secs(1), stuck: Duration::from_secs(15), most: 3 };

/// For how long nobody has to be woken whose bound is longer than any clock can tell.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Readings of one kind: at most one of them is under way, on a thread of its own; all who ask meanwhile get what it finds.
pub(crate) struct Watch<T> {
    desk: Mutex<Desk<T>>,
    changed: Condvar,
    limits: Limits,
}

struct Desk<T> {
    /// When the readings began that are under way, by their numbers.
    under_way: Vec<(u64, Instant)>,
    begun: u64,
    last: Option<Taken<T>>,
    /// Whether a thread looks at the time for those who cannot wait themselves.
    is_waited_for: bool,
    /// Those who cannot, and until when each of them waits at most.
    waiting: Vec<(Waker, Instant)>,
}

/// A reading that came back.
struct Taken<T> {
    value: Arc<T>,
    /// The provider's changes of state before it began.
    epoch: u64,
    took: Duration,
    ended: Instant,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    arrived: Instant,
    epoch: u64,
    bound: Duration,
}

impl Asker {
    /// Asks now: for a reading that is not older than the state that it is for, and for no longer than a bound.
    pub(crate) fn now(epoch: u64, bound: Duration) -> Self {
        Self { arrived: Instant::now(), epoch, bound }
    }
}

/// What becomes of who asks, for now.
enum Turn<T> {
    /// It has its answer; `None` when there is none within its bound.
    Answer(Option<Arc<T>>),
    /// A reading has to begin.
    Begin,
    /// One is under way, and may come back in this time.
    Wait(Duration),
}

impl<T: Send + Sync + 'static> Watch<T> {
    pub(crate) fn new() -> Self {
        Self::with(LIMITS)
    }

    pub(super) fn with(limits: Limits) -> Self {
        let desk = Desk { under_way: Vec::new(), begun: 0, last: None, is_waited_for: false, waiting: Vec::new() };
        Self { desk: Mutex::new(desk), changed: Condvar::new(), limits }
    }

    /// What is read; `None` when nothing comes back within the bound.
    pub(crate) fn ask(self: &Arc<Self>, asker: Asker, read: &Arc<dyn Fn() -> T + Send + Sync>) -> Option<Arc<T>> {
        let mut desk = self.desk();
        loop {
            match desk.turn(asker, Instant::now(), self.limits) {
                Turn::Answer(answer) => return answer,
                Turn::Begin => self.begin(&mut desk, asker.epoch, read)?,
                Turn::Wait(time) => {
                    desk = self.changed.wait_timeout(desk, time).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// As [`ask`](Self::ask), on every kind of runtime, without blocking its thread.
    pub(crate) async fn ask_async(
        self: &Arc<Self>,
        asker: Asker,
        read: &Arc<dyn Fn() -> T + Send + Sync>,
    ) -> Option<Arc<T>> {
        poll_fn(|context| self.poll(context, asker, read)).await
    }

    fn poll(
        self: &Arc<Self>,
        context: &Context<'_>,
        asker: Asker,
        read: &Arc<dyn Fn() -> T + Send + Sync>,
    ) -> Poll<Option<Arc<T>>> {
        let mut desk = self.desk();
        let until = loop {
            let now = Instant::now();
            match desk.turn(asker, now, self.limits) {
                Turn::Answer(answer) => return Poll::Ready(answer),
                Turn::Begin if self.begin(&mut desk, asker.epoch, read).is_none() => return Poll::Ready(None),
                Turn::Begin => {}
                Turn::Wait(time) => break now + time.min(LONGEST),
            }
        };
        if !desk.is_waited_for {
            // One thread looks at the time for all of them.
            let watch = Arc::clone(self);
            if !start("migrator-wait", move || watch.wait()) {
                return Poll::Ready(None);
            }
            desk.is_waited_for = true;
        }
        let is_first = desk.waiting.iter().all(|(_, others)| until < *others);
        match desk.waiting.iter_mut().find(|(waker, _)| waker.will_wake(context.waker())) {
            Some((_, earliest)) => *earliest = until.min(*earliest),
            None => desk.waiting.push((context.waker().clone(), until)),
        }
        if is_first {
            // The thread waits for somebody who has more time.
            self.changed.notify_all();
        }
        Poll::Pending
    }

    /// Wakes each of those who cannot wait themselves when its time is over, until nobody is left: whoever is told of a reading is
    /// woken by that.
    fn wait(&self) {
        let mut desk = self.desk();
        while let Some(first) = desk.waiting.iter().map(|(_, until)| *until).min() {
            let now = Instant::now();
            if now < first {
                desk = self.changed.wait_timeout(desk, first - now).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let due: Vec<_> = desk.waiting.extract_if(.., |(_, until)| *until <= now).collect();
            drop(desk);
            due.into_iter().for_each(|(waker, _)| waker.wake());
            desk = self.desk();
        }
        desk.is_waited_for = false;
    }

    /// Begins a reading; `None` when no thread is to be had.
    fn begin(self: &Arc<Self>, desk: &mut Desk<T>, epoch: u64, read: &Arc<dyn Fn() -> T + Send + Sync>) -> Option<()> {
        let (number, began) = (desk.begun, Instant::now());
        let (watch, read) = (Arc::clone(self), Arc::clone(read));
        let body = move || {
            // Also when it panics it is no longer under way.
            let landing = Landing { watch: &watch, number };
            let value = Arc::new(read());
            let ended = Instant::now();
            let mut desk = watch.desk();
            // One that was given up comes back after a newer one: that one knows better.
            if desk.last.as_ref().is_none_or(|last| last.ended - last.took <= began) {
                desk.last = Some(Taken { value, epoch, took: ended - began, ended });
            }
            drop(desk);
            drop(landing);
        };
        start("migrator-probe", body).then(|| {
            desk.begun += 1;
            desk.under_way.push((number, began));
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk<T>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> bool {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    if let Err(error) = &started {
        tracing::warn!(target: "migrator", %error, "no thread is to be had to look at the database");
    }
    started.is_ok()
}

impl<T> Desk<T> {
    fn turn(&self, asker: Asker, now: Instant, limits: Limits) -> Turn<T> {
        if let Some(last) = self.last.as_ref().filter(|last| last.epoch == asker.epoch)
            && (last.ended >= asker.arrived || now.saturating_duration_since(last.ended) <= limits.fresh)
        {
            // What came back too late for this bound is not healthier for having come back.
            return Turn::Answer((last.took <= asker.bound).then(|| Arc::clone(&last.value)));
        }
        let Some(newest) = self.under_way.iter().map(|(_, began)| *began).max() else {
            return if now.saturating_duration_since(asker.arrived) < asker.bound {
                Turn::Begin
            } else {
                Turn::Answer(None)
            };
        };
        let since = |moment| now.saturating_duration_since(moment);
        if since(newest) >= limits.stuck && self.under_way.len() < limits.most {
            return Turn::Begin;
        }
        // One that is under way for longer than that is too late already, so nobody waits for it.
        match asker.bound.checked_sub(since(newest).max(since(asker.arrived))) {
            Some(left) if !left.is_zero() => Turn::Wait(left),
            _ => Turn::Answer(None),
        }
    }
}

/// A reading, until it came back or panicked.
struct Landing<'a, T: Send + Sync + 'static> {
    watch: &'a Watch<T>,
    number: u64,
}

impl<T: Send + Sync + 'static> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        let number = self.number;
        let mut desk = self.watch.desk();
        desk.under_way.retain(|(other, _)| *other != number);
        let waiting = std::mem::take(&mut desk.waiting);
        drop(desk);
        self.watch.changed.notify_all();
        waiting.into_iter().for_each(|(waker, _)| waker.wake());
    }
}
