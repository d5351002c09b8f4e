//! A service's database: initialised once, then a pool.

#[cfg(feature = "tokio")]
mod asynchronous;
mod config;
pub(crate) mod connect;
mod flight;
mod health;
mod init;
mod pool;
#[cfg(all(test, feature = "sqlite"))]
mod properties;
mod seeding;
mod worker;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};

pub use self::config::Config;
use self::flight::{Entry, Flight};
use self::init::Init;
use crate::dialect::Dialect;
use crate::error::{Error, panic_text};
use crate::migration::MigrationSet;
use crate::migrator::Migrator;
use crate::mode::ServiceMode;
use crate::provider_state::{Move, ProviderState};
use crate::report::Report;
use crate::seed::{self, Pass, Seed, SeedReport};
use crate::status::Status;

/// The database of a service: initialised once, then a pool of connections.
///
/// ```no_run
/// use diesel::prelude::*;
/// use migrator::{Config, DbProvider, MigrationSet, embed_migrations};
///
/// static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
/// static DB: DbProvider<SqliteConnection> = DbProvider::new(&MIGRATIONS);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// DB.init(Config::from_env()?)?; // connect (with retry) → lock → migrate → seed → verify
/// let mut conn = DB.get()?; // pooled
/// # let _ = conn.test_transaction::<_, diesel::result::Error, _>(|_| Ok(()));
/// DB.shutdown()?;
/// # Ok(())
/// # }
/// ```
///
/// It adds nothing that a [`Migrator`] cannot do for a host with connections of its own. It is made in a `static`, nothing of it
/// is global, and a process may have many. It migrates over a connection of its own, which is closed before the first one is
/// given out, so that no setting of a script reaches the service; only a database in memory has no other connection.
///
/// Everything about it is in [`Config`]; where it stands is [`state`](Self::state).
pub struct DbProvider<C: R2D2Connection + 'static> {
    set: &'static MigrationSet,
    seeds: &'static [Seed<C>],
    flight: OnceLock<Arc<Flight<C>>>,
}

/// What an init did; it prints itself.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InitReport {
    /// Where the provider stood when it was done.
    pub state: ProviderState,
    /// What this process does with the database.
    pub mode: ServiceMode,
    /// What the run of the migrations did; `None` where another process migrates.
    pub migrations: Option<Report>,
    /// What seeding did; `None` where another process seeds, or there are no seeds.
    pub seeds: Option<SeedReport>,
    /// How long all of it took.
    #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "crate::report::milliseconds"))]
    pub duration: Duration,
}

impl<C: R2D2Connection + 'static> DbProvider<C> {
    /// A provider that was not initialised yet. For a `static`.
    pub const fn new(set: &'static MigrationSet) -> Self {
        Self { set, seeds: &[], flight: OnceLock::new() }
    }

    /// What it seeds, once the migrations are applied. Default: nothing.
    ///
    /// # Panics
    /// When the list is unsound; in a `static` that is an error of the compiler. See [`seed::checked`].
    #[must_use]
    pub const fn seeds(mut self, seeds: &'static [Seed<C>]) -> Self {
        self.seeds = seed::checked(seeds);
        self
    }

    /// Where it stands. Asks nobody and never waits.
    pub fn state(&self) -> ProviderState {
        self.flight().state()
    }

    /// Whether an init succeeded, and no shutdown came since.
    pub fn is_initialized(&self) -> bool {
        self.state().is_initialized()
    }

    /// Whether it is initialised and every seed is applied, or was there already. A seed that failed or was skipped is none, for
    /// whatever reason.
    pub fn is_seeding_successful(&self) -> bool {
        self.flight().is_seeding_successful()
    }

    /// Whether a seed failed and is tried again by itself. Once its tries are used up it is not.
    pub fn is_retrying_seeding(&self) -> bool {
        self.state().is_retrying_seeding()
    }

    fn flight(&self) -> &Arc<Flight<C>> {
        self.flight.get_or_init(|| Arc::new(Flight::new()))
    }
}

