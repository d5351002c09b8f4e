//! The migration lock: a scope around a closure, never a pair of calls.

use std::fs::{File, OpenOptions, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::connection::{LoadConnection, TransactionManager};

use crate::dialect::{Asked, Dialect, Facts, LockKey, Session, depth, refused};
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::history::Home;
use crate::interrupt::Interrupt;
use migrator_source::checksum::{digest, hex};

impl LockKey {
    /// The lock of one set in one schema of one database.
    ///
    /// On MySQL names are server-wide, so the database is part of it; on PostgreSQL it does no harm.
    pub(crate) fn new(facts: &Facts, home: &Home) -> Self {
        let sum = digest(format!("migrator\0{}\0{}\0{}", facts.database, home.schema, home.set_name).as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = sum;
        Self { number: i64::from_be_bytes([a, b, c, d, e, f, g, h]), name: format!("migrator:{}", hex(&sum[..16])) }
    }
}

impl LockKey {
    /// The lock of a checkup, so that it never blocks a run.
    pub(crate) fn of_doctor(facts: &Facts, home: &Home) -> Self {
        let home = Home { schema: home.schema.clone(), set_name: format!("{}\0\0doctor", home.set_name) };
        Self::new(facts, &home)
    }

    /// The lock of one seed that runs in the background, so that it never blocks a run.
    pub(crate) fn of_seed(facts: &Facts, home: &Home, seed: &str) -> Self {
        let home = Home { schema: home.schema.clone(), set_name: format!("{}\0{seed}", home.set_name) };
        Self::new(facts, &home)
    }
}

/// How long a verb waits for the lock, who is told about it, and what ends it before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wait {
    pub(crate) timeout: Duration,
    pub(crate) hook: Hook,
    pub(crate) interrupt: Interrupt,
}

/// Whether what was done under a lock that is a transaction is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep<'a> {
    All,
    /// And this session has no more work: where it can, it is left in the message that gives the lock back.
    AllAndLeave(&'a Session),
    Nothing,
}

/// Runs `body` while this connection holds the lock, and gives it back also after an error or a panic.
///
/// # Errors
/// When the lock is not to be had in time, or what was done under it could not be committed.
pub(crate) fn with_lock<'a, C, R>(
    conn: &mut C,
    key: &LockKey,
    facts: &Facts,
    wait: &Wait,
    body: impl FnOnce(&mut C, Duration) -> (Keep<'a>, R),
) -> Result<R, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let waited = acquire(conn, key, facts, wait)?;
    match catch_unwind(AssertUnwindSafe(|| body(conn, waited))) {
        Ok((keep, result)) => {
            let released = match keep {
                Keep::AllAndLeave(session) => unlock_and_leave(conn, key, session),
                keep => C::Backend::unlock(conn, key, matches!(keep, Keep::All)),
            };
            if C::Backend::LOCK_IS_TRANSACTION {
                released.map_err(|error| refused::<C::Backend>("commit the run", error))?;
            } else if let Err(error) = released {
                // The connection is gone, and the lock with it.
                tracing::warn!(target: "migrator", %error, "the migration lock could not be given back");
            }
            Ok(result)
        }
        Err(panic) => {
            while depth(conn) > 0 && C::TransactionManager::rollback_transaction(conn).is_ok() {}
            if !C::Backend::LOCK_IS_TRANSACTION {
                // One that diesel does not know of: its BEGIN travels with a script's first statement.
                let _none_may_be_open = conn.batch_execute("ROLLBACK");
            }
            let _the_session_may_be_gone = C::Backend::unlock(conn, key, false);
            resume_unwind(panic)
        }
    }
}

/// In one message, where it can be one.
fn unlock_and_leave<C>(conn: &mut C, key: &LockKey, session: &Session) -> QueryResult<()>
where
    C: LoadConnection<Backend: Dialect>,
{
    let Some(parting) = session.parting(key) else { return C::Backend::unlock(conn, key, true) };
    conn.batch_execute(&parting)?;
    session.left.set(true);
    Ok(())
}

/// Refuses a server that cannot be written to, or whose lock excludes nobody.
pub(crate) fn check_writable(facts: &Facts, what: &str) -> Result<(), Error> {
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

/// Polls for the lock; never a blocking call, beside which `CREATE INDEX CONCURRENTLY` would deadlock.
pub(crate) fn acquire<C>(conn: &mut C, key: &LockKey, facts: &Facts, wait: &Wait) -> Result<Duration, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let asking = |error| refused::<C::Backend>("give the migration lock", error);
    let polled = poll(wait, |attempt| {
        match C::Backend::try_lock(conn, key).map_err(asking)? {
            Asked::Granted => return Ok(Answer::Yes),
            Asked::HeldHere => return Err(pooler()),
            Asked::Held => {}
        }
        // The first polls are short; asking who it is at each of them would double the traffic.
        Ok(Answer::No(if attempt.is_power_of_two() { C::Backend::holder(conn, key, facts) } else { None }))
    })?;
    match polled {
        Polled::Held(waited) => Ok(waited),
        Polled::TimedOut(waited) => Err(timeout(waited, C::Backend::holder(conn, key, facts))),
    }
}

