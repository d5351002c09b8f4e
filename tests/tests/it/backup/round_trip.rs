//! What comes back is what was there.

use std::fs;

use diesel::connection::SimpleConnection;
use migrator::backup::{Backup, Backups, Manifest, Restore};
use migrator::{DatabaseState, Migrator};
use migrator_tests::Database;

use super::{Case, assert_whole, rich};
use crate::dialects::{self, Subject, applies, history, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    everything_comes_back,
    goes_into_another_database,
    is_made_once_and_only_when_something_is_pending,
    a_new_database_can_be_copied_too,
    the_host_makes_its_own,
    a_failure_names_the_backup,
);

fn everything_comes_back<S: Subject>() {
    let case = Case::<S>::new();
    rich::fill::<S>(&case.database);
    let before = rich::see::<S>(&case.database);
    case.folder.write(
        "02_t2/up.sql",
        "DROP VIEW deep; DELETE FROM harbour WHERE id = 2; ALTER TABLE log ADD COLUMN more INTEGER; CREATE TABLE extra (id INTEGER)",
    );
    let report = case.run(case.backup()).unwrap_or_else(|error| panic!("{error}"));
    let backup = report.backup().expect("there is one").to_owned();
    assert!(report.to_string().contains(&backup), "{report}");
    let after = case.database.dump();
    assert!(after.contains("extra") && !after.contains("deep"));

    let restored = case.restore(&backup).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rich::see::<S>(&case.database), before);
    assert_eq!(rich::next::<S>(&case.database), "5", "the number behind the last that was given");
    let status = status::<S>(&case.database, &case.folder.set());
    assert_eq!((status.state(), status.applied(), status.pending()), (DatabaseState::Pending, 1, 1));

    let copy = restored.copy.expect("the state before was copied");
    assert_eq!((restored.backup.head.as_deref(), copy.head.as_deref()), (Some("01"), Some("02")));
    assert_whole(&Backups::in_folder(case.backups.path()).verify().expect("the folder"), 2);
    case.restore(copy.file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.dump(), after, "and back again");
    applies::<S>(&case.database, &case.folder.set());
}

fn goes_into_another_database<S: Subject>() {
    let (case, other) = (Case::<S>::new(), S::fresh());
    rich::fill::<S>(&case.database);
    let backup = case.make();
    let restore = || Restore::of(&backup.file);
    let refused = restore().into(other.url()).expect_err("it is another one");
    assert_eq!(refused.code(), "restore_refused");
    assert!(refused.message().contains(&backup.database) && refused.remedy().contains("--other-database"), "{refused}");
    assert!(tables(&other).is_empty());

    let restored = restore().other_database(migrator::Policy::Warn).into(other.url());
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    assert!(restored.warnings.iter().any(|warning| warning.contains(&backup.database)), "{restored}");
    assert_eq!(other.dump(), case.database.dump());
    assert_eq!(history(&other), history(&case.database));
    assert_eq!(other.row_counts(), case.database.row_counts());
}

fn is_made_once_and_only_when_something_is_pending<S: Subject>() {
    let case = Case::<S>::new();
    // Statements on their own and statements in a transaction: several turns under the lock.
    case.folder.write("03_t3/up.sql", format!("-- migrator: no-transaction\n{}", table(3)));
    case.folder.write("04_t4/up.sql", table(4));
    let (migrator, events) = watch::events(case.migrator(case.backup()));
    let report = migrator.run(&mut case.database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let file = report.backup().expect("there is one");
    let manifest = Manifest::of(file).expect("it has a manifest");
    assert_eq!((manifest.head.as_deref(), manifest.dialect.name()), (Some("01"), S::NAME));
    let fingerprint = case.database.texts("SELECT fingerprint AS value FROM __migrator_meta").concat();
    assert_eq!((manifest.sha256.len(), manifest.fingerprint.as_ref().map(String::len)), (64, Some(64)));
    assert_ne!(manifest.fingerprint, Some(fingerprint), "that is of after the run");
    let told = events.take();
    let of = |name: &str| told.iter().filter(|event| event.starts_with(name)).collect::<Vec<_>>();
    assert_eq!((of("BackupStarted").len(), of("BackupFinished").len()), (1, 1), "{told:?}");
    assert!(of("BackupFinished")[0].contains(&format!("bytes: Some({})", manifest.bytes)), "{told:?}");
    let place = |name: &str| told.iter().position(|event| event.starts_with(name)).expect("it is told");
    assert!(place("Locked") < place("BackupStarted") && place("BackupFinished") < place("Started"), "{told:?}");
    assert_eq!(case.names().len(), 2);

    let again = migrator.run(&mut case.database.connect()).expect("run");
    assert_eq!((again.backup(), case.names().len()), (None, 2));
    let json = serde_json::to_value(&again).expect("JSON");
    assert!(json.get("backup").is_none() && serde_json::to_value(&report).expect("JSON")["backup"] == file);
}

fn a_new_database_can_be_copied_too<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let backups = tempfile::tempdir().expect("make a folder");
    let file = backups.path().join("mine.backup");
    let migrator = Migrator::new(&folder.set()).backup_before(Backup::to_file(&file).url(database.url()));
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Manifest::of(&file).expect("it has a manifest").head, None);
    Restore::of(&file).into(database.url()).unwrap_or_else(|error| panic!("{error}"));
    assert!(tables(&database).is_empty());
    applies::<S>(&database, &folder.set());
}

