//! Many pending migrations on MariaDB go several in one message, and end as if they had gone one by one.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Error, Event, Interrupt, Migrator, Report};
use migrator_tests::{Database, servers, wait};

use crate::dialects::{Mariadb, Subject, applies, history, names, one_by_one, run, tables};
use crate::folder::{Folder, table};
use crate::watch::{self, words};

type Fresh = <Mariadb as Subject>::Database;

/// What a run leaves, but for times, run ids and durations; with the row that diesel would have written for each that is applied.
fn left(database: &Fresh) -> String {
    let column = |name: &str| {
        database.texts(&format!(
            "SELECT COALESCE(CAST({name} AS CHAR), '-') AS value FROM __migrator_history ORDER BY sequence"
        ))
    };
    let columns = [
        "sequence",
        "event",
        "version",
        "name",
        "checksum",
        "statement",
        "statements",
        "server_started",
        "recorded_by",
        "tool",
        "host",
        "application",
        // Of a statement that it cannot read the database shows what follows too.
        "SUBSTRING_INDEX(detail, '\n;', 1)",
    ];
    let records: Vec<Vec<String>> = columns.into_iter().map(column).collect();
    let meta = database.texts("SELECT CONCAT(fingerprint, ' ', sequence) AS value FROM __migrator_meta");
    let diesels = database.texts("SELECT version AS value FROM __diesel_schema_migrations ORDER BY version");
    let rows: Vec<_> = database.row_counts().into_iter().collect();
    let left = format!("{}\n{rows:?}\n{records:#?}\n{meta:?}\n{diesels:?}", database.dump());
    left.replace(database.name(), "DATABASE")
}

