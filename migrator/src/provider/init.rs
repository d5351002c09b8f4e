//! The way to a database that can be worked with: connect, migrate, seed, verify.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::r2d2::R2D2Connection;

use super::InitReport;
use super::config::Config;
use super::connect::connect;
use super::flight::{Flight, Served};
use super::pool::{Options, Serving};
use super::seeding::{Seeding, awaited};
use super::worker::{self, Seeder, Source};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::event::Event;
use crate::lock::jitter;
use crate::migration::MigrationSet;
use crate::migrator::Migrator;
use crate::mode::ServiceMode;
use crate::plan::Target;
use crate::provider_state::{Move, Stage};
use crate::report::Report;
use crate::seed::{Pass, Phase, Seed, SeedOutcome, SeedReport, SeedRun, Skip};
use crate::status::DatabaseState;
use crate::url::Url;

/// How often a connection may be lost in one init. A migration that ends its server each time ends here.
const LOSSES: u32 = 5;

/// How long the first connection of the pool may take, at least.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// One init at work.
pub(super) struct Init<'a, C: R2D2Connection + 'static> {
    flight: &'a Arc<Flight<C>>,
    seeds: &'static [Seed<C>],
    mode: ServiceMode,
    connect_timeout: Duration,
    wait_timeout: Duration,
    migrator: Migrator<C>,
    start: Instant,
    /// Where it is, for the error.
    pub(super) stage: Stage,
    report: Report,
}

/// What the work on the migrating connection came to.
struct Done {
    migrations: Option<Report>,
    seeds: Option<SeedReport>,
    seeding: Seeding,
    ahead: bool,
}

