//! Which of the pending migrations go in one message to MySQL, and what became of them.

use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use diesel::result::Error as DatabaseError;
use migrator_source::sql::{Script, SqlDialect};

use super::failure::Failure;
use super::message::{CAME_TO, Message, Stopped, Traveller, Why};
use super::outside::{Begun, Met, killed};
use super::{Run, Stop};
use crate::dialect::{Class, Dialect, class, refused};
use crate::event::Event;
use crate::lock;
use crate::migration::Migration;
use crate::plan::{self, FEWEST, Plan, Step};
use crate::report::Applied;
use crate::session::send;

/// How many bytes the SQL of a record has, about.
const RECORD: usize = 2048;

/// What a run knows about travelling on MySQL.
#[derive(Default)]
pub(super) struct Convoy {
    /// The steps before this one go alone.
    alone_until: usize,
}

/// What became of those that travelled.
pub(super) struct Passed {
    /// How many took.
    pub(super) steps: usize,
    /// How far the next one came that is begun already.
    pub(super) begun: Option<Begun>,
}

impl Convoy {
    /// Sends those that travel together from this step on; `None` when it goes alone. When not all took, the next one goes alone.
    pub(super) fn travel<C>(
        &mut self,
        conn: &mut C,
        run: &mut Run<'_>,
        plan: &Plan,
        at: usize,
    ) -> Result<Option<Passed>, Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if C::Backend::SQL != SqlDialect::Mysql || at < self.alone_until {
            return Ok(None);
        }
        let travellers = travellers(run, plan, at);
        let Some(first) = travellers.first() else { return Ok(None) };
        let span = tracing::info_span!(target: "migrator", "migrator.together", migrations = travellers.len());
        let _in_message = span.enter();
        let (name, migrations, steps) = (first.migration.name(), travellers.len(), plan.steps.len());
        let message = Message::of::<C::Backend>(run, &travellers);
        if run.facts.longest_message.is_some_and(|longest| message.sql.len() >= longest) {
            // What is asked of the catalogue was more than was thought.
            self.alone_until = at + migrations;
            return Ok(None);
        }
        run.wait.hook.emit(Event::Together { name, migrations, step: at + 1, steps });
        run.wait.interrupt.check().map_err(Stop::Error)?;
        let passed = send_all(conn, run, message, &travellers)?;
        if passed.steps < travellers.len() {
            self.alone_until = at + passed.steps + 1;
        }
        Ok(Some(passed))
    }
}

/// Those that travel together from this step on.
fn travellers<'a>(run: &Run<'a>, plan: &'a Plan, at: usize) -> Vec<Traveller<'a>> {
    let newest = run.scripts.set.at(plan.steps[at].position);
    if plan.steps.len() - at < FEWEST || !run.writer.is_newest(newest.canonical()) {
        return Vec::new();
    }
    // Twice, for what the records' SQL may have more than was thought.
    let most = run.facts.longest_message.unwrap_or(0) / 2;
    let mut travellers = Vec::new();
    let count = plan::together_in(
        most,
        plan.steps[at..].iter().map(|step| {
            let (migration, script) = traveller(run, step)?;
            let length = migration.up().len() + (script.statements().len() + 1) * RECORD;
            travellers.push(Traveller { step, migration, script });
            Some(length)
        }),
    );
    travellers.truncate(count);
    travellers
}

/// A step's migration and script, if it can travel.
fn traveller<'a>(run: &Run<'a>, step: &Step) -> Option<(Migration<'a>, &'a Script<'a>)> {
    let migration = run.scripts.set.at(step.position);
    // What it does to our tables is looked at when it goes alone.
    if migration.is_called() || run.writer.is_named_in(migration.up()) {
        return None;
    }
    let script = run.scripts.of(step);
    plan::travels_in_parts(step, script).then_some((migration, script))
}

/// Sends them, and takes what took of them into the report.
fn send_all<C>(conn: &mut C, run: &mut Run<'_>, message: Message, travellers: &[Traveller<'_>]) -> Result<Passed, Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let lost = |error| Stop::Error(refused::<C::Backend>("tell what took of a message of several migrations", error));
    let failed = match conn.batch_execute(&message.sql) {
        Err(error) if class::<C::Backend>(&error) == Class::Connection => return Err(lost(error)),
        sent => sent.err(),
    };
    if let Some(error) = &failed {
        tracing::debug!(target: "migrator", %error, "a message of several migrations stopped; the next one goes alone");
    }
    stopped(conn, run, message, travellers, failed).map_err(lost)
}

