//! What only MySQL and MariaDB have: DDL that commits, stored programs, modes that change what text means.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{DatabaseState, Event, Migrator, Resolution, State};
use migrator_tests::servers::{self, Options};
use migrator_tests::{Database, wait};

use crate::dialects::{Mariadb, Subject, applies, as_role, history, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

/// The third migration is DDL, then what fails, then DDL.
const THREE: &str =
    "CREATE TABLE first (id INTEGER);\nALTER TABLE nowhere ADD n INTEGER;\nCREATE TABLE last (id INTEGER);\n";

fn half_way() -> (<Mariadb as Subject>::Database, Folder) {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(4));
    folder.write("03_t3/up.sql", THREE);
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("it fails");
    let place = error.place().expect("a place");
    assert_eq!((error.code(), place.number, place.line), ("statement_failed", 2, 2), "{error}");
    assert_eq!(tables(&database), ["first", "t1", "t2"]);
    (database, folder)
}

#[test]
fn it_goes_on_at_the_statement_that_failed() {
    let (database, folder) = half_way();
    let seen = status::<Mariadb>(&database, &folder.set());
    assert_eq!((seen.state(), seen.migrations()[2].state), (DatabaseState::Blocked, State::Failed), "{seen}");
    assert!(seen.migrations()[2].error.as_deref().is_some_and(|error| error.contains("nowhere")), "{seen}");
    folder.write("03_t3/up.sql", THREE.replace("nowhere", "first"));
    assert_eq!(names(&applies::<Mariadb>(&database, &folder.set())), ["03_t3", "04_t4"]);
    assert_eq!(tables(&database), ["first", "last", "t1", "t2", "t4"]);
    assert_eq!(status::<Mariadb>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

#[test]
fn what_took_must_not_be_edited_and_a_person_can_settle_it() {
    let (database, folder) = half_way();
    folder.write("03_t3/up.sql", THREE.replace("first", "primary_one"));
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("refused");
    assert_eq!((error.code(), error.version()), ("failed", Some("03")), "{error}");
    database.execute("DROP TABLE first");
    let set = folder.set();
    Migrator::new(&set).resolve(&mut database.connect(), "03", Resolution::RolledBack).expect("resolve");
    folder.write("03_t3/up.sql", THREE.replace("nowhere", "first"));
    assert_eq!(names(&applies::<Mariadb>(&database, &folder.set())), ["03_t3", "04_t4"]);
}

#[test]
fn scripts_do_not_change_what_comes_after_them() {
    let (database, other) = (Mariadb::fresh(), servers::mariadb().fresh());
    let (elsewhere, role) = (other.name(), format!("role_of_{}", database.name()));
    database.execute(&format!("CREATE ROLE {role}"));
    let folder = Folder::of(&[
        ("01_t1", table(1)),
        (
            "02_mode",
            "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'; INSERT INTO t1 VALUES (2);"
                .into(),
        ),
        (
            "03_it's \\ here",
            "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'; CREATE TABLE \"t2\" (id INTEGER);".into(),
        ),
        ("04_elsewhere", format!("USE {elsewhere}; CREATE TABLE there (id INTEGER); INSERT INTO there VALUES (1);")),
        ("05_rows", format!("USE {elsewhere}; INSERT INTO there VALUES (2);")),
        (
            "06_keys",
            "SET FOREIGN_KEY_CHECKS = 0, unique_checks = 0; SET time_zone = '+05:00'; SET NAMES latin1;".into(),
        ),
        ("07_t3", table(3)),
        (
            "08_only_reads",
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; SET sql_select_limit = 1; SELECT 1;"
                .into(),
        ),
        ("09_role", format!("SET ROLE {role}; SELECT 1;")),
        ("10_t4", table(4)),
    ]);
    let mut conn = database.connect();
    let settings = "SELECT CONCAT_WS(' ', DATABASE(), @@sql_mode, @@foreign_key_checks, @@unique_checks, @@time_zone, \
                    @@character_set_client, @@character_set_connection, @@lock_wait_timeout, @@autocommit, @@sql_select_limit, \
                    @@tx_isolation, @@tx_read_only, IFNULL(CURRENT_ROLE(), 'none')) AS value";
    let before = Mariadb::texts(&mut conn, settings);
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 10);
    assert_eq!(Mariadb::texts(&mut conn, settings), before);
    assert_eq!(
        (tables(&database), tables(&other)),
        (["t1", "t2", "t3", "t4"].map(str::to_owned).to_vec(), vec!["there".to_owned()])
    );
    assert_eq!((database.row_counts()["t1"], other.row_counts()["there"]), (2, 2));
    assert_eq!(history(&database).iter().filter(|event| event.starts_with("applied")).count(), 10);
    assert_eq!(run::<Mariadb>(&database, &folder.set()).expect("run").skipped(), 10);
}

/// The role cannot be taken again; everything else is as it was, for the next script and for the host.
#[test]
fn a_script_that_drops_the_role_of_its_session_changes_nothing_else() {
    let (database, other) = (Mariadb::fresh(), servers::mariadb().fresh());
    let (elsewhere, role) = (other.name(), format!("role_of_{}", database.name()));
    database.execute(&format!("CREATE ROLE {role}"));
    let settings = "SELECT CONCAT_WS(' ', DATABASE(), @@sql_mode, @@foreign_key_checks, @@autocommit) AS value";
    let leaves = "SET SESSION sql_mode = 'ANSI_QUOTES', foreign_key_checks = 0";
    let folder = Folder::of(&[
        ("01_t1", table(1)),
        ("02_drops", format!("-- migrator: no-transaction\n{leaves};\nUSE {elsewhere};\nDROP ROLE {role};\n")),
        ("03_seen", format!("CREATE TABLE seen {settings};")),
    ]);
    let mut conn = database.connect();
    conn.batch_execute(&format!("SET ROLE {role}")).expect("take it");
    let before = Mariadb::texts(&mut conn, settings);
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), Mariadb::texts(&mut conn, settings)), (3, before.clone()));
    assert_eq!((database.texts("SELECT value FROM seen"), tables(&other)), (before, Vec::new()));
}

