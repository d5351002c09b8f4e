//! Scripts that no transaction holds: the intent first, then each statement together with its outcome.

use std::time::Instant;

use diesel::connection::LoadConnection;
use diesel::result::{DatabaseErrorKind, Error as DatabaseError};
use migrator_source::sql::{Kind, Script, SqlDialect, Statement};

use super::bounds::Bounds;
use super::failure::{Failure, failed, lost_or, took_the_history};
use super::{Grouping, Run, Stop, announce, catch_up, done_since, execute, restore, retrying};
use crate::dialect::{Dialect, Outcome, Work, refused};
use crate::history::{Written, enclosed};
use crate::lock;
use crate::migration::{Migration, Way};
use crate::plan::{Step, leaves_remains, prefix, renames};
use crate::record::{Record, RecordKind};
use crate::session::send;

/// A script that cannot be rolled back: the intent first, then each statement together with its outcome.
pub(super) fn one_by_one<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    step: &Step,
    migration: &Migration<'_>,
    script: &Script<'_>,
    begun: Option<Begun>,
) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let start = begun.as_ref().map_or_else(Instant::now, |begun| begun.start);
    let count = script.statements().len();
    if C::Backend::LOCK_IS_TRANSACTION {
        pause::<C>(conn, run)?;
    }
    let (version, name) = (migration.version(), migration.name());
    let resumed = step.resume_at.map_or(0, |number| number - 1);
    let from = begun.as_ref().map_or(resumed, |begun| begun.from);
    // What the applied part set in its session is gone with that session.
    let repeated =
        script.statements().iter().enumerate().take(from).filter(|(_, statement)| statement.kind == Kind::Session);
    let repeated: Vec<(usize, &Statement<'_>)> = repeated.collect();
    if step.is_told {
        let told = took(run, step, migration, script, from);
        run.writer.write(conn, &told).map_err(|error| Stop::Error(lost_or(conn, run, error)))?;
    }
    // What is repeated first may be `USE`, behind which a name means another table.
    let moves = repeated.iter().any(|(_, statement)| statement.text.to_lowercase().starts_with("use"));
    let asks = if moves { None } else { asked(script, from) };
    // The server carries a message out from its begin: the intent is on disk before the statement behind it starts.
    let mut intent = begun.is_none().then(|| Record { asks, ..planned(run, step, migration, script) });
    let mut met = begun.and_then(|begun| begun.met);
    if !travels_with_intent::<C>(script.statements().get(from)) || !repeated.is_empty() {
        let planned = intent.take();
        let written = planned.map_or(Ok(()), |planned| run.writer.write(conn, &planned));
        written.map_err(|error| Stop::Error(lost_or(conn, run, error)))?;
    }
    let result = (|| -> Result<(), Failure> {
        for (at, statement) in repeated {
            execute(conn, run, script, at, statement, "").map_err(|error| Failure::Statement(at, error))?;
        }
        for (at, statement) in script.statements().iter().enumerate().skip(from) {
            let mut tried = step.retried;
            let record = if at + 1 == count {
                done_since(run, step, migration, script, start)
            } else {
                took(run, step, migration, script, at + 1)
            };
            retrying::<C, _>(conn, run, |conn, run| {
                if let Some(met) = met.take() {
                    announce(run, script, at, statement);
                    return match met {
                        Met::Failed(failure) => unless_it_took(conn, run, statement, &record, failure),
                        Met::Unrecorded => outcome_alone(conn, run, &record),
                    };
                }
                // Also a try of this very run, ended by a deadlock, leaves an INVALID index behind.
                if std::mem::replace(&mut tried, true) && statement.kind == Kind::Alone {
                    clear(conn, statement)?;
                }
                if leaves_remains(statement) {
                    let restore = if at + 1 == count { restore::<C>(run, script) } else { "" };
                    return patiently(conn, run, restore, |conn, run| {
                        statement_and_outcome(conn, run, script, at, statement, &record, &mut intent)
                    });
                }
                statement_and_outcome(conn, run, script, at, statement, &record, &mut intent)
                    .or_else(|failure| unless_it_took(conn, run, statement, &record, failure))
            })?;
        }
        if from >= count {
            let record = done_since(run, step, migration, script, start);
            run.writer.write(conn, &record)?;
        }
        Ok(())
    })();
    match result {
        Ok(()) => {
            // Told before the lock is taken again: it is committed whatever comes.
            run.done(step, start, true);
            // With the lock: another starter may go on behind the last record.
            if C::Backend::LOCK_IS_TRANSACTION {
                resume::<C>(conn, run)?;
            }
            let harmed =
                if run.writer.is_named_in(migration.text(step.way)) { run.writer.harmed(conn) } else { Ok(None) };
            match harmed.map_err(|error| Stop::Error(refused::<C::Backend>("read the migration history", error)))? {
                Some(harm) => Err(Stop::Error(took_the_history(name, &harm).with_version(version))),
                None => Ok(()),
            }
        }
        Err(Failure::Intent(error)) => Err(Stop::Error(lost_or(conn, run, error))),
        Err(failure) => {
            let error = failed(conn, run, step, migration, script, failure);
            if C::Backend::LOCK_IS_TRANSACTION {
                // For the end of the lock, which commits it; the error above is the one that counts.
                let _nothing_is_lost = resume::<C>(conn, run);
            }
            Err(Stop::Error(error))
        }
    }
}

