//! What only SQLite has: foreign keys that are switched off, statements that end the whole transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use migrator::{DatabaseState, Event, Migrator, State};
use migrator_tests::{Database, sqlite};

use crate::dialects::{Sqlite, Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};

const FAMILY: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (10, 1), (20, 2), (21, 2);
";

const REBUILD: &str = "CREATE TABLE new_parent (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO new_parent (id) SELECT id FROM parent;
DROP TABLE parent;
ALTER TABLE new_parent RENAME TO parent;
";

const ORPHAN: &str = "INSERT INTO child VALUES (30, 3);";

#[test]
fn a_rebuild_keeps_the_rows_that_refer_to_the_table() {
    let folder = Folder::of(&[("01_family", FAMILY), ("02_rebuild", REBUILD)]);
    // With Prisma's pragmas around it, and as the only migration of a run.
    let pragmas = format!("PRAGMA foreign_keys=OFF;\n{REBUILD}PRAGMA foreign_key_check;\nPRAGMA foreign_keys=ON;\n");
    let database = sqlite::fresh();
    applies::<Sqlite>(&database, &folder.set());
    folder.write("03_again/up.sql", pragmas);
    applies::<Sqlite>(&database, &folder.set());
    assert_eq!((database.row_counts()["parent"], database.row_counts()["child"]), (2, 3));
    database.execute("DELETE FROM parent WHERE id = 2");
    assert_eq!(database.row_counts()["child"], 1, "the reference is still there");
}

#[test]
fn what_a_script_forbids_its_session_is_allowed_again() {
    let folder = Folder::of(&[
        ("01_t1", table(1)),
        ("02_only_reads", "PRAGMA query_only = ON; PRAGMA writable_schema = ON;".into()),
        ("03_t3", table(3)),
    ]);
    let (database, settings) = (Sqlite::fresh(), ["query_only", "writable_schema"]);
    let mut conn = database.connect();
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t1", "02_only_reads", "03_t3"]);
    for setting in settings {
        let read = format!("SELECT CAST({setting} AS TEXT) AS value FROM pragma_{setting}");
        assert_eq!(Sqlite::texts(&mut conn, &read), ["0"], "{setting}");
    }
}

#[test]
fn a_script_that_reads_the_history_finds_it_complete() {
    let folder = Folder::of(&[("01_t1", &table(1)), ("02_t2", &table(2))]);
    folder.write("03_seen/up.sql", "CREATE TABLE seen AS SELECT name, recorded_at FROM __Migrator_History;");
    folder.write("04_t4/up.sql", table(4));
    let database = sqlite::fresh();
    applies::<Sqlite>(&database, &folder.set());
    assert_eq!(database.row_counts()["seen"], 2);
    let applied = status::<Sqlite>(&database, &folder.set());
    let times: Vec<_> = applied.migrations().iter().map(|migration| migration.applied_at.clone()).collect();
    assert!(times.iter().all(Option::is_some) && times.is_sorted(), "{times:?}");
}

#[test]
fn an_orphan_is_refused_and_what_is_before_it_stays() {
    let folder = Folder::of(&[("01_family", FAMILY), ("02_rebuild", REBUILD), ("03_orphan", ORPHAN)]);
    folder.write("04_t4/up.sql", table(4));
    let (database, set) = (sqlite::fresh(), folder.set());
    let error = run::<Sqlite>(&database, &set).expect_err("refused");
    assert_eq!((error.code(), error.version()), ("foreign_key_violation", Some("03")), "{error}");
    assert!(error.message().contains("1 row would break a foreign key: child → parent"), "{error}");
    assert!(error.remedy().contains("parent"), "{error}");
    assert_eq!(names(error.report().expect("a report")), ["01_family", "02_rebuild"]);
    assert_eq!((tables(&database), database.row_counts()["child"]), (vec!["child".to_owned(), "parent".to_owned()], 3));
    let seen = status::<Sqlite>(&database, &set);
    assert_eq!((seen.state(), seen.migrations()[2].state), (DatabaseState::Pending, State::Pending));
    folder.write("03_orphan/up.sql", "INSERT INTO parent VALUES (3, 'x'); INSERT INTO child VALUES (30, 3);");
    assert_eq!(names(&applies::<Sqlite>(&database, &folder.set())), ["03_orphan", "04_t4"]);
}

#[test]
fn what_an_earlier_part_of_the_run_committed_is_in_the_report() {
    let folder = Folder::of(&[("01_family", FAMILY), ("03_orphan", ORPHAN)]);
    folder.write("02_vacuum/up.sql", "VACUUM;");
    let database = sqlite::fresh();
    let error = run::<Sqlite>(&database, &folder.set()).expect_err("refused");
    assert_eq!(error.code(), "foreign_key_violation");
    let report = error.report().expect("a report");
    assert_eq!((names(report), report.skipped()), (vec!["01_family", "02_vacuum"], 0), "{report}");
}

#[test]
fn what_was_broken_before_is_not_held_against_a_migration() {
    let (database, folder) = (sqlite::fresh(), Folder::of(&[("01_family", FAMILY)]));
    applies::<Sqlite>(&database, &folder.set());
    database.execute(&format!("PRAGMA foreign_keys = OFF; {ORPHAN}"));
    folder.write("02_rebuild/up.sql", REBUILD);
    assert_eq!(applies::<Sqlite>(&database, &folder.set()).applied().len(), 1);
    folder.write("03_orphan/up.sql", "INSERT INTO child VALUES (31, 4);");
    let error = run::<Sqlite>(&database, &folder.set()).expect_err("refused");
    assert!(error.message().contains("1 row would"), "only the new one counts: {error}");
}

