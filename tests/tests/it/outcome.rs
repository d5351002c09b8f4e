//! What a run makes of a statement whose outcome nobody recorded, and of foreign keys that are broken on the way.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Environment, Event, Migrator, Resolution};
use migrator_tests::{Database, servers, sqlite, wait};

use crate::dialects::{Mariadb, Postgres, Sqlite, applies, history, run, status};
use crate::folder::Folder;

const ROWS: (&str, &str) = ("01_rows", "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (1);");
const INDEX: (&str, &str) = ("02_index", "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_a ON t (a);");
const VALID: &str =
    "SELECT indisvalid::text AS value FROM pg_index WHERE indexrelid = to_regclass('t_a') AND indrelid = 't'::regclass";

/// Makes the history say that the last migration was begun, and nothing more: as after a kill in the middle of it.
fn forget_the_outcome(database: &impl Database) {
    database.execute(
        "DELETE FROM __migrator_history WHERE sequence = (SELECT max(sequence) FROM __migrator_history);
         UPDATE __migrator_meta SET sequence = sequence - 1, fingerprint = (SELECT remembered FROM before_it);
         DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations);",
    );
}

/// Remembers the fingerprint of now for [`forget_the_outcome`].
fn remember(database: &impl Database) {
    database.execute("CREATE TABLE before_it AS SELECT fingerprint AS remembered FROM __migrator_meta;");
}

#[test]
fn an_index_that_failed_is_removed_before_the_next_try() {
    let database = servers::postgres().fresh();
    let folder = Folder::of(&[ROWS, INDEX]);
    let error = run::<Postgres>(&database, &folder.set()).expect_err("there are two equal rows");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("02")));
    assert_eq!(database.texts(VALID), ["false"], "PostgreSQL leaves it behind");
    database.execute("DELETE FROM t WHERE ctid = '(0,1)'");
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 1);
    assert_eq!(database.texts(VALID), ["true"], "IF NOT EXISTS would have kept the unusable one");
}

#[test]
fn the_session_of_a_script_that_ends_with_an_index_is_not_the_next_one_s() {
    let database = servers::postgres().fresh();
    let folder = Folder::of(&[
        ("01_schema", "CREATE SCHEMA s; CREATE TABLE s.t (a INTEGER);"),
        ("02_index", "-- migrator: no-transaction\nSET search_path = s;\nCREATE INDEX CONCURRENTLY t_a ON t (a);"),
        ("03_note", "CREATE TABLE note AS SELECT current_setting('search_path') AS path;"),
    ]);
    applies::<Postgres>(&database, &folder.set());
    assert_eq!(database.texts("SELECT path AS value FROM public.note"), ["\"$user\", public"]);
}

#[test]
fn an_index_in_doubt_that_is_there_is_recorded_and_not_made_again() {
    let database = servers::postgres().fresh();
    let folder = Folder::of(&[("01_rows", "CREATE TABLE t (a INTEGER);")]);
    applies::<Postgres>(&database, &folder.set());
    remember(&database);
    // Without IF NOT EXISTS: to run it again would fail.
    folder.write("02_index/up.sql", "CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);");
    applies::<Postgres>(&database, &folder.set());
    forget_the_outcome(&database);
    assert_eq!(status::<Postgres>(&database, &folder.set()).state().name(), "blocked");
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 1);
    assert_eq!(history(&database), ["applied 01", "planned 02", "statement 02", "planned 02", "applied 02"]);
}

#[test]
fn an_index_in_doubt_that_is_not_there_is_made() {
    let database = servers::postgres().fresh();
    let folder = Folder::of(&[("01_rows", "CREATE TABLE t (a INTEGER);")]);
    applies::<Postgres>(&database, &folder.set());
    remember(&database);
    folder.write("02_index/up.sql", INDEX.1);
    applies::<Postgres>(&database, &folder.set());
    forget_the_outcome(&database);
    database.execute("DROP INDEX t_a");
    applies::<Postgres>(&database, &folder.set());
    assert_eq!(database.texts(VALID), ["true"]);
}

