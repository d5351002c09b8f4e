//! Options and verbs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;

use crate::apply::{self, Grouping, Run, Stop};
use crate::dialect::{Class, Dialect, Facts, LockKey};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::history::{self, Glance, Home, Writer};
use crate::ledgers;
use crate::lock::{self, FileLock, Keep, Wait, depth};
use crate::migration::MigrationSet;
use crate::plan::{self, Given, Plan, Policies, Policy, Resolution, Target};
use crate::record::{History, Partial, RecordKind, Standing};
use crate::report::Report;
use crate::session::{self, SessionStep, Step, with_session};
use crate::status::{self, Status};

/// Brings a database to where a [`MigrationSet`] is: options first, then a verb.
///
/// ```no_run
/// # use diesel::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let migrations = migrator::MigrationSet::from_path("migrations")?;
/// let mut conn = SqliteConnection::establish("app.db")?;
/// let report = migrator::Migrator::new(&migrations).run(&mut conn)?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
///
/// A verb takes any diesel connection: plain, pooled by r2d2, or a wrapped one of diesel-async. It must not be inside of a
/// transaction when the verb writes.
///
/// | option | default |
/// |---|---|
/// | [`lock_timeout`](Self::lock_timeout) | 5 minutes |
/// | [`statement_lock_timeout`](Self::statement_lock_timeout) | 5 seconds, 5 tries |
/// | [`changed`](Self::changed), [`missing`](Self::missing), [`out_of_order`](Self::out_of_order), [`failed`](Self::failed) | [`Policy::Refuse`] |
/// | [`ahead`](Self::ahead) | [`Policy::Warn`] |
/// | [`non_empty`](Self::non_empty) | [`Policy::Refuse`] |
/// | [`schema`](Self::schema) | the connection's current schema |
/// | [`set_name`](Self::set_name) | empty |
pub struct Migrator<C> {
    set: MigrationSet,
    schema: Option<String>,
    set_name: String,
    wait: Wait,
    statement_lock_timeout: Duration,
    policies: Policies,
    non_empty: Policy,
    environment: Option<Environment>,
    setup: Step<C>,
    teardown: Step<C>,
}

impl<C> Migrator<C> {
    /// A migrator with every option at its default.
    pub fn new(set: &MigrationSet) -> Self {
        Self {
            set: set.clone(),
            schema: None,
            set_name: String::new(),
            wait: Wait { timeout: Duration::from_secs(5 * 60), hook: Hook::default() },
            statement_lock_timeout: Duration::from_secs(5),
            policies: Policies::default(),
            non_empty: Policy::Refuse,
            environment: None,
            setup: Step::Nothing,
            teardown: Step::Nothing,
        }
    }

