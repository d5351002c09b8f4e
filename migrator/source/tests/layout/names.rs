//! Versions and names that are refused, and the places of faults.

use migrator_source::layout::Options;

use crate::{SQL, check, faults};

#[test]
fn two_migrations_with_one_version_are_refused() {
    check(
        Options::default(),
        &[
            (
                "diesel",
                &[("20240101_a/up.sql", SQL), ("2024-01-01_b/up.sql", SQL)],
                &["duplicate_version dir/20240101_a/up.sql: `2024-01-01_b/up.sql` has the version 20240101 too"],
            ),
            (
                "three",
                &[("1_a.sql", SQL), ("1_b.sql", SQL), ("1_c.sql", SQL)],
                &[
                    "duplicate_version dir/1_b.sql: `1_a.sql` has the version 1 too",
                    "duplicate_version dir/1_c.sql: `1_b.sql` has the version 1 too",
                ],
            ),
            (
                "padded and not",
                &[("0001_a.sql", SQL), ("1_b.sql", SQL)],
                &["duplicate_version dir/1_b.sql: `0001_a.sql` has the version 1 too"],
            ),
            (
                "zero",
                &[("0_a.sql", SQL), ("000_b.sql", SQL)],
                &["duplicate_version dir/0_a.sql: `000_b.sql` has the version 0 too"],
            ),
            (
                "two tools",
                &[("V1__a.sql", SQL), ("1_b.up.sql", SQL)],
                &["duplicate_version dir/V1__a.sql: `1_b.up.sql` has the version 1 too"],
            ),
            (
                "with and without `.up`",
                &[("1_a.sql", SQL), ("1_a.up.sql", SQL)],
                &["duplicate_version dir/1_a.up.sql: `1_a.sql` has the version 1 too"],
            ),
            (
                "with a dashed date",
                &[("20240131_a.sql", SQL), ("2024-01-31_b.sql", SQL)],
                &["duplicate_version dir/20240131_a.sql: `2024-01-31_b.sql` has the version 20240131 too"],
            ),
            (
                "padding is no number in diesel's layout",
                &[("0001_a/up.sql", SQL), ("1_b/up.sql", SQL)],
                &["0001 | 0001_a | 0001_a/up.sql | -", "1 | 1_b | 1_b/up.sql | -"],
            ),
        ],
    );
}

/// A file system of macOS takes names apart, others do not: the name, a version in Prisma's layout, would be another one.
#[test]
fn names_in_decomposed_letters_are_refused() {
    let decomposed = |path: &str| {
        format!("name_decomposed dir/{path}: the name `{path}` has letters that are written in two characters")
    };
    check(
        Options::default(),
        &[
            ("composed", &[("1_caf\u{e9}/up.sql", SQL)], &["1 | 1_caf\u{e9} | 1_caf\u{e9}/up.sql | -"]),
            ("decomposed", &[("1_cafe\u{301}/up.sql", SQL)], &[&decomposed("1_cafe\u{301}")]),
            ("prisma", &[("1_\u{1112}\u{1161}/migration.sql", SQL)], &[&decomposed("1_\u{1112}\u{1161}")]),
        ],
    );
}

#[test]
fn names_that_differ_by_case_only_are_refused() {
    let differs = |path: &str, other: &str| {
        format!(
            "name_differs_by_case dir/{path}: the name equals `{other}` but for case; some file systems cannot hold both"
        )
    };
    check(
        Options::default(),
        &[
            (
                "prisma",
                &[("1_Users/migration.sql", SQL), ("1_users/migration.sql", SQL)],
                &[&differs("1_users", "1_Users")],
            ),
            ("diesel", &[("Init_a/up.sql", SQL), ("init_a/up.sql", SQL)], &[&differs("init_a", "Init_a")]),
            ("beyond ASCII", &[("Ö/migration.sql", SQL), ("ö/migration.sql", SQL)], &[&differs("ö", "Ö")]),
            (
                "with one version it is told once",
                &[("1_A.sql", SQL), ("1_a.sql", SQL)],
                &["duplicate_version dir/1_a.sql: `1_A.sql` has the version 1 too"],
            ),
        ],
    );
}

#[test]
fn what_the_history_cannot_hold_is_refused() {
    let (fifty, fifty_one) = ("9".repeat(50), "9".repeat(51));
    let (long, longer) = ("ü".repeat(127) + "x", "ü".repeat(128));
    let up = |version: &str| format!("{version}_a/up.sql");
    let folder = |name: &str| format!("{name}/migration.sql");
    check(
        Options::default(),
        &[
            ("50 characters", &[(&up(&fifty), SQL)], &[&format!("{fifty} | {fifty}_a | {fifty}_a/up.sql | -")]),
            (
                "51 characters",
                &[(&up(&fifty_one), SQL)],
                &[&format!(
                    "version_too_long dir/{fifty_one}_a: the version `{fifty_one}` has 51 characters, the history holds 50"
                )],
            ),
            (
                "dashes do not count",
                &[(&up(&format!("-{fifty}")), SQL)],
                &[&format!("{fifty} | -{fifty}_a | -{fifty}_a/up.sql | -")],
            ),
            ("255 bytes", &[(&folder(&long), SQL)], &[&format!("{long} | {long} | {long}/migration.sql | -")]),
            (
                "256 bytes",
                &[(&folder(&longer), SQL)],
                &[&format!("name_too_long dir/{longer}: the name has 256 bytes, the history holds 255")],
            ),
        ],
    );
}

#[test]
fn every_fault_is_told() {
    let found = faults(&[
        ("1_a/up.sql", "SELECT 'x"),
        ("1_b/up.sql", SQL),
        ("2_c/up.sql", "SELECT 1;\nCOMMIT;"),
        ("2_c/metadata.toml", "x = 1"),
        ("3_d/down.sql", SQL),
    ]);
    let found: Vec<_> = found.iter().map(|fault| (fault.code, fault.place(""))).collect();
    let expected = [
        ("metadata_unknown_key", "2_c/metadata.toml:1:1"),
        ("up_missing", "3_d"),
        ("duplicate_version", "1_b/up.sql"),
        ("unterminated_string", "1_a/up.sql:1:8"),
        ("transaction_control", "2_c/up.sql:2:1"),
    ];
    assert_eq!(found, expected.map(|(code, place)| (code, place.to_owned())));
}

#[test]
fn a_place_names_what_is_known_of_it() {
    let mut fault = faults(&[("1_a.sql", "\n SELECT 'x")]).remove(0);
    assert_eq!(fault.place("db/migrations"), "db/migrations/1_a.sql:2:9");
    assert_eq!(fault.place("db/migrations/"), "db/migrations/1_a.sql:2:9");
    assert_eq!(fault.place(""), "1_a.sql:2:9");
    fault.position = None;
    assert_eq!(fault.place("migrations"), "migrations/1_a.sql");
    fault.path.clear();
    assert_eq!(fault.place("migrations"), "migrations");
}