#[test]
fn what_the_catalogue_does_not_tell_is_for_a_person_to_settle() {
    let database = servers::postgres().fresh();
    let folder = Folder::of(&[("01_rows", "CREATE TABLE t (a INTEGER);")]);
    applies::<Postgres>(&database, &folder.set());
    remember(&database);
    // An index without a name of its own.
    folder.write("02_index/up.sql", "CREATE INDEX CONCURRENTLY ON t (a);");
    applies::<Postgres>(&database, &folder.set());
    forget_the_outcome(&database);
    let error = run::<Postgres>(&database, &folder.set()).expect_err("nobody knows");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")));
    assert!(error.message().contains("statement 1"), "{error}");
    assert!(error.remedy().contains("migrator resolve --resume-at 02:2"), "{error}");
    let migrator = Migrator::new(&folder.set());
    migrator.resolve(&mut database.connect(), "02", Resolution::Applied).expect("a person knows");
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 0);
    let indexes = database.texts("SELECT count(*)::text AS value FROM pg_index WHERE indrelid = 't'::regclass");
    assert_eq!(indexes, ["1"]);
}

#[test]
fn what_another_binary_left_half_done_is_not_built_upon() {
    let database = servers::postgres().fresh();
    let folder = Folder::of_tables(2);
    applies::<Postgres>(&database, &folder.set());
    folder.write(
        "03_half/up.sql",
        "-- migrator: no-transaction\nCREATE TABLE half (a INT);\nINSERT INTO nowhere VALUES (1);",
    );
    run::<Postgres>(&database, &folder.set()).expect_err("there is no such table");
    // A branch that does not have it, and has something newer.
    folder.remove("03_half");
    folder.write("04_newer/up.sql", "CREATE TABLE newer (a INT);");
    let error = run::<Postgres>(&database, &folder.set()).expect_err("the other binary has to go on first");
    assert_eq!(error.code(), "failed");
    assert!(error.message().contains("03_half"), "{error}");
    assert!(!crate::dialects::tables(&database).contains(&"newer".to_owned()), "nothing is built upon it");
}

#[test]
fn what_a_session_kept_of_the_data_is_not_made_up_in_another_one() {
    let database = servers::mariadb().fresh();
    let script = "INSERT INTO t VALUES (NULL);\nSET @id = LAST_INSERT_ID();\nALTER TABLE nowhere ADD a INT;\n\
                  INSERT INTO c VALUES (@id);";
    let folder = Folder::of(&[
        ("01_tables", "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY); CREATE TABLE c (id INT);"),
        ("02_rows", script),
    ]);
    run::<Mariadb>(&database, &folder.set()).expect_err("there is no such table");
    database.execute("CREATE TABLE nowhere (b INT)");
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("the variable is gone with its session");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")));
    assert!(error.message().contains("statement 2") && error.remedy().contains("--applied 02"), "{error}");
    assert_eq!(database.row_counts()["c"], 0, "no row with a made-up value");
    database.execute("ALTER TABLE nowhere ADD a INT; INSERT INTO c SELECT id FROM t");
    let set = folder.set();
    Migrator::new(&set).resolve(&mut database.connect(), "02", Resolution::Applied).expect("a person did the rest");
    assert_eq!(applies::<Mariadb>(&database, &set).applied().len(), 0);
}

#[test]
fn resolve_does_not_begin_a_history_beside_another_tool_s() {
    let database = servers::postgres().fresh();
    database.execute("CREATE TABLE _prisma_migrations (id INT); INSERT INTO _prisma_migrations VALUES (1)");
    let set = Folder::of_tables(1).set();
    let migrator = Migrator::new(&set);
    let error = migrator.resolve(&mut database.connect(), "01", Resolution::Applied).expect_err("it is Prisma's");
    assert_eq!(error.code(), "foreign_history");
    assert!(!database.tables().iter().any(|table| table.name.contains("migrator")), "and nothing is made");
}

