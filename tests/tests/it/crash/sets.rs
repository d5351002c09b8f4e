//! The migrations of these tests, and what a database must look like after them.

use std::{fs, path::Path};

use migrator_tests::Database;
use tempfile::TempDir;

/// The tool whose layout a directory has, and whose table is kept in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Diesel,
    Prisma,
}

/// A directory of migrations, removed on drop.
pub(super) struct Set(TempDir, Tool);

impl Set {
    /// In diesel's layout; each of `(name, script)`.
    pub(super) fn new<N: AsRef<str>, T: AsRef<str>>(migrations: &[(N, T)]) -> Set {
        Self::of(Tool::Diesel, migrations)
    }

    /// In the layout of a tool.
    pub(super) fn of<N: AsRef<str>, T: AsRef<str>>(tool: Tool, migrations: &[(N, T)]) -> Set {
        let set = Set(tempfile::tempdir().expect("make a folder"), tool);
        migrations.iter().for_each(|(name, script)| set.write(name.as_ref(), script.as_ref()));
        set
    }

    pub(super) fn write(&self, name: &str, script: &str) {
        let folder = self.0.path().join(name);
        fs::create_dir_all(&folder).expect("make a folder");
        let file = if self.1 == Tool::Diesel { "up.sql" } else { "migration.sql" };
        fs::write(folder.join(file), script).expect("write a script");
    }

    pub(super) fn write_down(&self, name: &str, script: &str) {
        fs::write(self.0.path().join(name).join("down.sql"), script).expect("write a script");
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Scripts of which no statement can run twice without showing: a row too many, a table that is there already.
///
/// On SQLite and PostgreSQL the first and the third run in a transaction. On MariaDB, where DDL commits by itself, none
/// does; the second has no DDL.
pub(super) const MIXED: [(&str, &str); 3] = [
    (
        "1_first",
        "CREATE TABLE log (entry VARCHAR(20) NOT NULL);
         INSERT INTO log VALUES ('1.2');
         CREATE TABLE harbour (id INT NOT NULL, name VARCHAR(20));",
    ),
    (
        "2_second",
        "-- migrator: no-transaction
         INSERT INTO log VALUES ('2.1');
         INSERT INTO harbour (id, name) SELECT COUNT(*), 'Skagen' FROM log;
         INSERT INTO log VALUES ('2.3');",
    ),
    (
        "3_third",
        "INSERT INTO log VALUES ('3.1');
         ALTER TABLE harbour ADD COLUMN depth INT;
         INSERT INTO log VALUES ('3.3');",
    ),
];

/// As [`MIXED`], with DDL in the script without a transaction.
pub(super) const MORE_DDL: [(&str, &str); 2] = [
    MIXED[0],
    (
        "2_second",
        "-- migrator: no-transaction
         CREATE TABLE berth AS SELECT entry FROM log;
         INSERT INTO log VALUES ('2.2');
         ALTER TABLE berth ADD COLUMN length INT;",
    ),
];

/// As [`MORE_DDL`], and behind it enough for PostgreSQL to send them in one message, with one in their middle that goes alone.
pub(super) fn many() -> Vec<(String, String)> {
    let pair = |(name, script): (&str, &str)| (name.to_owned(), script.to_owned());
    let mut many = MORE_DDL.map(pair).to_vec();
    for number in 3..=9 {
        let script = format!(
            "CREATE TABLE pier_{number} (id INT NOT NULL, name VARCHAR(20));
             INSERT INTO log VALUES ('{number}.2');
             INSERT INTO pier_{number} (id, name) SELECT COUNT(*), 'Skagen' FROM log;"
        );
        many.push((format!("{number}_pier"), script));
    }
    many[6].1.insert_str(0, "-- migrator: no-transaction\n");
    for number in 1..=5 {
        many.push((format!("9{number}_mole"), format!("ALTER TABLE pier_3 ADD COLUMN m{number} INT;")));
    }
    many
}

/// Everything that a run leaves, as one text: schema, rows, and what the history says of each migration.
pub(super) fn state<D: Database>(database: &D) -> String {
    let log = database.texts("SELECT entry AS value FROM log ORDER BY 1");
    format!(
        "{}\n{:?}\nlog: {log:?}\napplied: {:?}",
        database.dump(),
        database.row_counts(),
        history(database, "event = 'applied'")
    )
}

/// The names in the history's records that are so, in order.
pub(super) fn history<D: Database>(database: &D, condition: &str) -> Vec<String> {
    database.texts(&format!("SELECT name AS value FROM __migrator_history WHERE {condition} ORDER BY sequence"))
}

/// The history's records, each as one line.
pub(super) fn records<D: Database>(database: &D) -> Vec<String> {
    let column = |sql: &str| {
        database.texts(&format!("SELECT {sql} AS value FROM __migrator_history WHERE set_name = '' ORDER BY sequence"))
    };
    let events = column("event").into_iter().zip(column("name"));
    let statements = column("COALESCE(TRIM(CAST(statement AS CHAR(20))), '-')");
    events.zip(statements).map(|((event, name), statement)| format!("{event} {name} {statement}")).collect()
}

/// What the history must be after any number of interrupted runs: numbered without gaps, each migration applied once,
/// of no script two records that the same statement took, and diesel's table in step with it.
pub(super) fn assert_history_is_sound<D: Database>(database: &D) {
    assert_is_sound(database, Tool::Diesel);
}

/// The same with the table of another tool.
pub(super) fn assert_is_sound<D: Database>(database: &D, tool: Tool) {
    let numbers = database.texts(
        "SELECT TRIM(CAST(sequence AS CHAR(20))) AS value FROM __migrator_history WHERE set_name = '' ORDER BY sequence",
    );
    let expected: Vec<String> = (1..=numbers.len()).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "the numbers of the history");
    let records = records(database);
    let mut took: Vec<&String> =
        records.iter().filter(|line| line.starts_with("applied") || line.starts_with("statement")).collect();
    let all = took.len();
    took.sort();
    took.dedup();
    assert_eq!(took.len(), all, "something took twice: {records:#?}");
    let applied: Vec<String> = history(database, "event = 'applied'");
    match tool {
        Tool::Diesel => {
            let in_step = database.texts("SELECT version AS value FROM __diesel_schema_migrations ORDER BY version");
            let versions: Vec<&str> = applied.iter().filter_map(|name| name.split('_').next()).collect();
            assert_eq!(in_step, versions, "diesel's table");
        }
        Tool::Prisma => {
            // Databases sort names in ways of their own.
            let mut applied = applied;
            applied.sort();
            assert_eq!(prismas_rows(database), applied, "Prisma's table: {records:#?}");
        }
    }
}

/// Prisma's table: the name of each row, and what is not as in a row of a migration that is applied.
pub(super) fn prismas_rows<D: Database>(database: &D) -> Vec<String> {
    let mut rows = database.texts(
        "SELECT CONCAT(migration_name, CASE WHEN rolled_back_at IS NOT NULL THEN ' rolled back' WHEN finished_at IS NULL THEN ' begun' \
         WHEN applied_steps_count <> 1 OR logs IS NOT NULL THEN ' odd' ELSE '' END) AS value \
         FROM _prisma_migrations",
    );
    rows.sort();
    rows
}

/// The [`state`] of a database in which nothing was interrupted.
pub(super) fn reference<D: Database>(database: &D, set: &Set) -> String {
    super::starter::run(database.url(), set.path());
    assert_history_is_sound(database);
    state(database)
}
