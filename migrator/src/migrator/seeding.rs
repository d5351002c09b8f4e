//! The verbs that seed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;

use super::Migrator;
use super::verbs::run_id;
use crate::dialect::{Class, Dialect, Facts, class, depth, refused};
use crate::error::Error;
use crate::history::{Home, LEDGER};
use crate::interrupt::Interrupt;
use crate::plan::{self as migrations, Target};
use crate::seed::{Pass, Seed, SeedReport, SeedState, SeedStatus};
use crate::seeding::plan::{self, Call, Row, Standing};
use crate::seeding::{self, Critical, Ground, Host, Pause, Seeding, ledger};
use crate::status::{self, DatabaseState};

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
    /// The connection is of the type that the seeds take: one of a pool is passed as `&mut *conn`.
    ///
    /// Background seeds that are not applied are listed as skipped, and so are manual ones. A seed that failed blocks those that
    /// depend on it, and only them.
    ///
    /// # Errors
    /// `seed_failed` when a critical seed failed: it names the seed, its attempts, and the database's words
    /// ([`Error::seed_report`] has the others). Before anything is changed: `migrations_pending` when the database is not where
    /// the set is, `seeds` when the list is unsound. `connection_lost`: call again with another connection.
    pub fn seed(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<SeedReport, Error> {
        let (report, critical) = self.seeded(conn, seeds, Call::Blocking, &[])?;
        match critical {
            Some(critical) => Err(critical.into_error(report)),
            None => Ok(report),
        }
    }

    /// Tries each background seed once that is to be tried, and tells with [`SeedReport::next_due`] when to come back. It
    /// never sleeps, and never waits for another process that runs the same seed.
    ///
    /// A worker keeps one migrator, or clones of it, for all its passes: the migrator remembers what was tried, so that a seed that
    /// is given up is tried once by each process and no more.
    ///
    /// # Errors
    /// As [`seed`](Self::seed), but a failed seed is an outcome and no error.
    pub fn seed_background(&self, conn: &mut C, seeds: &[Seed<C>], pass: Pass) -> Result<SeedReport, Error> {
        Ok(self.seeded(conn, seeds, Call::Background(pass), &[])?.0)
    }

    /// Tries each seed of both phases that is not applied, once and now, whatever the ledger says of its next time, and returns
    /// the outcome of that try. What is applied is unchanged; manual ones stay skipped, and so does a background seed that another
    /// process runs right now.
    ///
    /// # Errors
    /// As [`seed_background`](Self::seed_background).
    pub fn retry_seeds(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<SeedReport, Error> {
        Ok(self.seeded(conn, seeds, Call::Force, &[])?.0)
    }

    /// Tries the seeds of these names once and now, manual ones too. What they depend on must be applied.
    ///
    /// # Errors
    /// As [`seed_background`](Self::seed_background), and `seeds` when no seed has one of the names.
    pub fn seed_only(&self, conn: &mut C, seeds: &[Seed<C>], names: &[&str]) -> Result<SeedReport, Error> {
        if let Some(unknown) = names.iter().find(|name| !seeds.iter().any(|seed| seed.name == **name)) {
            let known: Vec<&str> = seeds.iter().map(Seed::name).collect();
            let message = format!("there is no seed `{unknown}`");
            return Err(Error::new("seeds", message, format!("the seeds are: {}", known.join(", "))));
        }
        Ok(self.seeded(conn, seeds, Call::Named, names)?.0)
    }

    /// Where each seed stands, by the ledger. It reads only, with one query, and runs nothing of the seeds' own.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn seed_status(&self, conn: &mut C, seeds: &[Seed<C>]) -> Result<Vec<SeedStatus>, Error> {
        let (rows, marked) = match self.glance(conn)? {
            Some(glance) => (glance.rows, glance.environment),
            None => {
                let seen = self.read(conn)?;
                (self.ledger(conn, &seen.facts, &seen.home)?, seen.environment())
            }
        };
        let status = |seed: &Seed<C>| {
            let (terms, row) = (seed.terms(), rows.iter().find(|row| row.name == seed.name));
            let skip = plan::elsewhere(&terms, self.environment, marked.as_deref());
            let state = plan::state(&terms, row, skip.as_ref());
            let current = row.filter(|_| plan::standing(&terms, row) != Standing::Pending);
            SeedStatus {
                name: seed.name.to_owned(),
                state,
                mode: seed.mode,
                phase: seed.phase,
                critical: seed.critical,
                attempts: current.map_or(0, |row| row.attempts),
                next_in: current.filter(|_| state == SeedState::Retrying).map(|row| row.wait),
                applied_at: row.and_then(|row| row.applied_at.clone()),
                rows: row.and_then(|row| row.rows),
                error: skip.map(|skip| skip.to_string()).or_else(|| current.and_then(|row| row.error.clone())),
            }
        };
        Ok(seeds.iter().map(status).collect())
    }

    fn seeded(
        &self,
        conn: &mut C,
        seeds: &[Seed<C>],
        call: Call,
        names: &[&str],
    ) -> Result<(SeedReport, Option<Critical>), Error> {
        let span = tracing::info_span!(target: "migrator", "migrator.seed", seeds = seeds.len());
        let _in_seeding = span.enter();
        let start = Instant::now();
        self.check_set()?;
        if depth(conn) > 0 {
            return Err(Error::open_transaction());
        }
        seeding::order(seeds)?;
        if seeds.is_empty() {
            return Ok((SeedReport::default(), None));
        }
        let (ground, rows, marked) = match self.glance(conn)? {
            Some(glance) if glance.fingerprint == Some(self.set.fingerprint()) => {
                (None, glance.rows, glance.environment)
            }
            _ => {
                let (ground, marked) = self.ground(conn)?;
                let rows = self.ledger(conn, &ground.facts, &ground.home)?;
                (Some(ground), rows, marked)
            }
        };
        let run_id = run_id();
        let host = Host {
            session: [&self.setup, &self.teardown],
            statement_lock_timeout: self.statement_lock_timeout,
            wait: &self.wait,
            attempts: self.retry.attempts,
            deadline: self.retry.deadline,
            pause: &self.pause,
            environment: self.environment,
            tried: &self.tried,
            run_id: &run_id,
        };
        let report = SeedReport { run_id: run_id.clone(), ..SeedReport::default() };
        let paused = Duration::ZERO;
        let mut seeding = Seeding { host, seeds, call, names, marked, rows, ground, report, paused, start };
        let critical = seeding.run(conn, &|conn| Ok(self.ground(conn)?.0))?;
        let mut report = seeding.report;
        report.duration = start.elapsed();
        Ok((report, critical))
    }

    /// One query: the meta row and the ledger. `None` when one of them is not there.
    fn glance(&self, conn: &mut C) -> Result<Option<ledger::Glance>, Error> {
        match ledger::glance(conn, self.schema.as_deref(), &self.set_name) {
            Ok(glance) => Ok(glance),
            // Whether a table is missing, or what else it is, the catalogue says.
            Err(error) if class::<C::Backend>(&error) != Class::Connection => Ok(None),
            Err(error) => {
                Err(refused::<C::Backend>("answer the first query", error).with_remedy("check that the database is up"))
            }
        }
    }

    fn ledger(&self, conn: &mut C, facts: &Facts, home: &Home) -> Result<Vec<Row>, Error> {
        match facts.has_table(LEDGER) {
            true => self.patiently(conn, |conn| ledger::load(conn, home, None)),
            false => Ok(Vec::new()),
        }
    }

    /// What there is to know before a seed is tried; an error when the database is not where the set is.
    fn ground(&self, conn: &mut C) -> Result<(Ground, Option<String>), Error> {
        let seen = self.read(conn)?;
        if seen.facts.in_transaction {
            return Err(Error::open_transaction());
        }
        let database = seen.facts.database.clone();
        let status = status::status(&self.set, seen.known().as_ref(), C::Backend::SQL.name(), database, None);
        let is_there = match status.state() {
            DatabaseState::UpToDate | DatabaseState::Ahead => true,
            // What a run would go on with, since a policy allows it, keeps no seed back.
            DatabaseState::Blocked => {
                let known = seen.known().unwrap_or_default();
                let given = self.given(conn, &seen.facts, &known)?;
                let plan = migrations::plan(&mut self.scripts(), &known, &Target::Latest, given);
                plan.is_ok_and(|plan| plan.is_empty())
            }
            _ => false,
        };
        if !is_there {
            let message =
                format!("the database is not where the migrations are ({}), so no seed runs", status.state().name());
            return Err(Error::new("migrations_pending", message, "run the migrations first"));
        }
        let marked = seen.environment();
        Ok((Ground { facts: seen.facts, home: seen.home }, marked))
    }
}
