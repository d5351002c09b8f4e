//! Turns with Prisma Migrate on one database. Its rows are written here as its engine writes them; `scripts/turns` has the real one.

use migrator::{DatabaseState, Migrator, Policy, Resolution, State, Target};
use migrator_tests::Database;
use sha2::{Digest, Sha256};

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    what_prisma_applied_is_taken_over,
    prisma_finds_what_we_applied,
    each_takes_the_next_turn,
    what_failed_in_prisma_waits_for_a_person,
    what_failed_in_prisma_and_was_done_by_hand,
    what_prisma_resolved_is_resolved,
    what_was_rolled_back_runs_again,
    several_rows_of_one_migration_are_one_story,
    an_edit_after_prisma_applied_it_shows,
    a_checkout_with_other_line_endings_is_no_edit,
    a_last_newline_is_no_edit,
    an_unchanged_start_sees_each_change_that_counts,
    our_tables_gone_are_made_again_from_prismas,
    prismas_table_gone_is_made_again_from_ours,
    a_failure_that_is_undone_leaves_no_row,
    a_failure_half_way_is_one_for_prisma_too,
    prisma_at_the_same_moment_is_noticed,
    who_cannot_write_is_served_and_told,
    a_row_deleted_is_a_migration_undone,
    a_baseline_is_one_for_prisma_too,
    an_accepted_edit_is_one_for_prisma_too,
    a_named_set_leaves_the_table_alone,
    a_directory_of_another_layout_is_told_which,
);

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

fn drop_ours(database: &impl Database) {
    database.execute("DROP TABLE __migrator_history; DROP TABLE __migrator_meta");
}

fn what_prisma_applied_is_taken_over<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    prisma_runs::<S>(&database, 1..=3);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::UpToDate, 3, 0));
    assert!(seen.migrations().iter().all(|row| row.state == State::Applied && !row.unverified), "{seen}");
    let moments: Vec<_> = seen.migrations().iter().map(|row| row.applied_at.as_deref()).collect();
    assert_eq!(moments, [Some("2024-01-01T00:00:01.456Z"); 3], "what Prisma says, to the millisecond");
    assert!(!database.texts(S::TABLES).iter().any(|table| table.contains("migrator")), "nothing was written");

    let report = applies::<S>(&database, &folder.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 3));
    assert!(
        report.warnings()[0].contains("3 migrations adopted from _prisma_migrations, with the checksum"),
        "{report}"
    );
    let adopted = [1, 2, 3].map(|number| format!("applied {} verified", name(number)));
    assert_eq!((details(&database), ledger(&database)), (adopted.to_vec(), [1, 2, 3].map(name).to_vec()));
    assert_eq!(queries::<S>(&database, &folder), 1, "from now on it is an unchanged start");
    assert_eq!(status::<S>(&database, &folder.set()).problems().len(), 0);
}