/// The error where a session is not one client's.
pub(crate) fn pooler() -> Error {
    Error::new(
        "pooler_unsupported",
        "a connection pooler hands one session of the server to several clients, so that no lock and no setting is a run's own",
        "give migrations the direct URL of the server (MIGRATION_DATABASE_URL); the service may keep the pooler",
    )
}

fn timeout(waited: Duration, holder: Option<String>) -> Error {
    let holder = holder.unwrap_or_else(|| "who it is the database does not tell".to_owned());
    let message =
        format!("waited {} ms for the migration lock, and another process holds it: {holder}", waited.as_millis());
    Error::new(
        "lock_timeout",
        message,
        "wait until it is done, or end it; a longer wait is --lock-timeout (Migrator::lock_timeout)",
    )
}

/// The error when the lock, which this connection held, is gone.
pub(crate) fn lost<C>(conn: &mut C, key: &LockKey) -> Option<Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let sql = format!("SELECT CASE WHEN {} THEN '1' ELSE '0' END", C::Backend::owned(key));
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

/// What one question for a lock is answered.
enum Answer {
    Yes,
    /// Somebody else holds it; who, as far as that is known.
    No(Option<String>),
}

/// How a wait for a lock ended.
enum Polled {
    Held(Duration),
    TimedOut(Duration),
}

/// Asks again and again, 25 ms × 2 ± 50 %, at most a second apart, until the answer is yes or the time is up.
fn poll(wait: &Wait, mut ask: impl FnMut(u32) -> Result<Answer, Error>) -> Result<Polled, Error> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(25);
    for attempt in 1.. {
        wait.interrupt.check()?;
        let holder = match ask(attempt)? {
            Answer::Yes => return Ok(Polled::Held(start.elapsed())),
            Answer::No(holder) => holder,
        };
        let left = wait.timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(Polled::TimedOut(start.elapsed()));
        }
        if attempt.is_power_of_two() {
            wait.hook.emit(Event::Waiting { attempt, holder: holder.as_deref() });
        }
        wait.interrupt.sleep(jitter(pause).min(left));
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    unreachable!("attempts do not end")
}

/// A pause ± 50 %, so that many waiters do not ask at the same moment.
pub(crate) fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

/// The lock of the statements that run outside of the transaction that is the lock: a file beside the database.
///
/// Between two such statements another process could begin its own transaction. It sees the unfinished script in the history
/// and asks for this file before it decides that the script was left behind.
pub(crate) struct FileLock(#[expect(dead_code, reason = "the lock is held while the file is open")] Option<File>);

impl FileLock {
    fn path(facts: &Facts) -> String {
        format!("{}-migrator-lock", facts.database)
    }

    /// Whether the file is there, so that somebody may hold it: a run that began outside of the transaction ends first.
    pub(crate) fn is_there(facts: &Facts) -> bool {
        std::path::Path::new(&Self::path(facts)).exists()
    }

    /// Locks `<database>-migrator-lock`; a database in memory has no other process to exclude.
    pub(crate) fn acquire<C>(conn: &mut C, key: &LockKey, facts: &Facts, wait: &Wait) -> Result<Self, Error>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if facts.database == ":memory:" {
            return Ok(Self(None));
        }
        let path = Self::path(facts);
        let failed = |error: std::io::Error| {
            Error::new("lock_file", format!("{path} cannot be locked"), "check the permissions of the folder")
                .with_source(error)
        };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let beside = Facts { database: path.clone(), ..Facts::default() };
        let mut holder = || {
            let process = C::Backend::holder(conn, key, &beside);
            process
                .map_or_else(|| format!("the process that holds {path}"), |process| format!("{process}, with {path}"))
        };
        let polled = poll(wait, |attempt| match file.try_lock() {
            Ok(()) => Ok(Answer::Yes),
            Err(TryLockError::WouldBlock) => Ok(Answer::No(attempt.is_power_of_two().then(&mut holder))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        })?;
        if let Polled::TimedOut(waited) = polled {
            return Err(timeout(waited, Some(holder())));
        }
        Ok(Self(Some(file)))
    }
}
