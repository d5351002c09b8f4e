//! One attempt of one seed: under its lock, with its ledger row, all or nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use diesel::connection::{LoadConnection, TransactionManager};

use super::failure::Failure;
use super::ledger::{self, Entry};
use super::plan::{self, Call, Recorded, Row, Standing};
use super::{Ground, Host, body};
use crate::dialect::{Class, Dialect, LockKey, Session, Work, class, depth};
use crate::error::Error;
use crate::event::Event;
use crate::lock::{self, FileLock, Keep};
use crate::seed::{Mode, Pass, Seed};
use crate::session::{send, with_session};

/// How an attempt ended.
pub(super) enum Tried {
    Applied {
        rows: u64,
    },
    Unchanged,
    Failed {
        /// As the ledger has it now, or would have it if it could have been written.
        row: Row,
        speaker: &'static str,
        words: String,
        remedy: &'static str,
        code: Option<&'static str>,
    },
    /// Another process tried it in between: decide again, by this row.
    Overtaken(Row),
}

/// Everything that an attempt needs besides the connection.
pub(super) struct Attempt<'a, C: 'static> {
    pub(super) host: &'a Host<'a, C>,
    pub(super) ground: &'a Ground,
    pub(super) seed: &'a Seed<C>,
    pub(super) key: &'a LockKey,
    pub(super) wait: &'a lock::Wait,
    pub(super) call: Call,
    /// The row by which it was decided that there is something to do.
    pub(super) known: Option<&'a Row>,
}