impl<C> DbProvider<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// Brings the database to where the service can work with it: connects, with patience; migrates under the lock; seeds;
    /// verifies; makes the pool. What exactly is up to the [mode](Config::mode).
    ///
    /// Calls at the same time do it once, and all return its outcome. A call after a success returns that, and the
    /// configuration of the call is not looked at; after a failure it tries again.
    ///
    /// # Errors
    /// What [`Migrator::run`] and [`Migrator::seed`] say; `config`, `scheme_mismatch`, `unknown_scheme`, `invalid_url`;
    /// `connection_failed` at once for a wrong password or an unknown database; `database_unavailable` when it does not come up
    /// in time; `pending` or `seeds_missing` where another process has to migrate or seed, and did not in time;
    /// `pool_timeout`; `panicked` when a hook or a seed did; `shut_down`.
    pub fn init(&self, config: Config<C>) -> Result<InitReport, Error> {
        initialise(self.flight(), self.set, self.seeds, config)
    }

    /// A connection of the pool, within [`pool_timeout`](Config::pool_timeout).
    ///
    /// # Errors
    /// At once `not_initialized`, `initializing`, `init_failed`, `migrate_only` or `shut_down`; and `pool_timeout` when every
    /// connection is in use for too long, or none can be made.
    pub fn get(&self) -> Result<PooledConnection<ConnectionManager<C>>, Error> {
        self.flight().pool()?.get()
    }

    /// The pool itself, for what takes one.
    ///
    /// # Errors
    /// As [`get`](Self::get), at once.
    pub fn pool(&self) -> Result<Pool<ConnectionManager<C>>, Error> {
        Ok(self.flight().pool()?.pool)
    }

    /// Where the database stands against the migrations, asked now over the pool ([`Migrator::status`]). The role of the service
    /// has to be allowed to read our tables.
    ///
    /// # Errors
    /// As [`get`](Self::get), and when the database cannot be read.
    pub fn status(&self) -> Result<Status, Error> {
        let mut conn = self.get()?;
        self.flight().migrator().unwrap_or_else(|| Migrator::new(self.set)).status(&mut *conn)
    }

    /// Tries each seed that is not there once, now, and returns what came of it; nothing, when none is missing. What is tried
    /// already is waited for; a seed that still fails is an outcome, and is tried again later as the ledger has it.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`Migrator::retry_seeds`]; `read_only` in a process that never writes.
    pub fn retry_seeding(&self) -> Result<SeedReport, Error> {
        retry(self.flight())
    }

    /// Ends everything, for good, and returns when it has ended: no connection is given out any more, an init that runs ends with
    /// `shut_down`, and the worker is joined.
    ///
    /// A statement that runs is cancelled from a second connection (PostgreSQL, MySQL); on SQLite it is waited for. What was
    /// committed is recorded, and the next start goes on from there. Connections that are out stay usable, and close when they
    /// come back. In a hook it returns at once, since it would wait for itself.
    ///
    /// # Errors
    /// `shutdown_timeout` when something still runs after [`shutdown_timeout`](Config::shutdown_timeout). It is shut down
    /// nevertheless.
    pub fn shutdown(&self) -> Result<(), Error> {
        shut_down(self.flight(), self.set)
    }
}

fn shut_down<C>(flight: &Flight<C>, set: &MigrationSet) -> Result<(), Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    flight.shut_down(|url, interrupt| {
        let migrator = Migrator::<C>::new(set).interrupt(interrupt);
        if !interrupt.has_sessions() {
            return;
        }
        // The interrupt of the init is stopped; this connection has none.
        let cancelled = connect::once::<C>(url, Duration::from_secs(2), &Default::default())
            .and_then(|mut conn| migrator.cancel(&mut conn));
        if let Err(error) = cancelled {
            tracing::warn!(target: "migrator", %error, "a statement could not be cancelled, and is waited for");
        }
    })
}

fn initialise<C>(
    flight: &Arc<Flight<C>>,
    set: &MigrationSet,
    seeds: &'static [Seed<C>],
    mut config: Config<C>,
) -> Result<InitReport, Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    let (_working, mine) = match flight.enter(&config.hook, config.shutdown_timeout) {
        Entry::Return(outcome) => return *outcome,
        Entry::Work(working, mine) => (working, mine),
    };
    let mut stage = crate::provider_state::Stage::Configure;
    let worked = catch_unwind(AssertUnwindSafe(|| {
        // It began already, under the lock; here the host is told.
        flight.go(Move::Begin);
        let mut init = Init::new(flight, set, seeds, &mut config);
        let result = init.run(config);
        stage = init.stage;
        result
    }));
    let outcome = worked.unwrap_or_else(|panic| {
        let remedy = "correct the hook, the seed or the session step that panicked; nothing half-done is left";
        Err(Error::new("panicked", format!("something of the host's panicked: {}", panic_text(&*panic)), remedy))
    });
    let outcome = outcome.map_err(|error| match flight.interrupt.is_stopped() {
        true => error.into_another(
            "shut_down",
            "the provider was shut down before it was ready".to_owned(),
            crate::interrupt::REMEDY.to_owned(),
        ),
        false => error,
    });
    if let Err(error) = &outcome {
        flight.cancel_at(None);
        let (code, remedy, retryable) = (error.code(), error.remedy().to_owned(), error.is_transient());
        let failed = Move::Fail { stage, code, remedy, retryable };
        // A hook that panics did so already.
        let _told = catch_unwind(AssertUnwindSafe(|| flight.go(failed)));
    }
    flight.finish(&mine, &outcome);
    outcome
}

fn retry<C>(flight: &Arc<Flight<C>>) -> Result<SeedReport, Error>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    let _working = flight.works();
    let Some(seeder) = flight.seeder() else {
        flight.pool()?;
        return match flight.is_seeding_successful() {
            true => Ok(SeedReport::default()),
            false => Err(Error::new(
                "read_only",
                "this process leaves the seeds to another one (MIGRATOR_MODE)",
                "call it where MIGRATOR_MODE is migrate-and-serve",
            )),
        };
    };
    let report = seeder.pass(flight, Pass::Force).map_err(|error| match error.code() {
        "interrupted" => flight::shut_down(),
        _ => error,
    })?;
    if report.next_due().is_some() {
        worker::start(flight, &seeder, Pass::Due)?;
    }
    Ok(report)
}

impl<C: R2D2Connection + 'static> fmt::Debug for DbProvider<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbProvider").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} ms ({})", self.state, self.duration.as_millis(), self.mode)?;
        if let Some(migrations) = &self.migrations {
            write!(f, "\n{migrations}")?;
        }
        if let Some(seeds) = &self.seeds {
            write!(f, "\n{seeds}")?;
        }
        Ok(())
    }
}
