//! How a transaction begins and ends: with messages that go anyway, or through diesel, which counts it.

use diesel::connection::{LoadConnection, TransactionManager};
use diesel::result::Error as DatabaseError;

use crate::dialect::{Dialect, depth};

/// Who begins and ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// SQL in front of its first statement and behind its last, so that neither costs a message of its own.
    Sent,
    /// diesel: a savepoint, where the lock is a transaction; and around code of the host, which may begin more of them.
    Counted,
}

impl Bounds {
    pub(super) fn of_script<C: LoadConnection<Backend: Dialect>>() -> Self {
        if C::Backend::LOCK_IS_TRANSACTION { Self::Counted } else { Self::Sent }
    }

    /// Begins it, and returns what still has to stand in front of its first statement.
    pub(super) fn begin<C>(self, conn: &mut C) -> Result<&'static str, DatabaseError>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self == Self::Sent {
            return Ok("BEGIN;\n");
        }
        C::TransactionManager::begin_transaction(conn)?;
        Ok("")
    }

    /// Sends its last SQL, and ends it.
    pub(super) fn commit<C>(self, conn: &mut C, sql: &str) -> Result<(), DatabaseError>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self == Self::Sent {
            return conn.batch_execute(&format!("{sql}\nCOMMIT;"));
        }
        if !sql.is_empty() {
            conn.batch_execute(sql)?;
        }
        C::TransactionManager::commit_transaction(conn)
    }

    /// Undoes it, for an error that is the one that counts.
    pub(super) fn rollback<C>(self, conn: &mut C)
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self == Self::Sent {
            let _none_may_be_open = conn.batch_execute("ROLLBACK");
        } else if depth(conn) > 0 {
            let _none_may_be_open = C::TransactionManager::rollback_transaction(conn);
        }
    }
}
