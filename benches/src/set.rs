//! Migration sets of any size, in the form that each runner wants.

use std::fs;
use std::path::Path;

use migrator::MigrationSet;
use sqlx::migrate::Migrator;
use tempfile::TempDir;

/// What each migration of a set does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// CREATE TABLE, CREATE INDEX and INSERT, in 317 bytes.
    Heavy,
    /// ADD COLUMN, INSERT and UPDATE. The first migration makes the tables.
    Light,
}

/// The same migrations for every runner.
pub(crate) struct Set {
    /// Version from 1 on, and text.
    pub(crate) scripts: Vec<(usize, String)>,
    /// `v_name.sql`, which no other tool's table is kept in step with.
    pub(crate) flat: MigrationSet,
    /// `v_name/up.sql`, with which diesel's own table is kept in step.
    pub(crate) diesel: MigrationSet,
    pub(crate) sqlx: Migrator,
    /// Where the files are while the set is used.
    _folder: TempDir,
}

impl Set {
    pub(crate) fn new(size: usize, weight: Weight) -> Set {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let scripts: Vec<_> = (1..=size).map(|number| (number, script(number, size, weight))).collect();
        let (flat, diesel) = (folder.path().join("flat"), folder.path().join("diesel"));
        for (number, text) in &scripts {
            write(&flat.join(format!("{}.sql", name(*number))), text);
            write(&diesel.join(name(*number)).join("up.sql"), text);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without threads");
        Set {
            scripts,
            sqlx: runtime.block_on(Migrator::new(flat.as_path())).expect("sqlx reads the folder"),
            flat: MigrationSet::from_path(flat).expect("the folder has no fault"),
            diesel: MigrationSet::from_path(diesel).expect("the folder has no fault"),
            _folder: folder,
        }
    }
}

/// As diesel's command line would have named it.
pub(crate) fn name(number: usize) -> String {
    format!("{}_change_{number}", 20_240_101_000_000_u64 + number as u64)
}

/// One migration.
pub(crate) fn script(number: usize, size: usize, weight: Weight) -> String {
    // No database takes a column for each of a thousand migrations.
    const COLUMNS: usize = 50;
    let tables = size.div_ceil(COLUMNS);
    match (weight, number) {
        (Weight::Heavy, _) => heavy(number),
        (Weight::Light, 1) => {
            let table = |at| format!("CREATE TABLE fleet_{at} (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL);\n");
            (0..tables).map(table).collect()
        }
        (Weight::Light, _) => {
            let table = format!("fleet_{}", number % tables);
            format!(
                "ALTER TABLE {table} ADD COLUMN note_{number} VARCHAR(100);\n\
                 INSERT INTO {table} (id, name) VALUES ({number}, 'one more of the fleet');\n\
                 UPDATE {table} SET note_{number} = 'with a note' WHERE id = {number};\n"
            )
        }
    }
}

/// The size of a usual migration: 317 bytes, whatever its number.
fn heavy(number: usize) -> String {
    const LENGTH: usize = 317;
    let mut text = format!(
        "CREATE TABLE ship_{number} (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, note VARCHAR(200), built INTEGER);\n\
         CREATE INDEX ship_{number}_name ON ship_{number} (name);\n\
         INSERT INTO ship_{number} (id, name, note, built) VALUES (1, 'one', 'the first of its kind', 1912);\n"
    );
    text.push_str("-- ");
    text.push_str(&"~".repeat(LENGTH.saturating_sub(text.len() + 1)));
    text.push('\n');
    text
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder can be made");
    fs::write(path, text).expect("a script can be written");
}
