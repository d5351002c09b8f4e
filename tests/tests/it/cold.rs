//! The first run of many migrations on PostgreSQL: its own tables, and what it sets, go with the migrations.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use migrator::{Environment, Error, Event, Interrupt, Migrator};
use migrator_tests::{Database, wait};

use crate::dialects::{Postgres, Subject, applies, as_role, history, names, run, tables};
use crate::folder::{Folder, table};
use crate::watch::Notes;

/// Whoever waits for somebody else.
const WAITS: &str =
    "SELECT 'waits' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// So many migrations that no other tool has a table for.
pub(crate) fn flat(count: usize) -> Folder {
    let folder = Folder::of_files(&[]);
    (1..=count).for_each(|number| folder.write(&format!("{number:02}_t{number}.sql"), table(number)));
    folder
}

/// Of what a run sets, and of what only a script would; and what a message of several migrations prepares, and their lock.
pub(crate) const SETTINGS: &str = "SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'), \
                        current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_timeout', true), \
                        current_setting('client_connection_check_interval'), current_setting('lc_messages'), \
                        current_setting('search_path'), current_setting('work_mem'), current_setting('synchronous_commit'), \
                        current_setting('role'), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), \
                        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())) AS value";

pub(crate) const SET: &str = "SET lock_timeout = '77s'; SET statement_timeout = '78s'; SET idle_in_transaction_session_timeout = '3min'; \
                   SET client_connection_check_interval = '9s'; SET work_mem = '5MB'; SET synchronous_commit = remote_write";

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
    conn.batch_execute(SET).expect("set");
    let before = Postgres::texts(&mut conn, SETTINGS);
    let error = Migrator::new(&flat(6).set()).run(&mut conn).expect_err("it may not");
    assert_eq!(error.code(), "permission_denied", "{error}");
    assert!(error.message().contains("make the history tables"), "{error}");
    assert!(error.remedy().contains("create tables"), "{error}");
    assert!(tables(&database).is_empty());
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);
}

/// What is no integer is refused with its text, which can have the words of a lost connection.
#[test]
fn data_that_tells_of_a_lost_connection_leaves_the_session_as_it_was_found() {
    let database = Postgres::fresh();
    let mut conn = database.connect();
    conn.batch_execute(SET).expect("set");
    let before = Postgres::texts(&mut conn, SETTINGS);
    let folder = flat(8);
    // Where they share a transaction; and where each has its own, since there are tables.
    for number in [3, 6] {
        let file = format!("{number:02}_t{number}.sql");
        folder.write(&file, format!("{}INSERT INTO t1 SELECT 'no connection to the server'::INTEGER;", table(number)));
        let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
        assert!(error.to_string().contains("no connection to the server"), "{error}");
        assert_eq!(error.version(), Some(&*format!("{number:02}")), "{error}");
        assert_eq!(Postgres::texts(&mut conn, SETTINGS), before, "{number}");
        folder.write(&file, table(number));
    }
    assert_eq!(applies::<Postgres>(&database, &folder.set()).applied().len(), 3);
}

/// It waits in its first transaction for a name that somebody else took, and is cancelled there.
#[test]
fn an_interrupt_in_the_first_transaction_leaves_no_tables() {
    let (database, set, interrupt) = (Postgres::fresh(), flat(6).set(), Interrupt::new());
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; CREATE TABLE t3 ()").expect("take the name");
    let mut conn = database.connect();
    conn.batch_execute(SET).expect("set");
    let before = Postgres::texts(&mut conn, SETTINGS);
    let migrator = Migrator::new(&set).interrupt(&interrupt).statement_lock_timeout(Duration::from_secs(60));
    let error = thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut conn).expect_err("it is interrupted"));
        wait::until("the transaction to wait", || database.texts(WAITS).pop());
        migrator.cancel(&mut database.connect()).expect("cancel");
        run.join().expect("no panic")
    });
    assert_eq!(error.code(), "interrupted", "{error}");
    holder.batch_execute("ROLLBACK").expect("let go of the name");
    assert_eq!(
        database.texts("SELECT relname::text AS value FROM pg_class WHERE relname LIKE '\\_\\_migrator%'"),
        [""; 0]
    );
    assert_eq!(Postgres::texts(&mut conn, SETTINGS), before);
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

/// The first one has them under way in one transaction, which waits for a name that somebody else took; who makes them too waits
/// as long as for the lock, and not only for a lock timeout.
#[test]
fn a_set_waits_while_another_one_makes_the_tables() {
    type Second = fn(Migrator<PgConnection>, &mut PgConnection) -> Result<usize, Error>;
    let second: [Second; 2] = [
        |migrator, conn| migrator.run(conn).map(|report| report.applied().len()),
        |migrator, conn| migrator.mark(conn, Environment::Test).map(|before| usize::from(before.is_some())),
    ];
    let own: Vec<(String, String)> =
        (1..=5).map(|number| (format!("{number:02}_own"), format!("CREATE TABLE own_{number} ();"))).collect();
    let (first, own) = (flat(5).set(), Folder::of(&own).set());
    for (second, done) in second.into_iter().zip([5, 0]) {
        let database = Postgres::fresh();
        let mut holder = database.connect();
        holder.batch_execute("BEGIN; CREATE TABLE t3 ()").expect("take the name");
        let (holder, notes) = (Mutex::new(holder), Notes::default());
        thread::scope(|scope| {
            let patient = Migrator::new(&first).statement_lock_timeout(Duration::from_secs(60));
            let run = scope.spawn({
                let database = &database;
                move || patient.run(&mut database.connect()).map(|report| report.applied().len())
            });
            wait::until("the first set to wait", || database.texts(WAITS).pop());
            let noted = notes.clone();
            let beside = Migrator::new(&own).set_name("second").statement_lock_timeout(Duration::from_millis(100));
            let beside = beside.on_event(move |event| {
                if let Event::Retrying { class, .. } = event {
                    noted.add(class.to_owned());
                    holder.lock().expect("no panic").batch_execute("ROLLBACK").expect("let go of the name");
                }
            });
            let mut conn = database.connect();
            conn.batch_execute("SET lock_timeout = '100ms'").expect("set");
            assert_eq!(second(beside, &mut conn).unwrap_or_else(|error| panic!("{error}")), done);
            assert_eq!(run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}")), 5);
        });
        assert_eq!(notes.take().first().map(String::as_str), Some("busy"));
        assert_eq!(database.texts("SELECT count(*)::text AS value FROM __migrator_meta"), ["2"]);
    }
}

/// Its error is one that can pass, and its remedy is none about the role.
#[test]
fn a_set_does_not_wait_for_ever_until_another_one_has_made_the_tables() {
    let database = Postgres::fresh();
    let mut holder = database.connect();
    holder.batch_execute("BEGIN; CREATE TABLE __migrator_meta ()").expect("take the name");
    let set = flat(5).set();
    let migrator =
        Migrator::new(&set).statement_lock_timeout(Duration::from_millis(10)).lock_timeout(Duration::from_millis(100));
    let error = migrator.run(&mut database.connect()).expect_err("it waits in vain");
    assert!(error.is_lock_timeout() && !error.remedy().contains("role"), "{error}");
    holder.batch_execute("ROLLBACK").expect("let go of the name");
    assert_eq!(migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).applied().len(), 5);
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