#[test]
fn leaves_what_one_by_one_leaves() {
    let folder = Folder::of_tables(16);
    folder.write("04_t4/up.sql", "INSERT INTO t1 VALUES (2);\nUPDATE t1 SET id = id + 10;");
    folder.write(
        "05_t5/up.sql",
        "CREATE TABLE t5 (a VARCHAR(40) DEFAULT 'it''s \\\\ ; so'); -- ;\nCREATE INDEX i ON t5 (a);",
    );
    folder.write(
        "06_t6/up.sql",
        "-- migrator: no-transaction\nINSERT INTO t5 VALUES ('ü; @x');\nDELETE FROM t1 WHERE id = 12;",
    );
    folder.write("07_t7/up.sql", "ALTER TABLE t5 ADD COLUMN b INT, ADD INDEX j (b);");
    folder.write("08_t8/up.sql", "INSERT INTO t5 (a) VALUES ('two'); ALTER TABLE t5 DROP COLUMN b;");
    // These go alone, and behind them others travel again.
    folder.write("10_t10/up.sql", "SET @kept = 7; CREATE TABLE t10 AS SELECT @kept AS n;");
    folder.write("11_t11/up.sql", "-- nothing to do");
    let (set, together, alone) = (folder.set(), Mariadb::fresh(), Mariadb::fresh());
    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = migrator.run(&mut together.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 16);
    let events = events.take();
    assert_eq!(words(&events).iter().filter(|word| **word == "Together").count(), 2, "{events:#?}");
    one_by_one::<Mariadb>(&alone, &set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(left(&together), left(&alone));
    assert!(applies::<Mariadb>(&together, &set).applied().is_empty());
}

#[test]
fn tells_of_a_message_and_of_what_took() {
    let (database, set) = (Mariadb::fresh(), Folder::of_tables(6).set());
    let (migrator, events) = watch::events(Migrator::new(&set));
    migrator.run(&mut database.connect()).expect("run");
    let events = events.take();
    assert_eq!(words(&events)[..3], ["Locked", "Planned", "Together"], "{events:#?}");
    assert_eq!(events[2], r#"Together { name: "01_t1", migrations: 6, step: 1, steps: 6 }"#);
    assert!(events[3..].iter().all(|event| event.starts_with("Applied ")) && events.len() == 9, "{events:#?}");
    let (few, set) = (Mariadb::fresh(), Folder::of_tables(3).set());
    let (migrator, events) = watch::events(Migrator::new(&set));
    migrator.run(&mut few.connect()).expect("run");
    assert!(words(&events.take()).contains(&"Statement"), "a few are told statement by statement");
}

#[test]
fn the_one_that_fails_fails_as_it_does_alone() {
    let cases = [
        "CREATE TABLE t3 (id INT);\nINSERT INTO t3 VALUES (1);\n  INSERT INTO nowhere VALUES (1);\nCREATE TABLE never (id INT);",
        "CREATE TABLE t3 (id INT);\n\n  ALTER TABLE t3 ADD COLUMN 1;\nCREATE TABLE never (id INT);",
        "CREATE TABLE t1 (id INT);\nCREATE TABLE never (id INT);",
        "CREATE TABLE t3 (id INT PRIMARY KEY);\nINSERT INTO t3 VALUES (1), (1);",
        "INSERT INTO t1 VALUES (7);\nINSERT INTO t1 VALUES (1);",
        "CREATE TABLE t3 (id INT);\nDROP TABLE __migrator_history;",
        // The lock is gone, so that the statement cannot be recorded, and nothing behind it runs.
        "CREATE TABLE t3 (id INT);\nINSERT INTO t3 SELECT RELEASE_ALL_LOCKS();\nCREATE TABLE never (id INT);",
        "CREATE TABLE t3 (id INT);\nCREATE TABLE t33 AS SELECT RELEASE_ALL_LOCKS() AS id;\nCREATE TABLE never (id INT);",
    ];
    for script in cases {
        let folder = Folder::of_tables(20);
        folder.write("03_t3/up.sql", script);
        let [together, alone] = [Mariadb::fresh(), Mariadb::fresh()];
        let [first, second] =
            [run::<Mariadb>(&together, &folder.set()).map(drop), one_by_one::<Mariadb>(&alone, &folder.set())];
        let [first, second] = [first.expect_err("it fails"), second.expect_err("it fails")];
        let said = |error: &Error, database: &Fresh| {
            let message = error.message().replace(database.name(), "DATABASE");
            let words = error.database_words().map(|words| words.replace(database.name(), "DATABASE"));
            assert!(
                !words.as_deref().unwrap_or_default().contains("@migrator"),
                "only the script is quoted: {words:?}"
            );
            (error.code(), message, error.version().map(str::to_owned), error.place().cloned(), words)
        };
        assert_eq!(said(&first, &together), said(&second, &alone), "{first}");
        assert_eq!(names(first.report().expect("it did something")), ["01_t1", "02_t2"], "{script}");
        assert!(!tables(&together).contains(&"never".to_owned()), "{script}");
        if script.contains("__migrator_history") {
            continue;
        }
        assert_eq!(left(&together), left(&alone), "{script}");
    }
}

#[test]
fn what_took_of_it_stays_and_the_rest_travels_when_it_is_mended() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(20));
    let script = "CREATE TABLE t3 (id INT);\nINSERT INTO t3 VALUES (1);\nALTER TABLE nowhere ADD n INT;\n";
    folder.write("03_t3/up.sql", script);
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(error.place().map(|place| (place.number, place.line)), Some((3, 3)), "{error}");
    assert!(error.to_string().contains("03_t3/up.sql:3"), "{error}");
    let recorded = ["planned 03", "statement 03", "statement 03", "failed 03"];
    assert_eq!(history(&database)[6..], recorded, "{:#?}", history(&database));
    folder.write("03_t3/up.sql", script.replace("nowhere", "t3"));
    assert_eq!(applies::<Mariadb>(&database, &folder.set()).applied().len(), 18);
    assert_eq!(database.row_counts()["t3"], 1, "it went on behind what took");
}

/// A database with what is met, and a folder whose 14th migration does this in its second statement; it and its neighbours are pending.
fn ready(first: &str, script: &str) -> (Fresh, Folder) {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(9));
    folder.write("01_t1/up.sql", first);
    applies::<Mariadb>(&database, &folder.set());
    (10..30).for_each(|number| {
        folder.write(&format!("{number}_more/up.sql"), format!("CREATE TABLE more{number} (a INT);"))
    });
    folder.write("14_more/up.sql", format!("CREATE TABLE more14 (a INT);\n{script};\nCREATE TABLE last14 (a INT);"));
    (database, folder)
}

