//! The history tables of other tools: a database that one of them migrated is not empty, and not ours.

mod kept;

use diesel::connection::LoadConnection;

pub(crate) use self::kept::{Ledger, UNFINISHED, keeps, versions};
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
/// An empty ledger says nothing. `known` is the one that is kept in step, by this set or by another.
pub(crate) fn refuse<C>(conn: &mut C, facts: &Facts, known: Option<&str>) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    for (ledger, tool) in LEDGERS.iter().filter(|(ledger, _)| facts.has_table(ledger) && Some(*ledger) != known) {
        let sql = format!("SELECT '1' FROM {} LIMIT 1", table::<C::Backend>(&facts.schema, ledger));
        let rows =
            C::Backend::rows(conn, &sql).map_err(|error| refused::<C::Backend>("read another tool's ledger", error))?;
        if !rows.is_empty() {
            return Err(Error::new(
                "foreign_history",
                format!(
                    "the database was migrated by {tool}: its table {ledger} has rows, and there is no history of ours"
                ),
                format!("go on with {tool} here; taking over its history is not yet part of this version"),
            ));
        }
    }
    Ok(())
}

/// The tables that belong neither to us nor to another tool's bookkeeping.
pub(crate) fn foreign_tables(facts: &Facts) -> impl Iterator<Item = &str> {
    let known = |table: &str| OURS.contains(&table) || LEDGERS.iter().any(|(ledger, _)| *ledger == table);
    facts.tables.iter().map(String::as_str).filter(move |table| !known(table))
}