fn prisma_finds_what_we_applied<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(6));
    let crlf = table(7).replace('\n', "\r\n");
    add(&folder, 7, &crlf);
    applies::<S>(&database, &folder.set());
    let expected: Vec<String> = (1..=7).map(name).collect();
    assert_eq!(ledger(&database), expected);
    let column = |what: &str| database.texts(&format!("SELECT {what} AS value FROM {LEDGER} ORDER BY migration_name"));
    let mut checksums: Vec<String> = (1..=6).map(|number| sha256(table(number))).collect();
    checksums.push(sha256(&crlf));
    assert_eq!(column("checksum"), checksums, "of the bytes as they are in the file");
    assert_eq!(column("CONCAT(applied_steps_count, '')"), vec!["1"; 7]);
    assert!(column("id").iter().all(|id| id.len() == 36 && id.matches('-').count() == 4));
    assert_eq!(column("CASE WHEN finished_at >= started_at THEN 'yes' END"), vec!["yes"; 7]);

    let theirs = S::fresh();
    theirs.execute(S::CREATE);
    let columns = |database: &S::Database| database.texts(&S::COLUMNS.replace("{}", LEDGER));
    assert_eq!((columns(&database), columns(&database).len()), (columns(&theirs), 8));
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn each_takes_the_next_turn<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    prisma_runs::<S>(&database, [1]);
    add(&folder, 2, table(2));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    add(&folder, 3, table(3));
    prisma_runs::<S>(&database, [3]);
    add(&folder, 4, table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(4)]);
    assert_eq!(ledger(&database), [1, 2, 3, 4].map(name));
    let expected = [(1, " verified"), (2, ""), (3, " verified"), (4, "")];
    assert_eq!(details(&database), expected.map(|(number, word)| format!("applied {}{word}", name(number))));
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn what_failed_in_prisma_waits_for_a_person<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, table(2), End::Failed);
    assert_eq!(states::<S>(&database, &folder), ["applied", "failed"]);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!(seen.state(), DatabaseState::Blocked);
    assert_eq!(seen.migrations()[1].error.as_deref(), Some("outside: no such table: nowhere"), "{seen}");
    assert!(seen.problems()[0].help.contains(&format!("resolve --rolled-back {}", name(2))), "{seen}");
    let error = run::<S>(&database, &folder.set()).expect_err("nobody knows how much took");
    assert_eq!((error.code(), error.version()), ("failed", Some(name(2).as_str())), "{error}");
    assert!(error.message().contains("no such table: nowhere") && error.remedy().contains("resolve"), "{error}");
    assert_eq!(tables(&database), ["t1"]);

    let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), &name(2), Resolution::RolledBack);
    settled.unwrap_or_else(|error| panic!("{error}"));
    let rolled_back = format!("{} rolled back", name(2));
    assert_eq!(ledger(&database), [name(1), rolled_back.clone()]);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back"]);
    let set = folder.set();
    Migrator::new(&set)
        .run_to(&mut database.connect(), Target::version(name(1)))
        .unwrap_or_else(|error| panic!("{error}"));
    holds_together::<S>(&database, &folder);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), (vec![name(1), name(2), rolled_back], 1));
    let told = details(&database);
    assert_eq!(
        told[1..],
        ["failed 2_ outside:", "resolved 2_ rolled_back", "applied 2_"].map(|row| row.replace("2_", &name(2)))
    );
}

fn what_failed_in_prisma_and_was_done_by_hand<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, table(2), End::Failed);
    database.execute(&table(2));
    let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), &name(2), Resolution::Applied);
    settled.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ledger(&database), [name(1), name(2), format!("{} rolled back", name(2))]);
    let steps = format!(
        "SELECT CONCAT(applied_steps_count, logs) AS value FROM {LEDGER} WHERE finished_at IS NOT NULL AND logs = ''"
    );
    assert_eq!(database.texts(&steps), ["0"], "as Prisma's own resolve leaves it");
    assert_eq!((queries::<S>(&database, &folder), tables(&database).len()), (1, 2));
}

/// `prisma migrate resolve`, both ways, of what our history says is failed.
fn what_prisma_resolved_is_resolved<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(4));
    prisma_runs::<S>(&database, [1]);
    [2, 3].iter().for_each(|number| row::<S>(&database, *number, table(*number), End::Failed));
    // Up to what is applied, so that all of it is recorded.
    Migrator::new(&folder.set()).run_to(&mut database.connect(), Target::version(name(1))).expect("adopt");
    let failed = [2, 3].map(|number| format!("failed {} outside:", name(number)));
    assert_eq!(details(&database)[1..], failed);
    let [began, ended] = S::MOMENTS;
    database.execute(&format!("UPDATE {LEDGER} SET rolled_back_at = {ended} WHERE finished_at IS NULL"));
    database.execute(&table(3));
    row::<S>(&database, 3, table(3), End::Finished);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back", "applied", "pending"]);
    let error = run::<S>(&database, &folder.set());
    // One that is rolled back and older than one that is applied is what it was for Prisma too: to be run again.
    let report = error.unwrap_or_else(|error| panic!("{error}, since {began}"));
    assert_eq!(names(&report), [name(2), name(4)]);
    assert!(report.warnings().iter().any(|warning| warning.contains("rolled back outside")), "{report}");
    assert_eq!(details(&database)[3], format!("resolved {} rolled_back", name(2)));
    assert_eq!((queries::<S>(&database, &folder), tables(&database).len()), (1, 4));
}

