//! Turns with Prisma Migrate on one database. Its rows are written here as its engine writes them; `scripts/turns` has the real one.

mod back;
mod failed;
mod turns;

use migrator::Migrator;
use migrator_tests::Database;
use sha2::{Digest, Sha256};

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, status};
use crate::folder::{Folder, table};
use crate::watch;

pub(crate) const LEDGER: &str = "_prisma_migrations";

/// Migrations of Prisma's layout, `202401NN000000_tN`, each with a table and a row.
pub(crate) fn folder(count: usize) -> Folder {
    let folder = Folder::of_files(&[]);
    (1..=count).for_each(|number| add(&folder, number, table(number)));
    folder
}

pub(crate) fn name(number: usize) -> String {
    format!("202401{number:02}000000_t{number}")
}

pub(crate) fn add(folder: &Folder, number: usize, text: impl AsRef<[u8]>) {
    folder.write(&format!("{}/migration.sql", name(number)), text);
}

/// What is different in Prisma's own table on each database.
pub(crate) trait Prisma: Subject {
    const CREATE: &'static str;
    /// Two moments, the later one last, as its engine writes them.
    const MOMENTS: [&'static str; 2];
}

impl Prisma for Sqlite {
    const CREATE: &'static str = "CREATE TABLE \"_prisma_migrations\" (\"id\" TEXT PRIMARY KEY NOT NULL, \"checksum\" TEXT NOT NULL, \
        \"finished_at\" DATETIME, \"migration_name\" TEXT NOT NULL, \"logs\" TEXT, \"rolled_back_at\" DATETIME, \"started_at\" \
        DATETIME NOT NULL DEFAULT current_timestamp, \"applied_steps_count\" INTEGER UNSIGNED NOT NULL DEFAULT 0)";
    const MOMENTS: [&'static str; 2] = ["1704067200123", "'2024-01-01T00:00:01.456+00:00'"];
}

impl Prisma for Postgres {
    const CREATE: &'static str = "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, \
        finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ, started_at \
        TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)";
    const MOMENTS: [&'static str; 2] = ["'2024-01-01T00:00:00.123Z'", "'2024-01-01T00:00:01.456Z'"];
}

impl Prisma for Mariadb {
    const CREATE: &'static str = "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, \
        finished_at DATETIME(3), migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at DATETIME(3), started_at \
        DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), applied_steps_count INTEGER UNSIGNED NOT NULL DEFAULT 0) DEFAULT \
        CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci";
    const MOMENTS: [&'static str; 2] = ["'2024-01-01 00:00:00.123'", "'2024-01-01 00:00:01.456'"];
}

/// How an attempt of Prisma's ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Failed,
    RolledBack,
}

pub(crate) fn sha256(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The row that Prisma leaves behind when it ran this text.
pub(crate) fn row<S: Prisma>(database: &S::Database, number: usize, text: impl AsRef<[u8]>, end: End) {
    let (name, checksum) = (name(number), sha256(text));
    let [began, ended] = S::MOMENTS;
    let [finished, logs, rolled_back, steps] = match end {
        End::Finished => [ended, "NULL", "NULL", "1"],
        End::Failed => ["NULL", "'no such table: nowhere'", "NULL", "0"],
        End::RolledBack => ["NULL", "'no such table: nowhere'", ended, "0"],
    };
    let id = format!("{:08x}-0000-4000-8000-{:012x}", fastrand::u32(..), fastrand::u32(..));
    database.execute(&format!(
        "INSERT INTO {LEDGER} (id, checksum, finished_at, migration_name, logs, rolled_back_at, started_at, applied_steps_count) \
         VALUES ('{id}', '{checksum}', {finished}, '{name}', {logs}, {rolled_back}, {began}, {steps})"
    ));
}

/// What `prisma migrate deploy` does on an empty database with so many migrations.
pub(crate) fn prisma_runs<S: Prisma>(database: &S::Database, numbers: impl IntoIterator<Item = usize>) {
    if !database.texts(S::TABLES).iter().any(|table| table == LEDGER) {
        database.execute(S::CREATE);
    }
    for number in numbers {
        database.execute(&table(number));
        row::<S>(database, number, table(number), End::Finished);
    }
}

/// Name and fate of each row.
pub(crate) fn ledger(database: &impl Database) -> Vec<String> {
    database.texts(&format!(
        "SELECT CONCAT(migration_name, CASE WHEN rolled_back_at IS NOT NULL THEN ' rolled back' WHEN finished_at IS NULL THEN \
         ' failed' ELSE '' END) AS value FROM {LEDGER} ORDER BY 1"
    ))
}

/// What the history says, each with its detail, moments left out.
pub(crate) fn details(database: &impl Database) -> Vec<String> {
    let sql = "SELECT CONCAT(event, ' ', version, ' ', COALESCE(detail, '')) AS value FROM __migrator_history ORDER BY sequence";
    let rows = database.texts(sql);
    // A statement by itself is recorded by itself, where DDL commits.
    let rows = rows.iter().filter(|row| !["planned", "statement"].iter().any(|event| row.starts_with(event)));
    rows.map(|row| row.split(' ').take(3).collect::<Vec<_>>().join(" ").trim_end().to_owned()).collect()
}

pub(crate) fn states<S: Subject>(database: &S::Database, folder: &Folder) -> Vec<&'static str> {
    status::<S>(database, &folder.set()).migrations().iter().map(|row| row.state.name()).collect()
}

pub(crate) fn queries<S: Subject>(database: &S::Database, folder: &Folder) -> usize {
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    queries.take().len()
}

/// What we recorded of another tool's turns is no work of a hand.
pub(crate) fn holds_together<S: Prisma>(database: &S::Database, folder: &Folder) {
    let set = folder.set();
    let found = Migrator::new(&set).verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(found.problems().is_empty(), "{found}");
}