/// How far a script came in a message with others that stopped in it.
pub(super) struct Begun {
    /// The statement (from 0) at which it goes on.
    pub(super) from: usize,
    pub(super) start: Instant,
    /// What became of that statement, when it was tried.
    pub(super) met: Option<Met>,
}

/// What became of a statement.
pub(super) enum Met {
    /// It did not take.
    Failed(Failure),
    /// It took, and its record could not be written.
    Unrecorded,
}

/// What MySQL says of a query that somebody killed.
const KILLED: &str = "Query execution was interrupted";

/// The same, where a message ended without an error.
pub(super) fn killed() -> DatabaseError {
    DatabaseError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(KILLED.to_owned()))
}

/// The failure of a statement that was killed, unless it took: it was over then, and its message was not. The catalogue tells, where it
/// was asked before.
fn unless_it_took<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    statement: &Statement<'_>,
    record: &Record,
    failure: Failure,
) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let was_killed = |error: &DatabaseError| C::Backend::SQL == SqlDialect::Mysql && error.to_string().contains(KILLED);
    match &failure {
        Failure::Statement(_, error) if statement.kind == Kind::Commits && was_killed(error) => {}
        _ => return Err(failure),
    }
    let before = run.writer.detail(conn)?;
    match C::Backend::outcome(conn, statement.text, before.as_deref())? {
        Outcome::Took => outcome_alone(conn, run, record),
        _ => Err(failure),
    }
}

/// The intent of a script, from its first statement on.
pub(super) fn planned(run: &Run<'_>, step: &Step, migration: &Migration<'_>, script: &Script<'_>) -> Record {
    Record {
        checksum: if step.way == Way::Up { Some(migration.checksum()) } else { step.text },
        statements: Some(script.statements().len()),
        breaks_before: script.breaks_before().filter(|_| step.way == Way::Up).map(str::to_owned),
        asks: asked(script, 0),
        ..run.writer.record(intent(step.way), migration.version(), migration.name())
    }
}

/// The record that a script which cannot be rolled back is about to start.
pub(super) fn intent(way: Way) -> RecordKind {
    match way {
        Way::Up => RecordKind::Planned,
        Way::Down => RecordKind::Reverting,
    }
}

/// The record that a statement took which is not the last one, or of which the catalogue told so.
pub(super) fn took(
    run: &Run<'_>,
    step: &Step,
    migration: &Migration<'_>,
    script: &Script<'_>,
    number: usize,
) -> Record {
    Record {
        checksum: prefix(migration.text(step.way), script, number),
        statement: Some(number),
        statements: Some(script.statements().len()),
        asks: asked(script, number),
        ..run.writer.record(RecordKind::Statement, migration.version(), migration.name())
    }
}

