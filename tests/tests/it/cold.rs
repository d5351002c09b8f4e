//! The first run of many migrations on PostgreSQL: its own tables, and what it sets, go with the migrations.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use migrator::Migrator;
use migrator_tests::Database;

use crate::dialects::{Postgres, Subject, applies, as_role, history, names, run, tables};
use crate::folder::{Folder, table};

/// So many migrations that no other tool has a table for.
fn flat(count: usize) -> Folder {
    let folder = Folder::of_files(&[]);
    (1..=count).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    folder
}

/// Of what a run sets, and of what only a script would.
const SETTINGS: &str = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'), \
                        current_setting('idle_in_transaction_session_timeout'), \
                        current_setting('client_connection_check_interval'), current_setting('search_path'), \
                        current_setting('work_mem'), current_setting('synchronous_commit'), current_setting('role')) AS value";

const SET: &str = "SET lock_timeout = '77s'; SET idle_in_transaction_session_timeout = '3min'; SET work_mem = '5MB'; \
                   SET synchronous_commit = remote_write";

#[test]
fn the_session_is_left_as_it_was_found() {
    let database = Postgres::fresh();
    let mut conn = database.connect();
    conn.batch_execute(SET).expect("set");
    let before = Postgres::texts(&mut conn, SETTINGS);
    let folder = flat(6);
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);

    // Behind those that are quiet comes one that is not.
    (7..=11).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    folder.write("12_loud.sql", "SET search_path = pg_catalog; SET work_mem = '6MB'; SET lock_timeout = '1s';");
    folder.write("13_t13.sql", table(13));
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);
    assert!(tables(&database).contains(&"t13".to_owned()), "{:?}", tables(&database));
}

#[test]
fn the_session_is_left_as_it_was_found_where_a_transaction_could_not_be_shared() {
    let database = Postgres::fresh();
    let mut conn = database.connect();
    conn.batch_execute(SET).expect("set");
    let before = Postgres::texts(&mut conn, SETTINGS);
    let folder = Folder::of_files(&[("01_mood.sql", "CREATE TYPE mood AS ENUM ('sad');")]);
    applies::<Postgres>(&database, &folder.set());
    // There is no table yet; and what is added cannot be used before it is committed.
    folder.write("02_ok.sql", "ALTER TYPE mood ADD VALUE 'ok';");
    folder.write("03_uses.sql", "CREATE TABLE moods (mood mood DEFAULT 'ok'); INSERT INTO moods DEFAULT VALUES;");
    (4..=6).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 5);
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);

    folder.write("07_bad.sql", "INSERT INTO nowhere VALUES (1);");
    (8..=11).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("07")), "{error}");
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);
}

#[test]
fn a_first_migration_that_fails_is_recorded() {
    let database = Postgres::fresh();
    let folder = flat(5);
    folder.write("03_t3.sql", "CREATE TABLE t3 (id INTEGER); INSERT INTO nowhere VALUES (1);");
    let error = run::<Postgres>(&database, &folder.set()).expect_err("it fails");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("03")), "{error}");
    assert_eq!(history(&database), ["applied 01", "applied 02", "failed 03"]);
    folder.write("03_t3.sql", table(3));
    assert_eq!(names(&applies::<Postgres>(&database, &folder.set())), ["03_t3", "04_t4", "05_t5"]);
}

#[test]
fn a_role_that_may_not_make_the_tables_is_told() {
    let database = Postgres::fresh();
    let role = format!("guest_of_{}", database.name());
    database.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'letter'"));
    let mut conn =
        <Postgres as Subject>::Connection::establish(&as_role(database.url(), &role, "letter")).expect("connect");
    let error = Migrator::new(&flat(6).set()).run(&mut conn).expect_err("it may not");
    assert_eq!(error.code(), "permission_denied", "{error}");
    assert!(error.message().contains("make the history tables"), "{error}");
    assert!(error.remedy().contains("create tables"), "{error}");
    assert!(tables(&database).is_empty());
}

#[test]
fn two_sets_begin_at_the_same_time() {
    let database = Postgres::fresh();
    let starts: Vec<_> = (0..4)
        .map(|at| {
            let url = database.url().to_owned();
            std::thread::spawn(move || {
                let folder = Folder::of_files(&[]);
                for number in 1..=5 {
                    folder.write(
                        &format!("{number:02}_own.sql"),
                        format!("CREATE TABLE own_{at}_{number} (id INTEGER PRIMARY KEY);"),
                    );
                }
                let mut conn = <Postgres as Subject>::Connection::establish(&url).expect("connect");
                let migrator =
                    Migrator::new(&folder.set()).set_name(format!("set {at}")).non_empty(migrator::Policy::Allow);
                migrator.run(&mut conn).map(|report| report.applied().len())
            })
        })
        .collect();
    let ends: Vec<_> = starts.into_iter().map(|start| start.join().expect("no panic")).collect();
    assert!(ends.iter().all(|end| matches!(end, Ok(5))), "{ends:?}");
    assert_eq!(database.texts("SELECT count(*)::text AS value FROM __migrator_meta"), ["4"]);
}

#[test]
fn tables_of_an_earlier_type_are_read_and_written() {
    let (database, folder) = (Postgres::fresh(), flat(5));
    applies::<Postgres>(&database, &folder.set());
    let columns =
        ["set_name", "fingerprint", "schema", "environment"].map(|name| format!("ALTER COLUMN {name} TYPE text"));
    database.execute(&format!("ALTER TABLE __migrator_meta {}", columns.join(", ")));
    (6..=10).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 5);
    assert!(applies::<Postgres>(&database, &folder.set()).applied().is_empty());
}
