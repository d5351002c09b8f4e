//! Migrations in Rust, beside those of the set.

use std::sync::Arc;

use super::Migrator;
use crate::source::{self, Source, Words};

impl<C> Migrator<C> {
    /// Adds a migration in Rust, for what SQL cannot say.
    ///
    /// `name` is what the name of a file would be, `20240301120000_backfill`: its version gives the place among the others, and
    /// version and name, of which the checksum is made, join the fingerprint. What `run` does is not seen: an edit of it is not
    /// noticed. It has no way down ([`reversible_code`](Self::reversible_code) has one). It runs in a transaction with its record, all or nothing (on MySQL as long as it sends
    /// nothing that commits; else, and when it is killed there, the migration is [failed](crate::State::Failed)). An error or a
    /// panic is that of a failed statement; what the database asks to try again is tried again, so `run` does nothing besides that
    /// cannot be done twice.
    ///
    /// A name that is refused is the error of the first verb. The set is put together anew, in a time that grows with its size.
    ///
    /// ```no_run
    /// # use diesel::prelude::*;
    /// # use diesel::QueryResult;
    /// # fn test(migrations: &migrator::MigrationSet) -> Result<(), Box<dyn std::error::Error>> {
    /// fn backfill(conn: &mut SqliteConnection) -> QueryResult<()> {
    ///     diesel::sql_query("UPDATE account SET slug = lower(name)").execute(conn).map(drop)
    /// }
    ///
    /// let mut conn = SqliteConnection::establish("app.db")?;
    /// migrator::Migrator::new(migrations).code("20240301120000_backfill", backfill).run(&mut conn)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn code<E>(mut self, name: &str, run: impl Fn(&mut C) -> Result<(), E> + Send + Sync + 'static) -> Self
    where
        C: 'static,
        E: Into<Words>,
    {
        self.add_code(name, [Some(source::code(run)), None]);
        self
    }

    /// As [`code`](Self::code), with the way down, which [`revert`](Self::revert) runs under the same rules.
    #[must_use]
    pub fn reversible_code<E>(
        mut self,
        name: &str,
        run: impl Fn(&mut C) -> Result<(), E> + Send + Sync + 'static,
        revert: impl Fn(&mut C) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self
    where
        C: 'static,
        E: Into<Words>,
    {
        self.add_code(name, [Some(source::code(run)), Some(source::code(revert))]);
        self
    }

    fn add_code(&mut self, name: &str, code: [Option<Arc<source::Code<C>>>; 2])
    where
        C: 'static,
    {
        match self.set.with_code(name, code[1].is_some()) {
            Ok(set) => {
                let version = set.layout().version(name).unwrap_or_default();
                self.source = Some(Source::with_code(self.source.take(), version, code));
                self.set = set;
            }
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }
}
