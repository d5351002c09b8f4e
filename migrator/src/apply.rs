//! Carries out a plan, under the lock, and records each step.

use std::time::{Duration, Instant};

use diesel::connection::{LoadConnection, TransactionManager};
use diesel::result::Error as DatabaseError;
use migrator_source::sql::{Kind, Mode, Script, Statement};

use crate::dialect::{Class, Dialect, Facts, LockKey, Violations};
use crate::error::{Error, Place};
use crate::event::Event;
use crate::history::Writer;
use crate::lock::{self, Wait, depth, jitter};
use crate::migration::{Migration, MigrationSet};
use crate::plan::{self, Plan, Step, prefix};
use crate::record::{Record, RecordKind};
use crate::report::{Applied, Report};
use crate::session::send;

/// How often a transaction is tried that the database asks to try again.
const TRIES: u32 = 5;

/// How much is committed at once where the lock is a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// The whole run, each migration a savepoint in it.
    All,
    /// Each migration. Taken when something went wrong with all at once: this attempt is the verdict.
    Each,
}

/// Why carrying out a plan stopped.
pub(crate) enum Stop {
    /// With this error; what the report names is kept.
    Error(Error),
    /// The transaction that holds the whole run is worth nothing: it has to be done again, one by one.
    OneByOne,
}

/// Everything that carrying out a plan needs.
pub(crate) struct Run<'a> {
    pub(crate) set: &'a MigrationSet,
    pub(crate) facts: &'a Facts,
    pub(crate) key: &'a LockKey,
    pub(crate) wait: &'a Wait,
    /// The SQL that undoes what a script changed in the session.
    pub(crate) restore: &'a str,
    pub(crate) grouping: Grouping,
    pub(crate) writer: Writer,
    pub(crate) report: &'a mut Report,
    /// Whether the migrations of the report are committed up to here.
    pub(crate) committed: usize,
}

/// Why a migration failed.
enum Failure {
    /// The statement at this place in the script.
    Statement(usize, DatabaseError),
    /// What is done around the script: begin, restore, record, commit.
    Around(DatabaseError),
    /// Every statement took, and rows are left without their parents.
    ForeignKeys(String),
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Around(error)
    }
}

impl Failure {
    fn class<C: LoadConnection<Backend: Dialect>>(&self) -> Class {
        match self {
            Self::Statement(_, error) | Self::Around(error) => class::<C>(error),
            Self::ForeignKeys(_) => Class::Permanent,
        }
    }
}

/// Carries out a plan.
pub(crate) fn apply<C>(conn: &mut C, run: &mut Run<'_>, plan: &Plan) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let before = violations(conn)?;
    let steps = plan.steps.len();
    for (at, step) in plan.steps.iter().enumerate() {
        let migration = run.set.at(step.position);
        let span = tracing::info_span!(target: "migrator", "migrator.migration", version = migration.version());
        let _in_migration = span.enter();
        let (version, name) = (migration.version(), migration.name());
        run.wait.hook.emit(Event::Started { version, name, step: at + 1, steps });
        let script = plan::script(&migration, C::Backend::SQL).map_err(Stop::Error)?;
        let start = Instant::now();
        let whole = script.mode() == Mode::Transaction && step.resume_at.is_none();
        if whole {
            in_transaction(conn, run, &migration, &script, &before)?;
        } else {
            one_by_one(conn, run, &migration, &script, step)?;
        }
        let duration_ms = millis(start.elapsed());
        run.report.applied.push(Applied { version: version.to_owned(), name: name.to_owned(), duration_ms });
        if !C::Backend::LOCK_IS_TRANSACTION {
            run.flush();
        } else if whole && run.grouping == Grouping::Each {
            pause::<C>(conn, run)?;
            resume::<C>(conn, run)?;
        }
    }
    if run.grouping == Grouping::All && grown(&before, &violations(conn)?).is_some() {
        return Err(Stop::OneByOne);
    }
    Ok(())
}

impl Run<'_> {
    /// Tells the host about the migrations that are now committed.
    pub(crate) fn flush(&mut self) {
        for applied in &self.report.applied[self.committed..] {
            let duration = Duration::from_millis(applied.duration_ms);
            self.wait.hook.emit(Event::Applied { version: &applied.version, name: &applied.name, duration });
        }
        self.committed = self.report.applied.len();
    }
}

