//! Seeds, on each database.

mod boots;
mod failures;
mod files;
mod together;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::seed::Verify;
use migrator::{Error, MigrationSet, Migrator, Seed, SeedError, SeedOutcome, SeedReport, SeedResult};
use migrator_tests::Database;

use crate::dialects::{Subject, applies};
use crate::folder::Folder;

pub(crate) const TABLES: &str = "CREATE TABLE role (name VARCHAR(40) NOT NULL PRIMARY KEY, note VARCHAR(40));
    CREATE TABLE log (entry VARCHAR(40) NOT NULL);";

/// A migrated database: `role`, with a key, and `log`, in which each run of a seed shows.
pub(super) fn migrated<S: Subject>() -> (S::Database, MigrationSet) {
    let set = Folder::of(&[("01_tables", TABLES)]).set();
    let database = S::fresh();
    applies::<S>(&database, &set);
    (database, set)
}

/// A list as a `const` would have it.
pub(crate) fn list<C>(seeds: impl Into<Vec<Seed<C>>>) -> &'static [Seed<C>] {
    Box::leak(seeds.into().into_boxed_slice())
}

pub(super) fn note<C: SimpleConnection>(conn: &mut C, entry: &str) -> SeedResult {
    conn.batch_execute(&format!("INSERT INTO log VALUES ('{entry}')"))?;
    Ok(1)
}

pub(super) fn roles<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("INSERT INTO role (name) VALUES ('admin'), ('reader')")?;
    note(conn, "roles")?;
    Ok(2)
}

pub(super) fn second<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "second")
}

pub(super) fn third<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "third")
}

pub(super) fn nothing<C>(_conn: &mut C) -> SeedResult {
    Ok(0)
}

/// Whether there are roles.
pub(super) fn has_roles<S: Subject>() -> Verify<S::Connection> {
    |conn| Ok(!S::texts(conn, "SELECT name AS value FROM role").is_empty())
}

thread_local! {
    /// How often the next seeds of this thread fail.
    static FAULTS: Cell<u32> = const { Cell::new(0) };
}

pub(super) fn will_fail(times: u32) {
    FAULTS.set(times);
}

fn is_to_fail() -> bool {
    let left = FAULTS.get();
    FAULTS.set(left.saturating_sub(1));
    left > 0
}

/// Writes, and then fails in a way that passes, as often as it was told to.
pub(super) fn flaky<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "flaky")?;
    if is_to_fail() { Err(SeedError::transient("the mail server sleeps")) } else { Ok(1) }
}

/// Writes, and then fails for good, as often as it was told to.
pub(super) fn broken<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "broken")?;
    if is_to_fail() { Err(SeedError::new("the sky fell")) } else { Ok(1) }
}

pub(super) fn migrator<C>(set: &MigrationSet) -> Migrator<C> {
    Migrator::new(set).pause(|_| ControlFlow::Continue(()))
}

/// A clock of the test's own: what it was asked to wait, without waiting.
pub(super) fn paused<C>(migrator: Migrator<C>) -> (Migrator<C>, Arc<Mutex<Vec<Duration>>>) {
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&pauses);
    let migrator = migrator.pause(move |pause| {
        kept.lock().expect("no test panics while it notes").push(pause);
        ControlFlow::Continue(())
    });
    (migrator, pauses)
}

pub(super) fn seeded<S: Subject>(
    database: &S::Database,
    set: &MigrationSet,
    seeds: &[Seed<S::Connection>],
) -> Result<SeedReport, Error> {
    migrator(set).seed(&mut database.connect(), seeds)
}

/// Seeds, where nothing may go wrong, and says what became of each.
pub(super) fn seeds<S: Subject>(database: &S::Database, set: &MigrationSet, seeds: &[Seed<S::Connection>]) -> String {
    told(&seeded::<S>(database, set, seeds).unwrap_or_else(|error| panic!("{error}")))
}

/// `name outcome` of each, in order.
pub(super) fn told(report: &SeedReport) -> String {
    let word = |outcome: &SeedOutcome| match outcome {
        SeedOutcome::Applied { rows } => format!("applied {rows}"),
        SeedOutcome::Unchanged => "unchanged".to_owned(),
        SeedOutcome::Skipped(_) => "skipped".to_owned(),
        SeedOutcome::Failed { attempts, next_in, .. } => {
            format!("failed {attempts}{}", if next_in.is_some() { " retrying" } else { "" })
        }
        other => format!("{other:?}"),
    };
    let told: Vec<String> =
        report.seeds().iter().map(|seed| format!("{} {}", seed.name, word(&seed.outcome))).collect();
    told.join(", ")
}

pub(super) fn log<S: Subject>(database: &S::Database) -> Vec<String> {
    database.texts("SELECT entry AS value FROM log ORDER BY entry")
}

/// The ledger, each row as one line; everything that does not depend on the moment.
pub(super) fn ledger<S: Subject>(database: &S::Database) -> Vec<String> {
    let column = |column: &str| {
        database.texts(&format!(
            "SELECT COALESCE(CAST({column} AS CHAR(200)), '-') AS value FROM __migrator_seeds ORDER BY name"
        ))
    };
    let columns: Vec<Vec<String>> = ["name", "version", "outcome", "attempts", "rows_touched"].map(column).into();
    (0..columns[0].len())
        .map(|at| columns.iter().map(|column| column[at].trim()).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Everything in the ledger, times and run ids too: equal when nothing was written.
pub(super) fn ledger_as_it_is<S: Subject>(database: &S::Database) -> Vec<String> {
    let column = |column: &str| {
        database.texts(&format!(
            "SELECT COALESCE(CAST({column} AS CHAR(200)), '-') AS value FROM __migrator_seeds ORDER BY name"
        ))
    };
    ["name", "outcome", "attempts", "next_at", "run_id", "applied_at", "updated_at"]
        .into_iter()
        .flat_map(column)
        .collect()
}