/// A parent and a child with a row each, in the database before the rest of the directory comes.
fn family() -> (sqlite::FreshDatabase, Folder) {
    let database = sqlite::fresh();
    let folder = Folder::of(&[(
        "01_family",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INT NOT NULL REFERENCES p (id));
         INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);",
    )]);
    applies::<Sqlite>(&database, &folder.set());
    // The rename takes the child's reference along to the table that is dropped; the next migration mends it.
    folder.write(
        "02_parent/up.sql",
        "ALTER TABLE p RENAME TO old; CREATE TABLE p (id INTEGER PRIMARY KEY, n TEXT);
         INSERT INTO p (id) SELECT id FROM old; DROP TABLE old;",
    );
    folder.write(
        "03_child/up.sql",
        "ALTER TABLE c RENAME TO oldc; CREATE TABLE c (p INT NOT NULL REFERENCES p (id));
         INSERT INTO c SELECT * FROM oldc; DROP TABLE oldc;",
    );
    (database, folder)
}

#[test]
fn a_key_that_a_later_migration_mends_is_not_broken() {
    let (database, folder) = family();
    assert_eq!(applies::<Sqlite>(&database, &folder.set()).applied().len(), 2);
    assert_eq!(database.row_counts()["c"], 1);
}

#[test]
fn the_migration_after_which_the_keys_never_hold_again_is_the_one_to_blame() {
    let (database, folder) = family();
    folder.write("04_orphans/up.sql", "DELETE FROM p;");
    folder.write("05_more/up.sql", "CREATE TABLE more (a);");
    let error = run::<Sqlite>(&database, &folder.set()).expect_err("a row has no parent");
    assert_eq!((error.code(), error.version()), ("foreign_key_violation", Some("04")));
    assert!(error.message().contains("04_orphans/up.sql") && error.message().contains("c → p"), "{error}");
    let before: Vec<&str> = error.report().map(|report| crate::dialects::names(report)).unwrap_or_default();
    assert_eq!(before, ["02_parent", "03_child"], "what is before it stays");
    assert_eq!(database.row_counts()["p"], 1, "and it is undone");
    assert_eq!(history(&database).last().map(String::as_str), Some("failed 04"));
}

#[test]
fn a_mark_is_set_once_and_another_one_is_a_warning() {
    let database = sqlite::fresh();
    let folder = Folder::of_tables(1);
    let run = |environment| {
        let set = folder.set();
        let migrator = Migrator::new(&set).environment(environment).on_event(|event| {
            assert!(!matches!(event, Event::Failed { .. }), "{event:?}");
        });
        migrator.run(&mut database.connect()).expect("a mark stops nothing").warnings().to_vec()
    };
    // The first run is told nothing; the second marks the database, also though the history is there.
    applies::<Sqlite>(&database, &folder.set());
    folder.write("02_more/up.sql", "CREATE TABLE more (a);");
    assert!(run(Environment::Production).is_empty());
    folder.write("03_more/up.sql", "CREATE TABLE much_more (a);");
    for _ in 0..2 {
        let warnings = run(Environment::Development);
        assert!(warnings[0].contains("marked production"), "{warnings:?}");
    }
}