/// A script and its record in one transaction (a savepoint, where the lock is a transaction): all or nothing.
fn in_transaction<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    migration: &Migration<'_>,
    script: &Script<'_>,
    before: &[Violations],
) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let start = Instant::now();
    let failure = retrying::<C, _>(conn, run, |conn, run| {
        C::TransactionManager::begin_transaction(conn)?;
        let mut body = || -> Result<_, Failure> {
            for (at, statement) in script.statements().iter().enumerate() {
                execute(conn, run, script, at, statement).map_err(|error| Failure::Statement(at, error))?;
            }
            if run.grouping == Grouping::Each {
                let after = C::Backend::violations(conn)?;
                if let Some(what) = grown(before, &after) {
                    return Err(Failure::ForeignKeys(what));
                }
            }
            send(conn, run.restore)?;
            let (sql, written) = run.writer.sql::<C::Backend>(&applied(run, migration, script, start));
            conn.batch_execute(&sql)?;
            Ok(written)
        };
        match body() {
            Ok(written) => {
                C::TransactionManager::commit_transaction(conn)?;
                run.writer.wrote(written);
                Ok(())
            }
            Err(failure) => {
                let depth = depth(conn);
                if depth > 0 {
                    let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                }
                Err(failure)
            }
        }
    });
    let Err(failure) = failure else { return Ok(()) };
    if C::Backend::LOCK_IS_TRANSACTION {
        // INSERT OR ROLLBACK, RAISE(ROLLBACK) and a full disk end the whole transaction, and with it the migrations before.
        if depth(conn) == 0 {
            if run.grouping == Grouping::All {
                return Err(Stop::OneByOne);
            }
            resume::<C>(conn, run)?;
        }
    }
    Err(Stop::Error(failed(conn, run, migration, script, failure)))
}

/// A script that cannot be rolled back: the intent first, then each statement together with its outcome.
fn one_by_one<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    migration: &Migration<'_>,
    script: &Script<'_>,
    step: &Step,
) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let start = Instant::now();
    let count = script.statements().len();
    if C::Backend::LOCK_IS_TRANSACTION {
        pause::<C>(conn, run)?;
    }
    let (version, name) = (migration.version(), migration.name());
    let mut planned = run.writer.record(RecordKind::Planned, version, name);
    planned.checksum = Some(migration.checksum());
    planned.statements = Some(count);
    run.writer.write(conn, &planned).map_err(|error| Stop::Error(lost_or(conn, run, error)))?;
    let from = step.resume_at.map_or(0, |number| number - 1);
    let result = (|| -> Result<(), Failure> {
        // What the applied part set in its session is gone with that session.
        for (at, statement) in script.statements().iter().enumerate().take(from) {
            if statement.kind == Kind::Session {
                execute(conn, run, script, at, statement).map_err(|error| Failure::Statement(at, error))?;
            }
        }
        for (at, statement) in script.statements().iter().enumerate().skip(from) {
            let record = if at + 1 == count {
                applied(run, migration, script, start)
            } else {
                let mut record = run.writer.record(RecordKind::Statement, version, name);
                record.checksum = prefix(migration.up(), script, at + 1);
                record.statement = Some(at + 1);
                record.statements = Some(count);
                record
            };
            retrying::<C, _>(conn, run, |conn, run| statement_and_outcome(conn, run, script, at, statement, &record))?;
        }
        if count == 0 {
            let record = applied(run, migration, script, start);
            run.writer.write(conn, &record)?;
        }
        Ok(())
    })();
    let stopped = result.err().map(|failure| failed(conn, run, migration, script, failure));
    if C::Backend::LOCK_IS_TRANSACTION {
        resume::<C>(conn, run)?;
    }
    match stopped {
        Some(error) => Err(Stop::Error(error)),
        None => Ok(()),
    }
}

