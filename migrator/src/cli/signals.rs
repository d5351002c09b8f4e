//! Ctrl-C and SIGTERM: the first one ends what runs, so that nothing is left half-way; a second one ends the process at once.

use std::process::ExitCode;
#[cfg(unix)]
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How the work is ended that goes on right now.
type End = Box<dyn FnOnce() + Send>;

/// What is said of it, and how the work ends.
type Work = (&'static str, End);

/// What a signal ends; without anything the process ends at once.
static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// The signal that came first; 0 before.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// What ends the work, while it is at that. The process must not end beside it: a client library that connects in one thread while
/// another one exits ends in a crash.
static ENDING: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// Work that a signal ends by its own means, until the value is dropped.
#[must_use]
pub(super) struct Working(());

/// Says how the work that begins is ended.
pub(super) fn working(end: impl FnOnce() + Send + 'static) -> Working {
    *work() = Some(("interrupted: ending what runs; once more, and it stops at once", Box::new(end)));
    Working(())
}

/// Work begins of which half would be worse than all: the first signal lets it come to its end.
pub(super) fn finishing() -> Working {
    *work() = Some((
        "interrupted: what runs must not stop half-way, and goes on to its end; once more, and nobody waits for it",
        Box::new(|| ()),
    ));
    Working(())
}

impl Drop for Working {
    fn drop(&mut self) {
        *work() = None;
    }
}

/// Asks a person, who ends the process at once with Ctrl-C: nothing has begun.
pub(super) fn asking<R>(ask: impl FnOnce() -> R) -> R {
    let end = work().take();
    let answer = ask();
    *work() = end;
    answer
}

/// The exit code that a signal asks for, when one came: 130 for Ctrl-C, 143 for SIGTERM.
pub(super) fn exit_code() -> Option<ExitCode> {
    let caught = CAUGHT.load(Ordering::SeqCst);
    let ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner).take();
    let _it_may_have_panicked = ending.map(JoinHandle::join);
    (caught != 0).then(|| ExitCode::from(code(caught)))
}

fn code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

fn work() -> MutexGuard<'static, Option<Work>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens from now on, so that a signal always ends with its exit code.
#[cfg(unix)]
pub(super) fn watch() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        // A process without a thread or a pipe to spare is ended as it was before.
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
        let listen = move || signals.forever().for_each(caught);
        let _listener = std::thread::Builder::new().name("migrator-signals".to_owned()).spawn(listen);
    });
}

#[cfg(not(unix))]
pub(super) fn watch() {}

#[cfg(unix)]
fn caught(signal: i32) {
    let first = CAUGHT.swap(signal, Ordering::SeqCst) == 0;
    let end = work().take();
    match end.filter(|_| first) {
        Some((told, end)) => {
            super::output::note(told);
            // A database that does not answer must not keep the second signal from being heard.
            let ending = std::thread::Builder::new().name("migrator-end".to_owned()).spawn(end);
            *ENDING.lock().unwrap_or_else(PoisonError::into_inner) = ending.ok();
        }
        None => {
            super::progress::leave();
            // Without what C libraries do at the end, which is not for a process with threads at work.
            signal_hook::low_level::exit(i32::from(code(signal)));
        }
    }
}
