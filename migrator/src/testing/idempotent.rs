//! Whether a seed that runs twice leaves the data as once.

use std::collections::BTreeMap;

use diesel::connection::LoadConnection;

use super::TestDatabase;
use crate::dialect::{Dialect, Look, refused, table};
use crate::error::Error;
use crate::ledgers;
use crate::migrator::Migrator;
use crate::seed::{Mode, Phase, Seed};

/// Runs a seed twice, with the seeds that it depends on, on a database of its own, and panics when the second run changed a row.
///
/// `server` is that of [`TestDatabase::new`]. Numbers that a sequence gave away for nothing (PostgreSQL's
/// `ON CONFLICT DO NOTHING` does so) are no change.
///
/// ```no_run
/// # use diesel::prelude::*;
/// # use migrator::{MigrationSet, Migrator, Seed, testing};
/// # fn test(migrations: &MigrationSet, admin: Seed<SqliteConnection>) {
/// testing::assert_idempotent("sqlite:", &Migrator::new(migrations), admin);
/// # }
/// ```
///
/// # Panics
/// Then, naming the table and rows; and when the database cannot be made, or the seed fails.
#[track_caller]
pub fn assert_idempotent<C>(server: &str, migrator: &Migrator<C>, seed: Seed<C>)
where
    C: LoadConnection<Backend: Dialect>,
{
    match difference(server, migrator, seed) {
        Ok(None) => {}
        Ok(Some(difference)) => {
            panic!("the seed {} is not idempotent: its second run changed {difference}", seed.name())
        }
        Err(error) => panic!("{error}"),
    }
}

/// What the second run changed.
fn difference<C>(server: &str, migrator: &Migrator<C>, seed: Seed<C>) -> Result<Option<String>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let mut seeds = Vec::new();
    before(&seed, &mut seeds);
    seeds.push(seed.mode(Mode::Always));
    // What it runs in the service, and where, makes no difference to what it does.
    let seeds: Vec<Seed<C>> = seeds.into_iter().map(|seed| seed.phase(Phase::Blocking).environments(&[])).collect();
    let database = TestDatabase::new(server, migrator, &[])?;
    let mut conn = database.connect()?;
    let mut data = || {
        migrator.seed(&mut conn, &seeds)?;
        read(&mut conn)
    };
    let (first, second) = (data()?, data()?);
    let changed = second.iter().find(|(name, rows)| first.get(*name) != Some(rows));
    Ok(changed.map(|(name, rows)| {
        let known = first.get(name).map(Vec::as_slice).unwrap_or_default();
        format!("the table {name}: {}", told(known, rows))
    }))
}

/// The seeds that one depends on, each behind those that it depends on itself.
fn before<C>(seed: &Seed<C>, found: &mut Vec<Seed<C>>) {
    for other in seed.depends_on {
        if !found.iter().any(|known| known.name == other.name) {
            before(other, found);
            found.push(*other);
        }
    }
}

/// The rows of each table, in an order that does not depend on when they came.
fn read<C>(conn: &mut C) -> Result<BTreeMap<String, Vec<String>>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let reading = |error| refused::<C::Backend>("read the data", error);
    let facts = C::Backend::facts(conn, None, Look::First).map_err(reading)?;
    let mut data = BTreeMap::new();
    let extended = C::Backend::extended(conn, &facts.schema).map_err(reading)?;
    for name in ledgers::foreign_tables(&facts).filter(|name| !extended.iter().any(|extended| extended == name)) {
        let columns = C::Backend::rows(conn, &C::Backend::columns(&facts.schema, name)).map_err(reading)?;
        let shown: Vec<String> = columns.iter().map(|column| C::Backend::shown(column.text(0))).collect();
        let sql = format!("SELECT {} FROM {}", shown.join(", "), table::<C::Backend>(&facts.schema, name));
        let rows = C::Backend::rows(conn, &sql).map_err(reading)?;
        let row = |cells: &crate::dialect::Cells| {
            let cells: Vec<&str> = (0..shown.len()).map(|at| cells.optional(at).unwrap_or("NULL")).collect();
            cells.join(", ")
        };
        let mut rows: Vec<String> = rows.iter().map(row).collect();
        rows.sort_unstable();
        data.insert(name.to_owned(), rows);
    }
    Ok(data)
}

/// The first rows that only one of the two runs left.
fn told(first: &[String], second: &[String]) -> String {
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        let mut left = others.to_vec();
        let is_new = |row: &&String| match left.iter().position(|other| other == *row) {
            Some(at) => {
                left.swap_remove(at);
                false
            }
            None => true,
        };
        these.iter().filter(is_new).take(3).map(|row| format!("({row})")).collect()
    };
    let (gone, new) = (only(first, second), only(second, first));
    match (gone.as_slice(), new.as_slice()) {
        ([], new) => format!("it added {}", new.join(", ")),
        (gone, []) => format!("it removed {}", gone.join(", ")),
        (gone, new) => format!("it made {} out of {}", new.join(", "), gone.join(", ")),
    }
}