/// What a run says of it whose 14th migration is tried again: it and no other is told from its begin.
fn tried_again(report: &Report, events: &[String], class: &str) {
    assert_eq!(report.applied().len(), 20);
    let of = |what: &str| events.iter().filter(|event| event.starts_with(what)).collect::<Vec<_>>();
    assert_eq!(of("Together").len(), 2, "before it and behind it: {events:#?}");
    assert!(of("Started").len() == 1 && of("Started")[0].contains("14_more"), "{events:#?}");
    assert!(of("Retrying").iter().all(|event| event.contains(class)) && !of("Retrying").is_empty(), "{events:#?}");
    assert!(of("Failed").is_empty(), "{events:#?}");
}

#[test]
fn a_lock_that_is_held_for_a_while_is_tried_again() {
    let cases = [("SELECT * FROM t1", "ALTER TABLE t1 ADD n INTEGER"), ("DELETE FROM t1", "UPDATE t1 SET id = 7")];
    for (held, script) in cases {
        let (database, folder) = ready(&table(1), script);
        let mut holder = database.connect();
        holder.batch_execute(&format!("BEGIN; {held}")).expect("hold");
        let (retrying, retried) = mpsc::channel();
        let (set, notes) = (folder.set(), watch::Notes::default());
        let kept = notes.clone();
        let migrator = Migrator::new(&set).statement_lock_timeout(Duration::from_millis(10)).on_event(move |event| {
            kept.add(format!("{event:?}"));
            if matches!(event, Event::Retrying { .. }) {
                let _told_once_is_enough = retrying.send(());
            }
        });
        let report = thread::scope(|scope| {
            let run = scope.spawn(|| migrator.run(&mut database.connect()));
            retried.recv_timeout(wait::DEADLINE).expect("the one that waits is tried again");
            holder.batch_execute("ROLLBACK").expect("let it go");
            run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
        });
        tried_again(&report, &notes.take(), "busy");
        assert_eq!(history(&database).iter().filter(|event| event.ends_with(" 14")).count(), 4, "{script}");
    }
}

#[test]
fn a_deadlock_in_the_middle_is_tried_again() {
    let tables = "CREATE TABLE t1 (id INT PRIMARY KEY, n INT); INSERT INTO t1 VALUES (1, 0), (2, 0); CREATE TABLE heavy (n INT);";
    let (database, folder) = ready(tables, "UPDATE t1 SET n = n + 1");
    let mut traffic = database.connect();
    // Who has done the most is not the one that is ended.
    traffic
        .batch_execute("BEGIN; INSERT INTO heavy SELECT seq FROM seq_1_to_1000; UPDATE t1 SET n = n + 10 WHERE id = 2")
        .expect("take the second row");
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    let report = thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        let waits =
            "SELECT 'waits' AS value FROM information_schema.processlist WHERE db = DATABASE() AND state = 'Updating'
                     AND info LIKE '%UPDATE t1 SET n = n + 1%'";
        wait::until("the run to have the first row", || database.texts(waits).pop());
        traffic.batch_execute("UPDATE t1 SET n = n + 10 WHERE id = 1").expect("the run is the one that is ended");
        traffic.batch_execute("COMMIT").expect("commit");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    tried_again(&report, &events.take(), "conflict");
    assert_eq!(database.texts("SELECT CAST(n AS CHAR) AS value FROM t1"), ["11", "11"]);
}

/// Twenty, the third of which takes a while in its second statement.
fn slow(statement: &str) -> Folder {
    let folder = Folder::of_tables(20);
    folder.write("03_t3/up.sql", format!("CREATE TABLE t3 (n INT);\n{statement};\nINSERT INTO t3 VALUES (2);"));
    folder
}

/// Waits until the third sleeps, does something, and returns what became of the run.
fn while_it_sleeps(
    database: &Fresh,
    migrator: &Migrator<diesel::MysqlConnection>,
    then: impl FnOnce(),
) -> Result<Report, Error> {
    let sleeps =
        "SELECT 'sleeps' AS value FROM information_schema.processlist WHERE db = DATABASE() AND state = 'User sleep'";
    thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        wait::until("the third migration", || database.texts(sleeps).pop());
        then();
        run.join().expect("no panic")
    })
}

