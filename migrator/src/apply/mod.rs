//! Carries out a plan, under the lock, and records each step.

mod bounds;
mod convoy;
mod failure;
mod keys;
mod message;
mod opaque;
mod outside;
mod ready;
mod spot;
mod together;

use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::result::Error as DatabaseError;
use migrator_source::sql::{Kind, Script, SqlDialect, Statement};

use self::bounds::Bounds;
use self::convoy::Convoy;
use self::failure::{Failure, failed};
use self::keys::{Keys, grown, violations};
use self::opaque::{opaque, whole};
use self::outside::{Begun, Met, one_by_one, renew, resume};
use self::ready::ready;
use self::together::Company;
use crate::dialect::{Dialect, Facts, LockKey, Room, Session, Violations, depth, refused};
use crate::error::Error;
use crate::event::Event;
use crate::history::{Writer, Written};
use crate::lock::{Wait, jitter};
use crate::migration::{Migration, Way};
use crate::plan::{Plan, Scripts, Step};
use crate::record::{Record, RecordKind};
use crate::report::{Applied, Report, Reverted};
use crate::source::Opened;

/// How often a transaction is tried that the database asks to try again.
const TRIES: u32 = 5;

/// How a run is carried out where the lock is a transaction, and each migration a savepoint in it.
///
/// A foreign key that one migration breaks and a later one mends is no violation, so it counts what is left at the end. When
/// something is left, the run is undone and done again: once to find the migration after which the keys never held again, and
/// once to keep what is before it and to let it fail by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// All in one transaction.
    All,
    /// All in one transaction, and the foreign keys are looked at after each migration.
    Watched,
    /// What is before the migration at this position of the set, then that one, this way, in a transaction of its own: its verdict.
    Verdict(usize, Way),
}

/// Why carrying out a plan stopped.
pub(crate) enum Stop {
    /// With this error; what the report names is kept.
    Error(Error),
    /// With this error; what was done cannot be recorded, so that none of it that is not committed may be kept.
    Undone(Error),
    /// The transaction that holds the run is worth nothing: it has to be done again, in this way.
    Again(Grouping),
}

/// Everything that carrying out a plan needs.
pub(crate) struct Run<'a> {
    pub(crate) scripts: &'a Scripts<'a>,
    pub(crate) facts: &'a Facts,
    pub(crate) key: &'a LockKey,
    pub(crate) wait: &'a Wait,
    /// What the database has that migrations could meet which travel together, where it was looked at just now.
    pub(crate) room: Option<Room>,
    /// Knows the SQL that undoes what a script changed in the session.
    pub(crate) session: &'a Session,
    /// Whether a lost connection is not the end of the run.
    pub(crate) reconnects: bool,
    pub(crate) grouping: Grouping,
    /// Whether there was no table when the lock was taken, so that no row broke a foreign key.
    pub(crate) is_empty: bool,
    pub(crate) writer: Writer,
    pub(crate) report: &'a mut Report,
}

/// Carries out a plan. `source` runs the migrations that are opaque.
pub(crate) fn apply<C>(conn: &mut C, run: &mut Run<'_>, plan: &Plan, source: Option<&Opened<C>>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let result = match steps(conn, run, plan, source) {
        // The transaction that held the run ended by itself, for want of space perhaps: nothing of it may be recorded or told.
        Err(Stop::Error(error)) if C::Backend::LOCK_IS_TRANSACTION && depth(conn) == 0 => Err(Stop::Undone(error)),
        result => result,
    };
    // Without a record the tables are not made either: what stopped before its first migration leaves nothing.
    if matches!(result, Ok(()) | Err(Stop::Error(_))) && run.writer.is_behind() {
        catch_up(conn, run)?;
    }
    result
}

/// Writes the records that wait, before what they record is committed.
fn catch_up<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    run.writer.catch_up(conn).map_err(|error| Stop::Undone(refused::<C::Backend>("write the migration history", error)))
}