#[test]
fn a_script_that_runs_right_now_is_not_settled() {
    let (database, set) = (sqlite::fresh(), Folder::of_tables(1).set());
    applies::<Sqlite>(&database, &set);
    let path = format!("{}-migrator-lock", database.name());
    let file = std::fs::File::create(path).expect("make the file");
    file.lock().expect("as who runs statements outside of a transaction holds it");
    let set = Folder::of_tables(2).set();
    let migrator = Migrator::new(&set).lock_timeout(Duration::ZERO);
    let error = migrator.resolve(&mut database.connect(), "02", Resolution::Applied).expect_err("refused");
    assert!(error.is_lock_timeout(), "{error}");
    drop(file);
    migrator.resolve(&mut database.connect(), "02", Resolution::Applied).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_broken_reference_definition_hides_no_other_table() {
    let (database, folder) = family();
    folder.remove("02_parent");
    folder.remove("03_child");
    // What it refers to is not unique, so that the check of the whole database fails.
    database.execute(
        "PRAGMA foreign_keys = OFF; CREATE TABLE q (name TEXT); CREATE TABLE d (n TEXT REFERENCES q (name));
         INSERT INTO d VALUES ('x');",
    );
    folder.write("02_orphans/up.sql", "DELETE FROM p;");
    let error = run::<Sqlite>(&database, &folder.set()).expect_err("a row has no parent");
    assert_eq!((error.code(), error.version()), ("foreign_key_violation", Some("02")));
    assert!(error.message().contains("c → p") && !error.message().contains("mismatch"), "{error}");
    folder.write("02_orphans/up.sql", "CREATE UNIQUE INDEX names ON q (name); INSERT INTO q VALUES ('x');");
    applies::<Sqlite>(&database, &folder.set());
}

#[test]
fn an_index_in_doubt_is_not_looked_for_on_another_search_path() {
    let database = servers::postgres().fresh();
    let folder =
        Folder::of(&[("01_rows", "CREATE SCHEMA s; CREATE TABLE s.t (a INTEGER); CREATE INDEX i ON s.t (a);")]);
    applies::<Postgres>(&database, &folder.set());
    remember(&database);
    folder.write("02_index/up.sql", "-- migrator: no-transaction\nSET search_path = s;\nDROP INDEX CONCURRENTLY i;");
    applies::<Postgres>(&database, &folder.set());
    forget_the_outcome(&database);
    database.execute("CREATE INDEX i ON s.t (a)");
    // On the path of a fresh session there is no `i`, and that says nothing.
    let error = run::<Postgres>(&database, &folder.set()).expect_err("nobody knows");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")));
    Migrator::new(&folder.set())
        .resolve(&mut database.connect(), "02", Resolution::ResumeAt(2))
        .unwrap_or_else(|error| panic!("{error}"));
    applies::<Postgres>(&database, &folder.set());
    assert_eq!(database.texts("SELECT coalesce(to_regclass('s.i')::text, '') AS value"), [""]);
}

#[test]
fn a_call_that_fails_leaves_no_rows_behind() {
    let database = servers::mariadb().fresh();
    let procedure = "CREATE PROCEDURE p() BEGIN INSERT INTO t VALUES (1); INSERT INTO u VALUES (1); END;";
    let folder = Folder::of(&[(
        "01_call",
        format!(
            "CREATE TABLE t (a INT); CREATE TABLE u (a INT PRIMARY KEY); INSERT INTO u VALUES (1); {procedure} CALL p();"
        ),
    )]);
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("the second row is there");
    assert_eq!(error.place().map(|place| place.number), Some(5), "{error}");
    assert_eq!(database.row_counts()["t"], 0, "it will be called again");
    database.execute("DELETE FROM u");
    applies::<Mariadb>(&database, &folder.set());
    assert_eq!((database.row_counts()["t"], database.row_counts()["u"]), (1, 1));
}

#[test]
fn a_statement_whose_record_has_to_wait_runs_once() {
    let database = servers::mariadb().fresh();
    let folder =
        Folder::of(&[("01_t", "CREATE TABLE t (a INT); CREATE PROCEDURE p() INSERT INTO t VALUES (SLEEP(1));")]);
    applies::<Mariadb>(&database, &folder.set());
    folder.write("02_call/up.sql", "CALL p(); CREATE TABLE more (a INT);");
    let set = folder.set();
    // Told when the record, in the message of its statement and then by itself, had to wait for too long.
    let (retrying, retried) = std::sync::mpsc::channel();
    let migrator = Migrator::new(&set).statement_lock_timeout(Duration::from_secs(1)).on_event(move |event| {
        if matches!(event, Event::Retrying { .. }) {
            retrying.send(()).expect("the test listens");
        }
    });
    let mut other = database.connect();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        let planned = || history(&database).last().is_some_and(|last| last == "planned 02").then_some(());
        wait::until("the call to start", planned);
        other.batch_execute("BEGIN").expect("begin");
        other.batch_execute("SELECT * FROM __migrator_meta FOR UPDATE").expect("hold what the record needs");
        retried.recv().expect("the record is tried again");
        other.batch_execute("ROLLBACK").expect("let it go");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(database.row_counts()["t"], 1);
}