/// The first two took, and of the third what its records say.
fn ended_in_the_third(database: &Fresh, result: Result<Report, Error>, recorded: &[&str]) {
    let error = result.expect_err("it is interrupted");
    assert_eq!((error.code(), error.version()), ("interrupted", Some("03")), "{error}");
    assert_eq!(names(error.report().expect("two are done")), ["01_t1", "02_t2"]);
    assert_eq!(history(database)[6..], *recorded, "{:#?}", history(database));
}

#[test]
fn an_interrupt_ends_a_message_that_takes_long() {
    let (set, interrupt, database) = (slow("INSERT INTO t3 SELECT SLEEP(3)").set(), Interrupt::new(), Mariadb::fresh());
    let result = while_it_sleeps(&database, &Migrator::new(&set).interrupt(&interrupt), || interrupt.stop());
    ended_in_the_third(&database, result, &["planned 03", "statement 03", "statement 03", "interrupted 03"]);
    assert_eq!(applies::<Mariadb>(&database, &set).applied().len(), 18);
    assert_eq!(database.row_counts()["t3"], 2);
}

#[test]
fn a_message_that_takes_long_is_taken_up_where_it_stopped() {
    let (set, database) = (slow("INSERT INTO t3 SELECT SLEEP(1.2)").set(), Mariadb::fresh());
    let (migrator, events) = watch::events(Migrator::new(&set));
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let events = events.take();
    assert_eq!(words(&events).iter().filter(|word| **word == "Together").count(), 2, "{events:#?}");
    assert_eq!(database.row_counts()["t3"], 2);
    assert!(!history(&database).iter().any(|event| event.starts_with("failed")), "{:#?}", history(&database));
}

#[test]
fn a_statement_that_is_cancelled_in_a_message_did_not_take() {
    // Rows, and DDL of which the catalogue is asked.
    for statement in ["INSERT INTO t3 SELECT SLEEP(600)", "CREATE TABLE t33 AS SELECT SLEEP(600) AS n"] {
        let (folder, database) = (slow(statement), Mariadb::fresh());
        let set = folder.set();
        let migrator = Migrator::new(&set).interrupt(&Interrupt::new());
        let cancel = || migrator.cancel(&mut database.connect()).expect("cancel");
        let result = while_it_sleeps(&database, &migrator, cancel);
        ended_in_the_third(&database, result, &["planned 03", "statement 03", "interrupted 03"]);
        folder.write("03_t3/up.sql", "CREATE TABLE t3 (n INT);\nINSERT INTO t3 VALUES (1);");
        assert_eq!(applies::<Mariadb>(&database, &folder.set()).applied().len(), 18, "{statement}");
        assert_eq!(database.row_counts()["t3"], 1);
    }
}

#[test]
fn what_was_interrupted_before_is_not_sent() {
    let (database, set, interrupt) = (Mariadb::fresh(), Folder::of_tables(6).set(), Interrupt::new());
    let stop = interrupt.clone();
    let migrator = Migrator::new(&set).interrupt(&interrupt).on_event(move |event| {
        if matches!(event, Event::Together { .. }) {
            stop.stop();
        }
    });
    let error = migrator.run(&mut database.connect()).expect_err("it is interrupted");
    assert_eq!((error.code(), history(&database).len()), ("interrupted", 0), "{error}");
}

#[test]
fn a_script_of_rows_that_fails_is_not_sent_again() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(20));
    folder.write("02_t2/up.sql", "CREATE TABLE t2 (id INT) ENGINE = MyISAM;");
    // Rows of such a table stay whatever becomes of the transaction.
    folder.write("03_t3/up.sql", "INSERT INTO t2 VALUES (1);\nUPDATE t2 SET id = 2;\nINSERT INTO nowhere VALUES (1);");
    let error = run::<Mariadb>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(error.place().map(|place| (place.number, place.line)), Some((3, 3)), "{error}");
    assert_eq!(database.row_counts()["t2"], 1);
}