/// One statement of a script that cannot be rolled back, with the record of its outcome.
fn statement_and_outcome<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    script: &Script<'_>,
    at: usize,
    statement: &Statement<'_>,
    record: &Record,
) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let is_last = record.kind == Some(RecordKind::Applied);
    let restore = if is_last { run.restore } else { "" };
    let (sql, written) = run.writer.sql::<C::Backend>(record);
    let of_script = |error| Failure::Statement(at, error);
    match statement.kind {
        Kind::Plain => {
            C::TransactionManager::begin_transaction(conn)?;
            let done = execute(conn, run, script, at, statement)
                .map_err(of_script)
                .and_then(|()| Ok(send(conn, restore)?))
                .and_then(|()| Ok(conn.batch_execute(&sql)?));
            match done {
                Ok(()) => C::TransactionManager::commit_transaction(conn)?,
                Err(failure) => {
                    if depth(conn) > 0 {
                        let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                    }
                    return Err(failure);
                }
            }
        }
        Kind::Commits => {
            // The server finishes a message whose client is gone. So the outcome is recorded whenever the statement took.
            announce(run, script, at, statement);
            let text = statement.text;
            let message = format!(
                "SET @migrator_took = 0;\n{text}\n;SET @migrator_took = 1;{restore}\nSTART TRANSACTION;\n{sql}\nCOMMIT;"
            );
            if let Err(error) = conn.batch_execute(&message) {
                let _nothing_may_be_open = conn.batch_execute("ROLLBACK");
                let took = C::Backend::rows(conn, "SELECT CAST(@migrator_took AS CHAR)");
                if !took.is_ok_and(|rows| rows.first().is_some_and(|row| row.holds(0))) {
                    return Err(of_script(error));
                }
                // The statement took, and its record did not: the fence, or no space. The record alone is tried once more.
                return Ok(run.writer.write(conn, record)?);
            }
        }
        Kind::Session | Kind::Alone => {
            execute(conn, run, script, at, statement).map_err(of_script)?;
            send(conn, restore)?;
            return Ok(run.writer.write(conn, record)?);
        }
    }
    run.writer.wrote(written);
    Ok(())
}

fn announce(run: &Run<'_>, script: &Script<'_>, at: usize, statement: &Statement<'_>) {
    run.wait.hook.emit(Event::Statement { number: at + 1, of: script.statements().len() });
    tracing::trace!(target: "migrator", sql = statement.text, "statement");
}

fn execute<C: LoadConnection>(
    conn: &mut C,
    run: &Run<'_>,
    script: &Script<'_>,
    at: usize,
    statement: &Statement<'_>,
) -> Result<(), DatabaseError> {
    let span = tracing::debug_span!(target: "migrator", "migrator.statement", number = at + 1);
    let _in_statement = span.enter();
    announce(run, script, at, statement);
    conn.batch_execute(statement.text)
}

/// Tries again what the database rolled back whole and asks to try again.
fn retrying<C, R>(
    conn: &mut C,
    run: &mut Run<'_>,
    mut attempt: impl FnMut(&mut C, &mut Run<'_>) -> Result<R, Failure>,
) -> Result<R, Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let mut pause = Duration::from_millis(200);
    for number in 1.. {
        match attempt(conn, run) {
            Err(failure) if number < TRIES && depth(conn) == 0 && failure.class::<C>().is_transient() => {
                // Nobody queues behind a waiting DDL statement for longer than one lock timeout.
                let pause_now = jitter(pause);
                run.wait.hook.emit(Event::Retrying { attempt: number + 1, pause: pause_now });
                std::thread::sleep(pause_now);
                pause *= 2;
            }
            result => return result,
        }
    }
    unreachable!("attempts do not end")
}

fn class<C: LoadConnection<Backend: Dialect>>(error: &DatabaseError) -> Class {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, ReadOnlyTransaction, SerializationFailure};
    match error {
        DatabaseError::DatabaseError(SerializationFailure, _) => Class::Conflict,
        DatabaseError::DatabaseError(ReadOnlyTransaction, _) => Class::ReadOnly,
        DatabaseError::DatabaseError(ClosedConnection, _) | DatabaseError::BrokenTransactionManager => {
            Class::Connection
        }
        error => C::Backend::class(&error.to_string()),
    }
}

/// The record that ends a migration.
fn applied(run: &Run<'_>, migration: &Migration<'_>, script: &Script<'_>, start: Instant) -> Record {
    let mut record = run.writer.record(RecordKind::Applied, migration.version(), migration.name());
    record.checksum = Some(migration.checksum());
    record.statements = Some(script.statements().len());
    record.duration_ms = Some(millis(start.elapsed()));
    record
}

