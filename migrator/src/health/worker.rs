//! Whether the worker for background seeds lives.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The worker, as a probe sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Worker {
    /// There is none: nothing is left to do in the background, or it ended with a shutdown.
    None,
    /// It works, or waits until a seed is due.
    Alive,
    /// It gave no sign of life for longer than anything that it does may take.
    Hung,
    /// It panicked. Nobody tries the seeds that are missing.
    Died,
}

impl Worker {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Hung => "hung",
            Self::Died => "died",
        }
    }
}

/// The signs of life that a worker gives.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<Life>);

#[derive(Debug, Clone, Copy)]
enum Life {
    None,
    /// Something is heard of it before this moment.
    Until(Instant, Duration),
    Died,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Life::None))
    }

    /// It begins; after this silence it counts as hung.
    pub(crate) fn begin(&self, silence: Duration) {
        *self.life() = Life::Until(Instant::now() + silence, silence);
    }

    /// It did something, and goes on after this time. Others beat for it too, while it sleeps: that does not shorten its sleep.
    pub(crate) fn beat(&self, pause: Duration) {
        let mut life = self.life();
        if let Life::Until(moment, silence) = *life {
            *life = Life::Until(moment.max(Instant::now() + pause + silence), silence);
        }
    }

    /// It ended: `died` tells whether it meant to.
    pub(crate) fn end(&self, died: bool) {
        *self.life() = if died { Life::Died } else { Life::None };
    }

    /// How it is.
    pub(crate) fn worker(&self) -> Worker {
        match *self.life() {
            Life::None => Worker::None,
            Life::Until(moment, _) if Instant::now() > moment => Worker::Hung,
            Life::Until(..) => Worker::Alive,
            Life::Died => Worker::Died,
        }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_does_not_shorten_a_sleep() {
        let pulse = Pulse::new();
        pulse.begin(Duration::ZERO);
        pulse.beat(Duration::from_secs(3600));
        pulse.beat(Duration::ZERO);
        assert_eq!(pulse.worker(), Worker::Alive);
    }
}