    /// How long a run waits for the migration lock. Default: 5 minutes.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.wait.timeout = timeout;
        self
    }

    /// How long a statement waits for what others hold, before its transaction is rolled back and tried again, five times in
    /// all. Default: 5 seconds. It keeps others from queueing behind a waiting DDL statement. (PostgreSQL `lock_timeout`, MySQL
    /// `lock_wait_timeout`, SQLite `busy_timeout`.)
    #[must_use]
    pub fn statement_lock_timeout(mut self, timeout: Duration) -> Self {
        self.statement_lock_timeout = timeout;
        self
    }

    /// The schema (PostgreSQL), or database (MySQL), in which the history lives. Default: the connection's current one. SQLite
    /// has one only.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Tells apart two sets whose histories share one schema. Default: empty.
    #[must_use]
    pub fn set_name(mut self, name: impl Into<String>) -> Self {
        self.set_name = name.into();
        self
    }

    /// What a run does when a migration that is not applied is older than one that is. Default: refuse.
    #[must_use]
    pub fn out_of_order(mut self, policy: Policy) -> Self {
        self.policies.out_of_order = policy;
        self
    }

    /// What a run does when the text of an applied migration differs from the recorded one. Default: refuse.
    #[must_use]
    pub fn changed(mut self, policy: Policy) -> Self {
        self.policies.changed = policy;
        self
    }

    /// What a run does when an applied migration, older than the set's latest, is not in the set. Default: refuse.
    #[must_use]
    pub fn missing(mut self, policy: Policy) -> Self {
        self.policies.missing = policy;
        self
    }

    /// What a run does when the database is newer than the set. Default: warn, and go on.
    #[must_use]
    pub fn ahead(mut self, policy: Policy) -> Self {
        self.policies.ahead = policy;
        self
    }

    /// What a run does when nobody knows whether a statement of an earlier run took. Default: refuse. To allow it is to say
    /// that running that statement twice does no harm.
    #[must_use]
    pub fn failed(mut self, policy: Policy) -> Self {
        self.policies.failed = policy;
        self
    }

    /// What a run does when the database has tables and no history. Default: refuse, since it may be somebody else's.
    #[must_use]
    pub fn non_empty(mut self, policy: Policy) -> Self {
        self.non_empty = policy;
        self
    }

    /// What this process takes the database for. The first run that is told so marks the database; a later run that is told
    /// otherwise says so.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Runs something on the migrating connection itself: `setup` before the lock is taken and only when something is
    /// pending, `teardown` after the lock was given back, also after an error or a panic.
    ///
    /// Each is SQL, a closure, or `()`. What the set-up sets in the session is set again after each script; it is not run
    /// again.
    #[must_use]
    pub fn session(mut self, setup: impl SessionStep<C>, teardown: impl SessionStep<C>) -> Self {
        (self.setup, self.teardown) = (setup.into_step(), teardown.into_step());
        self
    }

    /// Is told each transition of a run.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.wait.hook = Hook(Some(Arc::new(hook)));
        self
    }
}

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Applies what is pending, or proves with one query that nothing is.
    ///
    /// When the database's fingerprint is the set's, that query is all that happens: no lock, no DDL, no write.
    ///
    /// # Errors
    /// Before anything is changed: when the lock is not to be had, a policy refuses what the history says, or the database is
    /// not one that this set can run on. Half-way: when a statement fails; then the error carries the
    /// [report](Error::report) of what was applied before.
    pub fn run(&self, conn: &mut C) -> Result<Report, Error> {
        self.run_to(conn, Target::Latest)
    }

    /// As [`run`](Self::run), but stops at a target.
    ///
    /// # Errors
    /// As [`run`](Self::run), and when no migration is the target.
    pub fn run_to(&self, conn: &mut C, target: Target) -> Result<Report, Error> {
        let span = tracing::info_span!(target: "migrator", "migrator.run", migrations = self.set.len());
        let _in_run = span.enter();
        let start = Instant::now();
        self.check_dialect()?;
        if depth(conn) > 0 {
            return Err(open_transaction());
        }
        crate::stale::warn(&self.set, &self.wait.hook);
        let mut report = Report::default();
        if target == Target::Latest && self.is_unchanged(conn, &mut report)? {
            report.skipped = self.set.len();
            report.duration = start.elapsed();
            return Ok(report);
        }
        let result = self.run_pending(conn, &target, &mut report);
        report.duration = start.elapsed();
        match result {
            Ok(()) => Ok(report),
            Err(error) if report.run_id.is_empty() => Err(error),
            Err(error) => Err(error.with_report(report)),
        }
    }

    /// What [`run_to`](Self::run_to) would do. It reads only, and needs no lock.
    ///
    /// # Errors
    /// When a run would be refused, or the database cannot be read.
    pub fn plan(&self, conn: &mut C, target: Target) -> Result<Plan, Error> {
        self.check_dialect()?;
        let (facts, _, history) = self.read(conn)?;
        self.check_place(conn, &facts, history.as_ref())?;
        plan::plan(&self.set, &history.unwrap_or_default(), &target, self.given::<C::Backend>(&facts))
    }

    /// Where the database stands. It reads only, needs no lock, and works for a role that may only `SELECT`.
    ///
    /// # Errors
    /// When the database cannot be read, or one of the history's tables is gone.
    pub fn status(&self, conn: &mut C) -> Result<Status, Error> {
        self.check_dialect()?;
        let (facts, _, history) = self.read(conn)?;
        Ok(status::status(&self.set, history.as_ref(), C::Backend::SQL.name(), facts.database))
    }

    /// Settles what only a person can know of a migration: that it took, that it did not, or where it goes on.
    ///
    /// It adds to the history and never erases, runs nothing, and needs the lock. `version` is a version, a full name, or a
    /// prefix that fits one.
    ///
    /// # Errors
    /// When the migration is applied already, when it is not [failed](crate::State::Failed) and is declared rolled back or to be
    /// resumed, when it has no statement with that number, or when the lock is not to be had.
    pub fn resolve(&self, conn: &mut C, version: &str, resolution: Resolution) -> Result<(), Error> {
        self.check_dialect()?;
        if depth(conn) > 0 {
            return Err(open_transaction());
        }
        let (facts, home, _) = self.read(conn)?;
        let key = LockKey::new(&facts, &home);
        lock::with_lock(conn, &key, &facts, &self.wait, |conn, _| {
            let settled = self.settle(conn, &facts, &home, &key, version, resolution);
            (if settled.is_ok() { Keep::All } else { Keep::Nothing }, settled)
        })?
    }

    fn settle(
        &self,
        conn: &mut C,
        facts: &Facts,
        home: &Home,
        key: &LockKey,
        version: &str,
        resolution: Resolution,
    ) -> Result<(), Error> {
        let history = history::load(conn, facts, home)?;
        let known = history.clone().unwrap_or_default();
        let migration = plan::find(&self.set, version)?;
        let standing = known.pasts(self.set.layout()).get(migration.canonical()).map(|past| past.standing);
        let (detail, statement, checksum) = plan::settle(&migration, C::Backend::SQL, standing, resolution)?;
        let writing = |error| Error::database("write the migration history", error);
        history::prepare(conn, home, history.as_ref(), None).map_err(writing)?;
        let run_id = run_id();
        let mut writer = Writer::new::<C::Backend>(home, &self.set, history.as_ref(), key, &run_id, facts);
        let mut record = writer.record(RecordKind::Resolved, migration.version(), migration.name());
        (record.detail, record.statement, record.checksum) = (Some(detail.to_owned()), statement, checksum);
        writer.write(conn, &record).map_err(writing)
    }

    fn check_dialect(&self) -> Result<(), Error> {
        match self.set.sql_dialect() {
            Some(stated) if stated != C::Backend::SQL => Err(Error::new(
                "dialect_mismatch",
                format!("the migrations are written for {stated}, and the connection is to {}", C::Backend::SQL),
                "connect to the database that the migrations are for, or name their directory for this one",
            )),
            _ => Ok(()),
        }
    }

    /// One query: whether the database carries the fingerprint of the set.
    fn is_unchanged(&self, conn: &mut C, report: &mut Report) -> Result<bool, Error> {
        let glance = match history::glance(conn, self.schema.as_deref(), &self.set_name) {
            Ok(glance) => glance,
            // Whether the table is missing, or what else it is, the catalogue says: in the run that follows.
            Err(error) if C::Backend::class(&error.to_string()) != Class::Connection => return Ok(false),
            Err(error) => {
                return Err(
                    Error::database("answer the first query", error).with_remedy("check that the database is up")
                );
            }
        };
        let Some(Glance { fingerprint, environment }) = glance else {
            return Ok(false);
        };
        if fingerprint != Some(self.set.fingerprint()) {
            return Ok(false);
        }
        self.check_environment(environment.as_deref(), report);
        self.wait.hook.emit(Event::Unchanged { applied: self.set.len() });
        Ok(true)
    }

    fn check_environment(&self, marked: Option<&str>, report: &mut Report) {
        let (Some(mine), Some(marked)) = (self.environment, marked) else {
            return;
        };
        if marked != mine.name() {
            self.warn(report, format!("the database is marked {marked}, and this process is told that it is {mine}"));
        }
    }

    fn warn(&self, report: &mut Report, message: String) {
        self.wait.hook.emit(Event::Warning { message: &message });
        if !report.warnings.contains(&message) {
            report.warnings.push(message);
        }
    }

    /// Reads what there is to know, and the history. A writer that keeps readers out for a moment is waited for.
    fn read(&self, conn: &mut C) -> Result<(Facts, Home, Option<History>), Error> {
        let telling = |error| Error::database("tell what it is", error).with_remedy("check that the database is up");
        let patience = C::Backend::patience(conn, self.wait.timeout).map_err(telling)?;
        session::send(conn, &patience.enter).map_err(telling)?;
        let read = self.look(conn).and_then(|(facts, home)| {
            let history = history::load(conn, &facts, &home)?;
            Ok((facts, home, history))
        });
        session::send(conn, &patience.leave).map_err(telling)?;
        read
    }

    fn look(&self, conn: &mut C) -> Result<(Facts, Home), Error> {
        let telling = |error| Error::database("tell what it is", error).with_remedy("check that the database is up");
        let facts = C::Backend::facts(conn, self.schema.as_deref()).map_err(telling)?;
        if facts.schema.is_empty() {
            let remedy =
                "name a database in the URL, or a schema that exists in the search path or in Migrator::schema";
            return Err(Error::new(
                "no_schema",
                "the connection has no current schema, so the history has no home",
                remedy,
            ));
        }
        let home = Home { schema: facts.schema.clone(), set_name: self.set_name.clone() };
        Ok((facts, home))
    }

    fn given<D: Dialect>(&self, facts: &Facts) -> Given {
        Given { dialect: D::SQL, started: facts.started, policies: self.policies }
    }

    /// Refuses a database without a history that is not empty: it may be somebody else's.
    fn check_place(&self, conn: &mut C, facts: &Facts, history: Option<&History>) -> Result<(), Error> {
        if history.is_some_and(|history| history.meta.is_some()) {
            return Ok(());
        }
        ledgers::refuse::<C>(conn, facts)?;
        let theirs: Vec<&str> = ledgers::foreign_tables(facts).collect();
        if theirs.is_empty() || history.is_some() || self.non_empty == Policy::Allow {
            return Ok(());
        }
        let message =
            format!("the database has no migration history, and it is not empty: {}", status::list(theirs.into_iter()));
        if self.non_empty == Policy::Warn {
            self.wait.hook.emit(Event::Warning { message: &message });
            return Ok(());
        }
        let remedy = "check that it is the right database; then run with --allow-non-empty (Migrator::non_empty)";
        Err(Error::new("not_empty", message, remedy))
    }

    fn run_pending(&self, conn: &mut C, target: &Target, report: &mut Report) -> Result<(), Error> {
        let (facts, home, history) = self.read(conn)?;
        if facts.in_transaction {
            return Err(open_transaction());
        }
        self.check_place(conn, &facts, history.as_ref())?;
        let known = history.unwrap_or_default();
        let plan = plan::plan(&self.set, &known, target, self.given::<C::Backend>(&facts))?;
        report.skipped = plan.skipped;
        if plan.is_empty() {
            plan.warnings.iter().for_each(|warning| self.warn(report, warning.clone()));
            self.wait.hook.emit(Event::Unchanged { applied: plan.skipped });
            return Ok(());
        }
        if let Some(reason) = &facts.read_only {
            let message = format!(
                "{} to apply, and nothing can be written: {reason}",
                crate::report::migrations(plan.steps.len())
            );
            return Err(Error::new("read_only", message, "connect to the primary, as a role that may write"));
        }
        if let Some(reason) = &facts.unsupported {
            let message = format!("no migration lock can be trusted here: {reason}");
            return Err(Error::new(
                "unsupported",
                message,
                "let a single job run the migrations, on a server with a lock that holds",
            ));
        }
        let key = LockKey::new(&facts, &home);
        let needs_file = self.needs_file(&known, &plan);
        with_session(conn, [&self.setup, &self.teardown], self.statement_lock_timeout, |conn, restore| {
            let job = Job { migrator: self, facts: &facts, home: &home, key: &key, restore, target };
            job.run(conn, needs_file, report)
        })
    }

    /// Whether statements will run outside of the transaction that is the lock, or another process may be at it now.
    fn needs_file(&self, history: &History, plan: &Plan) -> bool {
        let unfinished = |standing| matches!(standing, Standing::Partial(Partial { in_doubt: true, .. }));
        C::Backend::LOCK_IS_TRANSACTION
            && (plan.steps.iter().any(|step| !step.transaction)
                || history.pasts(self.set.layout()).values().any(|past| unfinished(past.standing)))
    }
}