fn what_was_rolled_back_runs_again<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, "another text, which failed", End::RolledBack);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(ledger(&database), [name(1), name(2), format!("{} rolled back", name(2))]);
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn several_rows_of_one_migration_are_one_story<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    database.execute(S::CREATE);
    [End::RolledBack, End::RolledBack].iter().for_each(|end| row::<S>(&database, 1, "text", *end));
    prisma_runs::<S>(&database, [1]);
    assert_eq!(states::<S>(&database, &folder), ["applied"]);
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 1);
    assert_eq!(details(&database), [format!("applied {} verified", name(1))]);
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn an_edit_after_prisma_applied_it_shows<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1, 2]);
    add(&folder, 1, format!("{}-- and more", table(1)));
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"]);
    let error = run::<S>(&database, &folder.set()).expect_err("it is not what ran");
    assert_eq!((error.code(), error.version()), ("changed", Some(name(1).as_str())));
    let report = Migrator::new(&folder.set()).changed(Policy::Warn).run(&mut database.connect()).expect("run");
    assert_eq!(report.skipped(), 2);
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"], "what ran is recorded, and stays an edit");
    add(&folder, 1, table(1));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 2]);
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 2);
    assert_eq!(queries::<S>(&database, &folder), 1, "that it is what ran is recorded");
    // Whoever corrects Prisma's row says what ran.
    add(&folder, 2, "-- another text");
    assert_eq!(states::<S>(&database, &folder), ["applied", "changed"]);
    let edited = sha256("-- another text");
    database.execute(&format!("UPDATE {LEDGER} SET checksum = '{edited}' WHERE migration_name = '{}'", name(2)));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 2]);
    applies::<S>(&database, &folder.set());
    assert_eq!(queries::<S>(&database, &folder), 1);
    holds_together::<S>(&database, &folder);
}

fn a_last_newline_is_no_edit<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 1, "one is Prisma's, one is ours");
    let before = details(&database);
    for ending in ["", "\n", "\n\n", "\r\n"] {
        [1, 2].iter().for_each(|number| add(&folder, *number, format!("{}{ending}", table(*number).trim_end())));
        assert_eq!(states::<S>(&database, &folder), ["applied"; 2], "{ending:?}");
        assert_eq!((queries::<S>(&database, &folder), details(&database)), (1, before.clone()), "{ending:?}");
    }
}

fn a_checkout_with_other_line_endings_is_no_edit<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    let crlf = |number| table(number).replace('\n', "\r\n");
    database.execute(S::CREATE);
    [1, 2, 3].iter().for_each(|number| database.execute(&table(*number)));
    row::<S>(&database, 1, crlf(1), End::Finished);
    row::<S>(&database, 2, table(2), End::Finished);
    // It is adopted by an older binary, which cannot compare it.
    row::<S>(&database, 3, crlf(3), End::Finished);
    add(&folder, 2, crlf(2));
    let report = applies::<S>(&database, &folder.set());
    assert!(report.warnings().iter().any(|warning| warning.contains("newer than this binary")), "{report}");
    add(&folder, 3, table(3));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 3]);
    applies::<S>(&database, &folder.set());
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn an_unchanged_start_sees_each_change_that_counts<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    applies::<S>(&database, &folder.set());
    let of = |number| format!("WHERE migration_name = '{}'", name(number));
    let last = of(3);
    let [_, moment] = S::MOMENTS;
    let ways = [
        (
            format!("UPDATE {LEDGER} SET rolled_back_at = {moment} {last}"),
            format!("UPDATE {LEDGER} SET rolled_back_at = NULL {last}"),
        ),
        (
            format!("UPDATE {LEDGER} SET finished_at = NULL {last}"),
            format!("UPDATE {LEDGER} SET finished_at = {moment} {last}"),
        ),
        (
            format!("UPDATE {LEDGER} SET checksum = '{}' {last}", sha256("another")),
            format!("UPDATE {LEDGER} SET checksum = '{}' {last}", sha256(table(3))),
        ),
        (
            format!("UPDATE {LEDGER} SET migration_name = '{}' {last}", name(9)),
            format!("UPDATE {LEDGER} SET migration_name = '{}' {}", name(3), of(9)),
        ),
    ];
    for (there, back) in ways {
        database.execute(&there);
        let mut conn = database.connect();
        let queries_of = watch::queries(&mut conn);
        let _whatever_it_says = Migrator::new(&folder.set()).run_to(&mut conn, Target::Latest);
        assert!(queries_of.take().len() > 1, "{there}");
        database.execute(&back);
        database.execute("DROP TABLE IF EXISTS t3");
        database.execute(&table(3));
        drop_ours(&database);
        database.execute(&format!("DELETE FROM {LEDGER} WHERE rolled_back_at IS NOT NULL"));
        assert_eq!(states::<S>(&database, &folder), ["applied"; 3], "{back}");
        applies::<S>(&database, &folder.set());
        assert_eq!(queries::<S>(&database, &folder), 1, "{back}");
    }
    row::<S>(&database, 9, "unknown", End::Failed);
    assert!(queries::<S>(&database, &folder) > 1);
    database.execute(&format!("DELETE FROM {LEDGER} {}", of(9)));
    assert_eq!(queries::<S>(&database, &folder), 1);
    row::<S>(&database, 2, "it was rolled back", End::RolledBack);
    assert_eq!(queries::<S>(&database, &folder), 1, "it changes nothing");
    database.execute(&format!("DELETE FROM {LEDGER} {} AND finished_at IS NOT NULL", of(3)));
    assert_eq!(states::<S>(&database, &folder), ["applied", "applied", "pending"]);
}

