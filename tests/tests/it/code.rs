//! Migrations in Rust, among those of a directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, QueryResult};
use migrator::{DatabaseState, Migrator, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, history, names, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    code_runs_at_its_place_and_is_recorded,
    code_that_is_gone_or_renamed_is_noticed,
    code_that_fails_is_undone,
    code_that_panics_is_a_failure,
    a_transaction_that_code_leaves_open_is_a_failure,
    what_can_pass_is_tried_again,
    a_bad_name_is_the_error_of_the_first_verb,
    every_layout_takes_code,
);

fn insert<C: SimpleConnection>(conn: &mut C) -> QueryResult<()> {
    conn.batch_execute("INSERT INTO t1 VALUES (2)")
}

fn of<S: Subject>(folder: &Folder) -> Migrator<S::Connection> {
    Migrator::new(&folder.set())
}

fn rows<S: Subject>(database: &S::Database) -> u64 {
    database.row_counts()["t1"]
}

fn code_runs_at_its_place_and_is_recorded<S: Subject>() {
    let (database, folder) =
        (S::fresh(), Folder::of(&[("01_t1", &*table(1)), ("03_all", "UPDATE t1 SET id = id + 10;")]));
    let migrator = of::<S>(&folder).code("02_insert", insert);
    let plan = migrator.plan(&mut database.connect(), Target::Latest).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.steps()[1].name, "02_insert");
    assert_eq!((plan.steps()[1].statements, plan.steps()[1].file.as_str()), (0, "02_insert (code)"));
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t1", "02_insert", "03_all"]);
    let ids = S::texts(&mut database.connect(), "SELECT TRIM(CAST(id AS CHAR(9))) AS value FROM t1 ORDER BY id");
    assert_eq!(ids, ["11", "12"]);
    assert!(history(&database).contains(&"applied 02".to_owned()));

    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    assert_eq!(migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 3);
    assert_eq!(queries.take().len(), 1);
    let status = migrator.status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((status.state(), status.applied()), (DatabaseState::UpToDate, 3));
    assert!(!status.migrations()[1].reversible);
}

fn code_that_is_gone_or_renamed_is_noticed<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of(&[("01_t1", &*table(1)), ("03_t3", &*table(3))]));
    of::<S>(&folder).code("02_insert", insert).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let code = |migrator: Migrator<S::Connection>| {
        migrator.run(&mut database.connect()).expect_err("refused").code().to_owned()
    };
    assert_eq!(code(of::<S>(&folder)), "missing");
    assert_eq!(code(of::<S>(&folder).code("02_backfill", insert)), "changed");
    assert_eq!(rows::<S>(&database), 2);
}

fn code_that_fails_is_undone<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let fails = |conn: &mut S::Connection| {
        insert(conn)?;
        conn.batch_execute("INSERT INTO nowhere VALUES (1)")
    };
    let error =
        of::<S>(&folder).code("02_insert", fails).run(&mut database.connect()).expect_err("there is no such table");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("02")), "{error}");
    assert!(error.database_words().is_some_and(|words| words.contains(S::NO_SUCH_TABLE)), "{error}");
    assert_eq!(rows::<S>(&database), 1);
    let report = of::<S>(&folder)
        .code("02_insert", insert)
        .run(&mut database.connect())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((names(&report), rows::<S>(&database)), (vec!["02_insert"], 2));
}

fn code_that_panics_is_a_failure<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let panics = |conn: &mut S::Connection| {
        conn.transaction(|conn| {
            insert(conn)?;
            panic!("the sky fell")
        })
    };
    let mut conn = database.connect();
    let error =
        of::<S>(&folder).code::<diesel::result::Error>("02_insert", panics).run(&mut conn).expect_err("it panics");
    assert!(error.to_string().contains("it panicked: the sky fell"), "{error}");
    assert_eq!(rows::<S>(&database), 1);
    let report = of::<S>(&folder).code("02_insert", insert).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((names(&report), rows::<S>(&database)), (vec!["02_insert"], 2));
}

fn a_transaction_that_code_leaves_open_is_a_failure<S: Subject>() {
    use diesel::connection::TransactionManager;

    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let leaves = |conn: &mut S::Connection| {
        <S::Connection as Connection>::TransactionManager::begin_transaction(conn)?;
        insert(conn)
    };
    let mut conn = database.connect();
    let error = of::<S>(&folder).code("02_insert", leaves).run(&mut conn).expect_err("it is left open");
    assert!(error.to_string().contains("it left a transaction open"), "{error}");
    assert_eq!(rows::<S>(&database), 1);
    conn.begin_test_transaction().expect("no transaction is open");
}

fn what_can_pass_is_tried_again<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let words =
        if S::NAME == "postgres" { "ERROR: deadlock detected" } else { "Deadlock found when trying to get lock" };
    let flaky = move |conn: &mut S::Connection| {
        insert(conn).map_err(|error| error.to_string())?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 { Err(words.to_owned()) } else { Ok(()) }
    };
    let ran = of::<S>(&folder).code("02_insert", flaky).run(&mut database.connect());
    match S::ONE_TRANSACTION {
        // Nobody else writes while the lock is a transaction.
        true => assert_eq!((ran.is_err(), calls.load(Ordering::SeqCst)), (true, 1)),
        false => {
            ran.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((calls.load(Ordering::SeqCst), rows::<S>(&database)), (2, 2));
        }
    }
}

fn a_bad_name_is_the_error_of_the_first_verb<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    for (name, expected) in [
        ("02_again", "`02_t2` has the version of `02_again` too"),
        ("_x", "has no version"),
        (&"9".repeat(60), "longer than 50"),
    ] {
        let migrator = of::<S>(&folder).code("03_fine", insert).code(name, insert);
        let error = migrator.run(&mut database.connect()).expect_err("refused");
        assert!(error.is_folder_fault() && error.message().contains(expected), "{error}");
        assert!(migrator.status(&mut database.connect()).is_err());
    }
    assert_eq!(tables(&database), Vec::<String>::new());
}

fn every_layout_takes_code<S: Subject>() {
    for (file, code) in [("V9__t1.sql", "V10__insert"), ("1_t1.sql", "2_insert"), ("01_t1/migration.sql", "02_insert")]
    {
        let (database, folder) = (S::fresh(), Folder::of_files(&[(file, &*table(1))]));
        let report =
            of::<S>(&folder).code(code, insert).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((names(&report)[1], rows::<S>(&database)), (code, 2), "{file}");
    }
}
