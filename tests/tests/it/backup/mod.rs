//! Backups: made before a run, listed, verified, pruned, restored. What a user has afterwards is compared, not what was called.

mod folder;
mod killed;
mod restore;
mod rich;
mod round_trip;
mod secrets;
mod size;
mod stops;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use migrator::backup::{Backup, Listing, Manifest, Restore};
use migrator::{Error, Migrator};
use migrator_tests::Database;
use tempfile::TempDir;

use crate::dialects::{Subject, applies};
use crate::folder::{Folder, table};

/// A database with one migration applied and a second one to come, and a folder for backups.
struct Case<S: Subject> {
    database: S::Database,
    folder: Folder,
    backups: TempDir,
}

impl<S: Subject> Case<S> {
    fn new() -> Self {
        let (database, folder) = (S::fresh(), Folder::of_tables(1));
        applies::<S>(&database, &folder.set());
        folder.write("02_t2/up.sql", table(2));
        Self { database, folder, backups: tempfile::tempdir().expect("make a folder") }
    }

    fn backup(&self) -> Backup {
        Backup::to(self.backups.path()).url(self.database.url())
    }

    fn migrator(&self, backup: Backup) -> Migrator<S::Connection> {
        Migrator::new(&self.folder.set()).backup_before(backup)
    }

    /// Runs what is pending behind this backup.
    fn run(&self, backup: Backup) -> Result<migrator::Report, Error> {
        self.migrator(backup).run(&mut self.database.connect())
    }

    /// A backup by the verb.
    fn make(&self) -> Manifest {
        let file = Migrator::new(&self.folder.set()).backup(&mut self.database.connect(), &self.backup());
        Manifest::of(file.unwrap_or_else(|error| panic!("{error}"))).expect("it has a manifest")
    }

    fn restore(&self, file: impl Into<PathBuf>) -> Result<migrator::backup::Restored, Error> {
        Restore::of(file).into(self.database.url())
    }

    /// What is in the folder: names, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.backups.path()).expect("the folder is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }
}

/// Nothing was changed and nothing is left of the attempt.
fn assert_untouched<S: Subject>(case: &Case<S>) {
    assert_eq!(crate::dialects::tables(&case.database), ["t1"]);
    assert_eq!(crate::dialects::history(&case.database).last().map(String::as_str), Some("applied 01"));
    assert_eq!(case.names(), [""; 0]);
}

fn assert_whole(listing: &Listing, count: usize) {
    assert_eq!((listing.backups.len(), &listing.problems), (count, &Vec::new()), "{listing:?}");
}

/// A folder with programs of the test's own: shell scripts, in which `$real` is the true program.
fn programs(scripts: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("make a folder");
    for (name, script) in scripts {
        let file = folder.path().join(name);
        let real = real(name).display().to_string();
        fs::write(&file, format!("#!/bin/sh\nreal='{real}'\n{script}\n")).expect("write a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("make it a program");
    }
    folder
}

/// A program on the `PATH`.
fn real(name: &str) -> PathBuf {
    let path = env::var_os("PATH").expect("there is a PATH");
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not here; scripts/test installs it"))
}

/// The names of the programs that copy and bring back.
fn names_of<S: Subject>() -> &'static [&'static str] {
    match S::NAME {
        "postgres" => &["pg_dump", "pg_restore"],
        "mysql" => &["mariadb-dump", "mariadb"],
        _ => &[],
    }
}

/// Bytes that no program compresses much, as SQL for each database: a table `bulk` of so many MiB.
fn bulk<S: Subject>(database: &S::Database, mib: usize) {
    database.execute(match S::NAME {
        "postgres" => "CREATE TABLE bulk (id integer, body text)",
        "mysql" => "CREATE TABLE bulk (id integer, body mediumtext)",
        _ => "CREATE TABLE bulk (id integer, body blob)",
    });
    let row = match S::NAME {
        "postgres" => {
            "INSERT INTO bulk SELECT n, (SELECT string_agg(md5(random()::text || x), '') FROM generate_series(1, 32768) x WHERE n > 0) FROM generate_series(1, COUNT) n"
        }
        "mysql" => {
            "INSERT INTO bulk SELECT a.seq, (SELECT GROUP_CONCAT(MD5(RAND() + b.seq * a.seq) SEPARATOR '') FROM seq_1_to_32768 b) FROM seq_1_to_COUNT a"
        }
        _ => {
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < COUNT) INSERT INTO bulk SELECT i, randomblob(1048576) FROM n"
        }
    };
    let row = row.replace("COUNT", &mib.to_string());
    let limit = if S::NAME == "mysql" { "SET SESSION group_concat_max_len = 1048576;" } else { "" };
    database.execute(&format!("{limit}{row}"));
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}
