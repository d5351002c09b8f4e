//! The mark: what a database is for, as the rows of the sets say, and an event of the history where there is one.

use diesel::connection::LoadConnection;

use super::writer::in_transaction;
use super::{Home, META, Writer};
use crate::dialect::{Dialect, Facts, refused, table};
use crate::error::Error;
use crate::record::{Record, RecordKind};

/// Which sets' rows a mark goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Of every set that has its history here: the database is one.
    All,
    /// Of the set alone.
    Own,
}

/// What the database is marked as, by any set, also where the history is not whole.
pub(crate) fn marks<C>(conn: &mut C, facts: &Facts) -> Result<Vec<String>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    if !facts.has_table(META) {
        return Ok(Vec::new());
    }
    let (mark, meta) = (C::Backend::text("environment", false), table::<C::Backend>(&facts.schema, META));
    let rows = C::Backend::rows(conn, &format!("SELECT {mark} FROM {meta}"))
        .map_err(|error| refused::<C::Backend>("tell what it is marked as", error))?;
    Ok(rows.iter().filter_map(|row| row.optional(0)).map(str::to_owned).collect())
}

/// The SQL that marks the rows.
fn sql<D: Dialect>(home: &Home, rows: Rows, environment: &str) -> String {
    let (mark, meta) = (D::ident("environment"), table::<D>(&home.schema, META));
    let own = match rows {
        Rows::All => String::new(),
        Rows::Own => format!(" WHERE {} = {}", D::ident("set_name"), D::literal(&home.set_name)),
    };
    format!("UPDATE {meta} SET {mark} = {}{own};", D::literal(environment))
}

impl Writer {
    /// Marks the database. Where the set has records, a record that tells what it was marked as before commits with it.
    pub(crate) fn mark<C>(
        &mut self,
        conn: &mut C,
        rows: Rows,
        before: Option<&str>,
        environment: &str,
    ) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let mark = sql::<C::Backend>(&self.home, rows, environment);
        if self.sequence == 0 || before == Some(environment) {
            return conn.batch_execute(&mark);
        }
        // In ASCII: no encoding of a database lacks it.
        let detail = format!("{} -> {environment}", before.unwrap_or("nothing"));
        let record = Record { detail: Some(detail), ..self.record(RecordKind::Marked, "", "") };
        let (sql, written) = self.sql::<C::Backend>(&record);
        in_transaction(conn, &format!("{sql}\n{mark}"))?;
        self.wrote(written);
        Ok(())
    }
}
