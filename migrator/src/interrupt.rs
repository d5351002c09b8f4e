//! A way to end what runs, from another thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Ends what a [`Migrator`](crate::Migrator) does, from another thread: [`Migrator::interrupt`](crate::Migrator::interrupt).
///
/// A run that is interrupted ends before its next statement, or in the middle of a wait, with the code `interrupted`; what it
/// committed is recorded. Of migrations that [travel together](crate::Event::Together) those of one message may come first; on MySQL
/// a message ends by itself behind a statement when it is older than a second. A statement that runs is cancelled with [`Migrator::cancel`](crate::Migrator::cancel). It cannot be
/// taken back. A clone is the same.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<Inner>);

#[derive(Default)]
struct Inner {
    stopped: AtomicBool,
    /// The database's name for each session that runs something.
    sessions: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Interrupt {
    /// Nothing is interrupted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Interrupts everything that looks here, for good.
    pub fn stop(&self) {
        let _whoever_is_about_to_sleep = self.sessions();
        self.0.stopped.store(true, Ordering::SeqCst);
        self.0.changed.notify_all();
    }

    /// Whether it was [stopped](Self::stop).
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Goes on, unless it was stopped.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_stopped() {
            return Err(Error::new("interrupted", "it was interrupted before it was done", REMEDY));
        }
        Ok(())
    }

    /// Sleeps, and wakes when it is stopped.
    pub(crate) fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut sessions = self.sessions();
        while !self.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (sessions, _) = self.0.changed.wait_timeout(sessions, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that this session runs something, until the value is dropped.
    pub(crate) fn note(&self, session: Option<String>) -> Noted {
        self.sessions().extend(session.clone());
        Noted(session.map(|session| (self.clone(), session)))
    }

    /// Whether any session runs something.
    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions().is_empty()
    }

    /// Does something to each session that runs something. None of them ends meanwhile, so no other one is met.
    pub(crate) fn each_session(&self, mut each: impl FnMut(&str)) {
        self.sessions().iter().for_each(|session| each(session));
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do about it.
pub(crate) const REMEDY: &str = "start again: what was committed is recorded, the rest is taken up where it stopped";

/// A session that runs something.
pub(crate) struct Noted(Option<(Interrupt, String)>);

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some((interrupt, session)) = &self.0 {
            let mut sessions = interrupt.sessions();
            if let Some(at) = sessions.iter().position(|noted| noted == session) {
                sessions.remove(at);
            }
        }
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupt").field("stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}
