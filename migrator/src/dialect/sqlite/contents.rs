//! What a SQLite file holds.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::sqlite::Sqlite;

use crate::contents::{Contents, Object};
use crate::dialect::{Dialect, table};

/// Indexes go with their tables, and so do the tables that a virtual one keeps its data in, which go after it. What SQLite makes for
/// itself (`sqlite_sequence`) is emptied by it.
pub(super) fn contents<C: LoadConnection<Backend = Sqlite>>(conn: &mut C) -> QueryResult<Contents> {
    let rows = Sqlite::rows(
        conn,
        "SELECT CASE WHEN sql LIKE 'create virtual%' THEN 'virtual table' ELSE type END, name FROM main.sqlite_master WHERE type IN \
         ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY CASE WHEN type = 'trigger' THEN 0 WHEN type = \
         'view' THEN 1 WHEN sql LIKE 'create virtual%' THEN 2 ELSE 3 END, name",
    )?;
    let object = |kind: &str, name: &str| {
        let ident = table::<Sqlite>("main", name);
        let word = if kind == "virtual table" { "TABLE".to_owned() } else { kind.to_uppercase() };
        let sql = format!("DROP {word} IF EXISTS {ident}");
        Object::new(kind, name, ident, sql)
    };
    let objects = rows.iter().map(|row| object(row.text(0), row.text(1))).collect();
    Ok(Contents { objects, ..Contents::default() })
}