/// Takes what is recorded into the report, and finds where the message stopped, if it did. A query that is killed between two statements
/// may end it without an error.
fn stopped<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    message: Message,
    travellers: &[Traveller<'_>],
    failed: Option<DatabaseError>,
) -> Result<Passed, DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    let mut came_to = None;
    if failed.is_some() {
        came_to = Some(twice(conn, |conn| after_a_failure(conn, run))?);
    }
    let records = twice(conn, |conn| run.writer.took(conn))?;
    let mut passed = Passed { steps: 0, begun: None };
    for (traveller, record) in travellers.iter().zip(message.ends()).take_while(|(_, record)| *record <= records.len())
    {
        let (version, name) = (traveller.migration.version().to_owned(), traveller.migration.name().to_owned());
        run.report.applied.push(Applied { version, name, duration_ms: records[record - 1] });
        passed.steps += 1;
    }
    if passed.steps < travellers.len() {
        let came_to = came_to.map_or_else(|| twice(conn, |conn| after_a_failure(conn, run)), Ok)?;
        if let Some(stopped) = message.stopped(records.len(), came_to.parts, came_to.statements) {
            // It may be the intent of the next one that failed, in the same transaction; alone each has its own.
            let is_lost = stopped.is_of_record() && lock::lost(conn, run.key).is_some();
            passed.begun = begun(stopped, failed, is_lost, came_to.elapsed);
        }
    }
    message.written.into_iter().take(records.len()).for_each(|written| run.writer.wrote(written));
    run.flush();
    Ok(passed)
}

/// What a look says that may have been killed with the message which it looks behind.
fn twice<C, R>(conn: &mut C, mut look: impl FnMut(&mut C) -> Result<R, DatabaseError>) -> Result<R, DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    match look(conn) {
        Err(error) if class::<C::Backend>(&error) != Class::Connection => look(conn),
        looked => looked,
    }
}

/// What a message says of its end.
struct CameTo {
    /// The parts that took, below zero when it was late.
    parts: i64,
    /// The statements of the script that it stopped in, which is a transaction.
    statements: usize,
    /// For how long the migration ran that it stopped in.
    elapsed: Duration,
}

/// How far it came, and the session as it was.
fn after_a_failure<C>(conn: &mut C, run: &Run<'_>) -> Result<CameTo, DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    conn.batch_execute("ROLLBACK")?;
    let rows = C::Backend::rows(conn, CAME_TO)?;
    if let Err(error) = send(conn, run.session.restore()) {
        // A script may have dropped the session's role. What took is recorded all the same.
        tracing::warn!(target: "migrator", %error, "the session is not as it was");
    }
    let number = |at| rows.first().and_then(|row| row.number::<i64>(at)).unwrap_or(0);
    Ok(CameTo {
        parts: number(0),
        statements: usize::try_from(number(2)).unwrap_or(0),
        elapsed: Duration::from_micros(u64::try_from(number(1)).unwrap_or(0)),
    })
}

/// How the migration goes on that a message stopped in.
fn begun(stopped: Stopped, error: Option<DatabaseError>, is_lost: bool, elapsed: Duration) -> Option<Begun> {
    let (from, met) = match stopped {
        Stopped::Before => return None,
        Stopped::At(statement, Why::Late) => (statement, None),
        Stopped::At(statement, Why::Failed) => {
            (statement, Some(Met::Failed(Failure::Statement(statement, error.unwrap_or_else(killed)))))
        }
        // What was undone with its record runs again, but not by who has no lock.
        Stopped::At(statement, Why::Record) => {
            (statement, error.filter(|_| is_lost).map(|error| Met::Failed(Failure::Around(error))))
        }
        Stopped::Unrecorded(statement) => (statement, Some(Met::Unrecorded)),
    };
    let now = Instant::now();
    Some(Begun { from, start: now.checked_sub(elapsed).unwrap_or(now), met })
}
