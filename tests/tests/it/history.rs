//! Our own tables: damaged by hand, or of another format.

use migrator::{DatabaseState, MigrationSet, Migrator, Resolution, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};

on_each_dialect!(
    damage_is_found_and_named,
    a_table_that_is_gone_is_not_an_empty_history,
    what_a_newer_version_added_is_left_alone,
    an_older_format_is_upgraded_by_the_next_run_that_writes,
    another_set_starts_beside_tables_of_an_older_format,
    two_sets_share_a_schema,
);

/// Three migrations applied, and a set that has a fourth to apply.
fn three<S: Subject>() -> (S::Database, MigrationSet) {
    let (database, folder) = (S::fresh(), Folder::of_tables(3));
    // A statement to a row, and a row to a migration, on each database.
    (1..=3).for_each(|number| folder.write(&format!("0{number}_t{number}/up.sql"), "SELECT 1;"));
    applies::<S>(&database, &folder.set());
    assert_eq!(history(&database), ["applied 01", "applied 02", "applied 03"]);
    folder.write("04_t4/up.sql", table(4));
    (database, folder.set())
}

/// Copies a row of the history to number 4.
const ADD_ROW: &str = "CREATE TABLE copied AS SELECT * FROM __migrator_history WHERE sequence = 3;
    UPDATE copied SET sequence = 4; INSERT INTO __migrator_history SELECT * FROM copied; DROP TABLE copied";

fn damage_is_found_and_named<S: Subject>() {
    let zeros = format!("UPDATE __migrator_history SET checksum = '{}' WHERE sequence = 2", "0".repeat(64));
    let duplicate = "CREATE TABLE copied AS SELECT * FROM __migrator_history; DROP TABLE __migrator_history;
        ALTER TABLE copied RENAME TO __migrator_history;
        UPDATE __migrator_history SET sequence = 1 WHERE sequence = 2";
    let cases = [
        ("DELETE FROM __migrator_history WHERE sequence = 2", "row 2 is gone"),
        ("DELETE FROM __migrator_history WHERE sequence = 3", "has 2 rows, and 3 were written"),
        ("DELETE FROM __migrator_history", "has 0 rows, and 3 were written"),
        ("DELETE FROM __migrator_meta", "the meta row is gone"),
        (ADD_ROW, "has 4 rows, and 3 were written"),
        (&zeros, "a version or checksum in the history"),
        ("UPDATE __migrator_history SET version = '021' WHERE sequence = 2", "a version or checksum in the history"),
        ("UPDATE __migrator_history SET event = 'failed' WHERE sequence = 3", "a version or checksum in the history"),
        (duplicate, "two rows with number 1"),
    ];
    for (damage, told) in cases {
        let (database, set) = three::<S>();
        database.execute(damage);
        let before = history(&database);
        let error = run::<S>(&database, &set).expect_err(damage);
        assert_eq!(error.code(), "history_tampered", "{damage}: {error}");
        assert!(error.message().contains(told) && error.is_blocked(), "{damage}: {error}");
        assert!(error.remedy().contains("backup"), "{error}");
        assert_eq!((history(&database), tables(&database).len()), (before, 0), "{damage}: nothing was written");
        let seen = status::<S>(&database, &set);
        assert_eq!(seen.state(), DatabaseState::Blocked, "{damage}");
        assert_eq!(seen.problems()[0].code, "history_tampered", "{damage}");
        let settled = Migrator::new(&set).resolve(&mut database.connect(), "04", Resolution::Applied);
        assert_eq!(settled.expect_err(damage).code(), "history_tampered", "{damage}: a record more would hide it");
        let (migrator, mut conn) = (Migrator::new(&set), database.connect());
        for refused in [
            migrator.revert(&mut conn, Target::Steps(1)).map(drop),
            migrator.redo(&mut conn).map(drop),
            migrator.baseline(&mut conn, "04").map(drop),
            migrator.accept(&mut conn, "01", "why").map(drop),
        ] {
            assert_eq!(refused.expect_err(damage).code(), "history_tampered", "{damage}");
        }
        let verified = migrator.verify(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(verified.problems()[0].code, "history_tampered", "{damage}");
    }
}

fn a_table_that_is_gone_is_not_an_empty_history<S: Subject>() {
    for (gone, stands) in [("__migrator_history", "__migrator_meta"), ("__migrator_meta", "__migrator_history")] {
        let (database, set) = three::<S>();
        database.execute(&format!("DROP TABLE {gone}"));
        let migrator = Migrator::new(&set);
        let told = format!("the table {gone} is gone, and {stands} stands");
        for error in [
            migrator.run(&mut database.connect()).expect_err("refused"),
            migrator.status(&mut database.connect()).expect_err("refused"),
        ] {
            assert_eq!((error.code(), error.message()), ("history_tampered", told.as_str()));
        }
        assert!(tables(&database).is_empty());
    }
}

fn what_a_newer_version_added_is_left_alone<S: Subject>() {
    let (database, set) = three::<S>();
    database.execute("ALTER TABLE __migrator_history ADD COLUMN mood VARCHAR(20) DEFAULT 'good'");
    database.execute("ALTER TABLE __migrator_meta ADD COLUMN mood VARCHAR(20) DEFAULT 'good'");
    database.execute(ADD_ROW);
    database.execute(
        "UPDATE __migrator_history SET event = 'archived' WHERE sequence = 4; UPDATE __migrator_meta SET sequence = 4, format = 9",
    );
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::Pending);
    assert_eq!(names(&applies::<S>(&database, &set)), ["04_t4"]);
    assert_eq!(database.texts("SELECT CAST(format AS CHAR(1)) AS value FROM __migrator_meta"), ["9"], "not taken back");
    assert_eq!(database.texts("SELECT mood AS value FROM __migrator_meta"), ["good"]);
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
}