fn a_failure_names_the_backup<S: Subject>() {
    let case = Case::<S>::new();
    case.folder.write("02_t2/up.sql", "INSERT INTO nowhere VALUES (1)");
    let error = case.run(case.backup()).expect_err("it fails");
    let backup = error.report().and_then(migrator::Report::backup).expect("it was made").to_owned();
    assert!(error.to_string().contains(&format!("the state before is in {backup}")), "{error}");
    case.restore(backup).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tables(&case.database), ["t1"]);
}

fn the_host_makes_its_own<S: Subject>() {
    let case = Case::<S>::new();
    let failing = case.run(Backup::by(|_| Err("no such branch".into()))).expect_err("it stops the run");
    assert_eq!((failing.code(), failing.database_words()), ("backup_failed", Some("no such branch")));
    super::assert_untouched(&case);
    let name = case.database.name().to_owned();
    let report = case.run(Backup::by(move |database| {
        assert!(name.ends_with(database), "{name} is {database}");
        Ok("branch before-42".to_owned())
    }));
    assert_eq!(report.expect("run").backup(), Some("branch before-42"));
    assert_eq!(dialects::tables(&case.database), ["t1", "t2"]);
}

#[test]
fn the_lock_of_postgres_outlives_a_long_backup() {
    outlives_a_long_backup::<dialects::Postgres>("SET idle_session_timeout = '2s'", "--file");
}

#[test]
fn the_lock_of_mariadb_outlives_a_long_backup() {
    outlives_a_long_backup::<dialects::Mariadb>("SET SESSION wait_timeout = 2", "--result-file");
}

/// The server cuts connections that say nothing for two seconds, and the program takes twice that.
fn outlives_a_long_backup<S: Subject>(impatience: &str, option: &str) {
    let case = Case::<S>::new();
    let slow = format!(
        "case \"$*\" in *--version*|*--list*) exec $real \"$@\";; esac
        echo half > \"$(printf '%s\\n' \"$@\" | grep -A1 -e '^{option}$' | tail -n 1)\"; sleep 4; exec $real \"$@\""
    );
    let [dump, bring] = super::names_of::<S>() else { panic!("two programs") };
    // Its password is gone when it has written something: this one needs it later.
    let url = case.database.url().to_owned();
    let programs = super::programs(&[(dump, &keeping_the_password(&slow)), (bring, "exec $real \"$@\"")]);
    let backup = Backup::to(case.backups.path()).url(url).programs(programs.path());
    let (migrator, events) = watch::events(case.migrator(backup));
    let mut conn = case.database.connect();
    conn.batch_execute(impatience).expect("set the timeout");
    migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let told = events.take();
    assert!(told.iter().any(|event| event == "BackupProgress { bytes: 5, of: None }"), "{told:?}");
}

/// A script that copies the file with the password before it begins, and uses the copy.
fn keeping_the_password(script: &str) -> String {
    let keep = "mine=$(dirname \"$0\")/secret; first=$1; case $first in --defaults-file=*)
            cp \"${first#--defaults-file=}\" \"$mine\"; shift; set -- \"--defaults-file=$mine\" \"$@\";; esac
        [ -z \"$PGPASSFILE\" ] || { cp -p \"$PGPASSFILE\" \"$mine\"; export PGPASSFILE=\"$mine\"; }";
    format!("{keep}\n{script}")
}

#[test]
fn what_is_only_in_the_wal_is_copied() {
    let case = Case::<dialects::Sqlite>::new();
    let mut conn = case.database.connect();
    conn.batch_execute("PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; INSERT INTO t1 VALUES (77)")
        .expect("write");
    let wal = fs::metadata(format!("{}-wal", case.database.url())).expect("there is a WAL").len();
    assert!(wal > 0);
    let report = case.migrator(case.backup()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let file = report.backup().expect("there is one").to_owned();
    drop(conn);
    case.restore(file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.texts("SELECT id || '' AS value FROM t1 ORDER BY id"), ["1", "77"]);
    assert_eq!(tables(&case.database), ["t1"]);
    let mode = case.database.texts("SELECT journal_mode AS value FROM pragma_journal_mode");
    assert_eq!(mode, ["wal"], "the database keeps its mode");
}

#[test]
fn nobody_writes_to_sqlite_between_the_copy_and_the_change() {
    let case = Case::<dialects::Sqlite>::new();
    let mut other = case.database.connect();
    let path = case.database.url().to_owned();
    let migrator = case.migrator(case.backup()).on_event(move |event| {
        if format!("{event:?}").starts_with("BackupFinished") {
            use diesel::Connection;
            let mut conn = diesel::SqliteConnection::establish(&path).expect("connect");
            let error = conn.batch_execute("INSERT INTO t1 VALUES (99)").expect_err("the lock is held");
            assert!(error.to_string().contains("database is locked"), "{error}");
        }
    });
    migrator.run(&mut case.database.connect()).unwrap_or_else(|error| panic!("{error}"));
    other.batch_execute("INSERT INTO t1 VALUES (99)").expect("the lock is free");
}
