//! Many pending migrations on PostgreSQL travel several in one message, and end as if they had gone one by one.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Error, Event, Migrator, Report};
use migrator_tests::{Database, servers};

use crate::dialects::{Postgres, Subject, applies, history, names, one_by_one, run};
use crate::folder::{Folder, table};
use crate::watch::{self, words};

type Fresh = <Postgres as Subject>::Database;

/// What a run leaves, but for times, run ids and durations.
fn left(database: &Fresh) -> String {
    let column = |name: &str| {
        database.texts(&format!(
            "SELECT coalesce({name}::text, '-') AS value FROM __migrator_history WHERE event <> 'failed' ORDER BY sequence"
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
        "recorded_by",
        "tool",
        "host",
        "application",
    ];
    let records: Vec<Vec<String>> = columns.into_iter().map(column).collect();
    let meta = database.texts("SELECT fingerprint AS value FROM __migrator_meta");
    format!("{}\n{:?}\n{records:#?}\n{meta:?}", database.dump(), database.row_counts())
}

#[test]
fn leaves_what_one_by_one_leaves() {
    let folder = Folder::of_tables(12);
    folder.write("04_t4/up.sql", "-- nothing to do");
    folder.write("05_t5/up.sql", "BEGIN;\nCREATE TABLE t5 (a TEXT DEFAULT E'it''s \\\\ ; so'); -- ;\nCOMMIT;");
    folder.write("06_t6/up.sql", "CREATE TYPE mood AS ENUM ('sad');");
    folder.write("07_t7/up.sql", "ALTER TYPE mood ADD VALUE 'ok';");
    folder.write("08_t8/up.sql", "CREATE TABLE t8 (m mood); INSERT INTO t8 VALUES ('ok');");
    folder.write("09_t9/up.sql", "-- migrator: no-transaction\nCREATE INDEX CONCURRENTLY i ON t8 (m);");
    let (set, together, alone) = (folder.set(), Postgres::fresh(), Postgres::fresh());
    let report = applies::<Postgres>(&together, &set);
    assert_eq!(report.applied().len(), 12);
    one_by_one::<Postgres>(&alone, &set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(left(&together), left(&alone));
    assert!(applies::<Postgres>(&together, &set).applied().is_empty());
}

#[test]
fn tells_of_a_message_and_of_what_took() {
    let (database, set) = (Postgres::fresh(), Folder::of_tables(6).set());
    let (migrator, events) = watch::events(Migrator::new(&set));
    migrator.run(&mut database.connect()).expect("run");
    let events = events.take();
    assert_eq!(words(&events)[..3], ["Locked", "Planned", "Together"], "{events:#?}");
    assert_eq!(events[2], r#"Together { name: "01_t1", migrations: 6, step: 1, steps: 6 }"#);
    assert!(events[3..].iter().all(|event| event.starts_with("Applied ")) && events.len() == 9, "{events:#?}");
}

#[test]
fn the_one_that_fails_fails_as_it_does_alone() {
    let failing = |script: &str| {
        let folder = Folder::of_tables(20);
        folder.write("03_t3/up.sql", script);
        folder
    };
    let cases = [
        "CREATE TABLE t3 (id INT);\n\n  INSERT INTO nowhere VALUES (1);",
        "CREATE TABLE t3 (id INT);\n  SELEKT 1;",
        "CREATE TABLE t3 (id INT UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO t3 VALUES (1), (1);",
        "DROP TABLE __migrator_history;",
    ];
    for script in cases {
        let (folder, [together, alone]) = (failing(script), [Postgres::fresh(), Postgres::fresh()]);
        let [first, second] =
            [run::<Postgres>(&together, &folder.set()).map(drop), one_by_one::<Postgres>(&alone, &folder.set())];
        let [first, second] = [first.expect_err("it fails"), second.expect_err("it fails")];
        let said = |error: &Error| {
            (error.code(), error.message().to_owned(), error.version().map(str::to_owned), error.place().cloned())
        };
        assert_eq!(said(&first), said(&second), "{first}");
        assert_eq!(first.database_words(), second.database_words());
        let report = first.report().expect("it did something");
        assert_eq!(names(report), ["01_t1", "02_t2"]);
        assert_eq!(history(&together), history(&alone));
        assert_eq!(left(&together), left(&alone), "{script}");
        folder.write("03_t3/up.sql", table(3));
        assert_eq!(applies::<Postgres>(&together, &folder.set()).applied().len(), 18);
    }
}

/// In how many transactions the records were written.
const TRANSACTIONS: &str = "SELECT count(DISTINCT xmin::text)::text AS value FROM __migrator_history";

#[test]
fn only_in_an_empty_database_they_share_a_transaction() {
    let set = Folder::of_tables(8).set();
    for (holds, transactions) in [("", "1"), ("CREATE SCHEMA theirs; CREATE TABLE theirs.t (a INT)", "8")] {
        let database = Postgres::fresh();
        if !holds.is_empty() {
            database.execute(holds);
        }
        applies::<Postgres>(&database, &set);
        assert_eq!(database.texts(TRANSACTIONS), [transactions], "{holds}");
        let times =
            "SELECT (count(DISTINCT recorded_at) = 8 AND min(duration_ms) >= 0)::text AS value FROM __migrator_history";
        assert_eq!(database.texts(times), ["true"], "each has its own moment and duration");
    }
}

#[test]
fn what_a_later_one_would_mend_still_fails() {
    let folder = Folder::of_tables(8);
    folder.write("03_t3/up.sql", "CREATE TABLE t3 (id INT UNIQUE DEFERRABLE INITIALLY DEFERRED);");
    folder.write("05_t5/up.sql", "INSERT INTO t3 VALUES (1), (1);");
    folder.write("06_t6/up.sql", "DELETE FROM t3;");
    let database = Postgres::fresh();
    let error = run::<Postgres>(&database, &folder.set()).expect_err("alone it does not commit");
    assert_eq!(error.version(), Some("05"), "{error}");
    assert_eq!(history(&database).last().map(String::as_str), Some("failed 05"));
    assert_eq!(database.texts("SELECT count(*)::text AS value FROM t3"), ["0"]);
}

#[test]
fn a_lock_timeout_that_goes_away_is_no_failure() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(9));
    applies::<Postgres>(&database, &folder.set());
    let set = {
        for number in 10..30 {
            folder.write(&format!("{number}_more/up.sql"), format!("CREATE TABLE more{number} (a INT);"));
        }
        folder.write("14_more/up.sql", "ALTER TABLE t1 ADD COLUMN a INT;");
        folder.set()
    };
    let mut other = database.connect();
    other.batch_execute("BEGIN; LOCK TABLE t1").expect("hold a table");
    let (retrying, retried) = std::sync::mpsc::channel();
    let (migrator, events) = watch::events(Migrator::new(&set).statement_lock_timeout(Duration::from_millis(50)));
    let kept = events.clone();
    let migrator = migrator.on_event(move |event| {
        kept.add(format!("{event:?}"));
        if matches!(event, Event::Retrying { .. }) {
            let _told_once_is_enough = retrying.send(());
        }
    });
    let report: Report = std::thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        retried.recv().expect("the one that waits is tried again");
        other.batch_execute("ROLLBACK").expect("let it go");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!(report.applied().len(), 20);
    let events = events.take();
    let together: Vec<&String> = events.iter().filter(|event| event.starts_with("Together")).collect();
    assert_eq!(together.len(), 2, "before it and behind it: {events:#?}");
    let started: Vec<&String> = events.iter().filter(|event| event.starts_with("Started")).collect();
    assert!(started.len() == 1 && started[0].contains("14_more"), "{started:?}");
}

/// Notes the session's settings, into which no other migration may have spoken.
const NOTE: &str = "INSERT INTO public.seen SELECT current_setting('search_path') || ' ' || current_user || ' ' || \
                    current_setting('work_mem') || ' ' || current_setting('synchronous_commit');";

#[test]
fn what_a_script_sets_unseen_is_not_the_next_one_s() {
    let database = Postgres::fresh();
    let leaks = "set_config('search_path', 'pg_catalog', false) AS a, set_config('work_mem', '64kB', false) AS b";
    let folder = Folder::of(&[("01_seen", "CREATE TABLE seen (a TEXT);"), ("02_seen", NOTE)]);
    let scripts = [
        ("03_do", format!("DO $$ BEGIN PERFORM {leaks}; END $$;")),
        ("04_seen", NOTE.to_owned()),
        ("05_select", format!("CREATE TABLE t AS SELECT {leaks};")),
        ("06_seen", NOTE.to_owned()),
        // From here on a row that is written changes the session behind any statement.
        (
            "07_function",
            format!(
                "CREATE TABLE loud (a INT); CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN PERFORM {leaks}; RETURN NEW; END $$; \
                 CREATE TRIGGER leak BEFORE INSERT ON loud FOR EACH ROW EXECUTE FUNCTION leak();"
            ),
        ),
    ];
    scripts.iter().for_each(|(name, script)| folder.write(&format!("{name}/up.sql"), script));
    for number in (8..20).step_by(2) {
        folder.write(&format!("{number:02}_loud/up.sql"), format!("INSERT INTO loud VALUES ({number});"));
        folder.write(&format!("{:02}_seen/up.sql", number + 1), NOTE);
    }
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    let migrator = migrator.session("SET work_mem = '5MB'", ());
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    // Whether a commit waits for the disk is no part of what a script means.
    let seen = database.texts("SELECT DISTINCT regexp_replace(a, ' [a-z]+$', '') AS value FROM seen");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].contains("\"$user\", public") && seen[0].contains("5MB"), "{seen:?}");
    assert_eq!(database.texts("SELECT count(*)::text AS value FROM seen"), ["9"]);
    let together = events.take().iter().filter(|event| event.starts_with("Together")).count();
    assert_eq!(together, 1, "with a function that speaks into the session, they travel and are restored one by one");
    let set = folder.set();
    let mut conn = database.connect();
    folder.write("20_last/up.sql", "SELECT 1;");
    assert!(Migrator::new(&set).run(&mut conn).expect("run").applied().is_empty());
}

