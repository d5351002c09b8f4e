//! diesel's layout: versions, order, metadata.

use migrator_source::layout::Options;

use crate::{Row, SQL, check};

#[test]
fn the_version_is_what_stands_before_the_first_underscore_without_dashes() {
    check(
        Options::default(),
        &[
            (
                "14 digits",
                &[("20240131120000_users/up.sql", SQL)],
                &["20240131120000 | 20240131120000_users | 20240131120000_users/up.sql | -"],
            ),
            (
                "a date with dashes",
                &[("2024-01-31-120000_users/up.sql", SQL)],
                &["20240131120000 | 2024-01-31-120000_users | 2024-01-31-120000_users/up.sql | -"],
            ),
            (
                "18 digits",
                &[("2024-01-31-120000-0000_users/up.sql", SQL)],
                &["202401311200000000 | 2024-01-31-120000-0000_users | 2024-01-31-120000-0000_users/up.sql | -"],
            ),
            (
                "8 digits and the time in the name",
                &[("2024-03-13_170000_sso/up.sql", SQL)],
                &["20240313 | 2024-03-13_170000_sso | 2024-03-13_170000_sso/up.sql | -"],
            ),
            (
                "words",
                &[("initial-setup_x/up.sql", SQL)],
                &["initialsetup | initial-setup_x | initial-setup_x/up.sql | -"],
            ),
            (
                "no underscore",
                &[("00000000000000-diesel-initial/up.sql", SQL)],
                &[
                    "00000000000000dieselinitial | 00000000000000-diesel-initial | 00000000000000-diesel-initial/up.sql | -",
                ],
            ),
            (
                "only digits",
                &[("20240131120000/up.sql", SQL)],
                &["20240131120000 | 20240131120000 | 20240131120000/up.sql | -"],
            ),
            (
                "spaces",
                &[("2020-01-25-033332_add unsigned table/up.sql", SQL)],
                &[
                    "20200125033332 | 2020-01-25-033332_add unsigned table | 2020-01-25-033332_add unsigned table/up.sql | -",
                ],
            ),
            (
                "no valid time",
                &[("2024-01-31-152396_x/up.sql", SQL)],
                &["20240131152396 | 2024-01-31-152396_x | 2024-01-31-152396_x/up.sql | -"],
            ),
            (
                "letters of another script",
                &[("20240131_größe/up.sql", SQL)],
                &["20240131 | 20240131_größe | 20240131_größe/up.sql | -"],
            ),
            (
                "no version",
                &[("_users/up.sql", SQL)],
                &["version_missing dir/_users: the name has no version in front of its first `_`"],
            ),
        ],
    );
}

/// Names with which other orders go wrong: each pair stands in the order in which it runs.
#[test]
fn versions_run_in_the_order_of_their_strings() {
    let pairs = [
        // In the order of whole numbers 8 digits come before every 14, and `sso_users` would be made too late.
        ("20240226000000_sso_users", "2024-03-13_170000_sso_users_cascade"),
        ("2024-03-13_170000_sso_users_cascade", "20240605131359_manage"),
        // In the order of the folders' bytes a dash comes before a digit.
        ("20170728000000_b", "2017-08-31-000000_c"),
        ("2017-07-27-235959_a", "20170728000000_b"),
        // A version that begins as another.
        ("2024-01-31-120000_a", "2024-01-31-120000-0000_b"),
        ("2024-01-31-120000-0000_b", "20240131120001_c"),
        // Digits before capitals before small letters; no number is parsed.
        ("10_b", "9_a"),
        ("20240101_x", "Setup_x"),
        ("Setup_x", "initial_x"),
    ];
    for (first, second) in pairs {
        let paths = [format!("{first}/up.sql"), format!("{second}/up.sql")];
        let files: Vec<_> = paths.iter().rev().map(|path| (path.as_str(), SQL)).collect();
        let folder = crate::read(&files);
        let names: Vec<_> = folder.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, [first, second]);
    }
}

#[test]
fn the_metadata_says_whether_there_is_a_transaction() {
    let empty = "~ 1_a/metadata.toml says nothing, so the migration runs in a transaction; diesel itself would run it \
                 without one: write run_in_transaction = true or false";
    let bare = "1 | 1_a | 1_a/up.sql | -";
    let rows: &[(&str, &str, &[&str])] = &[
        ("true", "run_in_transaction = true\n", &["1 | 1_a | 1_a/up.sql | - | transaction"]),
        ("false", "run_in_transaction = false", &["1 | 1_a | 1_a/up.sql | - | no transaction"]),
        (
            "comment, BOM and CRLF",
            "\u{feff}# why\r\nrun_in_transaction = false\r\n",
            &["1 | 1_a | 1_a/up.sql | - | no transaction"],
        ),
        ("empty", "", &[bare, empty]),
        ("only a comment", "# nothing yet\n", &[bare, empty]),
        (
            "an unknown key",
            "\nrun_in_transactions = false\n",
            &["metadata_unknown_key dir/1_a/metadata.toml:2:1: unknown key `run_in_transactions`"],
        ),
        (
            "a table",
            "[run_in_transaction]\n",
            &["metadata_broken dir/1_a/metadata.toml:1:1: run_in_transaction is neither true nor false"],
        ),
        (
            "a string",
            "run_in_transaction = \"false\"",
            &["metadata_broken dir/1_a/metadata.toml:1:22: run_in_transaction is neither true nor false"],
        ),
        (
            "no TOML",
            "run_in_transaction = false\nrun_in_\n",
            &["metadata_broken dir/1_a/metadata.toml:2:8: key with no value, expected `=`"],
        ),
    ];
    for (situation, metadata, expected) in rows {
        check(Options::default(), &[(situation, &[("1_a/up.sql", SQL), ("1_a/metadata.toml", metadata)], expected)]);
    }
}

#[test]
fn a_folder_with_scripts_but_without_up_is_refused() {
    let missing = "up_missing dir/2_b: the folder has scripts but no up.sql";
    let rows: &[Row<'_>] = &[
        ("the way down alone", &[("1_a/up.sql", SQL), ("2_b/down.sql", SQL)], &[missing]),
        ("another name", &[("1_a/up.sql", SQL), ("2_b/users.sql", SQL)], &[missing]),
        ("capitals", &[("1_a/up.sql", SQL), ("2_b/Up.SQL", SQL)], &[missing]),
        (
            "no scripts",
            &[("1_a/up.sql", SQL), ("2_b/README.md", "")],
            &["1 | 1_a | 1_a/up.sql | -", "~ a file beside the migrations is not part of any: 2_b; nothing runs them"],
        ),
    ];
    check(Options::default(), rows);
}
