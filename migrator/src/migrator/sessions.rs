//! Whether each connection is a session of its own, or a pooler shares the server's among its clients.

use std::sync::Arc;

use diesel::connection::LoadConnection;
use diesel::{ConnectionResult, QueryResult};
use migrator_source::sql::SqlDialect;

use super::Migrator;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::lock::pooler;

impl<C> Migrator<C> {
    /// Where [`reconnect`](Self::reconnect) is not asked for: how a second connection is made.
    pub(crate) fn find_poolers_by(&mut self, connect: impl Fn() -> ConnectionResult<C> + Send + Sync + 'static) {
        self.second = Some(Arc::new(connect));
    }
}

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Refuses a pooler before anything is set or locked, which would stay with the server's session for its next client. It takes
    /// a second connection to find one.
    pub(super) fn check_sessions(&self, conn: &mut C) -> Result<(), Error> {
        // None of MySQL's was tried; there the lock itself is refused to a session that has it.
        let connect = self.connect.as_ref().or(self.second.as_ref());
        let Some(connect) = connect.filter(|_| C::Backend::SQL == SqlDialect::Postgres) else { return Ok(()) };
        // A run needs one connection only: where no other one tells anything, the lock and its fence have to do.
        let Ok(mut second) = connect() else { return Ok(()) };
        match are_shared(conn, &mut second) {
            Ok(Some(true)) => Err(pooler()),
            Ok(Some(false) | None) | Err(_) => Ok(()),
        }
    }
}

/// Whether a pooler gives the session of the first connection, which has nothing to do, to the second. `None` where there are no
/// sessions.
pub(super) fn are_shared<C>(conn: &mut C, second: &mut C) -> QueryResult<Option<bool>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let Some(first) = C::Backend::myself(conn)? else { return Ok(None) };
    if let Err(error) = second.batch_execute("BEGIN") {
        // One that pools statements allows no transaction, and says so.
        return if error.to_string().contains("statement pooling") { Ok(Some(true)) } else { Err(error) };
    }
    let other = C::Backend::myself(second);
    let again = C::Backend::myself(conn);
    second.batch_execute("ROLLBACK")?;
    let (other, again) = (other?, again?);
    Ok(Some(again.as_ref() != Some(&first) || other.as_ref() == Some(&first)))
}
