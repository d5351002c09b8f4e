//! A backup that fails stops the run before anything is changed.

use std::time::{Duration, Instant};

use migrator::backup::Backup;
use migrator::{Event, Interrupt};
use migrator_tests::Database;

use super::{Case, assert_untouched, bulk, names_of, programs, text};
use crate::crash::starter::Starter;
use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, as_role, tables};

on_each_dialect!(when_there_is_no_space, when_the_folder_cannot_be_made);

/// `ulimit -f` in place of a full disk: nothing above 64 KiB can be written (EFBIG), by this process or by its programs.
fn when_there_is_no_space<S: Subject>() {
    let case = Case::<S>::new();
    bulk::<S>(&case.database, 1);
    let limit = "trap '' XFSZ; ulimit -f 128; exec \"$@\"";
    let option = format!("backup={}", text(case.backups.path()));
    let end = Starter::under(&["sh", "-c", limit, "sh"], case.database.url(), case.folder.path(), &[&option]).end();
    assert!(end.is("backup_failed"), "{:#?}", end.said);
    assert!(end.has("next: "), "{:#?}", end.said);
    case.database.execute("DROP TABLE bulk");
    assert_untouched(&case);
    case.run(case.backup()).unwrap_or_else(|error| panic!("{error}"));
}

fn when_the_folder_cannot_be_made<S: Subject>() {
    let case = Case::<S>::new();
    let file = tempfile::NamedTempFile::new().expect("make a file");
    let error = case.run(Backup::to(file.path().join("in")).url(case.database.url())).expect_err("that is a file");
    assert_eq!(error.code(), "backup_failed");
    assert!(error.message().contains(text(file.path())), "{error}");
    assert_untouched(&case);
}

/// Of the server that this machine has: `15`.
fn postgres_version() -> String {
    Postgres::fresh().texts("SELECT split_part(current_setting('server_version'), '.', 1) AS value").remove(0)
}

/// Of the server that this machine has: `10.11`.
fn mariadb_version() -> String {
    Mariadb::fresh().texts("SELECT SUBSTRING_INDEX(VERSION(), '.', 2) AS value").remove(0)
}

#[test]
fn when_postgres_has_no_programs() {
    no_programs::<Postgres>(&["pg_dump", &format!("postgresql-client-{}", postgres_version())]);
}

#[test]
fn when_mariadb_has_no_programs() {
    no_programs::<Mariadb>(&["mariadb-dump", &format!("MariaDB {}", mariadb_version())]);
}

fn no_programs<S: Subject>(words: &[&str]) {
    let (case, none) = (Case::<S>::new(), tempfile::tempdir().expect("make a folder"));
    let error = case.run(case.backup().programs(none.path())).expect_err("there is no program");
    assert_eq!(error.code(), "program");
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word} is not in: {error}"));
    assert!(error.to_string().contains(text(none.path())), "{error}");
    assert_untouched(&case);
    // And from the PATH.
    let path = format!("PATH={}", text(none.path()));
    let option = format!("backup={}", text(case.backups.path()));
    let end = Starter::under(&["/usr/bin/env", &path], case.database.url(), case.folder.path(), &[&option]).end();
    assert!(end.is("program") && end.has("is not on the PATH"), "{:#?}", end.said);
    assert_untouched(&case);
}

#[test]
fn when_a_program_is_older_than_postgres() {
    let version = postgres_version();
    let words = ["9.6.24", &format!("PostgreSQL {version}."), &format!("postgresql-client-{version}")];
    older::<Postgres>("pg_dump (PostgreSQL) 9.6.24", &words);
}

#[test]
fn when_a_program_is_older_than_mariadb() {
    older::<Mariadb>(
        "mysqldump  Ver 10.19 Distrib 10.5.23-MariaDB, for linux",
        &["10.5.23", &format!("MariaDB {}", mariadb_version())],
    );
}

#[test]
fn when_a_program_is_of_another_maker() {
    older::<Mariadb>(
        "mysqldump  Ver 8.0.36 for Linux on x86_64",
        &["8.0.36", &format!("not made for the server, MariaDB {}", mariadb_version())],
    );
}

fn older<S: Subject>(version: &str, words: &[&str]) {
    let case = Case::<S>::new();
    let programs = programs(&[(names_of::<S>()[0], &format!("echo '{version}'"))]);
    let error = case.run(case.backup().programs(programs.path())).expect_err("it is refused");
    assert_eq!(error.code(), "program");
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word} is not in: {error}"));
    assert_untouched(&case);
}

