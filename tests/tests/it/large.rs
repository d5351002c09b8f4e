//! Directories of ten thousand files, and a script of fifty megabytes, read when the service starts: in memory that grows with what
//! is read, by a small factor.

use std::path::Path;

use migrator_tests::{Database, sqlite};

use crate::crash::starter::Starter;
use crate::folder::Folder;

/// Runs them in a process of its own; how much memory it used at most, in bytes.
fn memory(database: &sqlite::FreshDatabase, folder: &Path, applied: usize) -> usize {
    let end = Starter::start(database.url(), folder, &["memory"]).end();
    let line = end.said.iter().find_map(|line| line.strip_prefix("memory ")).expect("it tells");
    let most = line.parse::<usize>().expect("a number") * 1024;
    assert_eq!(end.succeeded(), applied);
    most
}

/// What a run uses that has nothing to do with its size.
fn least() -> usize {
    memory(&sqlite::fresh(), Folder::of_tables(1).path(), 1)
}

#[test]
fn ten_thousand_files() {
    const FILES: usize = 10_000;
    let (database, folder) = (sqlite::fresh(), Folder::of_files(&[]));
    folder.write("00000_notes.sql", "CREATE TABLE notes (n INTEGER);");
    (1..FILES).for_each(|n| folder.write(&format!("{n:05}_note.sql"), format!("INSERT INTO notes VALUES ({n});")));
    let more = memory(&database, folder.path(), FILES).saturating_sub(least());
    assert_eq!(database.texts("SELECT count(*) || ' ' || sum(n) AS value FROM notes"), ["9999 49995000"]);
    assert!(more < FILES * 8 * 1024, "{} bytes for each file", more / FILES);
    let more = memory(&database, folder.path(), 0).saturating_sub(least());
    assert!(more < FILES * 8 * 1024, "an unchanged start: {} bytes for each file", more / FILES);
}

#[test]
fn a_thousand_statements_of_fifty_kilobytes() {
    const ROWS: usize = 999;
    let (database, folder) = (sqlite::fresh(), Folder::of_files(&[]));
    let text = "x".repeat(52 << 10);
    let rows: String = (1..=ROWS).map(|n| format!("INSERT INTO pages VALUES ({n}, '{text}');\n")).collect();
    let script = format!("CREATE TABLE pages (n INTEGER, text TEXT);\n{rows}");
    folder.write("1_pages/up.sql", &script);
    let more = memory(&database, folder.path(), 1).saturating_sub(least());
    assert_eq!(database.texts("SELECT count(*) || ' ' || sum(n) AS value FROM pages"), ["999 499500"]);
    assert!(more < script.len() * 4, "{more} bytes for a script of {}", script.len());
}
