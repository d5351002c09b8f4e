//! Migrations that are called: whole, since nobody sees their statements.

use std::time::Instant;

use diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::sql::{Mode, Script};

use super::failure::{Failure, Undone, failed, lost_or};
use super::outside::{intent, pause, resume};
use super::{Run, Stop, done_since, retrying};
use crate::dialect::{Dialect, depth};
use crate::migration::{Migration, Way};
use crate::plan::Step;
use crate::session::send;
use crate::source::{Opened, Words};

/// It is gone when the migration ended the transaction: by a COMMIT of its own, or on MySQL by DDL.
const WHOLE: &str = "migrator_whole";

/// Runs it inside of the transaction that is open.
pub(super) fn whole<C>(conn: &mut C, migration: &Migration<'_>, way: Way, source: &Opened<C>) -> Result<(), Failure>
where
    C: LoadConnection<Backend: Dialect>,
{
    conn.batch_execute(&format!("SAVEPOINT {WHOLE}"))?;
    call(conn, migration, way, source).map_err(|words| {
        // Where the savepoint is gone because the whole transaction is, diesel's depth says so to whoever asks next.
        let undone = match conn.batch_execute(&format!("ROLLBACK TO SAVEPOINT {WHOLE}")) {
            Ok(()) => Undone::All,
            Err(_) if C::Backend::LOCK_IS_TRANSACTION => Undone::All,
            Err(_) => Undone::NobodyKnows,
        };
        failure::<C>(words, undone)
    })?;
    // A migration that committed by itself took, whatever becomes of its record: it must not be tried again.
    conn.batch_execute(&format!("RELEASE SAVEPOINT {WHOLE}"))
        .or_else(|error| if C::Backend::LOCK_IS_TRANSACTION { Err(error) } else { Ok(()) })
        .map_err(Failure::Unrecorded)
}

/// Runs it where no transaction holds it together with its record: the intent first, then the migration, then its outcome.
///
/// When it fails, or is killed, nobody knows how much of it took, and a person has to say so: unless it was in a transaction of
/// its own until the end.
pub(super) fn opaque<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    step: &Step,
    migration: &Migration<'_>,
    script: &Script<'_>,
    source: &Opened<C>,
) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let start = Instant::now();
    if C::Backend::LOCK_IS_TRANSACTION {
        pause::<C>(conn, run)?;
    }
    let planned = run.writer.record(intent(step.way), migration.version(), migration.name());
    run.writer.write(conn, &planned).map_err(|error| Stop::Error(lost_or(conn, run, error)))?;
    let in_transaction = migration.declared(step.way) == Some(Mode::Transaction);
    let done = retrying::<C, _>(conn, run, |conn, run| {
        if !in_transaction {
            call(conn, migration, step.way, source).map_err(|words| failure::<C>(words, Undone::NobodyKnows))?;
            send(conn, run.session.restore()).map_err(Failure::Unrecorded)?;
            let record = done_since(run, step, migration, script, start);
            return run.writer.write(conn, &record).map_err(Failure::Unrecorded);
        }
        C::TransactionManager::begin_transaction(conn)?;
        let mut body = || -> Result<_, Failure> {
            whole(conn, migration, step.way, source)?;
            send(conn, run.session.restore()).map_err(Failure::Unrecorded)?;
            let (sql, written) = run.writer.sql::<C::Backend>(&done_since(run, step, migration, script, start));
            conn.batch_execute(&sql).map_err(Failure::Unrecorded)?;
            Ok(written)
        };
        match body() {
            Ok(written) => {
                C::TransactionManager::commit_transaction(conn).map_err(Failure::Unrecorded)?;
                run.writer.wrote(written);
                Ok(())
            }
            Err(failure) => {
                if depth(conn) > 0 {
                    let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                }
                Err(failure)
            }
        }
    });
    let result = match done {
        Ok(()) => {
            run.done(step, start, true);
            Ok(())
        }
        Err(failure) => Err(Stop::Error(failed(conn, run, step, migration, script, failure))),
    };
    if C::Backend::LOCK_IS_TRANSACTION {
        // For the end of the lock, which commits it; an error above is the one that counts.
        let resumed = resume::<C>(conn, run);
        return result.and(resumed);
    }
    result
}

/// Calls it. A transaction that it opened and did not end, since it panicked perhaps, is rolled back, and is a failure.
fn call<C>(conn: &mut C, migration: &Migration<'_>, way: Way, source: &Opened<C>) -> Result<(), Words>
where
    C: LoadConnection<Backend: Dialect>,
{
    let level = depth(conn);
    let called = source(conn, migration.version(), way);
    let left_open = depth(conn) > level;
    while depth(conn) > level {
        C::TransactionManager::rollback_transaction(conn)?;
    }
    if left_open { called.and(Err("it left a transaction open".into())) } else { called }
}

fn failure<C: LoadConnection<Backend: Dialect>>(words: Words, undone: Undone) -> Failure {
    let class = C::Backend::class(&words.to_string());
    Failure::Opaque(words, class, undone)
}
