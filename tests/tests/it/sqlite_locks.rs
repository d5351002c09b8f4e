//! SQLite with others at work on the same file.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use migrator::{Environment, Event, Migrator};
use migrator_tests::{Database, sqlite, wait};

use crate::dialects::{Sqlite, Subject, applies, history, names, run, tables};
use crate::folder::{Folder, table};
use crate::provider::Gate;

/// A database with one migration applied, and a folder that has one more.
fn one_of_two() -> (sqlite::FreshDatabase, Folder) {
    let (database, folder) = (sqlite::fresh(), Folder::of_tables(1));
    applies::<Sqlite>(&database, &folder.set());
    folder.write("02_t2/up.sql", table(2));
    (database, folder)
}

#[test]
fn a_writer_is_waited_for() {
    let (database, folder) = one_of_two();
    let (seen_waiting, waits) = mpsc::channel();
    let migrator = Migrator::new(&folder.set()).on_event(move |event| {
        if let Event::Waiting { holder, .. } = event {
            // The writer may be gone when it waits again.
            let _nobody_listens = seen_waiting.send(holder.map(str::to_owned));
        }
    });
    let mut writer = database.connect();
    writer.batch_execute("BEGIN IMMEDIATE; INSERT INTO t1 VALUES (2)").expect("write");
    let writing = thread::spawn(move || {
        let holder = waits.recv().expect("the run waits");
        writer.batch_execute("COMMIT").expect("commit");
        holder
    });
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let holder = writing.join().expect("no panic");
    assert_eq!((names(&report), database.row_counts()["t1"]), (vec!["02_t2"], 2));
    assert!(!report.lock_wait().is_zero() && report.to_string().contains("for the lock"), "{report}");
    if cfg!(target_os = "linux") {
        assert!(holder.is_some_and(|holder| holder.contains(&std::process::id().to_string())));
    }
}

#[test]
fn a_writer_that_does_not_end_is_named() {
    let (database, folder) = one_of_two();
    for mode in ["DELETE", "WAL"] {
        let mut writer = database.connect();
        writer.batch_execute(&format!("PRAGMA journal_mode = {mode}; BEGIN IMMEDIATE")).expect("begin");
        let migrator = Migrator::new(&folder.set()).lock_timeout(Duration::from_millis(120));
        let error = migrator.run(&mut database.connect()).expect_err("it takes too long");
        assert_eq!((error.code(), error.is_lock_timeout()), ("lock_timeout", true), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.message().contains(&format!("process {} (", std::process::id())), "{mode}: {error}");
        }
        assert!(error.remedy().contains("--lock-timeout"), "{error}");
        writer.batch_execute("ROLLBACK").expect("roll back");
        assert_eq!(tables(&database), ["t1"]);
    }
    run::<Sqlite>(&database, &folder.set()).expect("run");
}

#[test]
fn a_reader_is_waited_for_at_the_end() {
    let (database, folder) = one_of_two();
    let mut reader = database.connect();
    reader.batch_execute("BEGIN; SELECT * FROM t1").expect("read");
    let mut other = database.connect();
    let reading = thread::spawn(move || {
        // A COMMIT that waits for readers keeps new ones out.
        wait::until("the run to commit", || other.batch_execute("SELECT * FROM t1").is_err().then_some(()));
        reader.batch_execute("COMMIT").expect("end");
    });
    let report = run::<Sqlite>(&database, &folder.set()).unwrap_or_else(|error| panic!("{error}"));
    reading.join().expect("no panic");
    assert_eq!((names(&report), tables(&database)), (vec!["02_t2"], vec!["t1".to_owned(), "t2".to_owned()]));
}

#[test]
fn a_reader_that_does_not_end_leaves_nothing_half_applied() {
    let (database, folder) = one_of_two();
    let mut reader = database.connect();
    reader.batch_execute("BEGIN; SELECT * FROM t1").expect("read");
    let migrator = Migrator::new(&folder.set()).statement_lock_timeout(Duration::from_millis(10));
    let mut conn = database.connect();
    let error = migrator.run(&mut conn).expect_err("it takes too long");
    assert!(error.to_string().contains("database is locked"), "{error}");
    assert!(error.report().is_some_and(|report| report.applied().is_empty()), "{error}");
    assert!(error.remedy().contains("run again"), "{error}");
    reader.batch_execute("COMMIT").expect("end");
    assert_eq!(tables(&database), ["t1"]);
    assert_eq!(names(&migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}"))), ["02_t2"]);
    assert_eq!(Sqlite::texts(&mut conn, "SELECT CAST(foreign_keys AS TEXT) AS value FROM pragma_foreign_keys"), ["1"]);
}

/// It asked for the lock before there was a file to wait for, and gets it between the end of a script that runs outside and the next
/// one.
#[test]
fn what_another_records_behind_a_script_is_no_harm_of_the_script() {
    let (database, folder) = one_of_two();
    folder.write("02_t2/up.sql", format!("-- migrator: no-transaction\n-- Beside __migrator_history.\n{}", table(2)));
    folder.write("03_t3/up.sql", table(3));
    let (set, mut writer) = (folder.set(), database.connect());
    writer.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
    let [waiting, free, marked] = [(); 3].map(|()| Gate::default());
    let (waits, goes) = (waiting.clone(), free.clone());
    let marker = Migrator::new(&set).environment(Environment::Test).on_event(move |event| {
        if matches!(event, Event::Waiting { attempt: 1, .. }) {
            waits.open();
            goes.pass();
        }
    });
    let (lets_go, until) = (free, marked.clone());
    let migrator = Migrator::new(&set).on_event(move |event| {
        if matches!(event, Event::Applied { name: "02_t2", .. }) {
            lets_go.open();
            until.pass();
        }
    });
    let report = thread::scope(|scope| {
        let marking = scope.spawn(|| {
            let mark = marker.mark(&mut database.connect(), Environment::Test);
            marked.open();
            mark.map(drop)
        });
        waiting.pass();
        writer.batch_execute("COMMIT").expect("let it go");
        let report = migrator.run(&mut database.connect());
        marking.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        report.unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!(names(&report), ["02_t2", "03_t3"]);
    assert_eq!(history(&database)[1..], ["planned 02", "statement 02", "applied 02", "marked ", "applied 03"]);
}

/// It decided on an empty database, and another was faster: what it decided then is worth nothing.
#[test]
fn who_gets_the_lock_second_decides_again() {
    let (database, folder) = (sqlite::fresh(), Folder::of_files(&[("1_t1.sql", &table(1)), ("2_t2.sql", &table(2))]));
    let (set, mut writer) = (folder.set(), database.connect());
    writer.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
    let [waiting, free] = [(); 2].map(|()| Gate::default());
    let (waits, goes) = (waiting.clone(), free.clone());
    let late = Migrator::new(&set).on_event(move |event| {
        if matches!(event, Event::Waiting { attempt: 1, .. }) {
            waits.open();
            goes.pass();
        }
    });
    let report = thread::scope(|scope| {
        let second = scope.spawn(|| late.run(&mut database.connect()));
        waiting.pass();
        writer.batch_execute("COMMIT").expect("let it go");
        applies::<Sqlite>(&database, &set);
        free.open();
        second.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!((report.applied().len(), report.skipped()), (0, 2));
    assert_eq!(database.row_counts()["t1"], 1);
}
