//! A password is on no command line, in no environment, no message and no file that others can read or that stays.

use std::fs;

use migrator::backup::{Backups, Restore};
use migrator_tests::Database;
use migrator_tests::servers::{self, Kind, Server};

use super::{Case, names_of, programs};
use crate::dialects::{Mariadb, Postgres, Subject};
use crate::watch;

#[test]
fn of_postgres() {
    hidden::<Postgres, _>(servers::postgres());
}

#[test]
fn of_mariadb() {
    hidden::<Mariadb, _>(servers::mariadb());
}

/// Each program notes its command line and environment as `/proc` shows them, and the file with the password.
fn hidden<S: Subject, K: Kind>(server: &Server<K>) {
    let case = Case::<S>::new();
    let notes = tempfile::tempdir().expect("make a folder");
    let note = format!(
        "notes='{}'; {{ tr '\\0' '\\n' < /proc/$$/cmdline; tr '\\0' '\\n' < /proc/$$/environ; }} >> \"$notes/seen\"
        for file in \"$PGPASSFILE\" $(printf '%s\\n' \"$@\" | sed -n 's/^--defaults-file=//p'); do
            [ -z \"$file\" ] || {{ stat -c '%a %n' \"$file\" >> \"$notes/files\"; cat \"$file\" >> \"$notes/secrets\"; }}
        done
        exec $real \"$@\"",
        super::text(notes.path())
    );
    let scripts: Vec<(&str, &str)> = names_of::<S>().iter().map(|name| (*name, note.as_str())).collect();
    let programs = programs(&scripts);
    let (migrator, events) = watch::events(case.migrator(case.backup().programs(programs.path())));
    let mut told = vec![format!("{migrator:?} {:?}", case.backup())];
    let report = migrator.run(&mut case.database.connect()).unwrap_or_else(|error| panic!("{error}"));
    told.push(format!("{report:?}"));
    let file = report.backup().expect("there is one");
    let restore = Restore::of(file).programs(programs.path());
    told.push(format!("{restore:?}"));
    let restored = restore.into(case.database.url()).unwrap_or_else(|error| panic!("{error}"));
    told.push(format!("{restored:?} {restored}"));
    told.push(format!("{:?}", Backups::in_folder(case.backups.path()).list()));
    told.push(fs::read_to_string(format!("{file}.manifest")).expect("a manifest"));
    told.extend(events.take());

    let read = |name: &str| fs::read_to_string(notes.path().join(name)).expect("the programs were run");
    let (seen, files) = (read("seen"), read("files"));
    let password = server.password();
    assert!(read("secrets").contains(password), "the test looks for the right thing");
    assert!(seen.contains("127.0.0.1") || seen.contains("--defaults-file="), "{seen}");
    assert!(!seen.contains(password), "on a command line or in an environment: {seen}");
    told.iter().for_each(|told| assert!(!told.contains(password), "{told}"));
    assert!(files.lines().count() >= 3, "{files}");
    for line in files.lines() {
        let (mode, file) = line.split_once(' ').expect("mode and name");
        assert_eq!(mode, "600", "{line}");
        assert!(!fs::exists(file).expect("the folder can be read"), "{file} is still there");
    }
}
