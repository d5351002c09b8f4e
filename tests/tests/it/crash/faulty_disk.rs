//! SQLite on a disk that fails: `kill -9` at each write and sync, no space from some write on, a write or sync that fails.
//!
//! strace does it, which needs ptrace. Debian and its containers permit it for a process's own children; where it is
//! forbidden, these tests fail with strace's words, and are not skipped.

use std::{fs, path::Path};

use diesel::connection::SimpleConnection;
use migrator_tests::{Database, sqlite};

use super::{
    sets::{MIXED, Set, assert_history_is_sound, history, records, reference, state},
    starter::{End, Starter, run},
};

/// What SQLite changes a file with.
pub(super) const CALLS: [&str; 5] = ["pwrite64", "fsync", "fdatasync", "unlink", "ftruncate"];
/// Far more calls than a run makes.
pub(super) const BOUND: usize = 500;

#[test]
fn killed_at_each_write() {
    killed("a rollback journal", sqlite::fresh);
}

#[test]
fn killed_at_each_write_with_wal() {
    killed("WAL", with_wal);
}

#[test]
fn no_space_from_each_write_on() {
    fails("no space", &["pwrite64"], "error=ENOSPC", "+", sqlite::fresh);
}

#[test]
fn no_space_from_each_write_on_with_wal() {
    fails("no space with WAL", &["pwrite64"], "error=ENOSPC", "+", with_wal);
}

#[test]
fn each_write_and_sync_fails_once() {
    fails("one error", &CALLS, "error=EIO", "", sqlite::fresh);
}

fn with_wal() -> sqlite::FreshDatabase {
    let database = sqlite::fresh();
    database.connect().batch_execute("PRAGMA journal_mode = wal").expect("switch to WAL");
    database
}

/// A run in which something happens to the Nth of these system calls; whether it came so far.
pub(super) fn injected(
    database: &sqlite::FreshDatabase,
    set: &Set,
    call: &str,
    fault: &str,
    options: &[&str],
) -> (End, bool) {
    let log = database.folder().join("strace");
    let log_text = log.to_str().expect("the path is UTF-8");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    let strace = ["strace", "-f", "-qq", "-o", log_text, "-e", &trace, "-e", &inject];
    let end = Starter::under(&strace, database.url(), set.path(), options).end();
    let log = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {:#?}", end.said));
    let reached = log.contains("(INJECTED)") || log.contains("killed by SIGKILL");
    (end, reached)
}

/// How many of these system calls a run makes.
pub(crate) fn system_calls(database: &sqlite::FreshDatabase, directory: &Path, calls: &str) -> usize {
    let log = database.folder().join("strace");
    let log_text = log.to_str().expect("the path is UTF-8");
    let strace = ["strace", "-f", "-qq", "-o", log_text, "-e", &format!("trace={calls}"), "-e", "signal=none"];
    Starter::under(&strace, database.url(), directory, &[]).end().succeeded();
    fs::read_to_string(&log).expect("strace writes").lines().count()
}

fn killed(name: &str, fresh: fn() -> sqlite::FreshDatabase) {
    let set = Set::new(&MIXED);
    let expected = reference(&fresh(), &set);
    let mut points = 0;
    for call in CALLS {
        for number in 1..=BOUND {
            let database = fresh();
            let (end, reached) = injected(&database, &set, call, &format!("signal=SIGKILL:when={number}"), &[]);
            if !reached {
                assert_eq!(end.succeeded(), MIXED.len());
                break;
            }
            // With WAL the last writes are those of the connection's end, when the run has told of itself.
            assert!((end.is("died") || end.error.is_none()) && number < BOUND, "{:#?}", end.said);
            points += 1;
            run(database.url(), set.path());
            assert_eq!(state(&database), expected, "killed at {call} {number}: {:#?}", records(&database));
            assert_history_is_sound(&database);
        }
    }
    assert!(points > 50, "only {points} writes and syncs");
    println!("SQLite with {name}: killed at {points} writes and syncs; {points} survived");
}

fn fails(name: &str, calls: &[&str], fault: &str, from: &str, fresh: fn() -> sqlite::FreshDatabase) {
    let set = Set::new(&MIXED);
    let expected = reference(&fresh(), &set);
    let (mut points, mut in_spite) = (0, 0);
    for call in calls {
        for number in 1..=BOUND {
            let database = fresh();
            let (end, reached) = injected(&database, &set, call, &format!("{fault}:when={number}{from}"), &[]);
            if !reached {
                assert_eq!(end.succeeded(), MIXED.len());
                break;
            }
            assert!(number < BOUND, "a run has no end of {call}");
            points += 1;
            let point = format!("{fault} at {call} {number}: {:#?}", end.said);
            if end.error.is_none() {
                in_spite += 1;
                assert_eq!(state(&database), expected, "told Ok after {point}");
            } else {
                let clear = ["disk is full", "disk I/O error", "unable to open"].iter().any(|words| end.has(words));
                assert!(clear && end.has("next: "), "{point}");
                assert!(!end.has("disk is full") || end.is("disk_full"), "{point}");
            }
            // What a host was told is applied is applied, and it was told once.
            let told: Vec<&String> = end.said.iter().filter(|line| line.starts_with("event Applied")).collect();
            let kept = if database.tables().is_empty() { 0 } else { history(&database, "event = 'applied'").len() };
            assert_eq!(told.len(), kept, "{point}");
            run(database.url(), set.path());
            assert_eq!(state(&database), expected, "after {point}");
            assert_history_is_sound(&database);
        }
    }
    println!("SQLite, {name}: {points} points; {points} survived, {in_spite} of them told Ok");
}