/// The statement at this place, when it may be in doubt later: what it makes is looked for before it. Not behind one by which a name
/// may mean something else: what is looked for is looked for by who records.
fn asked(script: &Script<'_>, at: usize) -> Option<String> {
    let before = script.statements().iter().take(at).filter(|statement| statement.kind == Kind::Session);
    let statement =
        script.statements().get(at).filter(|statement| matches!(statement.kind, Kind::Commits | Kind::Alone))?;
    (!before.into_iter().any(|before| renames(before.text))).then(|| statement.text.to_owned())
}

/// Lets a statement wait for others as long as a run may: it keeps nobody from reading or writing, and what a lock timeout would
/// leave of it has to be removed first.
///
/// Behind the last statement the script's session is not brought back, but what `restore` makes of it.
fn patiently<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    restore: &str,
    body: impl FnOnce(&mut C, &mut Run<'_>) -> Result<(), Failure>,
) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let patient = C::Backend::session(conn, run.wait.timeout, Work::Migrations)?;
    send(conn, &patient.enter)?;
    let done = body(conn, run);
    let left = send(conn, &patient.leave).and_then(|()| send(conn, restore));
    done?;
    Ok(left?)
}

/// Removes what an earlier try left unusable.
fn clear<C>(conn: &mut C, statement: &Statement<'_>) -> Result<(), DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    if let Outcome::Broken(remove) = C::Backend::outcome(conn, statement.text, None)? {
        for remove in remove {
            tracing::info!(target: "migrator", remove, "removing what an earlier try left");
            conn.batch_execute(&remove)?;
        }
    }
    Ok(())
}

/// Whether a statement shares its message with what is written before and behind it.
fn travels_with_intent<C>(statement: Option<&Statement<'_>>) -> bool
where
    C: LoadConnection<Backend: Dialect>,
{
    let in_one = |statement: &Statement<'_>| matches!(statement.kind, Kind::Plain | Kind::Commits);
    C::Backend::SQL == SqlDialect::Mysql && statement.is_some_and(in_one)
}

/// One statement of a script that cannot be rolled back, with the record of its outcome.
fn statement_and_outcome<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    script: &Script<'_>,
    at: usize,
    statement: &Statement<'_>,
    record: &Record,
    intent: &mut Option<Record>,
) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let is_last = record.kind != Some(RecordKind::Statement);
    let restore = if is_last { restore::<C>(run, script) } else { "" };
    let of_script = |error| Failure::Statement(at, error);
    if travels_with_intent::<C>(Some(statement)) {
        run.goes_on().map_err(of_script)?;
        announce(run, script, at, statement);
        return in_one_message(conn, run, (at, statement), restore, record, intent);
    }
    let record = Record { sequence: run.writer.sequence + 1, ..record.clone() };
    if statement.kind != Kind::Plain {
        execute(conn, run, script, at, statement, "").map_err(of_script)?;
        send(conn, restore).map_err(Failure::Unrecorded)?;
        return outcome_alone(conn, run, &record);
    }
    let (sql, written) = run.writer.sql::<C::Backend>(&record);
    let bounds = Bounds::of_script::<C>();
    let begin = bounds.begin(conn)?;
    let done = execute(conn, run, script, at, statement, begin)
        .map_err(of_script)
        .and_then(|()| Ok(bounds.commit(conn, &format!("{restore}\n{sql}"))?));
    match done {
        Ok(()) => run.writer.wrote(written),
        Err(_) => bounds.rollback(conn),
    }
    done
}