/// `prisma db push` and `prisma migrate reset` drop what is not in Prisma's schema.
fn our_tables_gone_are_made_again_from_prismas<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    applies::<S>(&database, &folder.set());
    drop_ours(&database);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    let report = applies::<S>(&database, &folder.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 3), "never from zero");
    assert_eq!((ledger(&database).len(), queries::<S>(&database, &folder)), (3, 1));
    // Also by a run that has work to do.
    drop_ours(&database);
    add(&folder, 4, table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(4)]);
}

fn prismas_table_gone_is_made_again_from_ours<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    add(&folder, 3, format!("{}INSERT INTO nowhere VALUES (1);\n", table(3)));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let before = ledger(&database);
    database.execute(&format!("DROP TABLE {LEDGER}"));
    let report = Migrator::new(&folder.set()).run_to(&mut database.connect(), Target::version(name(2))).expect("run");
    assert!(report.warnings()[0].contains("was made again from our history"), "{report}");
    assert_eq!(ledger(&database), before);
    let checksums = database.texts(&format!("SELECT checksum AS value FROM {LEDGER} ORDER BY migration_name"));
    assert_eq!(checksums[..2], [1, 2].map(|number| sha256(table(number))));
}

fn a_failure_that_is_undone_leaves_no_row<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    add(&folder, 2, "INSERT INTO t1 VALUES (2);\nINSERT INTO nowhere VALUES (1);\n");
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    assert_eq!((ledger(&database), database.row_counts()["t1"]), (vec![name(1)], 1), "Prisma may try it");
    // Also where the first statement that cannot be undone did not take.
    add(&folder, 2, "CREATE TABLE t1 (id INTEGER);\nCREATE TABLE t2 (id INTEGER);\n");
    run::<S>(&database, &folder.set()).expect_err("it is there");
    assert_eq!((ledger(&database), states::<S>(&database, &folder)), (vec![name(1)], vec!["applied", "pending"]));
    add(&folder, 2, table(2));
    applies::<S>(&database, &folder.set());
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), ([1, 2].map(name).to_vec(), 1));
}

/// Where DDL commits by itself.
fn a_failure_half_way_is_one_for_prisma_too<S: Prisma>() {
    if S::UNDOES_DDL {
        return;
    }
    let (database, folder) = (S::fresh(), folder(1));
    let failing = |last: &str| {
        format!("CREATE TABLE a (id INTEGER);\nCREATE TABLE b (id INTEGER);\nINSERT INTO {last} VALUES (1);\n")
    };
    add(&folder, 2, failing("nowhere"));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    assert_eq!(
        ledger(&database),
        [name(1), format!("{} failed", name(2))],
        "Prisma applies nothing before it is settled"
    );
    let logs = || {
        database
            .texts(&format!("SELECT COALESCE(logs, '') AS value FROM {LEDGER} WHERE migration_name = '{}'", name(2)))
    };
    assert!(logs()[0].contains("nowhere"), "{:?}", logs());
    // It goes on where it stopped, in the same row.
    add(&folder, 2, failing("b"));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(
        (ledger(&database), logs(), database.row_counts()["b"]),
        ([1, 2].map(name).to_vec(), vec![String::new()], 1)
    );
    assert_eq!(queries::<S>(&database, &folder), 1);

    // Or Prisma's operator says that it was undone.
    add(&folder, 3, failing("nowhere").replace("TABLE a", "TABLE c").replace("TABLE b", "TABLE d"));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let [_, moment] = S::MOMENTS;
    database.execute(&format!("UPDATE {LEDGER} SET rolled_back_at = {moment} WHERE finished_at IS NULL"));
    database.execute("DROP TABLE c; DROP TABLE d");
    assert_eq!(states::<S>(&database, &folder), ["applied", "applied", "rolled_back"]);
    add(&folder, 3, table(3));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(3)]);
    assert_eq!(ledger(&database).len(), 4);
}