/// Records that a migration failed, and says so.
fn failed<C>(conn: &mut C, run: &mut Run<'_>, migration: &Migration<'_>, script: &Script<'_>, failure: Failure) -> Error
where
    C: LoadConnection<Backend: Dialect>,
{
    let class = failure.class::<C>();
    let (version, name) = (migration.version(), migration.name());
    if class != Class::Connection
        && let Some(lost) = lock_lost(conn, run)
    {
        return lost.with_version(version);
    }
    let remedy = match (&failure, class) {
        (Failure::ForeignKeys(_), _) => "correct the script so that each row it leaves has its parent, then run again",
        (_, Class::Busy | Class::Conflict) => "others hold what the statement needs: run again when they are done",
        (_, Class::Connection) => "run again: what was committed is recorded, the rest is taken up where it stopped",
        (_, Class::ReadOnly) => "connect to the primary, as a role that may write",
        (_, Class::DiskFull) => "make room, then run again",
        (_, Class::Permission) => "grant the role what the statement needs, or migrate as the owner",
        (_, Class::Permanent) => "correct the statement, then run again: it goes on at this migration",
    };
    let code = match (&failure, class) {
        (Failure::ForeignKeys(_), _) => "foreign_key_violation",
        (_, Class::Connection) => "connection_lost",
        (_, Class::ReadOnly) => "read_only",
        (_, Class::DiskFull) => "disk_full",
        (_, Class::Permission) => "permission_denied",
        (Failure::Statement(..), _) => "statement_failed",
        (Failure::Around(_), _) => "database",
    };
    let mut record = run.writer.record(RecordKind::Failed, version, name);
    record.statements = Some(script.statements().len());
    let (error, words) = match failure {
        Failure::Statement(at, error) => {
            record.statement = Some(at + 1);
            let statement = &script.statements()[at];
            let place = Place::new(migration.path(), migration.up(), statement.start, at + 1, statement.text);
            let words = error.to_string();
            let failed = Error::new(code, format!("migration {name} failed"), remedy);
            (failed.with_place(place).with_source(error), words)
        }
        Failure::Around(error) => {
            let words = error.to_string();
            let message = format!("migration {name} could not be recorded or committed");
            (Error::new(code, message, remedy).with_source(error), words)
        }
        Failure::ForeignKeys(what) => (Error::new(code, format!("migration {name} was undone: {what}"), remedy), what),
    };
    record.detail = Some(words.chars().take(2000).collect());
    run.wait.hook.emit(Event::Failed { version, name, error: &words });
    // The script may have left the role or the search path changed.
    if let Err(error) = send(conn, run.restore).and_then(|()| run.writer.write(conn, &record)) {
        tracing::warn!(target: "migrator", %error, version, "the failed attempt could not be recorded");
    }
    error.with_version(version)
}

/// An error of a write: the fence, when the lock is gone; else the database's.
pub(crate) fn lost_or<C>(conn: &mut C, run: &Run<'_>, error: DatabaseError) -> Error
where
    C: LoadConnection<Backend: Dialect>,
{
    match lock_lost(conn, run) {
        Some(lost) => lost.with_source(error),
        None => Error::database("write the migration history", error),
    }
}

/// Whether the lock, which the run held, is gone.
fn lock_lost<C>(conn: &mut C, run: &Run<'_>) -> Option<Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let sql = format!("SELECT CASE WHEN {} THEN '1' ELSE '0' END", C::Backend::owned(run.key));
    let rows = C::Backend::rows(conn, &sql).ok()?;
    if rows.first()?.holds(0) {
        return None;
    }
    let message = "this connection no longer holds the migration lock; nothing more was done";
    Some(Error::new(
        "lock_lost",
        message,
        "a connection pooler between here and the database, or a script, gave it away: connect directly",
    ))
}

/// Commits what the transaction that is the lock holds, so that statements can run outside of it.
fn pause<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let committed = C::Backend::unlock(conn, run.key, true);
    committed.map_err(|error| Stop::Error(Error::database("commit the run", error)))?;
    run.flush();
    Ok(())
}

/// Takes the lock again, and makes sure that nobody wrote in between.
fn resume<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    lock::acquire(conn, run.key, run.facts, run.wait).map_err(Stop::Error)?;
    match run.writer.is_last(conn) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::Error(Error::new(
            "lock_lost",
            "another process wrote to the migration history while a script ran outside of a transaction",
            "run again: what both did is recorded",
        ))),
        Err(error) => Err(Stop::Error(Error::database("read the migration history", error))),
    }
}

fn violations<C>(conn: &mut C) -> Result<Vec<Violations>, Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    C::Backend::violations(conn).map_err(|error| Stop::Error(Error::database("check the foreign keys", error)))
}

/// What breaks a foreign key now and did not before.
fn grown(before: &[Violations], after: &[Violations]) -> Option<String> {
    let known = |what: &str| before.iter().find(|known| known.what == what).map_or(0, |known| known.count);
    let new = after.iter().find(|violations| violations.count > known(&violations.what))?;
    let count = new.count - known(&new.what);
    Some(format!("{count} row{} would break a foreign key: {}", if count == 1 { "" } else { "s" }, new.what))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