#[test]
fn a_session_with_other_modes_migrates_as_well() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(2));
    folder.write("03_it's \\ odd/up.sql", "INSERT INTO \"t1\" VALUES (2); INSERT INTO nowhere VALUES ('\\\\');");
    let mut conn = database.connect();
    conn.batch_execute("SET SESSION sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,TRADITIONAL', autocommit = 0").expect("set");
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
    assert_eq!(names(error.report().unwrap_or_else(|| panic!("{error}"))), ["01_t1", "02_t2"], "{error}");
    assert_eq!(database.row_counts()["t1"], 1, "rows alone are all or nothing");
    assert_eq!(Mariadb::texts(&mut conn, "SELECT CAST(@@autocommit + 0 AS CHAR) AS value"), ["0"]);
    // With a history there, the first query begins a transaction, and nobody can tell whose that is.
    folder.write("03_it's \\ odd/up.sql", "INSERT INTO \"t1\" VALUES (2);");
    let refused = Migrator::new(&folder.set()).run(&mut conn).expect_err("refused");
    assert!(refused.code() == "open_transaction" && refused.remedy().contains("autocommit"), "{refused}");
    conn.batch_execute("SET autocommit = 1").expect("set");
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((names(&report), database.row_counts()["t1"]), (vec!["03_it's \\ odd"], 2));
}

#[test]
fn rows_alone_are_all_or_nothing() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(1));
    folder.write(
        "02_rows/up.sql",
        "INSERT INTO t1 VALUES (2); UPDATE t1 SET id = id + 10; INSERT INTO nowhere VALUES (1);",
    );
    run::<Mariadb>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(database.texts("SELECT CAST(id AS CHAR) AS value FROM t1"), ["1"]);
    assert_eq!(status::<Mariadb>(&database, &folder.set()).migrations()[1].state, State::Pending);
}