#[test]
fn the_session_waits_for_the_disk_again_and_holds_nothing_of_ours() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(8));
    let mut conn = database.connect();
    conn.batch_execute("SET synchronous_commit = local").expect("set");
    for _ in 0..2 {
        let _fails_the_second_time = Migrator::new(&folder.set()).run(&mut conn);
        assert_eq!(Postgres::texts(&mut conn, "SELECT current_setting('synchronous_commit') AS value"), ["local"]);
        let prepared = "SELECT name AS value FROM pg_prepared_statements WHERE name LIKE 'migrator%'";
        assert!(Postgres::texts(&mut conn, prepared).is_empty());
        (9..15).for_each(|number| folder.write(&format!("{number:02}_t/up.sql"), table(number)));
        folder.write("12_t/up.sql", "INSERT INTO nowhere VALUES (1);");
    }
    assert_eq!(history(&database).last().map(String::as_str), Some("failed 12"));
}

#[test]
fn a_database_that_reads_strings_in_another_way_is_not_asked_to_read_a_message_of_several() {
    let database = servers::postgres().fresh();
    database.execute(&format!("ALTER DATABASE {} SET standard_conforming_strings = off", database.name()));
    let (migrator, events) = watch::events(Migrator::new(&Folder::of_tables(6).set()));
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!words(&events.take()).contains(&"Together"));
}
