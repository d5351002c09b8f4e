//! What a script did to the history, that it may not do.

use diesel::connection::LoadConnection;

use super::{HISTORY, META, Writer, column_names, load};
use crate::dialect::{Dialect, Look};
use crate::session::send;

impl Writer {
    /// What is wrong with the history; `None` while it is what was written up to now, and where that cannot be read: then what
    /// is written next says why.
    pub(crate) fn harmed<C>(&self, conn: &mut C) -> diesel::QueryResult<Option<String>>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        // A script may have taken a role that does not see it.
        send(conn, &self.myself)?;
        let facts = C::Backend::facts(conn, Some(&self.home.schema), Look::Again)?;
        Ok(match load(conn, &facts, &self.home) {
            Ok(Some(history)) => {
                let last = history.records.last().map_or(0, |record| record.sequence);
                let fewer =
                    || format!("its last row has number {last}, and the one that was written {}", self.sequence);
                history.tampered(self.tally.layout).or_else(|| (last != self.sequence).then(fewer))
            }
            Ok(None) => Some("its tables are gone".to_owned()),
            Err(error) => (error.code() == "history_tampered").then(|| error.message().to_owned()),
        })
    }

    /// Whether its tables are surely gone.
    pub(crate) fn is_gone<C>(&self, conn: &mut C) -> bool
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let columns = [HISTORY, META].map(|name| column_names::<C>(conn, &self.home, name));
        columns.iter().any(|columns| columns.as_ref().is_ok_and(Vec::is_empty))
    }
}
