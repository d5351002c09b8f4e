//! Seeds that the service does not wait for: a thread that tries them when they are due, until they hold or are given up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::r2d2::R2D2Connection;

use super::connect::connect;
use super::flight::Flight;
use super::pool::Serving;
use crate::dialect::Dialect;
use crate::error::{Error, panic_text};
use crate::migrator::Migrator;
use crate::seed::{Pass, Seed, SeedReport};
use crate::url::Url;

/// Where a connection that seeds comes from.
pub(super) enum Source<C: R2D2Connection + 'static> {
    /// A connection of its own, closed afterwards; the URL, and the variable that it came from.
    Own(Url, &'static str),
    /// The only connection that there is.
    Only(Serving<C>),
}

/// Everything that trying a seed again needs.
pub(super) struct Seeder<C: R2D2Connection + 'static> {
    pub(super) migrator: Migrator<C>,
    pub(super) seeds: &'static [Seed<C>],
    pub(super) source: Source<C>,
    pub(super) connect_timeout: Duration,
}

impl<C> Seeder<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// Tries what a pass tries, and tells the provider what came of it.
    pub(super) fn pass(&self, flight: &Flight<C>, pass: Pass) -> Result<SeedReport, Error> {
        // One at a time: an attempt that is forced waits for the one that runs.
        let _one_at_a_time = flight.seeding_turn();
        flight.interrupt.check()?;
        let report = match &self.source {
            Source::Only(serving) => self.on(&mut *serving.get()?, pass),
            Source::Own(url, name) => {
                let mut conn = connect(url, name, self.connect_timeout, &flight.interrupt, |_, _| {})?;
                self.on(&mut conn, pass)
            }
        }?;
        flight.seeded(&report);
        Ok(report)
    }

    /// Twice as long as the longest that nothing may be heard of it: while it connects, and then runs a seed.
    fn silence(&self) -> Duration {
        let longest = self.seeds.iter().map(|seed| seed.deadline).max().unwrap_or_default();
        (self.connect_timeout + longest) * 2
    }

    fn on(&self, conn: &mut C, pass: Pass) -> Result<SeedReport, Error> {
        match pass {
            Pass::Force => self.migrator.retry_seeds(conn, self.seeds),
            pass => self.migrator.seed_background(conn, self.seeds, pass),
        }
    }
}

/// How long the worker waits when the database cannot be asked when a seed is due.
const UNKNOWN: Duration = Duration::from_secs(30);

/// Starts the worker, which ends when every seed holds, nothing is to be tried again, or the provider is shut down.
///
/// # Errors
/// When no thread is to be had.
pub(super) fn start<C>(flight: &Arc<Flight<C>>, seeder: &Arc<Seeder<C>>, pass: Pass) -> Result<(), Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    let (theirs, seeder) = (Arc::clone(flight), Arc::clone(seeder));
    let body = move || {
        let _works = theirs.works();
        let worked = catch_unwind(AssertUnwindSafe(|| work(&theirs, &seeder, pass)));
        theirs.pulse.end(worked.is_err());
        if let Err(panic) = worked {
            tracing::error!(target: "migrator", panic = panic_text(panic.as_ref()), "the worker for background seeds panicked");
            theirs.worker_died();
        }
    };
    let spawn = || thread::Builder::new().name("migrator-seeds".to_owned()).spawn(body);
    flight.employ(spawn).map_err(|error| {
        Error::new("no_thread", "the thread for background seeds cannot be started", "raise the limit of threads")
            .with_source(error)
    })
}

fn work<C>(flight: &Flight<C>, seeder: &Seeder<C>, mut pass: Pass)
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    flight.pulse.begin(seeder.silence());
    while !flight.interrupt.is_stopped() {
        let due = match seeder.pass(flight, pass) {
            Ok(report) => report.next_due().map(|wait| Instant::now() + wait),
            Err(error) if error.code() == "interrupted" => return,
            Err(error) => {
                tracing::warn!(target: "migrator", %error, "background seeds could not be tried");
                Some(Instant::now() + UNKNOWN)
            }
        };
        // Nothing is due once a forced try made everything hold.
        let Some(due) = due.filter(|_| !flight.is_seeding_successful()) else { return };
        let pause = due.saturating_duration_since(Instant::now());
        flight.pulse.beat(pause);
        flight.interrupt.sleep(pause);
        flight.pulse.beat(Duration::ZERO);
        pass = Pass::Due;
    }
}
