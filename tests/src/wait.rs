//! Waiting for something that only polling can see, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long [`until`] waits: far beyond what anything here takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Polls `probe` until it answers and returns the answer.
///
/// # Panics
/// After [`DEADLINE`], naming `what`: put it so that "waited for …" reads well.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, probe).unwrap_or_else(|| panic!("waited for {what} for {DEADLINE:?}, in vain"))
}

/// Polls `probe` until it answers; `None` when `deadline` passes first.
pub fn within<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        // A probe that begins in time counts even if this thread was not scheduled for a while before it.
        let last = start.elapsed() >= deadline;
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if last {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