fn steps<C>(conn: &mut C, run: &mut Run<'_>, plan: &Plan, source: Option<&Opened<C>>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let scripts = run.scripts;
    let before = if run.is_empty { Vec::new() } else { violations(conn)? };
    let mut keys = Keys { before, broken_since: None };
    let (steps, mut company, mut convoy) = (plan.steps.len(), Company::of(run.room.take()), Convoy::default());
    let (mut at, mut begun) = (0, None);
    while let Some(step) = plan.steps.get(at) {
        // What is begun looks for an interrupt itself, and records it.
        if begun.is_none() {
            run.wait.interrupt.check().map_err(Stop::Error)?;
            let travellers = company.next(conn, run, plan, at)?;
            if !travellers.is_empty() {
                at += company.travel(conn, run, &travellers, [at, steps])?;
                continue;
            }
        }
        if !C::Backend::LOCK_IS_TRANSACTION {
            ready(conn, run)?;
        }
        if begun.is_none()
            && let Some(passed) = convoy.travel(conn, run, plan, at)?
        {
            (at, begun) = (at + passed.steps, passed.begun);
            continue;
        }
        let migration = scripts.set.at(step.position);
        let span = tracing::info_span!(target: "migrator", "migrator.migration", version = migration.version());
        let _in_migration = span.enter();
        let (version, name, number) = (migration.version(), migration.name(), at + 1);
        run.wait.hook.emit(match step.way {
            Way::Up => Event::Started { version, name, step: number, steps },
            Way::Down => Event::Reverting { version, name, step: number, steps },
        });
        let script = scripts.of(step);
        let source = source.filter(|_| migration.is_called());
        if step.transaction && step.resume_at.is_none() {
            if run.grouping == Grouping::of(step) {
                renew(conn, run)?;
            }
            let mut met = begun.take().and_then(|begun: Begun| begun.met);
            in_transaction(conn, run, step, &migration, script, &keys.before, |conn, run, begin| {
                match (met.take(), source) {
                    (Some(Met::Failed(failure)), _) => Err(failure),
                    (_, Some(source)) => whole(conn, &migration, step.way, source),
                    (_, None) => statements(conn, run, script, begin),
                }
            })?;
            if run.grouping == Grouping::Watched {
                keys.look(conn, step)?;
            }
        } else {
            keys.hold(conn, run.grouping)?;
            match source {
                Some(source) => opaque(conn, run, step, &migration, script, source)?,
                None => one_by_one(conn, run, step, &migration, script, begun.take())?,
            }
            if let Some(message) = keys.accept(conn, name)? {
                run.wait.hook.emit(Event::Warning { message: &message });
                run.report.warnings.push(message);
            }
        }
        company.went_alone(&migration, script);
        at += 1;
    }
    keys.hold(conn, run.grouping)
}

impl Grouping {
    /// The verdict on one step.
    fn of(step: &Step) -> Self {
        Self::Verdict(step.position, step.way)
    }
}

impl Run<'_> {
    /// Takes a migration into the report. Where it is committed already, the host is told.
    fn done(&mut self, step: &Step, start: Instant, committed: bool) {
        let (version, name, duration_ms) = (step.version.clone(), step.name.clone(), millis(start.elapsed()));
        match step.way {
            Way::Up => self.report.applied.push(Applied { version, name, duration_ms }),
            Way::Down => self.report.reverted.push(Reverted { version, name, duration_ms }),
        }
        if committed {
            self.flush();
        }
    }

    /// Between two statements is where an interrupted run ends.
    fn goes_on(&self) -> Result<(), DatabaseError> {
        let interrupted = |error| DatabaseError::QueryBuilderError(Box::new(error));
        self.wait.interrupt.check().map_err(interrupted)
    }

    /// Tells the host about the migrations that are now committed.
    pub(crate) fn flush(&mut self) {
        self.report.flush(&self.wait.hook);
    }
}

/// When a script is recorded that took.
enum Recorded {
    /// In its own transaction.
    Now(Written),
    /// In the transaction that is the lock, with all the others.
    Later(Record),
}

