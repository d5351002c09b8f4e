//! The ledgers of tools whose history is not taken over: recognised by name, and refused with what to type.

use diesel::QueryResult;
use diesel::connection::LoadConnection;

use super::kept::Columns;
use super::taken::number;
use crate::dialect::{Dialect, Facts, refused, table};
use crate::error::Error;
use crate::history::OURS;

/// Table and tool.
const LEDGERS: [(&str, &str); 15] = [
    ("_prisma_migrations", "Prisma Migrate"),
    ("__diesel_schema_migrations", "diesel"),
    ("_sqlx_migrations", "sqlx"),
    ("refinery_schema_history", "refinery"),
    ("schema_migrations", "golang-migrate, dbmate or Rails"),
    ("flyway_schema_history", "Flyway"),
    ("goose_db_version", "goose"),
    ("atlas_schema_revisions", "Atlas"),
    ("__drizzle_migrations", "drizzle"),
    ("seaql_migrations", "SeaORM"),
    ("knex_migrations", "Knex"),
    ("knex_migrations_lock", "Knex"),
    ("databasechangelog", "Liquibase"),
    ("alembic_version", "Alembic"),
    ("django_migrations", "Django"),
];

/// Refuses a database in which another tool's ledger has rows: its migrations are applied, and no record of ours says so.
///
/// An empty ledger says nothing. `known` are those that are kept in step, by this set or by another, or taken over now.
pub(crate) fn refuse<C>(conn: &mut C, facts: &Facts, known: &[&str]) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let reading = |error| refused::<C::Backend>("read another tool's ledger", error);
    for (ledger, tool) in LEDGERS.iter().filter(|(ledger, _)| facts.has_table(ledger) && !known.contains(ledger)) {
        let from = table::<C::Backend>(&facts.schema, ledger);
        let rows = C::Backend::rows(conn, &format!("SELECT '1' FROM {from} LIMIT 1")).map_err(reading)?;
        if rows.is_empty() {
            continue;
        }
        let columns = Columns::of(conn, &facts.schema, ledger).map_err(reading)?;
        let newest = newest(conn, ledger, &from, &columns).map_err(reading)?;
        let newest = newest.as_ref();
        let tool = newest.and_then(|newest| newest.tool).unwrap_or(tool);
        let remedy = match (taken_over(ledger), newest) {
            (Some(layout), _) => format!(
                "name the directory that {tool} migrated it from, in the layout {layout}: then its history is taken over; if the \
                 table is not {tool}'s, rename it"
            ),
            (None, Some(Newest { version, unfinished: false, .. })) => {
                format!("if this directory holds the same migrations: migrator baseline {version}")
            }
            (None, Some(Newest { version, unfinished: true, .. })) => format!(
                "{tool} says that {version} failed: settle it there first; then migrator baseline V, with the last version that is \
                 applied"
            ),
            (None, None) => "migrator baseline V, with the last version of this directory that is applied".to_owned(),
        };
        let message = format!(
            "the database was migrated by {tool}: its table {ledger} has rows, and there is no history of ours"
        );
        return Err(Error::new("foreign_history", message, remedy));
    }
    Ok(())
}

/// The layout of the directories whose tool's history is taken over.
fn taken_over(ledger: &str) -> Option<&'static str> {
    match ledger {
        "_prisma_migrations" => Some("prisma"),
        "__diesel_schema_migrations" => Some("diesel"),
        "_sqlx_migrations" | "refinery_schema_history" => Some("flat"),
        _ => None,
    }
}

/// The last migration that a ledger tells of.
struct Newest {
    /// Which tool it is, where several have a table of that name.
    tool: Option<&'static str>,
    version: String,
    /// Whether the ledger says that it failed half-way.
    unfinished: bool,
}

/// Reads the last migration; `None` where the table is not as that tool makes it.
fn newest<C>(conn: &mut C, ledger: &str, from: &str, columns: &Columns) -> QueryResult<Option<Newest>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let has = |names: &[&str]| names.iter().all(|name| columns.has(name));
    // Column, whether it is a number, and what is true of a migration that failed.
    let (tool, column, is_number, failed, order) = match ledger {
        "schema_migrations" if has(&["version", "dirty"]) => {
            (Some("golang-migrate"), "version", true, "dirty", "version")
        }
        "schema_migrations" if has(&["version"]) => (Some("dbmate or Rails"), "version", false, "1 = 0", "version"),
        "flyway_schema_history" if has(&["version", "success", "installed_rank"]) => {
            (None, "version", false, "NOT success", "installed_rank")
        }
        "atlas_schema_revisions" if has(&["version", "applied", "total"]) => {
            (None, "version", false, "applied < total", "version")
        }
        "goose_db_version" if has(&["version_id", "is_applied", "id"]) => {
            (None, "version_id", true, "1 = 0", "version_id")
        }
        _ => return Ok(None),
    };
    // Rows of what was undone later say nothing, and neither do those without a version, of Flyway's repeatable scripts.
    let which = match ledger {
        "goose_db_version" => format!(
            "WHERE is_applied AND id = (SELECT max(id) FROM {from} AS later WHERE later.version_id = {from}.version_id)"
        ),
        _ => format!("WHERE {column} IS NOT NULL"),
    };
    let text = if is_number { number::<C::Backend>(column) } else { C::Backend::text(column, false) };
    let sql = format!(
        "SELECT {text}, CASE WHEN {failed} THEN '1' ELSE '0' END FROM {from} {which} ORDER BY {from}.{order} DESC LIMIT 1"
    );
    let rows = C::Backend::rows(conn, &sql)?;
    Ok(rows.first().map(|row| Newest { tool, version: row.text(0).to_owned(), unfinished: row.holds(1) }))
}

/// The tables that belong neither to us nor to another tool's bookkeeping.
pub(crate) fn foreign_tables(facts: &Facts) -> impl Iterator<Item = &str> {
    let known = |table: &str| OURS.contains(&table) || LEDGERS.iter().any(|(ledger, _)| *ledger == table);
    facts.tables.iter().map(String::as_str).filter(move |table| !known(table))
}