/// The intent, when it is not written yet, the statement, and its outcome, in one message of MySQL.
///
/// The server finishes a message whose client is gone. So the outcome is recorded whenever the statement took. What commits by itself
/// commits the first transaction too; a CALL that only writes rows is undone when it fails.
fn in_one_message<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    (at, statement): (usize, &Statement<'_>),
    restore: &str,
    record: &Record,
    intent: &mut Option<Record>,
) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    let mut sequence = run.writer.sequence;
    let mut sql = |record: &Record, before: Option<&Written>| {
        sequence += 1;
        run.writer.sql_behind::<C::Backend>(before, &Record { sequence, ..record.clone() })
    };
    let planned = intent.as_ref().map(|intent| sql(intent, None));
    let (outcome, written) = sql(record, planned.as_ref().map(|(_, planned)| planned));
    let before = planned.as_ref().map_or_else(String::new, |(sql, _)| enclosed(sql));
    let behind = match statement.kind {
        Kind::Plain => format!("SET @migrator_came_to = 2;{restore}\n{outcome}\nCOMMIT;"),
        _ => format!("COMMIT;SET @migrator_came_to = 2;{restore}\n{}", enclosed(&outcome)),
    };
    let text = statement.text;
    let message = format!("SET @migrator_came_to = 0;{before}SET @migrator_came_to = 1;BEGIN;\n{text}\n;{behind}");
    let mut failed = conn.batch_execute(&message).err();
    if failed.is_none() && run.wait.interrupt.is_stopped() {
        // A message whose query is killed between two statements may end without an error.
        let ends_here = run.writer.took(conn)?.len() == 1 + usize::from(planned.is_some());
        failed = (!ends_here).then(killed);
    }
    let came_to = match failed {
        None => Some(3),
        Some(_) => {
            let _nothing_may_be_open = conn.batch_execute("ROLLBACK");
            let rows = C::Backend::rows(conn, "SELECT CAST(@migrator_came_to AS CHAR)").unwrap_or_default();
            rows.first().and_then(|row| row.number(0))
        }
    };
    if came_to > Some(0)
        && let Some((_, planned)) = planned
    {
        run.writer.wrote(planned);
        *intent = None;
    }
    match (failed, came_to) {
        (None, _) => {
            run.writer.wrote(written);
            Ok(())
        }
        (Some(error), Some(0)) => Err(Failure::Intent(error)),
        (Some(error), None | Some(1)) => Err(Failure::Statement(at, error)),
        // Undone with its record.
        (Some(error), _) if statement.kind == Kind::Plain => Err(Failure::Around(error)),
        // The statement took, and its record did not: the fence, somebody's lock, or no space.
        (Some(_), _) => outcome_alone(conn, run, record),
    }
}

/// The record of a statement that took, tried again by itself: what it says must not be done twice.
fn outcome_alone<C>(conn: &mut C, run: &mut Run<'_>, record: &Record) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    retrying::<C, _>(conn, run, |conn, run| Ok(run.writer.write(conn, record)?)).map_err(|failure| match failure {
        Failure::Around(error) => Failure::Unrecorded(error),
        other => other,
    })
}

/// Commits what was done so far, where the lock is a transaction, and takes a new one.
pub(super) fn renew<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    if C::Backend::LOCK_IS_TRANSACTION {
        pause::<C>(conn, run)?;
        resume::<C>(conn, run)?;
    }
    Ok(())
}

/// Commits what the transaction that is the lock holds, so that statements can run outside of it.
pub(super) fn pause<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    catch_up(conn, run)?;
    if let Err(error) = C::Backend::unlock(conn, run.key, true) {
        // Nothing of what the transaction held is there.
        run.report.forget();
        return Err(Stop::Error(refused::<C::Backend>("commit the run", error)));
    }
    run.flush();
    Ok(())
}

/// Takes the lock again, and looks whether somebody wrote in between.
pub(super) fn resume<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    lock::acquire(conn, run.key, run.facts, run.wait).map_err(Stop::Error)?;
    match run.writer.is_last(conn) {
        Ok(true) => Ok(()),
        // Between the end of a script that ran outside and this moment nothing was unfinished, so another starter was free
        // to go on; what is left is decided anew.
        Ok(false) => Err(Stop::Again(Grouping::All)),
        Err(error) => Err(Stop::Error(refused::<C::Backend>("read the migration history", error))),
    }
}
