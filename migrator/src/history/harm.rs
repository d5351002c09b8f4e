//! What a script did to the history, that it may not do.

use diesel::connection::LoadConnection;

use super::{Writer, exists, load};
use crate::dialect::Dialect;

impl Writer {
    /// What is wrong with the history; `None` while it is what was written up to now.
    pub(crate) fn harmed<C>(&self, conn: &mut C) -> diesel::QueryResult<Option<String>>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let facts = C::Backend::facts(conn, Some(&self.home.schema))?;
        Ok(match load(conn, &facts, &self.home) {
            Ok(Some(history)) => {
                let last = history.records.last().map_or(0, |record| record.sequence);
                let fewer =
                    || format!("its last row has number {last}, and the one that was written {}", self.sequence);
                history.tampered(self.tally.layout).or_else(|| (last != self.sequence).then(fewer))
            }
            Ok(None) => Some("its tables are gone".to_owned()),
            Err(error) => Some(error.message().to_owned()),
        })
    }

    /// Whether its tables are there.
    pub(crate) fn stands<C>(&self, conn: &mut C) -> bool
    where
        C: LoadConnection<Backend: Dialect>,
    {
        exists(conn, &self.home)
    }
}
