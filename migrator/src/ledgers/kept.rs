//! The table of the layout's own tool, read and kept in step with the history: the tool can take the next turn.

use diesel::QueryResult;
use diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::layout::Layout;
use migrator_source::sql::SqlDialect;

use crate::dialect::{Dialect, refused, table};
use crate::error::Error;
use crate::history::Home;
use crate::migration::MigrationSet;
use crate::record::{Change, History, Record, RecordKind};
use crate::turns::Row;

/// diesel's table.
const DIESEL: &str = "__diesel_schema_migrations";

/// Where it is filled before it gets its name, where each statement of DDL commits by itself.
pub(crate) const UNFINISHED: &str = "__migrator_ledger";

/// Whether a set keeps a tool's table in step. diesel knows one set only: ours is the one without a name.
pub(crate) fn keeps(set: &MigrationSet, set_name: &str) -> bool {
    set.layout() == Layout::Diesel && set_name.is_empty()
}

/// Whether the versions that [`Dialect::versions`] gave are those of the set, no more and no less.
///
/// No folder's name holds a `/`; where a version does, the lists differ and the slow way finds out.
pub(crate) fn versions(set: &MigrationSet, versions: &str) -> bool {
    let mut there: Vec<&str> = versions.split('/').filter(|version| !version.is_empty()).collect();
    if there.len() != set.len() {
        return false;
    }
    there.sort_unstable();
    set.iter().map(|migration| migration.canonical()).eq(there)
}

/// The tool's table, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    schema: String,
    /// `None` when there is no table.
    rows: Option<Vec<Row>>,
}

impl Ledger {
    pub(crate) const NAME: &str = DIESEL;

    /// Reads it where our history lives, which is where diesel looks: in the current schema.
    pub(crate) fn load<C>(conn: &mut C, home: &Home) -> Result<Self, Error>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let schema = home.schema.as_str();
        let reading = |error| refused::<C::Backend>("read diesel's table", error);
        let columns = C::Backend::rows(conn, &C::Backend::columns(schema, DIESEL)).map_err(reading)?;
        let has = |name: &str| columns.iter().any(|column| column.text(0) == name);
        if columns.is_empty() {
            return Ok(Self { schema: schema.to_owned(), rows: None });
        }
        if !has("version") {
            let message = format!("the table {DIESEL} has no column version, so it is not diesel's");
            let remedy = format!("rename that table: diesel keeps its own history in {DIESEL}");
            return Err(Error::new("foreign_history", message, remedy));
        }
        let at = if has("run_on") { run_on(C::Backend::SQL) } else { "NULL" };
        let sql = format!(
            "SELECT {}, {at} FROM {} WHERE {} IS NOT NULL",
            C::Backend::text("version", false),
            table::<C::Backend>(schema, DIESEL),
            C::Backend::ident("version"),
        );
        let rows = C::Backend::rows(conn, &sql).map_err(reading)?;
        let row = |row: &crate::dialect::Cells| Row {
            version: row.text(0).to_owned(),
            at: row.optional(1).map(str::to_owned),
        };
        Ok(Self { schema: schema.to_owned(), rows: Some(rows.iter().map(row).collect()) })
    }

    /// Where it is, without what it says.
    pub(crate) fn place(&self) -> Self {
        Self { schema: self.schema.clone(), rows: None }
    }

    /// What it says; nothing is said by a table that is not there.
    pub(crate) fn rows(&self) -> Option<&[Row]> {
        self.rows.as_deref()
    }

    /// Whether it says that migrations were applied.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| !rows.is_empty())
    }

    /// Makes it where it is not there, as diesel makes it, with what the history says is applied: a table that is gone does not
    /// say that nothing is.
    pub(crate) fn make<C>(&mut self, conn: &mut C, set: &MigrationSet, history: Option<&History>) -> QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self.rows.is_some() {
            return Ok(());
        }
        let applied = history.map(|history| history.in_the_tools_table(set.layout())).unwrap_or_default();
        let ledger = table::<C::Backend>(&self.schema, DIESEL);
        let values: Vec<String> = applied.iter().map(|version| format!("({})", C::Backend::literal(version))).collect();
        let fill = |table: &str| match values.is_empty() {
            true => String::new(),
            false => format!(";\nINSERT INTO {table} ({}) VALUES {}", C::Backend::ident("version"), values.join(", ")),
        };
        if C::Backend::SQL == SqlDialect::Mysql && !values.is_empty() {
            // Killed in between, a table without rows would say that everything was reverted.
            let unfinished = table::<C::Backend>(&self.schema, UNFINISHED);
            conn.batch_execute(&format!(
                "DROP TABLE IF EXISTS {unfinished};\n{}{};\nALTER TABLE {unfinished} RENAME TO {ledger}",
                create(&unfinished),
                fill(&unfinished)
            ))?;
        } else {
            C::TransactionManager::begin_transaction(conn)?;
            if let Err(error) = conn.batch_execute(&format!("{}{}", create(&ledger), fill(&ledger))) {
                let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                return Err(error);
            }
            C::TransactionManager::commit_transaction(conn)?;
        }
        self.rows = Some(applied.into_iter().map(|version| Row { version, at: None }).collect());
        Ok(())
    }

    /// The SQL that makes it say what a record says; it commits with the record.
    ///
    /// A row that is there already makes the record fail: the tool ran the migration at the same moment.
    pub(crate) fn follow<D: Dialect>(&self, record: &Record, change: &Change) -> String {
        let (ledger, version) = (table::<D>(&self.schema, DIESEL), D::ident("version"));
        match change {
            _ if record.is_outside() || record.leaves_the_row() => String::new(),
            Change::Nothing => String::new(),
            // A person says so of a migration whose revert may be half done: then the row is still there.
            Change::Applied(applied, _) if record.kind == Some(RecordKind::Resolved) => {
                let applied = D::literal(applied);
                let row = format!("SELECT 1 FROM {ledger} WHERE {version} = {applied}");
                let from = if D::SQL == SqlDialect::Mysql { " FROM DUAL" } else { "" };
                format!("INSERT INTO {ledger} ({version}) SELECT {applied}{from} WHERE NOT EXISTS ({row});\n")
            }
            Change::Applied(applied, _) => {
                format!("INSERT INTO {ledger} ({version}) VALUES ({});\n", D::literal(applied))
            }
            Change::Undone(undone) => format!("DELETE FROM {ledger} WHERE {version} = {};\n", D::literal(undone)),
        }
    }
}

/// diesel's own definition.
fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT \
         CURRENT_TIMESTAMP)"
    )
}

/// When a row was written, RFC 3339 UTC. On PostgreSQL the column has no zone: it is taken for the session's.
fn run_on(dialect: SqlDialect) -> &'static str {
    match dialect {
        SqlDialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', run_on)",
        SqlDialect::Postgres => "to_char(run_on::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
        SqlDialect::Mysql => "DATE_FORMAT(CONVERT_TZ(run_on, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s.000Z')",
    }
}
