//! Memory does not grow with the database.

use std::time::Instant;

use migrator::backup::{Backups, Restore};
use migrator_tests::Database;

use super::{Case, bulk, text};
use crate::crash::starter::Starter;
use crate::dialects::Subject;

on_each_dialect!(memory_is_flat);

/// A process that copies a database of so many MiB and migrates it: the most memory that it had, in KiB, and what it said.
fn most<S: Subject>(case: &Case<S>, mib: usize) -> (u64, Vec<String>) {
    bulk::<S>(&case.database, mib);
    let option = format!("backup={}", text(case.backups.path()));
    let end = Starter::start(case.database.url(), case.folder.path(), &["memory", &option]).end();
    assert_eq!(end.error, None, "{:#?}", end.said);
    let memory = end.said.iter().find_map(|line| line.strip_prefix("memory ")?.parse().ok());
    (memory.expect("it tells"), end.said)
}

fn memory_is_flat<S: Subject>() {
    let ((small, _), (large, _)) = (most(&Case::<S>::new(), 8), most(&Case::<S>::new(), 64));
    println!("{}: {small} KiB at 8 MiB, {large} KiB at 64 MiB", S::NAME);
    assert!(large < small + 4 * 1024, "{small} KiB at 8 MiB, {large} KiB at 64 MiB");
}

/// `cargo test -p migrator-tests --test it --release -- --ignored --nocapture one_gibibyte`
#[test]
#[ignore = "writes 3 GiB"]
fn one_gibibyte_on_sqlite() {
    use crate::dialects::Sqlite;
    let case = Case::<Sqlite>::new();
    let start = Instant::now();
    let (memory, said) = most(&case, 1024);
    println!("1 GiB: filled, copied, checked and migrated in {:?}, at most {memory} KiB", start.elapsed());
    let listing = Backups::in_folder(case.backups.path()).list().expect("the folder");
    let backup = &listing.backups[0];
    assert!(backup.bytes > 1 << 30);
    for (what, work) in [
        ("verified", (&|| backup.verify(None)) as &dyn Fn() -> Result<(), migrator::Error>),
        ("restored, with a copy first", &|| Restore::of(&backup.file).into(case.database.url()).map(drop)),
    ] {
        let start = Instant::now();
        work().unwrap_or_else(|error| panic!("{error}"));
        println!("1 GiB: {what} in {:?}", start.elapsed());
    }
    assert!(memory < 64 * 1024);
    let progress: Vec<_> = said.iter().filter(|line| line.starts_with("event BackupProgress")).collect();
    assert!(progress.len() > 3 && progress.iter().all(|line| line.contains("of: Some(")), "{progress:?}");
}
