//! What a host runs around a run, on the migrating connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use migrator::{Event, Migrator};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    set_up_lasts_for_the_run,
    closures_run_once_and_before_the_lock,
    nothing_runs_when_nothing_is_pending,
    tears_down_after_an_error,
    tears_down_after_a_panic,
    a_tear_down_that_panics_leaves_the_session_as_it_was_found,
    a_script_does_not_change_the_session_of_the_next,
    a_set_up_that_fails_stops_the_run,
);

/// A table of what the setting was, and two migrations that write it down.
fn seen<S: Subject>() -> Folder {
    let [_, _, read] = S::SETTING;
    let note = format!("INSERT INTO seen {read};");
    Folder::of(&[("01_seen", format!("CREATE TABLE seen (value VARCHAR(20));\n{note}")), ("02_seen", note)])
}

fn set_up_lasts_for_the_run<S: Subject>() {
    let ([on, off, read], database, set) = (S::SETTING, S::fresh(), seen::<S>().set());
    let mut conn = database.connect();
    conn.batch_execute(off).expect("set");
    Migrator::new(&set).session(on, ()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.texts("SELECT value FROM seen"), ["1", "1"]);
    assert_eq!(S::texts(&mut conn, read), ["0"], "the session is as it was found");
}

fn closures_run_once_and_before_the_lock<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(3).set());
    let (migrator, notes) = watch::events(Migrator::<S::Connection>::new(&set));
    let (up, down) = (notes.clone(), notes.clone());
    let migrator = migrator.session(
        move |conn: &mut S::Connection| {
            up.add("set up".into());
            conn.batch_execute("CREATE TEMPORARY TABLE mine (id INTEGER)")
        },
        move |conn: &mut S::Connection| {
            down.add("torn down".into());
            conn.batch_execute("DROP TABLE mine")
        },
    );
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let notes = notes.take();
    assert_eq!(notes[0], "set up", "{notes:?}");
    assert!(notes[1].starts_with("Locked "), "{notes:?}");
    assert_eq!(notes.iter().filter(|note| note.as_str() == "set up").count(), 1);
    assert_eq!(notes.iter().position(|note| note == "torn down"), Some(notes.len() - 1), "{notes:?}");
}

/// A migrator that counts its set-ups and tear-downs.
fn counting<S: Subject>(folder: &Folder) -> (Migrator<S::Connection>, [Arc<AtomicU32>; 2]) {
    let counts = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
    let count = |at: usize| {
        let count = Arc::clone(&counts[at]);
        move |_: &mut S::Connection| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    (Migrator::new(&folder.set()).session(count(0), count(1)), counts.clone())
}

fn read(counts: &[Arc<AtomicU32>; 2]) -> [u32; 2] {
    [0, 1].map(|at| counts[at].load(Ordering::SeqCst))
}

fn nothing_runs_when_nothing_is_pending<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    let (migrator, counts) = counting::<S>(&folder);
    migrator.run(&mut database.connect()).expect("run");
    migrator.status(&mut database.connect()).expect("status");
    folder.remove("02_t2");
    let (behind, of_behind) = counting::<S>(&folder);
    behind.run(&mut database.connect()).expect("run");
    assert_eq!((read(&counts), read(&of_behind)), ([0, 0], [0, 0]));
}

fn tears_down_after_an_error<S: Subject>() {
    let ([on, off, setting], database, folder) = (S::SETTING, S::fresh(), Folder::of_tables(1));
    folder.write("02_fails/up.sql", format!("{on};\nINSERT INTO nowhere VALUES (1);"));
    let mut conn = database.connect();
    conn.batch_execute(off).expect("set");
    let (migrator, counts) = counting::<S>(&folder);
    migrator.run(&mut conn).expect_err("it fails");
    assert_eq!((read(&counts), S::texts(&mut conn, setting)), ([1, 1], vec!["0".to_owned()]));
    folder.write("02_fails/up.sql", "SELECT 1;");
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
}

fn tears_down_after_a_panic<S: Subject>() {
    let ([on, off, setting], database, folder) = (S::SETTING, S::fresh(), Folder::of_tables(2));
    folder.write("02_t2/up.sql", format!("{on};\n{}", table(2)));
    let mut conn = database.connect();
    conn.batch_execute(off).expect("set");
    let (migrator, counts) = counting::<S>(&folder);
    let panicking = migrator.on_event(|event| {
        if matches!(event, Event::Statement { number: 3, .. }) {
            std::panic::panic_any("the hook's own words");
        }
    });
    let panic = catch_unwind(AssertUnwindSafe(|| panicking.run(&mut conn).is_ok())).expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"the hook's own words"), "the panic goes on as it was");
    assert_eq!((read(&counts), S::texts(&mut conn, setting)), ([1, 1], vec!["0".to_owned()]));
    if S::UNDOES_DDL {
        assert!(!tables(&database).contains(&"t2".to_owned()));
    }
    // The lock is free, on this connection and for others.
    let mut other = database.connect();
    let again = Migrator::new(&folder.set()).lock_timeout(std::time::Duration::ZERO);
    again.run(&mut other).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tables(&database), ["t1", "t2"]);
    again.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
}

fn a_tear_down_that_panics_leaves_the_session_as_it_was_found<S: Subject>() {
    let ([on, off, setting], database, set) = (S::SETTING, S::fresh(), Folder::of_tables(1).set());
    let mut conn = database.connect();
    conn.batch_execute(off).expect("set");
    let migrator =
        Migrator::new(&set).session(on, |_: &mut S::Connection| std::panic::panic_any("the host's own words"));
    let panic = catch_unwind(AssertUnwindSafe(|| migrator.run(&mut conn).is_ok())).expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"the host's own words"));
    assert_eq!(S::texts(&mut conn, setting), ["0"]);
}

fn a_script_does_not_change_the_session_of_the_next<S: Subject>() {
    let ([on, off, read], database, folder) = (S::SETTING, S::fresh(), seen::<S>());
    folder.write("015_changes/up.sql", format!("{on};\nSELECT 1;"));
    folder.write("016_changes/up.sql", format!("-- migrator: no-transaction\nSELECT 1;\n{on};"));
    let mut conn = database.connect();
    conn.batch_execute(off).expect("set");
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.texts("SELECT value FROM seen"), ["0", "0"]);
    assert_eq!(S::texts(&mut conn, read), ["0"]);
}

fn a_set_up_that_fails_stops_the_run<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let migrator = Migrator::new(&folder.set()).session("INSERT INTO nowhere VALUES (1)", ());
    let error = migrator.run(&mut database.connect()).expect_err("it fails");
    assert_eq!(error.code(), "session_setup");
    assert!(error.database_words().is_some_and(|words| words.contains(S::NO_SUCH_TABLE)), "{error}");
    assert!(error.remedy().contains("session()") && tables(&database).is_empty(), "{error}");
}
