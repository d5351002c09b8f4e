//! The verbs, and what each of them makes sure of first.

use std::time::Instant;

use diesel::connection::LoadConnection;

use super::Migrator;
use super::job::Job;
use crate::dialect::{Class, Dialect, Facts, LockKey, Outcome, depth, refused};
use crate::error::Error;
use crate::event::Event;
use crate::history::{self, Glance, Home, Writer};
use crate::ledgers;
use crate::lock::{self, FileLock, Keep};
use crate::plan::{self, Given, Plan, Policy, Resolution, Target};
use crate::record::{History, RecordKind};
use crate::report::Report;
use crate::session::{self, with_session};
use crate::stale;
use crate::status::{self, Status};

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
            return Err(Error::open_transaction());
        }
        let mut report = Report::default();
        if let Some(warning) = stale::warning(&self.set) {
            self.warn(&mut report, warning);
        }
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
        let (facts, home, history) = self.read(conn)?;
        let warning = self.check_place(conn, &facts, history.as_ref())?;
        let history = history.unwrap_or_default();
        let mut given = self.given(conn, &facts, &history)?;
        if self.running(conn, &facts, &home, &history).is_some() {
            given.policies.failed = Policy::Warn;
        }
        let mut plan = plan::plan(&self.set, &history, &target, given)?;
        plan.warnings.extend(warning);
        Ok(plan)
    }

    /// Where the database stands. It reads only, needs no lock, and works for a role that may only `SELECT`.
    ///
    /// # Errors
    /// When the database cannot be read, or one of the history's tables is gone.
    pub fn status(&self, conn: &mut C) -> Result<Status, Error> {
        self.check_dialect()?;
        let (facts, home, history) = self.read(conn)?;
        let mut status = status::status(&self.set, history.as_ref(), C::Backend::SQL.name(), facts.database.clone());
        if let (Some(problem), Some(holder)) = (
            status.problems.iter_mut().find(|problem| problem.code == "failed"),
            history.as_ref().and_then(|history| self.running(conn, &facts, &home, history)),
        ) {
            problem.message.push_str(&format!("; it may still be running: {holder} holds the migration lock"));
        }
        Ok(status)
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
            return Err(Error::open_transaction());
        }
        let (facts, home, history) = self.read(conn)?;
        if facts.in_transaction {
            return Err(Error::open_transaction());
        }
        self.check_place(conn, &facts, history.as_ref())?;
        check_writable(&facts, "there is an answer to record")?;
        let key = LockKey::new(&facts, &home);
        // Whoever runs statements outside of the transaction that is the lock holds the file instead.
        let _until_settled = match C::Backend::LOCK_IS_TRANSACTION && FileLock::is_there(&facts) {
            true => Some(FileLock::acquire(conn, &key, &facts, &self.wait)?),
            false => None,
        };
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
        // A record more would move the meta row along, and what a hand did would no longer show.
        if let Some(problem) = status::tampered(&known, self.set.layout()) {
            return Err(Error::new(problem.code, problem.message, problem.help));
        }
        let migration = plan::find(&self.set, version)?;
        let standing = known.pasts(self.set.layout()).get(migration.canonical()).map(|past| past.standing);
        let (detail, statement, checksum) = plan::settle(&migration, C::Backend::SQL, standing, resolution)?;
        let writing = |error| refused::<C::Backend>("write the migration history", error);
        history::prepare(conn, home, history.as_ref(), None).map_err(writing)?;
        let run_id = run_id();
        let mut writer = Writer::new::<C::Backend>(home, &self.set, history.as_ref(), key, &run_id, facts);
        let mut record = writer.record(RecordKind::Resolved, migration.version(), migration.name());
        (record.detail, record.statement, record.checksum) = (Some(detail.to_owned()), statement, checksum);
        writer.write(conn, &record).map_err(writing)
    }

    pub(super) fn check_dialect(&self) -> Result<(), Error> {
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
                    refused::<C::Backend>("answer the first query", error).with_remedy("check that the database is up")
                );
            }
        };
        let Some(Glance { fingerprint, environment }) = glance else {
            return Ok(false);
        };
        self.check_environment(environment.as_deref(), report);
        if fingerprint != Some(self.set.fingerprint()) {
            return Ok(false);
        }
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

    pub(super) fn warn(&self, report: &mut Report, message: String) {
        self.wait.hook.emit(Event::Warning { message: &message });
        if !report.warnings.contains(&message) {
            report.warnings.push(message);
        }
    }

    /// Reads what there is to know, and the history. A writer that keeps readers out for a moment is waited for.
    pub(super) fn read(&self, conn: &mut C) -> Result<(Facts, Home, Option<History>), Error> {
        let telling =
            |error| refused::<C::Backend>("tell what it is", error).with_remedy("check that the database is up");
        let patience = C::Backend::patience(conn, self.wait.timeout).map_err(telling)?;
        session::send(conn, &patience.enter).map_err(telling)?;
        let mut before = None;
        let read = loop {
            let read = self.look(conn).and_then(|(facts, home)| {
                let history = history::load(conn, &facts, &home)?;
                Ok((facts, home, history))
            });
            // These are several queries. What a run commits between two of them looks like a hand's work; what a hand did
            // is still the same at a second look.
            let seen = match &read {
                Err(error) if error.code() == "history_tampered" => Some((None, 0)),
                Ok((_, _, Some(history))) if history.tampered(self.set.layout()).is_some() => {
                    Some((history.meta.as_ref().map(|meta| meta.sequence), history.records.len()))
                }
                _ => None,
            };
            if seen.is_none() || seen == before {
                break read;
            }
            before = seen;
        };
        session::send(conn, &patience.leave).map_err(telling)?;
        read
    }

    fn look(&self, conn: &mut C) -> Result<(Facts, Home), Error> {
        let telling =
            |error| refused::<C::Backend>("tell what it is", error).with_remedy("check that the database is up");
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

    /// Who holds the lock while a script is unfinished: without the lock nobody can tell a script that runs from one that was left
    /// behind.
    fn running(&self, conn: &mut C, facts: &Facts, home: &Home, history: &History) -> Option<String> {
        let unfinished = history.pasts(self.set.layout()).values().any(|past| past.standing.is_in_doubt());
        unfinished.then(|| C::Backend::holder(conn, &LockKey::new(facts, home), facts)).flatten()
    }

    /// What a decision needs to know of the database besides its history.
    pub(super) fn given(&self, conn: &mut C, facts: &Facts, history: &History) -> Result<Given, Error> {
        let mut given = Given { dialect: C::Backend::SQL, started: facts.started, took: None, policies: self.policies };
        if let Some(statement) = plan::in_doubt(&self.set, history, given)? {
            let asking = |error| refused::<C::Backend>("tell whether a statement took", error);
            given.took = match C::Backend::outcome(conn, &statement).map_err(asking)? {
                Outcome::Took => Some(true),
                Outcome::DidNot | Outcome::Broken(_) => Some(false),
                Outcome::Unknown => None,
            };
        }
        Ok(given)
    }

    /// Refuses a database without a history that is not empty: it may be somebody else's.
    ///
    /// What it returns is a warning.
    fn check_place(&self, conn: &mut C, facts: &Facts, history: Option<&History>) -> Result<Option<String>, Error> {
        if history.is_some_and(|history| history.meta.is_some()) {
            return Ok(None);
        }
        ledgers::refuse::<C>(conn, facts)?;
        let theirs: Vec<&str> = ledgers::foreign_tables(facts).collect();
        if theirs.is_empty() || history.is_some() || self.non_empty == Policy::Allow {
            return Ok(None);
        }
        let message =
            format!("the database has no migration history, and it is not empty: {}", status::list(theirs.into_iter()));
        if self.non_empty == Policy::Warn {
            return Ok(Some(message));
        }
        let remedy = "check that it is the right database; then run with --allow-non-empty (Migrator::non_empty)";
        Err(Error::new("not_empty", message, remedy))
    }

    fn run_pending(&self, conn: &mut C, target: &Target, report: &mut Report) -> Result<(), Error> {
        let (facts, home, history) = self.read(conn)?;
        if facts.in_transaction {
            return Err(Error::open_transaction());
        }
        if let Some(warning) = self.check_place(conn, &facts, history.as_ref())? {
            self.warn(report, warning);
        }
        let known = history.unwrap_or_default();
        self.check_environment(known.meta.as_ref().and_then(|meta| meta.environment.as_deref()), report);
        // A statement whose outcome is not recorded may be another starter's that runs right now; the lock tells.
        let mut given = self.given(conn, &facts, &known)?;
        given.policies.failed = Policy::Warn;
        let plan = plan::plan(&self.set, &known, target, given)?;
        report.skipped = plan.skipped;
        if plan.is_empty() {
            plan.warnings.iter().for_each(|warning| self.warn(report, warning.clone()));
            self.wait.hook.emit(Event::Unchanged { applied: plan.skipped });
            return Ok(());
        }
        check_writable(&facts, &format!("{} to apply", crate::report::migrations(plan.steps.len())))?;
        let key = LockKey::new(&facts, &home);
        let needs_file =
            self.needs_file(&known, &plan) || C::Backend::LOCK_IS_TRANSACTION && FileLock::is_there(&facts);
        with_session(
            conn,
            [&self.setup, &self.teardown],
            self.statement_lock_timeout,
            &self.wait.hook,
            |conn, restore| {
                let job = Job { migrator: self, facts: &facts, home: &home, key: &key, restore, target };
                job.run(conn, needs_file, report)
            },
        )
    }

    /// Whether statements will run outside of the transaction that is the lock, or another process may be at it now.
    pub(super) fn needs_file(&self, history: &History, plan: &Plan) -> bool {
        C::Backend::LOCK_IS_TRANSACTION
            && (plan.steps.iter().any(|step| !step.transaction)
                || history.pasts(self.set.layout()).values().any(|past| past.standing.is_in_doubt()))
    }
}

/// Refuses a server that cannot be written to, or whose lock excludes nobody.
fn check_writable(facts: &Facts, what: &str) -> Result<(), Error> {
    if let Some(reason) = &facts.read_only {
        let message = format!("{what}, and nothing can be written: {reason}");
        return Err(Error::new("read_only", message, "connect to the primary, as a role that may write"));
    }
    if let Some(reason) = &facts.unsupported {
        let message = format!("no migration lock can be trusted here: {reason}");
        let remedy = "let a single job run the migrations, on a server with a lock that holds";
        return Err(Error::new("unsupported", message, remedy));
    }
    Ok(())
}

/// A name for one run: 128 random bits.
pub(super) fn run_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