impl<'a, C> Init<'a, C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    pub(super) fn new(
        flight: &'a Arc<Flight<C>>,
        set: &MigrationSet,
        seeds: &'static [Seed<C>],
        config: &mut Config<C>,
    ) -> Self {
        let mut migrator = Migrator::new(set).pausing_with(&flight.interrupt);
        if let Some(timeout) = config.lock_timeout {
            migrator = migrator.lock_timeout(timeout);
        }
        if let Some(environment) = config.environment {
            migrator = migrator.environment(environment);
        }
        if let Some(adapt) = config.migrator.take() {
            migrator = adapt(migrator);
        }
        let (start, hook, theirs) = (Instant::now(), config.hook.clone(), Arc::downgrade(flight));
        let listen = move |event: Event<'_>| {
            if let Some(flight) = theirs.upgrade() {
                flight.pulse.beat(Duration::ZERO);
                flight.track.take(&event);
                if let Some(step) = step(&event, start) {
                    flight.go(step);
                }
            }
            if let Some(hook) = &hook.0 {
                hook(event);
            }
        };
        Self {
            flight,
            seeds,
            mode: config.mode,
            connect_timeout: config.connect_timeout,
            wait_timeout: config.wait_timeout,
            migrator: migrator.also_on_event(listen).interrupt(&flight.interrupt),
            start,
            stage: Stage::Configure,
            report: Report::default(),
        }
    }

    /// Does everything, and leaves the provider in a state that serves.
    pub(super) fn run(&mut self, config: Config<C>) -> Result<InitReport, Error> {
        let serving = config.url.parse::<C>()?;
        let owner = match &config.migration_url {
            Some(named) if self.mode.migrates() => (named.parse::<C>()?, named.name()),
            _ => (serving.clone(), config.url.name()),
        };
        let in_memory = serving.is_in_memory();
        if in_memory != owner.0.is_in_memory() {
            let message = "a database in memory is migrated over the only connection to it";
            return Err(Error::new("config", message, "leave MIGRATION_DATABASE_URL out"));
        }
        let url = owner.0.clone();
        self.migrator.find_poolers_by(move || C::establish(url.text()));
        let has_owner = self.mode.migrates() && config.migration_url.is_some();
        let serving_name = config.url.name();
        let pool = Serving::new(Options {
            url: serving.clone(),
            size: config.pool_size,
            timeout: config.pool_timeout,
            busy_timeout: config.busy_timeout,
            on_connect: config.on_connect,
            adapt: config.pool,
        });
        self.stage = Stage::Connect;
        let done = if in_memory {
            self.work(&mut *pool.get_within(FIRST_CONNECTION)?)?
        } else {
            self.flight.cancel_at(Some(owner.0.clone()));
            self.work_through_losses(&owner.0, owner.1)?
        };
        self.stage = Stage::Verify;
        let pool = self.mode.serves().then_some(pool);
        if let Some(pool) = &pool {
            if has_owner {
                // The pool would only say that it waited; this says why.
                drop(self.connect(&serving, serving_name)?);
            }
            // However little patience the service has later: a first connection takes its time on a busy machine.
            drop(pool.get_within(pool.timeout().max(FIRST_CONNECTION))?);
        }
        self.serve(done, pool, owner)
    }

    fn serve(&self, done: Done, pool: Option<Serving<C>>, owner: (Url, &'static str)) -> Result<InitReport, Error> {
        let Done { migrations, seeds, seeding, ahead } = done;
        let source = match &pool {
            Some(pool) if owner.0.is_in_memory() => Source::Only(pool.clone()),
            _ => Source::Own(owner.0, owner.1),
        };
        // The owner's URL is kept only while there is something to try.
        let tries = self.mode == ServiceMode::MigrateAndServe && !seeding.is_successful();
        let seeder = tries.then(|| {
            let (migrator, seeds, connect_timeout) = (self.migrator.clone(), self.seeds, self.connect_timeout);
            Arc::new(Seeder { migrator, seeds, source, connect_timeout })
        });
        let has_background = seeding.missing().iter().any(|missing| {
            self.seeds.iter().any(|seed| seed.name() == missing.seed && seed.phase == Phase::Background)
        });
        let migrator = Some(self.migrator.clone());
        if !self.flight.serve(Served { pool, ahead, seeding, migrator, seeder: seeder.clone() }) {
            return Err(super::flight::shut_down());
        }
        if let Some(seeder) = seeder.filter(|_| has_background) {
            worker::start(self.flight, &seeder, Pass::First)?;
        }
        let (state, mode, duration) = (self.flight.state(), self.mode, self.start.elapsed());
        Ok(InitReport { state, mode, migrations, seeds, duration })
    }

    fn connect(&self, url: &Url, name: &str) -> Result<C, Error> {
        let conn = connect(url, name, self.connect_timeout, &self.flight.interrupt, |attempt, next| {
            self.flight.go(Move::DatabaseIsDown { attempt, next });
        })?;
        self.flight.go(if self.stage == Stage::Verify { Move::Verify } else { Move::Connected });
        Ok(conn)
    }

    /// Works on a connection of its own, and on another one when that is lost: what was committed is recorded.
    fn work_through_losses(&mut self, url: &Url, name: &str) -> Result<Done, Error> {
        for losses in 1.. {
            self.stage = Stage::Connect;
            let mut conn = self.connect(url, name)?;
            match self.work(&mut conn) {
                Err(error)
                    if error.code() == "connection_lost" && losses < LOSSES && !self.flight.interrupt.is_stopped() =>
                {
                    tracing::warn!(target: "migrator", %error, losses, "the connection was lost, and is made again");
                    if let Some(report) = error.report() {
                        self.report.applied.extend_from_slice(report.applied());
                    }
                }
                result => return result,
            }
        }
        unreachable!("losses do not end")
    }

    fn work(&mut self, conn: &mut C) -> Result<Done, Error> {
        match self.mode {
            ServiceMode::MigrateAndServe | ServiceMode::MigrateOnly => self.migrate(conn),
            ServiceMode::WaitOnly => self.follow(conn, self.wait_timeout),
            ServiceMode::CheckOnly => self.follow(conn, Duration::ZERO),
        }
    }

    fn migrate(&mut self, conn: &mut C) -> Result<Done, Error> {
        self.stage = Stage::Migrate;
        let mut report = self.migrator.run(conn)?;
        self.stage = Stage::Seed;
        let (mut seeding, mut seeds) = (Seeding::default(), None);
        if !self.seeds.is_empty() {
            let mut done = self.migrator.seed(conn, self.seeds)?;
            seeding.report(&done);
            // What is applied it lists as unchanged.
            let waits = |run: &SeedRun| matches!(run.outcome, SeedOutcome::Skipped(Skip::Background));
            if done.seeds().iter().any(waits) {
                if self.mode == ServiceMode::MigrateOnly {
                    self.seed_to_the_end(conn, &mut seeding, &mut done)?;
                } else {
                    seeding.ledger(&self.migrator.seed_status(conn, self.seeds)?, Some(Phase::Background));
                }
            }
            seeds = Some(done);
        }
        self.stage = Stage::Verify;
        self.flight.go(Move::Verify);
        let ahead = !report.proven && self.is_ahead(conn)?;
        report.applied.splice(0..0, std::mem::take(&mut self.report.applied));
        Ok(Done { migrations: Some(report), seeds, seeding, ahead })
    }

    /// A job has no worker that comes later: it tries its background seeds until nothing of them is due.
    fn seed_to_the_end(&self, conn: &mut C, seeding: &mut Seeding, done: &mut SeedReport) -> Result<(), Error> {
        let mut pass = Pass::First;
        loop {
            let report = self.migrator.seed_background(conn, self.seeds, pass)?;
            seeding.report(&report);
            for run in report.seeds().iter().filter(|run| run.phase == Phase::Background) {
                done.seeds.retain(|before| before.name != run.name);
                done.seeds.push(run.clone());
            }
            let Some(wait) = report.next_due() else { return Ok(()) };
            self.flight.interrupt.sleep(wait);
            self.flight.interrupt.check()?;
            pass = Pass::Due;
        }
    }

    /// Whether the database is newer than the set. Proves on the way that it has the set.
    fn is_ahead(&self, conn: &mut C) -> Result<bool, Error> {
        let status = self.migrator.status(conn)?;
        // Whatever else is not as it should be, a policy has to allow.
        if !matches!(status.state(), DatabaseState::UpToDate | DatabaseState::Ahead) && !status.is_servable() {
            let plan = self.migrator.plan(conn, Target::Latest)?;
            if !plan.is_empty() {
                return Err(pending(plan.steps().len()));
            }
        }
        Ok(status.problems().iter().any(|problem| problem.code == "ahead"))
    }

    /// Looks until another process has migrated and seeded. Never writes.
    fn follow(&mut self, conn: &mut C, time: Duration) -> Result<Done, Error> {
        self.stage = Stage::Migrate;
        let mut pause = Duration::from_millis(100);
        loop {
            let (steps, waits) = match self.migrator.plan(conn, Target::Latest) {
                Ok(plan) => (plan.steps().len(), Some(pending(plan.steps().len()))),
                // Whoever migrates goes on where it stopped.
                Err(error) if error.code() == "failed" => (self.migrator.status(conn)?.pending(), Some(error)),
                Err(error) => return Err(error),
            };
            // What is pending may be what this binary can do without.
            let steps = if steps > 0 && self.migrator.status(conn)?.is_servable() { 0 } else { steps };
            let status = match (steps, self.seeds) {
                (0, []) => Vec::new(),
                (0, seeds) => self.migrator.seed_status(conn, seeds)?,
                _ => Vec::new(),
            };
            let seeds = awaited(&status);
            if steps == 0 && seeds.is_empty() {
                self.stage = Stage::Verify;
                self.flight.go(Move::Verify);
                let mut seeding = Seeding::default();
                seeding.ledger(&status, None);
                return Ok(Done { migrations: None, seeds: None, seeding, ahead: self.is_ahead(conn)? });
            }
            let left = time.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return Err(match waits.filter(|_| steps > 0) {
                    Some(error) => error,
                    None => seeds_missing(&seeds),
                });
            }
            self.flight.go(Move::MigrationsAreMissing { pending: steps, at: self.start.elapsed() });
            self.flight.interrupt.sleep(jitter(pause).min(left));
            self.flight.interrupt.check()?;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

fn pending(steps: usize) -> Error {
    let what = crate::report::migrations(steps);
    let remedy = "let the process that migrates run first: migrator run, or MIGRATOR_MODE = migrate-only";
    Error::new("pending", format!("the database is without {what} of this binary"), remedy)
}

fn seeds_missing(names: &[&str]) -> Error {
    let message = format!("the database is without what these seeds promise: {}", names.join(", "));
    Error::new("seeds_missing", message, "let the process that seeds run first: MIGRATOR_MODE = migrate-only")
}

/// Where an event of the run leads.
fn step(event: &Event<'_>, start: Instant) -> Option<Move> {
    Some(match *event {
        Event::Waiting { holder, .. } => Move::LockIsHeld { holder: holder.map(str::to_owned), at: start.elapsed() },
        Event::Locked { .. } => Move::Locked,
        Event::Together { name, step, steps, .. } | Event::Started { name, step, steps, .. } => {
            Move::Migrate { step, steps, name: name.to_owned() }
        }
        Event::Statement { number, .. } => Move::Statement { number },
        Event::SeedStarted { name, attempt } => Move::Seed { seed: name.to_owned(), attempt },
        Event::SeedRetrying { name, attempt, .. } => Move::Seed { seed: name.to_owned(), attempt },
        _ => return None,
    })
}
