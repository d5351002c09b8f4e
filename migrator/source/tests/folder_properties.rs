//! What holds for every folder, also for one that nobody would make.

#[path = "properties/folder.rs"]
mod properties;

use std::collections::BTreeMap;

use migrator_source::layout::{File, Layout, Options};
use migrator_source::sql::SqlDialect;
use proptest::prelude::*;

const FOLDERS: &[&str] = &["", "1_a/", "01_A/", "2024-01-31-120000_b/", "20240131_b/", "_c/", "é/", ".git/", "meta/"];

const NAMES: &[&str] = &[
    "up.sql",
    "down.sql",
    "migration.sql",
    "metadata.toml",
    "migration_lock.toml",
    "_journal.json",
    "1_a.sql",
    "1_a.up.sql",
    "1_a.down.sql",
    "001_b.sql",
    "V1__a.sql",
    "U1__a.sql",
    "V1.1__a.sql",
    "2024-01-31-120000_b.sql",
    "10.sql",
    "2_a.go",
    "README.md",
    ".keep",
];

const LINES: &[&str] = &[
    "SELECT 1;",
    "é",
    "/*",
    "*/",
    "'",
    "\r",
    "\u{feff}",
    "VACUUM;",
    "BEGIN;",
    "COMMIT;",
    "-- migrator: no-transaction",
    "-- no-transaction",
    "-- +goose Up",
    "-- +goose Down",
    "-- +goose NO TRANSACTION",
    "-- +goose StatementBegin",
    "-- +migrate Up",
    "-- migrate:up",
    "-- migrate:up transaction:false",
    "-- migrate:down",
    "run_in_transaction = false",
    "run_in_transaction = true",
    "provider = \"postgresql\"",
    "x = 1",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let lines = proptest::collection::vec(proptest::sample::select(LINES), 0..5);
    let end = proptest::sample::select(&["\n", "\r\n"][..]);
    prop_oneof![
        8 => (lines, end).prop_map(|(lines, end)| lines.iter().flat_map(|line| [*line, end]).collect::<String>().into_bytes()),
        1 => any::<Vec<u8>>(),
    ]
}

fn files() -> impl Strategy<Value = Vec<File>> {
    let path = (proptest::sample::select(FOLDERS), proptest::sample::select(NAMES));
    let file = (path.prop_map(|(folder, name)| folder.to_owned() + name), bytes());
    let files = proptest::collection::vec(file, 0..8).prop_map(|files| files.into_iter().collect::<BTreeMap<_, _>>());
    files.prop_map(|files| files.into_iter().map(|(path, bytes)| File { path, bytes }).collect())
}

fn options() -> impl Strategy<Value = Options<'static>> {
    let layout = prop_oneof![4 => Just(None), 1 => proptest::sample::select(&Layout::ALL[..]).prop_map(Some)];
    let dialect = prop_oneof![2 => Just(None), 1 => proptest::sample::select(SqlDialect::ALL).prop_map(Some)];
    (layout, dialect).prop_map(|(layout, dialect)| Options { layout, dialect, ..Options::default() })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_folder_is_read_or_refused(files in files(), options in options()) {
        properties::check(&files, options);
    }
}