#[test]
fn stored_programs_need_no_delimiter() {
    let script = "CREATE TABLE log (what VARCHAR(40));
CREATE PROCEDURE note(IN n INT)
BEGIN
  DECLARE i INT DEFAULT 0;
  WHILE i < n DO
    IF i = 1 THEN INSERT INTO log VALUES ('one; end'); ELSE INSERT INTO log VALUES ('other'); END IF;
    SET i = i + 1;
  END WHILE;
END;
CREATE TRIGGER noted AFTER INSERT ON t1 FOR EACH ROW BEGIN INSERT INTO log VALUES ('row'); END;
CREATE FUNCTION two() RETURNS INT DETERMINISTIC RETURN 2;
CALL note(3);
INSERT INTO t1 SELECT two();
";
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(1));
    folder.write("02_programs/up.sql", script);
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(events.take().contains(&"Statement { number: 6, of: 6 }".to_owned()));
    assert_eq!(database.texts("SELECT what AS value FROM log ORDER BY what"), ["one; end", "other", "other", "row"]);
}

#[test]
fn an_owner_without_administration_rights_migrates() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(3));
    folder
        .write("04_mode/up.sql", "SET SESSION sql_mode = ''; CREATE TABLE t4 (id INTEGER); INSERT INTO t4 VALUES (1);");
    let (name, role) = (database.name(), format!("owner_of_{}", database.name()));
    database.execute(&format!(
        "CREATE USER '{role}'@'127.0.0.1' IDENTIFIED BY 'letter'; GRANT ALL ON {name}.* TO '{role}'@'127.0.0.1'"
    ));
    let url = as_role(database.url(), &role, "letter");
    let mut conn = <diesel::MysqlConnection as diesel::Connection>::establish(&url).expect("connect");
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 4);
}

#[test]
fn a_lock_that_is_held_for_a_while_is_tried_again() {
    // A metadata lock in the way of DDL, and a row lock in the way of rows.
    let cases = [("SELECT * FROM t1", "ALTER TABLE t1 ADD n INTEGER"), ("DELETE FROM t1", "UPDATE t1 SET id = 7")];
    for (held, script) in cases {
        let (database, folder) = (Mariadb::fresh(), Folder::of_tables(1));
        applies::<Mariadb>(&database, &folder.set());
        folder.write("02_waits/up.sql", script);
        let mut holder = database.connect();
        holder.batch_execute(&format!("BEGIN; {held}")).expect("hold");
        let (retrying, retries) = mpsc::channel();
        let migrator =
            Migrator::new(&folder.set()).statement_lock_timeout(Duration::from_millis(10)).on_event(move |event| {
                if matches!(event, Event::Retrying { attempt: 2, .. }) {
                    retrying.send(()).expect("the holder waits");
                }
            });
        let holding = thread::spawn(move || {
            retries.recv_timeout(wait::DEADLINE).expect("the run tries again");
            holder.batch_execute("ROLLBACK").expect("let go");
        });
        let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
        holding.join().expect("no panic");
        assert_eq!(names(&report), ["02_waits"], "{script}");
        assert_eq!(status::<Mariadb>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    }
}

#[test]
fn a_server_that_only_reads() {
    let server = servers::Mariadb::start(Options::default().set("read_only", "1"));
    let (database, set) = (server.fresh(), Folder::of_tables(1).set());
    // The administrator of the tests could write; a replica is none to write to all the same.
    let error = Migrator::new(&set).run(&mut database.connect()).expect_err("refused");
    assert_eq!(error.code(), "read_only", "{error}");
    assert!(error.message().contains("read_only is ON") && error.remedy().contains("primary"), "{error}");
    assert!(tables(&database).is_empty());
    let seen = Migrator::new(&set).status(&mut database.connect()).expect("status");
    assert_eq!(seen.state(), DatabaseState::Uninitialized);
}
