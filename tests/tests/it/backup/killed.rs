//! `kill -9` while a backup is made: nothing is left that looks like a good one, and the next one takes the rest away.

use std::fs;

use migrator::backup::Backups;
use migrator_tests::Database;

use super::{Case, bulk, text};
use crate::crash::starter::{Starter, run};
use crate::dialects::{Sqlite, Subject, tables};

on_each_dialect!(when_it_has_begun);

/// Whatever is listed is whole, the database is what it was or what it will be, and the next backup cleans up.
fn survives<S: Subject>(case: &Case<S>, when: &str) {
    let backups = Backups::in_folder(case.backups.path());
    let listing = backups.verify().expect("the folder can be read");
    assert!(listing.problems.is_empty(), "{when}: {listing:?}");
    let count = listing.backups.len();
    let named = case.names().into_iter().filter(|name| !name.starts_with(".migrator-")).count();
    assert!(named == 2 * count || named == 2 * count + 1, "{when}: {:?}", case.names());
    case.make();
    let left: Vec<String> = case.names().into_iter().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{when}: {left:?}");
    let after = backups.verify().expect("the folder can be read");
    assert!(after.problems.is_empty() && after.backups.len() > count, "{when}: {after:?}");
    assert_eq!(case.names().len(), 2 * after.backups.len(), "{when}: each has its manifest");
    run(case.database.url(), case.folder.path());
    assert!(tables(&case.database).contains(&"t2".to_owned()), "{when}");
}

fn when_it_has_begun<S: Subject>() {
    let case = Case::<S>::new();
    bulk::<S>(&case.database, 8);
    let option = format!("backup={}", text(case.backups.path()));
    for event in ["BackupStarted", "BackupFinished"] {
        let mut starter = Starter::start(case.database.url(), case.folder.path(), &["step", &option]);
        starter.step_to(|told| told.starts_with(event)).expect("it comes so far");
        let unfinished = case.names().iter().any(|name| name.starts_with('.'));
        assert_eq!(unfinished, event == "BackupStarted", "{:?}", case.names());
        starter.kill();
        assert!(!tables(&case.database).contains(&"t2".to_owned()), "nothing is applied before the backup is done");
    }
    survives(&case, "at an event");
}

/// At writes, syncs and renames, of the copy and of the manifest.
#[test]
fn at_a_system_call() {
    let mut killed = 0;
    for (call, numbers) in
        [("pwrite64", [1, 2, 9, 200].as_slice()), ("fsync", &[1, 2, 3]), ("write", &[]), ("rename", &[1, 2])]
    {
        for number in numbers {
            let case = Case::<Sqlite>::new();
            bulk::<Sqlite>(&case.database, 1);
            let log = case.database.folder().join("strace");
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
            let strace = ["strace", "-f", "-qq", "-o", text(&log), "-e", &trace, "-e", &inject];
            let option = format!("backup={}", text(case.backups.path()));
            let end = Starter::under(&strace, case.database.url(), case.folder.path(), &[&option]).end();
            let log = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {:#?}", end.said));
            assert!(log.contains("killed by SIGKILL"), "{call} {number} is made: {:#?}\n{log}", end.said);
            killed += 1;
            survives(&case, &format!("{call} {number}"));
        }
    }
    println!("killed at {killed} system calls; {killed} survived");
}

/// At each system call of a restore that changes a file: what is there is the old state or the new one, and whole.
fn while_it_is_restored(mode: &str) {
    let (mut killed, mut old) = (0, 0);
    for call in ["pwrite64", "copy_file_range", "fsync", "rename", "unlink"] {
        for number in 1.. {
            let case = Case::<Sqlite>::new();
            case.database.execute(mode);
            let backup = case.make();
            case.database.execute("INSERT INTO t1 VALUES (2)");
            let log = case.database.folder().join("strace");
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
            let strace = ["strace", "-f", "-qq", "-o", text(&log), "-e", &trace, "-e", &inject];
            let option = format!("restore={}", text(&backup.file));
            Starter::under(&strace, case.database.url(), case.folder.path(), &[&option]).end();
            let when = format!("{call} {number}");
            let rows = case.database.row_counts()["t1"];
            assert!(rows == 1 || rows == 2, "{when}: {rows}");
            assert_eq!(
                case.database.texts("SELECT integrity_check AS value FROM pragma_integrity_check"),
                ["ok"],
                "{when}"
            );
            if !fs::read_to_string(&log).expect("strace writes").contains("killed by SIGKILL") {
                assert_eq!(rows, 1, "{when} is not made, and nothing was killed");
                break;
            }
            killed += 1;
            old += usize::from(rows == 2);
            case.restore(&backup.file).unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_eq!(case.database.row_counts()["t1"], 1, "{when}");
            let listing = Backups::in_folder(case.backups.path()).verify().expect("the folder");
            assert!(listing.problems.is_empty(), "{when}: {listing:?}");
        }
    }
    println!("a restore killed at {killed} system calls: {old} times the old state, else the new one");
    assert!(killed > 15 && old > 10 && killed > old, "{killed} {old}");
}

#[test]
fn while_sqlite_is_restored() {
    while_it_is_restored("PRAGMA journal_mode = delete");
}

#[test]
fn while_sqlite_with_wal_is_restored() {
    while_it_is_restored("PRAGMA journal_mode = wal");
}
