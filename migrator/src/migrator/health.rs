//! What the health of a database is, read over one connection.

use std::time::Instant;

use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::health::{HealthReport, Migrations, Reading, migrations};
use crate::plan::{self, Policy, Target};
use crate::status;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// How healthy a database is, for a host without a [`DbProvider`](crate::DbProvider). It reads only, needs no lock, works for a
    /// role that may only `SELECT`, and takes as long as the database does.
    ///
    /// What cannot be read is a report too, and no healthy one.
    pub fn health(&self, conn: &mut C) -> HealthReport {
        HealthReport::of_connection(&self.reading(conn).unwrap_or_else(Reading::trouble))
    }

    /// One query when the database is exactly where the set is, else what tells how it stands.
    pub(crate) fn reading(&self, conn: &mut C) -> Result<Reading, Error> {
        self.check_set()?;
        let start = Instant::now();
        let is_there = self.glimpse(conn)?.0.is_some_and(|glance| self.is_proven(&glance));
        let latency = Some(start.elapsed());
        let migrations = match is_there {
            true => Migrations::up_to_date(&self.set),
            false => self.footing(conn)?,
        };
        Ok(Reading { latency, migrations: Ok(migrations), missing: Vec::new() })
    }

    fn footing(&self, conn: &mut C) -> Result<Migrations, Error> {
        let seen = self.read(conn)?;
        let known = seen.known();
        let database = seen.facts.database.clone();
        let status = status::status(&self.set, known.as_ref(), C::Backend::SQL.name(), database, self.oldest()?);
        let plan = || {
            let known = known.unwrap_or_default();
            let mut given = self.given(conn, &seen.facts, &known)?;
            // What runs right now was not left behind.
            if self.running(conn, &seen, &known).is_some() {
                given.policies.failed = Policy::Warn;
            }
            plan::plan(&mut self.scripts(), &known, &Target::Latest, given)
        };
        Ok(migrations(self.set.fingerprint(), &status, plan))
    }
}
