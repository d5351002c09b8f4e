//! Scripts that no transaction holds: the intent first, then each statement together with its outcome.

use std::time::Instant;

use diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::sql::{Kind, Script, Statement};

use super::failure::{Failure, failed, lost_or};
use super::{Run, Stop, announce, applied, execute, retrying};
use crate::dialect::{Dialect, refused};
use crate::error::Error;
use crate::lock::{self, depth};
use crate::migration::Migration;
use crate::plan::{Step, leaves_remains, prefix};
use crate::record::{Record, RecordKind};
use crate::session::send;

/// A script that cannot be rolled back: the intent first, then each statement together with its outcome.
pub(super) fn one_by_one<C>(
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
            if leaves_remains(statement) {
                // Once, and for as long as a run may wait: it keeps nobody from reading or writing, and what a lock timeout
                // leaves of it makes the next try fail.
                let patient = C::Backend::session(conn, run.wait.timeout)?;
                send(conn, &patient.enter)?;
                let done = statement_and_outcome(conn, run, script, at, statement, &record);
                let left = send(conn, &patient.leave);
                done?;
                left?;
                continue;
            }
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

/// Commits what the transaction that is the lock holds, so that statements can run outside of it.
pub(super) fn pause<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    if let Err(error) = C::Backend::unlock(conn, run.key, true) {
        // Nothing of what the transaction held is there.
        run.report.applied.truncate(run.committed);
        return Err(Stop::Error(refused::<C::Backend>("commit the run", error)));
    }
    run.flush();
    Ok(())
}

/// Takes the lock again, and makes sure that nobody wrote in between.
pub(super) fn resume<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
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
        Err(error) => Err(Stop::Error(refused::<C::Backend>("read the migration history", error))),
    }
}
