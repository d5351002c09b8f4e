//! The verbs, and what each of them makes sure of first.

use std::time::Instant;

use diesel::connection::LoadConnection;
use diesel::result::Error as DatabaseError;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use super::job::Job;
use super::seen::Seen;
use crate::Layout;
use crate::dialect::{Class, Dialect, Facts, LockKey, Look, Outcome, Work, depth, refused};
use crate::error::Error;
use crate::event::Event;
use crate::guard::Act;
use crate::history::{self, Glance};
use crate::ledgers::{self, Ledger, Tool};
use crate::lock::{FileLock, check_writable};
use crate::metrics;
use crate::plan::{self, Given, Goal, Plan, Policy, Scripts, Target};
use crate::record::History;
use crate::report::Report;
use crate::session::{Step, with_session};
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
        self.check_set()?;
        if depth(conn) > 0 {
            return Err(Error::open_transaction());
        }
        let mut report = Report::default();
        if let Some(warning) = stale::warning(&self.files) {
            self.warn(&mut report, warning);
        }
        let mut look = Look::First;
        if target == Target::Latest && self.is_unchanged(conn, &mut report, &mut look)? {
            (report.skipped, report.proven) = (self.set.len(), true);
            report.duration = start.elapsed();
            metrics::run(&Ok(()), &report, Some(0));
            return Ok(report);
        }
        self.carried(conn, &Goal::Apply(target), report, look, start)
    }

    /// Comes to a goal, if need be over another connection, and reports.
    pub(super) fn carried(
        &self,
        conn: &mut C,
        goal: &Goal,
        mut report: Report,
        look: Look,
        start: Instant,
    ) -> Result<Report, Error> {
        let result = self.come_to(conn, goal, &mut report, look);
        let result = result.or_else(|error| self.go_on(conn, goal, &mut report, error));
        report.duration = start.elapsed();
        let pending = match goal {
            Goal::Apply(Target::Latest) => Some(0),
            // It stopped before the end of the set.
            Goal::Apply(_) => Some(self.set.len().saturating_sub(report.skipped + report.applied.len())),
            Goal::Revert(_) | Goal::Redo => None,
        };
        metrics::run(&result, &report, pending);
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
        self.check_set()?;
        let seen = self.read(conn)?;
        let warning = self.check_place(conn, &seen)?;
        let known = seen.known().unwrap_or_default();
        let mut given = self.given(conn, &seen.facts, &known)?;
        if self.running(conn, &seen, &known).is_some() {
            given.policies.failed = Policy::Warn;
        }
        let mut plan = plan::plan(&mut self.scripts(), &known, &target, given)?;
        plan.warnings.extend(warning.into_iter().chain(seen.told(false)));
        Ok(plan)
    }

    /// Where the database stands. It reads only, needs no lock, and works for a role that may only `SELECT`.
    ///
    /// # Errors
    /// When the database cannot be read, or one of the history's tables is gone.
    pub fn status(&self, conn: &mut C) -> Result<Status, Error> {
        self.check_set()?;
        let seen = self.read(conn)?;
        let known = seen.known();
        let database = seen.facts.database.clone();
        let mut status = status::status(&self.set, known.as_ref(), C::Backend::SQL.name(), database, self.oldest()?);
        if let (Some(problem), Some(holder)) = (
            status.problems.iter_mut().find(|problem| problem.code == "failed"),
            known.as_ref().and_then(|known| self.running(conn, &seen, known)),
        ) {
            problem.message.push_str(&format!("; it may still be running: {holder} holds the migration lock"));
        }
        Ok(status)
    }

    /// The position of the migration from which on this binary serves.
    pub(super) fn oldest(&self) -> Result<Option<usize>, Error> {
        let found = self.serves_from.as_deref().map(|version| plan::find(&self.set, version)).transpose()?;
        Ok(found.map(|migration| migration.position()))
    }

    /// Cancels the statement that a run with the same [`interrupt`](Self::interrupt) executes right now, from this second
    /// connection. Whether there is one or not, the run ends before its next statement.
    ///
    /// PostgreSQL's `pg_cancel_backend`, MySQL's `KILL QUERY` when it runs for a second, and `KILL` for a connection on which nothing
    /// was sent for ten seconds. On SQLite a statement ends by itself.
    ///
    /// # Errors
    /// When the database refuses to cancel.
    pub fn cancel(&self, conn: &mut C) -> Result<(), Error> {
        self.wait.interrupt.stop();
        let mut result = Ok(());
        self.wait.interrupt.each_session(|session| {
            result = std::mem::replace(&mut result, Ok(())).and(C::Backend::cancel(conn, session));
        });
        result.map_err(|error| refused::<C::Backend>("cancel what runs", error))
    }

    pub(crate) fn check_set(&self) -> Result<(), Error> {
        if let Some(fault) = &self.fault {
            let remedy =
                "give it a name with a version of its own, as a file of the set would have: 20240131120000_name";
            return Err(Error::new("folder", format!("a migration in Rust is refused: {fault}"), remedy));
        }
        if self.set_name.chars().count() > history::LONGEST_SET_NAME {
            let message = format!("the set's name has more than {} characters", history::LONGEST_SET_NAME);
            return Err(Error::new("set_name", message, "give a shorter one to Migrator::set_name"));
        }
        let here = C::Backend::SQL;
        match self.set.sql_dialect() {
            Some(stated) if stated != here => {
                let message = format!("the migrations are written for {stated}, and the connection is to {here}");
                let remedy = match self.set.layout() {
                    // Whoever moves a project to PostgreSQL changes it, and keeps the scripts of SQLite: seen in the wild.
                    Layout::Prisma => format!(
                        "connect to {stated}; if the scripts are {here}'s, correct `provider` in migration_lock.toml"
                    ),
                    _ => "connect to the database that the migrations are for, or name their directory for this one"
                        .to_owned(),
                };
                Err(Error::new("dialect_mismatch", message, remedy))
            }
            _ => Ok(()),
        }
    }

    /// One query: whether the database carries the fingerprint of the set, and the tool's table, which is kept in step, says the same.
    fn is_unchanged(&self, conn: &mut C, report: &mut Report, look: &mut Look) -> Result<bool, Error> {
        let (glance, told) = self.glimpse(conn)?;
        *look = told;
        let Some(glance) = glance else {
            return Ok(false);
        };
        self.check_environment(glance.environment.as_deref(), report);
        if !self.is_proven(&glance) {
            return Ok(false);
        }
        self.wait.hook.emit(Event::Unchanged { applied: self.set.len() });
        Ok(true)
    }

    /// What one query tells. `None` when our tables are not there, or cannot be read. Where the database itself refused
    /// the query, that would have ended an open transaction.
    pub(super) fn glimpse(&self, conn: &mut C) -> Result<(Option<Glance>, Look), Error> {
        let schema = self.schema.as_deref();
        let list = self.keeps().map(|tool| tool.list::<C::Backend>(schema));
        match history::glance(conn, schema, &self.set_name, list.as_deref()) {
            Ok(glance) => Ok((glance, Look::First)),
            // Whether the table is missing, or what else it is, the catalogue says: to whoever reads on.
            Err(error) if C::Backend::class(&error.to_string()) != Class::Connection => {
                Ok((None, if matches!(error, DatabaseError::DatabaseError(..)) { Look::Again } else { Look::First }))
            }
            Err(error) => {
                Err(refused::<C::Backend>("answer the first query", error).with_remedy("check that the database is up"))
            }
        }
    }

    /// Whether the database is exactly where the set is, and so is the tool's table that is kept in step.
    pub(super) fn is_proven(&self, glance: &Glance) -> bool {
        let in_step = |tool: Tool| glance.ledger.as_deref().is_some_and(|list| tool.says(list, &self.set));
        glance.fingerprint == Some(self.set.fingerprint()) && self.keeps().is_none_or(in_step)
    }

    /// The tool whose table is kept in step.
    fn keeps(&self) -> Option<Tool> {
        Tool::of(&self.set, &self.set_name)
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

    /// Who holds the lock while a script is unfinished: without the lock nobody can tell a script that runs from one that was left
    /// behind.
    pub(super) fn running(&self, conn: &mut C, seen: &Seen, known: &History) -> Option<String> {
        let unfinished = known.pasts(self.set.layout()).values().any(|past| past.standing.is_in_doubt());
        let key = LockKey::new(&seen.facts, &seen.home);
        unfinished.then(|| C::Backend::holder(conn, &key, &seen.facts)).flatten()
    }

    /// What a decision needs to know of the database besides its history.
    pub(super) fn given(&self, conn: &mut C, facts: &Facts, history: &History) -> Result<Given, Error> {
        let mut given = Given { dialect: C::Backend::SQL, started: facts.started, took: None, policies: self.policies };
        if let Some(doubt) = plan::in_doubt(&self.set, history, given)? {
            let asking = |error| refused::<C::Backend>("tell whether a statement took", error);
            given.took = match C::Backend::outcome(conn, &doubt.statement, doubt.before.as_deref()).map_err(asking)? {
                Outcome::Took => Some(true),
                Outcome::DidNot | Outcome::Broken(_) => Some(false),
                Outcome::Unknown => None,
            };
        }
        Ok(given)
    }

    /// Refuses a database without a history that is not empty: it may be somebody else's. So is one whose history was reverted
    /// outside as a whole while its tables stand: the tool's table may have been made anew.
    ///
    /// What it returns is a warning.
    pub(super) fn check_place(&self, conn: &mut C, seen: &Seen) -> Result<Option<String>, Error> {
        if C::Backend::is_system(&seen.facts) {
            return Err(Error::system_database(&seen.facts.database, &seen.facts.schema));
        }
        let (history, is_emptied) = (seen.history.as_ref(), seen.is_emptied());
        if history.is_some_and(|history| history.meta.is_some()) && !is_emptied {
            return Ok(None);
        }
        let mut known: Vec<&str> = seen.ledger.iter().map(Ledger::name).chain(seen.taken).collect();
        if history.is_some() {
            // Where another set has its history, the table is what that one keeps.
            known.extend([Tool::Diesel, Tool::Prisma].map(Tool::table));
        }
        ledgers::refuse::<C>(conn, &seen.facts, &known)?;
        let mut theirs: Vec<&str> = ledgers::foreign_tables(&seen.facts).collect();
        let is_theirs = seen.taken.is_some() || seen.ledger.as_ref().is_some_and(Ledger::has_rows);
        if theirs.is_empty() || is_theirs || history.is_some() && !is_emptied || self.non_empty == Policy::Allow {
            return Ok(None);
        }
        let extended = C::Backend::extended(conn, &seen.facts.schema)
            .map_err(|error| refused::<C::Backend>("tell which tables its extensions made", error))?;
        theirs.retain(|table| !extended.iter().any(|extended| extended == table));
        if theirs.is_empty() {
            return Ok(None);
        }
        let (tables, ledger) = (status::list(theirs.into_iter()), seen.told_by());
        let message = match is_emptied {
            true => format!("{ledger} says that every migration was reverted, and the database is not empty: {tables}"),
            false => format!("the database has no migration history, and it is not empty: {tables}"),
        };
        if self.non_empty == Policy::Warn {
            return Ok(Some(message));
        }
        let allow = "run with --allow-non-empty (Migrator::non_empty)";
        let remedy = match is_emptied {
            true => format!(
                "if they were reverted, {allow}; else DROP TABLE {ledger}: a run makes it again from our history"
            ),
            false => format!("check that it is the right database; then {allow}{}", self.offered_baseline()),
        };
        Err(Error::new("not_empty", message, remedy))
    }

    /// The baseline that a person can type, behind what else can be done.
    fn offered_baseline(&self) -> String {
        let latest = self.set.len().checked_sub(1).map(|last| self.set.at(last));
        latest.map_or_else(String::new, |latest| {
            format!(
                "; when it has what the migrations make, record that: migrator baseline {} (or the last one that it has)",
                latest.version()
            )
        })
    }

    /// Does what is left to do for a goal.
    pub(super) fn come_to(&self, conn: &mut C, goal: &Goal, report: &mut Report, look: Look) -> Result<(), Error> {
        let seen = self.patiently(conn, |conn| self.read_now(conn, look))?;
        if seen.facts.in_transaction {
            return Err(Error::open_transaction());
        }
        if let Some(verb) = goal.destroys() {
            self.guard(conn, &seen.facts, Act::Destroy(verb))?;
        }
        if let Some(warning) = self.check_place(conn, &seen)? {
            self.warn(report, warning);
        }
        let known = seen.known().unwrap_or_default();
        self.check_environment(known.meta.as_ref().and_then(|meta| meta.environment.as_deref()), report);
        // A statement whose outcome is not recorded may be another starter's that runs right now; the lock tells.
        let mut given = self.given(conn, &seen.facts, &known)?;
        given.policies.failed = Policy::Warn;
        let in_doubt = known.pasts(self.set.layout()).values().any(|past| past.standing.is_in_doubt());
        let mut scripts = self.scripts();
        let plan = match goal.plan(&mut scripts, &known, &mut report.chosen.clone(), &report.run_id, given) {
            Err(error) if error.code() == "failed" && in_doubt => {
                check_writable(&seen.facts, error.message())?;
                return self.carry_out(conn, &seen, &known, (&mut scripts, &Plan::default()), goal, report);
            }
            plan => plan?,
        };
        report.skipped = plan.skipped;
        if plan.is_empty() && !report.run_id.is_empty() {
            // All of it is there, so the last COMMIT took, and with it what did not wait for the disk before.
            report.recognise(&known);
            report.skipped = plan.skipped.saturating_sub(report.applied.len());
            report.flush(&self.wait.hook);
            return Ok(());
        }
        if !plan.is_empty() {
            let verb = if matches!(goal, Goal::Apply(_)) { "apply" } else { "revert" };
            check_writable(&seen.facts, &format!("{} to {verb}", crate::report::migrations(plan.steps.len())))?;
            return self.carry_out(conn, &seen, &known, (&mut scripts, &plan), goal, report);
        }
        if seen.is_out_of_step() {
            let recorded = check_writable(&seen.facts, "there is another tool's work to record")
                .and_then(|()| self.carry_out(conn, &seen, &known, (&mut scripts, &plan), goal, report));
            match recorded {
                // Nothing is pending: a role that only reads serves this database as it is.
                Err(error) if matches!(error.code(), "read_only" | "permission_denied" | "unsupported") => {
                    report.run_id.clear();
                    for told in seen.told(false) {
                        self.warn(report, format!("{told}; it cannot be recorded here: {}", error.message()));
                    }
                }
                recorded => return recorded,
            }
        }
        plan.warnings.iter().for_each(|warning| self.warn(report, warning.clone()));
        self.wait.hook.emit(Event::Unchanged { applied: plan.skipped });
        Ok(())
    }

    fn carry_out(
        &self,
        conn: &mut C,
        seen: &Seen,
        known: &History,
        (scripts, plan): (&mut Scripts<'_>, &Plan),
        goal: &Goal,
        report: &mut Report,
    ) -> Result<(), Error> {
        self.check_sessions(conn)?;
        let key = LockKey::new(&seen.facts, &seen.home);
        let needs_file =
            self.needs_file(known, plan) || C::Backend::LOCK_IS_TRANSACTION && FileLock::is_there(&seen.facts);
        let is_quiet = C::Backend::SQL == SqlDialect::Postgres
            && matches!((&self.setup, &self.teardown), (Step::Nothing, Step::Nothing))
            && plan::all_travel(scripts, plan);
        let (work, look) = if is_quiet { (Work::Quiet, Look::ForMany) } else { (Work::Migrations, Look::Again) };
        with_session(
            conn,
            [&self.setup, &self.teardown],
            self.statement_lock_timeout,
            work,
            &self.wait,
            |conn, session| {
                let job = Job { migrator: self, seen, key: &key, session, goal, look, plan };
                job.run(conn, scripts, needs_file, report)
            },
        )
    }

    /// The scripts of the set, none of them read yet.
    pub(super) fn scripts(&self) -> Scripts<'_> {
        Scripts::new(&self.set, C::Backend::SQL)
    }

    /// Whether statements will run outside of the transaction that is the lock, or another process may be at it now.
    pub(super) fn needs_file(&self, history: &History, plan: &Plan) -> bool {
        C::Backend::LOCK_IS_TRANSACTION
            && (plan.steps.iter().any(|step| !step.transaction)
                || history.pasts(self.set.layout()).values().any(|past| past.standing.is_in_doubt()))
    }
}

/// A name for one run: 128 random bits.
pub(super) fn run_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
