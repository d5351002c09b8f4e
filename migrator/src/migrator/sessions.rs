//! Whether each connection is a session of its own, or a pooler shares the server's among its clients.

use diesel::QueryResult;
use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::{Dialect, refused};
use crate::error::Error;
use crate::lock::pooler;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Refuses a pooler before anything is set or locked, which would stay with the server's session for its next client. It takes
    /// a second connection to find one.
    pub(super) fn check_sessions(&self, conn: &mut C) -> Result<(), Error> {
        let Some(connect) = self.connect.as_ref().filter(|_| !C::Backend::LOCK_IS_TRANSACTION) else { return Ok(()) };
        // A run needs one connection only: where there is no other one, the lock and its fence have to do.
        let Ok(mut second) = connect() else { return Ok(()) };
        let asking = |error| refused::<C::Backend>("tell the session's number", error);
        match are_shared(conn, &mut second).map_err(asking)? {
            Some(true) => Err(pooler()),
            Some(false) | None => Ok(()),
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