/// A script and its record in one transaction (a savepoint, where the lock is a transaction): all or nothing.
fn in_transaction<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    step: &Step,
    migration: &Migration<'_>,
    script: &Script<'_>,
    before: &[Violations],
    mut statements: impl FnMut(&mut C, &Run<'_>, &mut &str) -> Result<(), Failure>,
) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let start = Instant::now();
    let bounds = if migration.is_called() { Bounds::Counted } else { Bounds::of_script::<C>() };
    // Who may look into the history finds it complete, and what cannot be recorded beside it names it.
    let names_ours = run.writer.is_named_in(migration.text(step.way));
    let waits = C::Backend::LOCK_IS_TRANSACTION && !migration.is_called() && !names_ours;
    if !waits {
        catch_up(conn, run)?;
    }
    let failure = retrying::<C, _>(conn, run, |conn, run| {
        let mut begin = bounds.begin(conn)?;
        let mut body = || -> Result<Recorded, Failure> {
            statements(conn, run, &mut begin)?;
            if names_ours {
                run.writer.harmed(conn)?.map_or(Ok(()), |harm| Err(Failure::Harmed(harm)))?;
            }
            if run.grouping == Grouping::of(step) {
                let after = C::Backend::violations(conn)?;
                if let Some(what) = grown(before, &after) {
                    return Err(Failure::ForeignKeys(what));
                }
            }
            let restore = if migration.is_called() { run.session.restore() } else { restore::<C>(run, script) };
            let record = done_since(run, step, migration, script, start);
            if waits {
                bounds.commit(conn, restore)?;
                return Ok(Recorded::Later(record));
            }
            let (sql, written) = run.writer.sql::<C::Backend>(&record);
            bounds.commit(conn, &format!("{begin}{restore}\n{sql}"))?;
            Ok(Recorded::Now(written))
        };
        match body() {
            Ok(Recorded::Now(written)) => {
                run.writer.wrote(written);
                Ok(())
            }
            Ok(Recorded::Later(record)) => {
                run.writer.later::<C::Backend>(record);
                Ok(())
            }
            Err(failure) => {
                bounds.rollback(conn);
                Err(failure)
            }
        }
    });
    let Err(failure) = failure else {
        run.done(step, start, !C::Backend::LOCK_IS_TRANSACTION);
        return Ok(());
    };
    // INSERT OR ROLLBACK, RAISE(ROLLBACK) and a full disk end the whole transaction, and with it the migrations before.
    if C::Backend::LOCK_IS_TRANSACTION && depth(conn) == 0 {
        let verdict = Grouping::of(step);
        // Code that committed by itself took, and what was recorded before it is there: it is not called again.
        let took = matches!(failure, Failure::Unrecorded(_)) && matches!(run.writer.is_last(conn), Ok(true));
        if run.grouping != verdict && !took {
            return Err(Stop::Again(verdict));
        }
        resume::<C>(conn, run)?;
    }
    Err(Stop::Error(failed(conn, run, step, migration, script, failure)))
}

/// The SQL that undoes what a script changed in the session. In SQLite only a statement of its own, a PRAGMA, can change it.
fn restore<'a, C: LoadConnection<Backend: Dialect>>(run: &Run<'a>, script: &Script<'_>) -> &'a str {
    let changes = script.statements().iter().any(|statement| statement.kind != Kind::Plain);
    if changes || C::Backend::SQL != SqlDialect::Sqlite { run.session.restore() } else { "" }
}

/// The statements of a script, in turn; the first one takes along what begins their transaction.
fn statements<C: LoadConnection>(
    conn: &mut C,
    run: &Run<'_>,
    script: &Script<'_>,
    begin: &mut &str,
) -> Result<(), Failure> {
    for (at, statement) in script.statements().iter().enumerate() {
        let begin = std::mem::take(begin);
        execute(conn, run, script, at, statement, begin).map_err(|error| Failure::Statement(at, error))?;
    }
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
    begin: &str,
) -> Result<(), DatabaseError> {
    let span = tracing::debug_span!(target: "migrator", "migrator.statement", number = at + 1);
    let _in_statement = span.enter();
    run.goes_on()?;
    announce(run, script, at, statement);
    match begin {
        "" => conn.batch_execute(statement.text),
        begin => {
            let sent = conn.batch_execute(&format!("{begin}{}", statement.text));
            sent.map_err(|error| spot::behind(begin, error))
        }
    }
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
            Err(failure)
                if number < TRIES
                    && !run.wait.interrupt.is_stopped()
                    && depth(conn) == 0
                    && failure.can_be_tried_again::<C>() =>
            {
                // Nobody queues behind a waiting DDL statement for longer than one lock timeout.
                let pause_now = jitter(pause);
                let (attempt, class) = (number + 1, failure.class::<C>().name());
                run.wait.hook.emit(Event::Retrying { attempt, pause: pause_now, class });
                run.wait.interrupt.sleep(pause_now);
                pause *= 2;
            }
            result => return result,
        }
    }
    unreachable!("attempts do not end")
}

/// The record that a migration is applied.
fn applied(run: &Run<'_>, migration: &Migration<'_>, script: &Script<'_>) -> Record {
    let mut record = run.writer.record(RecordKind::Applied, migration.version(), migration.name());
    record.checksum = migration.recorded();
    record.statements = (!migration.is_called()).then(|| script.statements().len());
    record.breaks_before = script.breaks_before().map(str::to_owned);
    record
}

/// The record that ends a migration, one way or the other, and how long it took until now.
fn done_since(run: &Run<'_>, step: &Step, migration: &Migration<'_>, script: &Script<'_>, start: Instant) -> Record {
    let record = match step.way {
        Way::Up => applied(run, migration, script),
        Way::Down => Record {
            kind: Some(RecordKind::Reverted),
            checksum: step.text,
            breaks_before: None,
            ..applied(run, migration, script)
        },
    };
    Record { duration_ms: Some(millis(start.elapsed())), ..record }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