/// In a session that begins a transaction with each statement, too: the record that fails takes its rows along.
#[test]
fn rows_that_cannot_be_recorded_are_undone() {
    for autocommit in [1, 0] {
        let (database, folder) = (Mariadb::fresh(), Folder::of_tables(20));
        folder.write("03_t3/up.sql", "INSERT INTO t1 VALUES (7);\nINSERT INTO t1 SELECT 50 + RELEASE_ALL_LOCKS();");
        let mut conn = database.connect();
        conn.batch_execute(&format!("SET SESSION autocommit = {autocommit}")).expect("set");
        let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("the lock is gone");
        assert_eq!((error.code(), error.version()), ("lock_lost", Some("03")), "{error}");
        assert_eq!(database.texts("SELECT CAST(id AS CHAR) AS value FROM t1"), ["1"], "autocommit = {autocommit}");
        assert_eq!(history(&database).iter().filter(|event| event.ends_with(" 03")).count(), 0);
        assert_eq!(
            Mariadb::texts(&mut conn, "SELECT CAST(@@autocommit + 0 AS CHAR) AS value"),
            [autocommit.to_string()]
        );
    }
}

#[test]
fn what_took_is_recorded_where_the_session_cannot_be_restored() {
    let (database, folder) = (Mariadb::fresh(), Folder::of_tables(10));
    let role = format!("role_of_{}", database.name());
    database.execute(&format!("CREATE ROLE {role}"));
    folder.write("02_t2/up.sql", format!("-- migrator: no-transaction\nSET @gone = 1;\nDROP ROLE {role};"));
    // DDL, whose record is a transaction of its own.
    let tables = ["03_t3", "04_t4", "05_t5", "06_t6", "07_t7", "08_t8", "09_t9", "10_t10"];
    tables.iter().for_each(|name| folder.write(&format!("{name}/up.sql"), format!("CREATE TABLE {name} (id INT);")));
    let mut conn = database.connect();
    conn.batch_execute(&format!("SET ROLE {role}")).expect("take it");
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 10);
    assert!(applies::<Mariadb>(&database, &folder.set()).applied().is_empty());
}

#[test]
fn what_a_trigger_sets_unseen_is_not_the_next_one_s() {
    let database = Mariadb::fresh();
    let note = "INSERT INTO seen SELECT GROUP_CONCAT(VARIABLE_VALUE) FROM information_schema.SESSION_VARIABLES WHERE VARIABLE_NAME IN \
                ('TIME_ZONE', 'FOREIGN_KEY_CHECKS');";
    let folder = Folder::of(&[
        ("01_seen", "CREATE TABLE seen (a VARCHAR(400));"),
        ("02_loud", "CREATE TABLE loud (a INT);"),
        (
            "03_trigger",
            "CREATE TRIGGER leak BEFORE INSERT ON loud FOR EACH ROW BEGIN SET foreign_key_checks = 0; SET time_zone = '+05:00'; END;",
        ),
    ]);
    for number in (4..14).step_by(2) {
        folder.write(&format!("{number:02}_loud/up.sql"), format!("INSERT INTO loud VALUES ({number});"));
        folder.write(&format!("{:02}_seen/up.sql", number + 1), note);
    }
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(words(&events.take()).contains(&"Together"));
    let found = note.trim_start_matches("INSERT INTO seen ").trim_end_matches(';').replace(" FROM", " AS value FROM");
    assert_eq!(database.texts("SELECT DISTINCT a AS value FROM seen"), database.texts(&found));
    assert_eq!(database.texts("SELECT CAST(COUNT(*) AS CHAR) AS value FROM seen"), ["5"]);
}

#[test]
fn a_server_that_takes_small_messages_gets_small_ones() {
    let server = servers::Mariadb::start(servers::Options::default().set("max_allowed_packet", "32K"));
    let (database, set) = (server.fresh(), Folder::of_tables(40).set());
    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 40);
    let events = events.take();
    assert!(!words(&events).contains(&"Together") || words(&events).contains(&"Statement"), "{events:#?}");
}
