//! The verbs that seed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::seed::{Pass, Seed, SeedReport, SeedStatus};

/// How often, and for how long, a seed is tried whose error can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) deadline: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 10, deadline: Duration::from_secs(5 * 60) }
    }
}

/// How a verb waits between two tries.
#[derive(Clone)]
pub(crate) struct Pause(pub(crate) Arc<dyn Fn(Duration) -> ControlFlow<()> + Send + Sync>);

impl Default for Pause {
    fn default() -> Self {
        Self(Arc::new(|pause| {
            std::thread::sleep(pause);
            ControlFlow::Continue(())
        }))
    }
}

impl<C> Migrator<C> {
    /// How often a seed is tried, by all processes together, whose error can pass, before it is given up. Default: 10. At
    /// least 1.
    #[must_use]
    pub fn seed_attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts.max(1);
        self
    }

    /// How long [`seed`](Self::seed) goes on trying. Default: 5 minutes.
    #[must_use]
    pub fn seed_deadline(mut self, deadline: Duration) -> Self {
        self.retry.deadline = deadline;
        self
    }

    /// Waits between two tries as long as nothing interrupts it.
    pub(crate) fn pausing_with(self, interrupt: &Interrupt) -> Self {
        let interrupt = interrupt.clone();
        self.pause(move |pause| {
            interrupt.sleep(pause);
            if interrupt.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

    /// Waits between two tries of a seed, instead of the thread's sleep; `Break` ends the verb with the error `interrupted`.
    #[must_use]
    pub fn pause(mut self, pause: impl Fn(Duration) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        self.pause = Pause(Arc::new(pause));
        self
    }
}

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Runs the blocking seeds that are not applied, and tries again what can pass; or proves with one query that nothing is to
    /// be done.
    ///
    /// Background seeds are listed as skipped, and so are manual ones.
    ///
    /// # Errors
    /// `seed_failed` when a critical seed failed: it names the seed, its attempts, and the database's words
    /// ([`Error::seed_report`] has the others). Before anything is changed: `migrations_pending` when the database is not where
    /// the set is, `seeds` when the list is unsound. `connection_lost`: call again with another connection.
    pub fn seed(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<SeedReport, Error> {
        let _ = (conn, seeds);
        Err(Error::new("seeds", "seeding is not built yet", ""))
    }

    /// Tries each background seed once that is to be tried, and tells with [`SeedReport::next_due`] when to come back. It
    /// never sleeps, and never waits for another process that runs the same seed.
    ///
    /// # Errors
    /// As [`seed`](Self::seed), but a failed seed is an outcome and no error.
    pub fn seed_background(&self, conn: &mut C, seeds: &[Seed<C>], pass: Pass) -> Result<SeedReport, Error> {
        let _ = (conn, seeds, pass);
        Err(Error::new("seeds", "seeding is not built yet", ""))
    }

    /// Tries each seed of both phases that is not applied, once and now, whatever the ledger says of its next time, and returns
    /// the outcome of that try. What is applied is unchanged; manual ones stay skipped.
    ///
    /// # Errors
    /// As [`seed_background`](Self::seed_background).
    pub fn retry_seeds(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<SeedReport, Error> {
        let _ = (conn, seeds);
        Err(Error::new("seeds", "seeding is not built yet", ""))
    }

    /// Where each seed stands, by the ledger. It reads only, with one query, and runs nothing of the seeds' own.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn seed_status(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<Vec<SeedStatus>, Error> {
        let _ = (conn, seeds);
        Err(Error::new("seeds", "seeding is not built yet", ""))
    }
}