/// As if Prisma had recorded it between our look at the table and the end of the script.
fn prisma_at_the_same_moment_is_noticed<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    applies::<S>(&database, &folder.set());
    let insert = format!(
        "INSERT INTO {LEDGER} (id, checksum, migration_name, finished_at) VALUES ('theirs', 'x', '{}', started_at)",
        name(2)
    );
    let [_, moment] = S::MOMENTS;
    add(&folder, 2, format!("INSERT INTO t1 VALUES (2);\n{};\n", insert.replace("started_at", moment)));
    let error = run::<S>(&database, &folder.set()).expect_err("the row is there");
    assert!(error.to_string().contains("_t2") && !error.remedy().is_empty(), "{error}");
    assert_eq!((ledger(&database), database.row_counts()["t1"]), (vec![name(1)], 1), "all of it was undone");
}

fn who_cannot_write_is_served_and_told<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1, 2]);
    let mut conn = S::reader(&database);
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), report.skipped(), report.run_id()), (0, 2, ""));
    assert!(report.warnings()[0].contains("2 migrations to adopt"), "{report}");
}

fn a_row_deleted_is_a_migration_undone<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    database.execute(&format!("DELETE FROM {LEDGER} WHERE migration_name = '{}'; DROP TABLE t2", name(2)));
    assert_eq!(states::<S>(&database, &folder), ["applied", "pending"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(details(&database)[2..], [format!("reverted {} outside", name(2)), format!("applied {}", name(2))]);
    // An empty table beside tables that stand is not believed.
    database.execute(&format!("DELETE FROM {LEDGER}"));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("t1 and t2 stand").code(), "not_empty");
}

fn a_baseline_is_one_for_prisma_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    [1, 2].iter().for_each(|number| database.execute(&table(*number)));
    Migrator::new(&folder.set()).baseline(&mut database.connect(), &name(2)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ledger(&database), [1, 2].map(name));
    let steps = database.texts(&format!("SELECT CONCAT(applied_steps_count, logs) AS value FROM {LEDGER}"));
    assert_eq!(steps, ["0", "0"], "as Prisma's own resolve leaves them");
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(3)]);
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), ([1, 2, 3].map(name).to_vec(), 1));
}

fn an_accepted_edit_is_one_for_prisma_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    let edited = format!("-- and more\n{}", table(1));
    add(&folder, 1, &edited);
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"]);
    let accepted = Migrator::new(&folder.set()).accept(&mut database.connect(), &name(1), "a comment more");
    accepted.unwrap_or_else(|error| panic!("{error}"));
    let checksums = database.texts(&format!("SELECT checksum AS value FROM {LEDGER} ORDER BY migration_name"));
    assert_eq!(checksums, [sha256(&edited), sha256(table(2))]);
    assert_eq!((states::<S>(&database, &folder), queries::<S>(&database, &folder)), (vec!["applied"; 2], 1));
}

fn a_named_set_leaves_the_table_alone<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    Migrator::new(&folder.set())
        .set_name("second")
        .run(&mut database.connect())
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(!database.texts(S::TABLES).iter().any(|table| table == LEDGER), "Prisma knows one set only");
}

fn a_directory_of_another_layout_is_told_which<S: Prisma>() {
    let database = S::fresh();
    prisma_runs::<S>(&database, [1]);
    let error = run::<S>(&database, &Folder::of_tables(1).set()).expect_err("it is Prisma's");
    assert_eq!(error.code(), "foreign_history", "{error}");
    assert!(error.remedy().contains("layout prisma"), "{error}");
}