impl<C: LoadConnection<Backend: Dialect>> Attempt<'_, C> {
    /// Takes the lock, looks again, and runs the seed if there still is something to do.
    pub(super) fn run(&self, conn: &mut C) -> Result<Tried, Error> {
        let (host, facts) = (self.host, &self.ground.facts);
        let work = Work::Seed(self.seed.deadline);
        let ended =
            with_session(conn, host.session, host.statement_lock_timeout, work, &self.wait.hook, |conn, restore| {
                if C::Backend::LOCK_IS_TRANSACTION && !self.seed.transaction {
                    // The lock would be the transaction that the seed does not want.
                    let _until_recorded = FileLock::acquire(conn, self.key, facts, self.wait)?;
                    return self.turn(conn, restore);
                }
                lock::with_lock(conn, self.key, facts, self.wait, |conn, _| match self.turn(conn, restore) {
                    Ok(tried) => (Keep::All, Ok(tried)),
                    Err(error) => (Keep::Nothing, Err(error)),
                })?
            });
        match ended {
            // The COMMIT of the transaction that is the lock came too late: nothing of the attempt is there.
            Err(error) if C::Backend::LOCK_IS_TRANSACTION && is_late::<C::Backend>(&error) => {
                let late = Failure::Late(error.database_words().unwrap_or_default().to_owned());
                lock::with_lock(conn, self.key, facts, self.wait, |conn, _| {
                    (Keep::All, self.failed(conn, self.known, late, Duration::ZERO, ""))
                })?
            }
            ended => ended,
        }
    }

    fn turn(&self, conn: &mut C, restore: &Session) -> Result<Tried, Error> {
        let row = ledger::load(conn, &self.ground.home, Some(self.seed.name))?.into_iter().next();
        let standing = plan::standing(&self.seed.terms(), row.as_ref());
        if let Some(row) = row.as_ref().filter(|row| matches!(standing, Standing::Behind(..)) && self.is_news(row)) {
            return Ok(Tried::Overtaken(row.clone()));
        }
        let asked_for = self.seed.mode == Mode::Always || self.seed.mode == Mode::Manual && self.call == Call::Named;
        if standing == Standing::Applied && !asked_for && self.seed.mode != Mode::Ensure {
            return Ok(Tried::Unchanged);
        }
        let attempt =
            row.as_ref().filter(|_| matches!(standing, Standing::Behind(..))).map_or(0, |row| row.attempts) + 1;
        self.wait.hook.emit(Event::SeedStarted { name: self.seed.name, attempt });
        let start = Instant::now();
        let done = self.act(conn, row.as_ref(), standing, restore, start);
        match done {
            Ok(tried) => Ok(tried),
            Err(failure) => self.failed(conn, row.as_ref(), failure, start.elapsed(), &restore.myself),
        }
    }

    /// Whether another process tried it while this one waited for the lock; then this one does not try at once again.
    fn is_news(&self, row: &Row) -> bool {
        let forced = matches!(self.call, Call::Force | Call::Named | Call::Background(Pass::Force));
        let same = |known: &Row| known.attempts == row.attempts && known.run_id == row.run_id;
        !forced && !self.known.is_some_and(same)
    }

    fn act(
        &self,
        conn: &mut C,
        row: Option<&Row>,
        standing: Standing,
        restore: &Session,
        start: Instant,
    ) -> Result<Tried, Failure> {
        let seed = self.seed;
        let asks = seed.mode == Mode::Ensure || !seed.transaction;
        let held = asks && self.in_scope(conn, |conn| holds(conn, seed))?;
        if held {
            // Known to hold, it need not be asked by a probe, which may only read the ledger.
            if standing != Standing::Applied {
                self.record(conn, Recorded::Unchanged, 0, start, restore)?;
            }
            return Ok(Tried::Unchanged);
        }
        let rows = if seed.transaction {
            self.inside(conn, row, restore, start)?
        } else {
            self.outside(conn, restore, start)?
        };
        Ok(if rows == 0 { Tried::Unchanged } else { Tried::Applied { rows } })
    }

    /// In a transaction, with the ledger row.
    fn inside(&self, conn: &mut C, row: Option<&Row>, restore: &Session, start: Instant) -> Result<u64, Failure> {
        self.in_scope(conn, |conn| {
            let rows = self.checked(conn, start)?;
            let outcome = if rows == 0 { Recorded::Unchanged } else { Recorded::Applied };
            let terms = self.seed.terms();
            // Nothing is written when nothing changed, also by what is asked for at each start.
            if rows > 0 || plan::standing(&terms, row) != Standing::Applied {
                self.record(conn, outcome, rows, start, restore)?;
            }
            Ok(rows)
        })
    }

    /// Runs `work` in a transaction; a savepoint, where the lock is one.
    fn in_scope<R>(&self, conn: &mut C, work: impl FnOnce(&mut C) -> Result<R, Failure>) -> Result<R, Failure> {
        let base = depth(conn);
        let scoped = || {
            C::TransactionManager::begin_transaction(conn)?;
            let result = work(conn)?;
            C::TransactionManager::commit_transaction(conn)?;
            Ok(result)
        };
        scoped().inspect_err(|_| unwind(conn, base))
    }

    /// Runs the seed and asks whether it did what it promises.
    ///
    /// In a transaction it has a savepoint to itself: when that is gone afterwards, the seed ended the transaction.
    fn checked(&self, conn: &mut C, start: Instant) -> Result<u64, Failure> {
        let seed = self.seed;
        if !seed.transaction {
            // What is done is done, however long it took.
            return self.promised(conn);
        }
        C::TransactionManager::begin_transaction(conn)?;
        let level = depth(conn);
        let rows = self.promised(conn)?;
        match depth(conn) {
            now if now > level => return Err(Failure::LeftOpen),
            now if now < level => return Err(Failure::EndedTransaction),
            _ => {}
        }
        let took = start.elapsed();
        if took > seed.deadline {
            return Err(Failure::TooLong { took, deadline: seed.deadline });
        }
        C::TransactionManager::commit_transaction(conn).map_err(|error| {
            let failure = Failure::Around(error);
            if failure.class::<C::Backend>() == Class::Permanent { Failure::EndedTransaction } else { failure }
        })?;
        Ok(rows)
    }

    fn promised(&self, conn: &mut C) -> Result<u64, Failure> {
        let rows = caught(|| body::run(conn, self.seed))?;
        let asks = self.seed.verify.is_some() || self.seed.verifies_itself();
        if asks && !holds(conn, self.seed)? { Err(Failure::Unverified) } else { Ok(rows) }
    }

    /// Without a transaction: what it did is there whether it is recorded or not.
    fn outside(&self, conn: &mut C, restore: &Session, start: Instant) -> Result<u64, Failure> {
        let rows = self.checked(conn, start).inspect_err(|_| unwind(conn, 0))?;
        let outcome = if rows == 0 { Recorded::Unchanged } else { Recorded::Applied };
        self.record(conn, outcome, rows, start, restore)?;
        Ok(rows)
    }

    fn record(
        &self,
        conn: &mut C,
        outcome: Recorded,
        rows: u64,
        start: Instant,
        restore: &Session,
    ) -> Result<(), Failure> {
        let entry = self.entry(outcome, rows, start.elapsed());
        Ok(self.write(conn, &entry, &restore.myself)?)
    }

    fn entry(&self, outcome: Recorded, rows: u64, duration: Duration) -> Entry<'_> {
        Entry {
            name: self.seed.name,
            version: self.seed.version,
            hash: self.seed.hash,
            outcome,
            attempts: 0,
            wait: None,
            error: None,
            rows: Some(rows),
            duration,
            run_id: self.host.run_id,
        }
    }

    /// Writes a row as who the session was, whatever role the seed took; that holds until the end of a transaction.
    fn write(&self, conn: &mut C, entry: &Entry<'_>, myself: &str) -> diesel::QueryResult<()> {
        let sql = ledger::sql::<C::Backend>(&self.ground.home, self.key, entry);
        if depth(conn) > 0 {
            send(conn, myself)?;
            return conn.batch_execute(&sql);
        }
        C::TransactionManager::begin_transaction(conn)?;
        let written = send(conn, myself).and_then(|()| conn.batch_execute(&sql));
        match written {
            Ok(()) => C::TransactionManager::commit_transaction(conn),
            Err(error) => {
                let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                Err(error)
            }
        }
    }

    /// Stores a failed attempt, and when the next one may come.
    fn failed(
        &self,
        conn: &mut C,
        row: Option<&Row>,
        failure: Failure,
        duration: Duration,
        myself: &str,
    ) -> Result<Tried, Error> {
        let seed = self.seed;
        if failure.class::<C::Backend>() == Class::Connection && send(conn, "SELECT 1").is_err() {
            let message = format!("the connection was lost during the seed {}", seed.name);
            return Err(Error::new("connection_lost", message, failure.remedy::<C::Backend>())
                .with_words(failure.speaker(), failure.words()));
        }
        // Without the lock neither success nor failure can be recorded, and another process may be at it.
        if let Some(lost) = lock::lost(conn, self.key) {
            return Err(lost.with_words(failure.speaker(), failure.words()));
        }
        let before = row.filter(|row| matches!(plan::standing(&seed.terms(), Some(row)), Standing::Behind(..)));
        let attempts = before.map_or(0, |row| row.attempts).saturating_add(1);
        let outcome = plan::verdict(failure.is_transient::<C::Backend>(), attempts, self.host.attempts);
        let wait = plan::pause(attempts, fastrand::f64());
        let redacted = failure.redacted();
        let mut entry = self.entry(outcome, 0, duration);
        (entry.attempts, entry.wait, entry.error, entry.rows) = (attempts, Some(wait), Some(redacted.as_str()), None);
        if C::Backend::LOCK_IS_TRANSACTION && depth(conn) == 0 && seed.transaction {
            // A statement such as INSERT OR ROLLBACK ended the transaction that is the lock, and others had a chance.
            lock::acquire(conn, self.key, &self.ground.facts, self.wait)?;
            let now = ledger::load(conn, &self.ground.home, Some(seed.name))?.into_iter().next();
            if let Some(now) =
                now.filter(|now| row.is_none_or(|row| row.run_id != now.run_id || row.attempts != now.attempts))
            {
                return Ok(Tried::Overtaken(now));
            }
        }
        let written = self.write(conn, &entry, myself);
        if let Err(error) = &written {
            tracing::warn!(target: "migrator", %error, seed = seed.name, "the failed attempt could not be recorded");
        }
        Ok(Tried::Failed {
            row: Row {
                name: seed.name.to_owned(),
                version: seed.version.to_owned(),
                hash: seed.hash.to_owned(),
                outcome: Some(outcome),
                attempts,
                wait,
                error: Some(redacted.clone()),
                rows: None,
                applied_at: None,
                run_id: self.host.run_id.to_owned(),
            },
            speaker: failure.speaker(),
            words: failure.words(),
            remedy: failure.remedy::<C::Backend>(),
            code: failure.class::<C::Backend>().code(),
        })
    }
}

/// Asks a seed whether what it promises holds.
pub(super) fn holds<C: LoadConnection<Backend: Dialect>>(conn: &mut C, seed: &Seed<C>) -> Result<bool, Failure> {
    caught(|| match seed.verify {
        Some(verify) => Ok(verify(conn)?),
        None => body::holds(conn, seed),
    })
}

/// A panic of a seed is its failure, and no reason for the process to end.
fn caught<R>(work: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Failure::panicked(panic.as_ref())))
}

/// Rolls back until no more transactions are open than there were, also those that a panic left open.
fn unwind<C: LoadConnection<Backend: Dialect>>(conn: &mut C, mut base: u32) {
    for _ in 0..64 {
        if depth(conn) <= base {
            return;
        }
        if C::TransactionManager::rollback_transaction(conn).is_err() && base > 0 {
            // The seed ended the transaction that is the lock. diesel still counts one, and SQLite has none to roll back.
            let _one_may_be_open = conn.batch_execute("BEGIN");
            base = 0;
        }
    }
}

/// Whether what failed, outside of the attempt, can pass: a COMMIT that waited for readers in vain.
fn is_late<D: Dialect>(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.is_some_and(|error| class::<D>(error).is_transient())
}