#[test]
fn when_a_program_of_postgres_fails_half_way() {
    fails_half_way::<Postgres>();
}

#[test]
fn when_a_program_of_mariadb_fails_half_way() {
    fails_half_way::<Mariadb>();
}

/// It has written something, and perhaps even says that all went well.
fn fails_half_way<S: Subject>() {
    let fails = "case \"$*\" in *--version*) exec $real \"$@\";; esac; out=$(printf '%s\\n' \"$@\" | grep -A1 -e '--file' -e '--result-file' | tail -n 1)
        echo half > \"$out\"; ";
    let case = Case::<S>::new();
    for (end, code) in [("echo 'the cable is out' >&2; exit 1", "backup_failed"), ("exit 0", "backup_damaged")] {
        let [dump, bring] = names_of::<S>() else { panic!("two programs") };
        let programs = programs(&[(dump, &format!("{fails}{end}")), (bring, "exec $real \"$@\"")]);
        let error = case.run(case.backup().programs(programs.path())).expect_err("it fails");
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(error.message().contains("the cable is out"), code == "backup_failed", "{error}");
        assert_untouched(&case);
    }
}

#[test]
fn when_postgres_is_interrupted() {
    interrupted::<Postgres>();
}

#[test]
fn when_mariadb_is_interrupted() {
    interrupted::<Mariadb>();
}

/// Its program would take minutes more.
fn interrupted<S: Subject>() {
    let case = Case::<S>::new();
    let script = "case \"$*\" in *--version*) exec $real \"$@\";; esac; exec sleep 300";
    let programs = programs(&[(names_of::<S>()[0], script)]);
    let interrupt = Interrupt::new();
    let stops = interrupt.clone();
    let migrator =
        case.migrator(case.backup().programs(programs.path())).interrupt(&interrupt).on_event(move |event| {
            if matches!(event, Event::BackupProgress { .. }) {
                stops.stop();
            }
        });
    let start = Instant::now();
    let error = migrator.run(&mut case.database.connect()).expect_err("it is interrupted");
    assert_eq!(error.code(), "interrupted", "{error}");
    assert!(start.elapsed() < Duration::from_secs(300), "the program is not waited for");
    assert_untouched(&case);
}

#[test]
fn when_the_password_is_wrong_on_postgres() {
    wrong_password::<Postgres>("postgres");
}

#[test]
fn when_the_password_is_wrong_on_mariadb() {
    wrong_password::<Mariadb>("migrator");
}

fn wrong_password<S: Subject>(user: &str) {
    let case = Case::<S>::new();
    let backup = Backup::to(case.backups.path()).url(as_role(case.database.url(), user, "letter-of-nobody"));
    let error = case.run(backup).expect_err("it is refused");
    assert_eq!(error.code(), "connection_failed");
    assert!(!format!("{error:?} {error}").contains("letter-of-nobody"), "{error}");
    assert_untouched(&case);
}

#[test]
fn when_the_url_leads_to_another_database_of_postgres() {
    another_database::<Postgres>();
}

#[test]
fn when_the_url_leads_to_another_database_of_mariadb() {
    another_database::<Mariadb>();
}

fn another_database<S: Subject>() {
    let (case, other) = (Case::<S>::new(), S::fresh());
    let error = case.run(Backup::to(case.backups.path()).url(other.url())).expect_err("it is another one");
    assert_eq!(error.code(), "backup_failed");
    assert!(error.message().contains("is not the database that is migrated"), "{error}");
    assert_untouched(&case);
    let error = case.run(Backup::to(case.backups.path())).expect_err("there is no URL");
    assert!(error.remedy().contains("Backup::url"), "{error}");
    assert_untouched(&case);
}

#[test]
fn when_the_database_is_in_memory() {
    use diesel::Connection;
    let case = Case::<Sqlite>::new();
    let mut conn = diesel::SqliteConnection::establish(":memory:").expect("connect");
    let error = case.migrator(case.backup()).run(&mut conn).expect_err("there is no file");
    assert_eq!(error.code(), "backup_failed");
    assert!(tables(&case.database).len() == 1 && error.message().contains("in memory"), "{error}");
}