/// One run with work to do, inside of its session.
struct Job<'a, C> {
    migrator: &'a Migrator<C>,
    facts: &'a Facts,
    home: &'a Home,
    key: &'a LockKey,
    restore: &'a str,
    target: &'a Target,
}

/// How one turn under the lock ended.
enum Turn {
    Done,
    Stopped(Error),
    /// Again, with this grouping, and with the lock file held.
    Again(Grouping, bool),
}

impl<C: LoadConnection<Backend: Dialect>> Job<'_, C> {
    fn run(&self, conn: &mut C, needs_file: bool, report: &mut Report) -> Result<(), Error> {
        let (mut grouping, mut needs_file) = (Grouping::All, needs_file);
        let mut file = None;
        let wait = &self.migrator.wait;
        loop {
            if needs_file && file.is_none() {
                file = Some(FileLock::acquire(self.facts, wait)?);
            }
            let span = tracing::info_span!(target: "migrator", "migrator.lock");
            let turn = span.in_scope(|| {
                lock::with_lock(conn, self.key, self.facts, wait, |conn, waited| {
                    report.lock_wait += waited;
                    wait.hook.emit(Event::Locked { waited });
                    match self.turn(conn, grouping, file.is_some(), report) {
                        // What the run did before it stopped is kept; it is recorded.
                        Ok(turn @ (Turn::Done | Turn::Stopped(_))) => (Keep::All, Ok(turn)),
                        Ok(turn) => (Keep::Nothing, Ok(turn)),
                        Err(error) => (Keep::Nothing, Err(error)),
                    }
                })
            });
            match turn {
                Ok(Ok(Turn::Done)) => return self.finish(report, None),
                Ok(Ok(Turn::Stopped(error))) => return self.finish(report, Some(error)),
                Ok(Ok(Turn::Again(next, with_file))) => (grouping, needs_file) = (next, needs_file || with_file),
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    // The transaction that held the whole run could not be committed: nothing of it is there.
                    if C::Backend::LOCK_IS_TRANSACTION && grouping == Grouping::All {
                        report.applied.clear();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Tells of what the end of the lock committed.
    fn finish(&self, report: &Report, error: Option<Error>) -> Result<(), Error> {
        if C::Backend::LOCK_IS_TRANSACTION {
            for applied in &report.applied {
                let duration = Duration::from_millis(applied.duration_ms);
                let (version, name) = (applied.version.as_str(), applied.name.as_str());
                self.migrator.wait.hook.emit(Event::Applied { version, name, duration });
            }
        }
        error.map_or(Ok(()), Err)
    }

    /// Reads the history again, decides again, and carries the decision out.
    fn turn(&self, conn: &mut C, grouping: Grouping, has_file: bool, report: &mut Report) -> Result<Turn, Error> {
        let migrator = self.migrator;
        let facts = C::Backend::facts(conn, migrator.schema.as_deref().or(Some(&self.home.schema)))
            .map_err(|error| Error::database("tell what it is", error))?;
        let history = history::load(conn, &facts, self.home)?;
        let marked = migrator.environment.map(Environment::name);
        if let Err(error) = history::prepare(conn, self.home, history.as_ref(), marked) {
            // Another set has a lock of its own, and may have made the tables at the same moment.
            let made = history.is_none() && history::exists(conn, self.home);
            let again = made.then(|| history::prepare(conn, self.home, Some(&History::default()), marked));
            again.unwrap_or(Err(error)).map_err(|error| {
                let remedy =
                    "the role needs the right to create tables in the schema once; or let the owner run the migrations";
                Error::database("make the history tables", error).with_remedy(remedy)
            })?;
        }
        let known = history.clone().unwrap_or_default();
        let plan = plan::plan(&migrator.set, &known, self.target, migrator.given::<C::Backend>(&facts))?;
        if !has_file && migrator.needs_file(&known, &plan) {
            return Ok(Turn::Again(grouping, true));
        }
        plan.warnings.iter().for_each(|warning| migrator.warn(report, warning.clone()));
        report.skipped = plan.skipped;
        report.run_id = run_id();
        report.applied.clear();
        migrator.wait.hook.emit(Event::Planned { steps: plan.steps.len() });
        let writer = Writer::new::<C::Backend>(
            self.home,
            &migrator.set,
            history.as_ref(),
            self.key,
            &report.run_id.clone(),
            &facts,
        );
        let mut run = Run {
            set: &migrator.set,
            facts: self.facts,
            key: self.key,
            wait: &migrator.wait,
            restore: self.restore,
            grouping,
            writer,
            report,
            committed: 0,
        };
        match apply::apply(conn, &mut run, &plan) {
            Ok(()) => Ok(Turn::Done),
            Err(Stop::Error(error)) => Ok(Turn::Stopped(error)),
            Err(Stop::OneByOne) => Ok(Turn::Again(Grouping::Each, false)),
        }
    }
}

/// A name for one run: 128 random bits.
fn run_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn open_transaction() -> Error {
    let message = "a transaction is open on the connection, and a migration must decide by itself what it commits";
    Error::new("open_transaction", message, "commit or roll back first, or give it a connection of its own")
}

impl<C> Clone for Migrator<C> {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            schema: self.schema.clone(),
            set_name: self.set_name.clone(),
            wait: self.wait.clone(),
            statement_lock_timeout: self.statement_lock_timeout,
            policies: self.policies,
            non_empty: self.non_empty,
            environment: self.environment,
            setup: self.setup.clone(),
            teardown: self.teardown.clone(),
        }
    }
}

impl<C> fmt::Debug for Migrator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("set", &self.set).field("schema", &self.schema).finish_non_exhaustive()
    }
}
