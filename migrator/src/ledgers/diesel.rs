//! diesel's table: a version for each migration that is applied.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::kept::Columns;
use crate::dialect::{Cells, Dialect, table};
use crate::migration::MigrationSet;
use crate::record::{Change, History, Record, RecordKind};
use crate::turns::{Ran, Row, Says};

pub(super) const TABLE: &str = "__diesel_schema_migrations";
pub(super) const COLUMNS: &[&str] = &["version"];

/// Whether the versions in a list are those of the set.
pub(super) fn says(list: &str, set: &MigrationSet) -> bool {
    let mut there: Vec<&str> = list.split('/').filter(|version| !version.is_empty()).collect();
    if there.len() != set.len() {
        return false;
    }
    there.sort_unstable();
    set.iter().map(|migration| migration.canonical()).eq(there)
}

pub(super) fn rows<C>(conn: &mut C, schema: &str, columns: &Columns) -> QueryResult<Vec<Row>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let at = if columns.has("run_on") { run_on(C::Backend::SQL) } else { "NULL" };
    let sql = format!(
        "SELECT {}, {at} FROM {} WHERE {} IS NOT NULL",
        C::Backend::text("version", false),
        table::<C::Backend>(schema, TABLE),
        C::Backend::ident("version"),
    );
    let row = |row: &Cells| Row {
        version: row.text(0).to_owned(),
        at: row.optional(1).map(str::to_owned),
        says: Says::Applied(Ran::Unknown),
    };
    Ok(C::Backend::rows(conn, &sql)?.iter().map(row).collect())
}

/// diesel's own definition.
pub(super) fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT \
         CURRENT_TIMESTAMP)"
    )
}

/// The rows that say what the history says.
pub(super) fn fill<D: Dialect>(table: &str, set: &MigrationSet, history: &History) -> String {
    let applied = history.in_the_tools_table(set.layout());
    let values: Vec<String> = applied.iter().map(|version| format!("({})", D::literal(version))).collect();
    match values.is_empty() {
        true => String::new(),
        false => format!("INSERT INTO {table} ({}) VALUES {}", D::ident("version"), values.join(", ")),
    }
}

/// A row that is there already makes the record fail: diesel ran the migration at the same moment.
pub(super) fn follow<D: Dialect>(ledger: &str, record: &Record, change: &Change) -> String {
    let version = D::ident("version");
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

/// When a row was written, RFC 3339 UTC. On PostgreSQL the column has no zone: it is taken for the session's.
fn run_on(dialect: SqlDialect) -> &'static str {
    match dialect {
        SqlDialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', run_on)",
        SqlDialect::Postgres => "to_char(run_on::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
        SqlDialect::Mysql => "DATE_FORMAT(CONVERT_TZ(run_on, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s.000Z')",
    }
}
