//! What is said beside a script: the same bytes as diesel's `metadata.toml`, as Prisma's `migration_lock.toml`, as a
//! seal and behind one, and as the words of a directive and of goose's and dbmate's marks.
#![no_main]

#[path = "../../migrator/source/tests/properties/folder.rs"]
mod folder;
#[path = "../../migrator/source/tests/properties/script.rs"]
mod script;

use migrator_source::layout::{File, Options, read};
use migrator_source::seal::{self, Seal};
use migrator_source::sql::{Mode, SqlDialect};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = |path: &str, bytes: &[u8]| File { path: path.to_owned(), bytes: bytes.to_vec() };
    let diesel = [file("1_a/up.sql", b"SELECT 1"), file("1_a/metadata.toml", bytes)];
    folder::check(&diesel, Options::default());
    // A key or a string may be written with escapes.
    let says = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word) || bytes.contains(&b'\\');
    match read(&diesel, Options::default()).map(|folder| folder.entries[0].declared) {
        Ok(Some(Mode::Transaction)) => assert!(says(b"run_in_transaction") && says(b"true")),
        Ok(Some(Mode::NoTransaction)) => assert!(says(b"run_in_transaction") && says(b"false")),
        Ok(None) => {}
        Err(faults) => assert!(faults.iter().all(|fault| fault.path == "1_a/metadata.toml"), "{faults:?}"),
    }
    let prisma = [file("1_a/migration.sql", b"SELECT 1"), file("migration_lock.toml", bytes)];
    folder::check(&prisma, Options::default());
    match read(&prisma, Options::default()) {
        Ok(folder) => assert!(folder.dialect.is_some() && says(b"provider")),
        Err(faults) => assert!(faults.iter().all(|fault| fault.path == "migration_lock.toml"), "{faults:?}"),
    }
    let up = file("1_a/up.sql", b"SELECT 1");
    let mut seal = Seal::default();
    let folder = read(std::slice::from_ref(&up), Options::default()).expect("no fault");
    seal.add(&folder.entries, SqlDialect::Sqlite).expect("nothing was sealed before");
    for text in [bytes.to_vec(), [seal.to_string().as_bytes(), bytes].concat()] {
        folder::check(&[up.clone(), file(seal::FILE, &text)], Options::default());
    }
    for mark in ["migrator:", "no-transaction", "+goose ", "migrate:"] {
        let text = [b"-- ", mark.as_bytes(), bytes, b"\nSELECT 1;\n-- ", mark.as_bytes(), b"down\nSELECT 2;"].concat();
        folder::check(&[file("1_a.sql", &text)], Options::default());
        if let Ok(text) = std::str::from_utf8(&text) {
            script::check(text, None);
        }
    }
});