#[test]
fn the_pragma_is_as_it_was_after_success_failure_and_panic() {
    for setting in ["0", "1"] {
        let (database, folder) = (sqlite::fresh(), Folder::of(&[("01_family", FAMILY)]));
        let mut conn = database.connect();
        conn.batch_execute(&format!("PRAGMA foreign_keys = {setting}; PRAGMA busy_timeout = 77")).expect("set");
        let mut restored = |when: &str| {
            let read = "SELECT foreign_keys || ' ' || (SELECT timeout FROM pragma_busy_timeout) AS value FROM pragma_foreign_keys";
            assert_eq!(Sqlite::texts(&mut conn, read), [format!("{setting} 77")], "after {when}");
            Migrator::new(&folder.set())
                .on_event(|event| {
                    assert!(!matches!(event, Event::Started { version: "03", .. }), "the test's own panic");
                })
                .run(&mut conn)
        };
        restored("nothing").expect("run");
        folder.write("02_fails/up.sql", "INSERT INTO nowhere VALUES (1);");
        restored("success").expect_err("it fails");
        folder.write("02_fails/up.sql", ORPHAN);
        restored("failure").expect_err("refused");
        folder.write("02_fails/up.sql", REBUILD);
        folder.write("03_panics/up.sql", table(3));
        catch_unwind(AssertUnwindSafe(|| restored("a violation").is_ok())).expect_err("it panics");
        folder.remove("03_panics");
        restored("a panic").expect("run");
    }
}

#[test]
fn statements_that_end_the_transaction_take_nothing_with_them() {
    let raise =
        "CREATE TRIGGER never BEFORE INSERT ON t1 WHEN NEW.id = 99 BEGIN SELECT RAISE(ROLLBACK, 'never 99'); END;
INSERT INTO t1 VALUES (99);";
    for (script, words) in [("INSERT OR ROLLBACK INTO t1 VALUES (1);", "UNIQUE"), (raise, "never 99")] {
        let (database, folder) = (sqlite::fresh(), Folder::of_tables(5));
        folder.write("03_t3/up.sql", script);
        let error = run::<Sqlite>(&database, &folder.set()).expect_err("it fails");
        assert_eq!((error.code(), error.version()), ("statement_failed", Some("03")), "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(names(error.report().expect("a report")), ["01_t1", "02_t2"]);
        assert_eq!((tables(&database), database.row_counts()["t1"]), (vec!["t1".to_owned(), "t2".to_owned()], 1));
        assert_eq!(history(&database), ["applied 01", "applied 02", "failed 03"]);
        folder.write("03_t3/up.sql", table(3));
        assert_eq!(applies::<Sqlite>(&database, &folder.set()).applied().len(), 3);
    }
}

#[test]
fn triggers_are_one_statement() {
    let trigger = "CREATE TABLE log (what TEXT);
CREATE TRIGGER noted AFTER UPDATE ON t1 BEGIN
  INSERT INTO log VALUES (CASE WHEN NEW.id > 5 THEN 'big; end' ELSE 'small' END);
  UPDATE t1 SET id = id WHERE 0;
END;
UPDATE t1 SET id = 9;";
    let (database, folder) = (sqlite::fresh(), Folder::of_tables(1));
    folder.write("02_trigger/up.sql", trigger);
    applies::<Sqlite>(&database, &folder.set());
    assert_eq!(database.texts("SELECT what AS value FROM log"), ["big; end"]);
}

#[test]
fn vacuum_and_journal_mode_run_outside_of_the_transaction() {
    let script = "-- migrator: no-transaction
VACUUM;
PRAGMA journal_mode = WAL;
INSERT INTO nowhere VALUES (2);
PRAGMA wal_checkpoint(TRUNCATE);
";
    let (database, folder) = (sqlite::fresh(), Folder::of_tables(1));
    folder.write("02_outside/up.sql", script);
    folder.write("03_vacuum/up.sql", "VACUUM");
    let error = run::<Sqlite>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(error.place().expect("a place").number, 3, "{error}");
    assert_eq!(database.texts("SELECT journal_mode AS value FROM pragma_journal_mode"), ["wal"], "what took stays");
    folder.write("02_outside/up.sql", script.replace("nowhere", "t1"));
    assert_eq!(names(&applies::<Sqlite>(&database, &folder.set())), ["02_outside", "03_vacuum"]);
    assert_eq!(database.row_counts()["t1"], 2);
}

#[test]
fn a_database_in_memory() {
    let mut conn = SqliteConnection::establish(":memory:").expect("open");
    let folder = Folder::of_tables(2);
    folder.write("03_vacuum/up.sql", "VACUUM");
    let migrator = Migrator::new(&folder.set());
    assert_eq!(migrator.run(&mut conn).expect("run").applied().len(), 3);
    assert_eq!(migrator.status(&mut conn).expect("status").database(), ":memory:");
    assert_eq!(migrator.run(&mut conn).expect("run").skipped(), 3);
}

#[test]
fn what_ends_the_transaction_of_one_statement_is_resumed() {
    let script = "-- migrator: no-transaction
INSERT INTO t1 VALUES (2);
INSERT OR ROLLBACK INTO t1 VALUES (1);
INSERT INTO t1 VALUES (3);
";
    let (database, folder) = (sqlite::fresh(), Folder::of_tables(1));
    folder.write("02_rows/up.sql", script);
    let mut conn = database.connect();
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
    assert_eq!((error.code(), error.place().expect("a place").number), ("statement_failed", 2), "{error}");
    assert_eq!(database.row_counts()["t1"], 2);
    folder.write("02_rows/up.sql", script.replace("(1)", "(4)"));
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.row_counts()["t1"], 4);
}