fn another_set_starts_beside_tables_of_an_older_format<S: Subject>() {
    let (database, set) = three::<S>();
    database.execute(
        "ALTER TABLE __migrator_history DROP COLUMN breaks_before; ALTER TABLE __migrator_history DROP COLUMN host;
         ALTER TABLE __migrator_history DROP COLUMN application; UPDATE __migrator_meta SET format = 1",
    );
    let (mut conn, theirs) =
        (database.connect(), Folder::of(&[("01_theirs", "CREATE TABLE theirs (id INTEGER)")]).set());
    let other = || Migrator::<S::Connection>::new(&theirs).set_name("other");
    assert_eq!(other().status(&mut conn).unwrap_or_else(|error| panic!("{error}")).pending(), 1);
    assert_eq!(names(&other().run(&mut conn).unwrap_or_else(|error| panic!("{error}"))), ["01_theirs"]);
    assert_eq!(names(&applies::<S>(&database, &set)), ["04_t4"], "the one that made them goes on");
}

fn an_older_format_is_upgraded_by_the_next_run_that_writes<S: Subject>() {
    let (database, set) = three::<S>();
    database.execute(
        "ALTER TABLE __migrator_history DROP COLUMN tool; ALTER TABLE __migrator_history DROP COLUMN detail;
         ALTER TABLE __migrator_history DROP COLUMN breaks_before;
         ALTER TABLE __migrator_history DROP COLUMN host; ALTER TABLE __migrator_history DROP COLUMN application;
         ALTER TABLE __migrator_meta DROP COLUMN updated_at; UPDATE __migrator_meta SET format = 0",
    );
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::Pending, "it is read as it is");
    let format = || database.texts("SELECT CAST(format AS CHAR(1)) AS value FROM __migrator_meta");
    assert_eq!(format(), ["0"], "a status writes nothing");
    assert_eq!(names(&applies::<S>(&database, &set)), ["04_t4"]);
    assert_eq!(format(), ["3"]);
    let tools = database.texts("SELECT COALESCE(tool, 'none') AS value FROM __migrator_history ORDER BY sequence");
    assert!(tools[2] == "none" && tools.last().is_some_and(|tool| tool.starts_with("migrator ")), "{tools:?}");
    let seen = status::<S>(&database, &set);
    assert_eq!(seen.state(), DatabaseState::UpToDate);
    let hosts: Vec<bool> =
        seen.migrations().iter().map(|row| row.recorded.as_ref().is_some_and(|record| record.host.is_some())).collect();
    assert_eq!(hosts, [false, false, false, true], "of what is older nobody knows");
}

fn two_sets_share_a_schema<S: Subject>() {
    let database = S::fresh();
    let sets = [Folder::of(&[("01_a", table(1))]).set(), Folder::of(&[("01_b", table(2)), ("02_b", table(3))]).set()];
    let migrator = |at: usize| Migrator::<S::Connection>::new(&sets[at]).set_name(["", "second"][at]);
    for at in [0, 1] {
        let report = migrator(at).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.applied().len(), sets[at].len());
    }
    assert_eq!(tables(&database), ["t1", "t2", "t3"]);
    for at in [0, 1] {
        let seen = migrator(at).status(&mut database.connect()).expect("status");
        assert_eq!((seen.state(), seen.applied()), (DatabaseState::UpToDate, sets[at].len()));
        assert_eq!(migrator(at).run(&mut database.connect()).expect("run").skipped(), sets[at].len());
    }
}
