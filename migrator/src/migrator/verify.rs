//! The verb `verify`.

use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::history::LEDGER;
use crate::seeding::{ledger, plan::Recorded};
use crate::status::{DatabaseState, Status};
use crate::verify::{Found, SeedRow, verify};

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// The [`status`](Self::status), and whether what is recorded holds together: the numbers and the fingerprint of the history,
    /// each record against those before it, the tool's table against the history, and the ledger of seeds. It reads only.
    ///
    /// What it finds is among the problems; then the state is [`Blocked`](DatabaseState::Blocked). A database is as it should be when the
    /// state is [`UpToDate`](DatabaseState::UpToDate).
    ///
    /// # Errors
    /// As [`status`](Self::status).
    pub fn verify(&self, conn: &mut C) -> Result<Status, Error> {
        let mut status = self.status(conn)?;
        let seen = self.read(conn)?;
        let rows = match seen.facts.has_table(LEDGER) {
            true => self.patiently(conn, |conn| ledger::load(conn, &seen.home, None))?,
            false => Vec::new(),
        };
        let row = |row: ledger::Row| SeedRow {
            name: row.name,
            took: row.outcome.map(|outcome| matches!(outcome, Recorded::Applied | Recorded::Unchanged)),
            attempts: row.attempts,
            has_moment: row.applied_at.is_some(),
            has_error: row.error.is_some(),
        };
        let (seeds, out_of_step): (Vec<SeedRow>, _) = (rows.into_iter().map(row).collect(), seen.told(false));
        let found = Found { schema: &seen.home.schema, out_of_step: &out_of_step, seeds: &seeds };
        let problems = verify(seen.history.as_ref(), self.set.layout(), &found);
        if !problems.is_empty() {
            status.state = DatabaseState::Blocked;
            status.servable &= problems.iter().all(|problem| problem.code == "out_of_step");
            status.problems.extend(problems);
        }
        Ok(status)
    }
}
