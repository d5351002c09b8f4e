//! Prisma's layout: order, the lock file, raw digests.

use migrator_source::checksum;
use migrator_source::layout::{File, Options};
use migrator_source::sql::SqlDialect;

use crate::{SQL, check, files, read};

#[test]
fn the_version_is_the_name_of_the_folder() {
    check(
        Options::default(),
        &[
            (
                "14 digits",
                &[("20240131120000_init/migration.sql", SQL)],
                &["20240131120000_init | 20240131120000_init | 20240131120000_init/migration.sql | -"],
            ),
            (
                "two digits",
                &[("01_init/migration.sql", SQL), ("02_users/migration.sql", SQL)],
                &["01_init | 01_init | 01_init/migration.sql | -", "02_users | 02_users | 02_users/migration.sql | -"],
            ),
            ("any name", &[("add users/migration.sql", SQL)], &["add users | add users | add users/migration.sql | -"]),
            (
                "a way down beside it",
                &[("1_a/migration.sql", SQL), ("1_a/down.sql", SQL)],
                &["1_a | 1_a | 1_a/migration.sql | 1_a/down.sql"],
            ),
            (
                "loose scripts",
                &[("1_a/migration.sql", SQL), ("x.sql", SQL), ("2_y.sql", SQL)],
                &[
                    "1_a | 1_a | 1_a/migration.sql | -",
                    "~ 2 files beside the migrations are not part of any, first x.sql; nothing runs them",
                ],
            ),
            (
                "another script",
                &[("1_a/migration.sql", SQL), ("2_b/migrate.sql", SQL)],
                &["up_missing dir/2_b: the folder has scripts but no migration.sql"],
            ),
        ],
    );
}

/// Pairs in the order of bytes, and whether Prisma (`localeCompare`) has the other order. Checked with Node.js.
#[test]
fn names_run_in_the_order_of_their_bytes_with_a_warning_where_prisma_differs() {
    let pairs = [
        ("20240101_a", "20240102_a", false),
        ("20251014004232_y", "20251014_000001_x", true),
        ("01_a", "01_b", false),
        ("B", "a", true),
        ("A", "b", false),
        ("a-1", "a_0", true),
        ("a 1", "a_0", false),
        ("a-b", "aa", false),
        ("10", "9", false),
        ("a.b", "a_b", true),
    ];
    for (first, second, differs) in pairs {
        let (a, b) = (format!("{second}/migration.sql"), format!("{first}/migration.sql"));
        let folder = read(&[(&a, SQL), (&b, SQL)]);
        let names: Vec<_> = folder.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, [first, second]);
        let warnings: Vec<_> = folder.warnings.iter().map(|warning| (warning.code, warning.message.as_str())).collect();
        let message = format!(
            "{first} runs before {second} here (order of bytes) and after it in Prisma (order of a dictionary); rename one \
             before both are applied"
        );
        let expected = [("prisma_order", message.as_str())];
        assert_eq!(warnings, if differs { &expected[..] } else { &[] }, "{first} and {second}");
    }
}

#[test]
fn the_lock_file_says_the_dialect() {
    let rows: &[(&str, Result<SqlDialect, &str>)] = &[
        ("provider = \"postgresql\"\n", Ok(SqlDialect::Postgres)),
        ("provider = \"cockroachdb\"\n", Ok(SqlDialect::Postgres)),
        ("provider = \"mysql\"\n", Ok(SqlDialect::Mysql)),
        ("# Please do not edit\r\nprovider = \"sqlite\"\r\n", Ok(SqlDialect::Sqlite)),
        ("\u{feff}provider = \"sqlite\"", Ok(SqlDialect::Sqlite)),
        (
            "provider = \"sqlserver\"",
            Err(
                "lock_file_broken dir/migration_lock.toml:1:12: provider `sqlserver` is no database that can be migrated here",
            ),
        ),
        ("\nprovider = 5", Err("lock_file_broken dir/migration_lock.toml:2:12: provider is not a string")),
        ("", Err("lock_file_broken dir/migration_lock.toml: there is no provider in it")),
        (
            "provider = \"sqlite",
            Err("lock_file_broken dir/migration_lock.toml:1:19: invalid basic string, expected `\"`"),
        ),
    ];
    for (lock, expected) in rows {
        let files = files(&[("1_a/migration.sql", SQL), ("migration_lock.toml", lock)]);
        let folder = migrator_source::layout::read(&files, Options::default());
        let found = folder.map(|folder| folder.dialect).map_err(|faults| crate::shown(&faults[0]));
        assert_eq!(found, expected.map(Some).map_err(str::to_owned), "{lock:?}");
    }
}

#[test]
fn the_lock_file_and_the_caller_agree() {
    let files = files(&[("1_a/migration.sql", SQL), ("migration_lock.toml", "provider = \"mysql\"")]);
    let read = |dialect, possible| {
        let folder = migrator_source::layout::read(&files, Options { dialect, possible, ..Options::default() });
        folder.map(|folder| folder.dialect).map_err(|faults| crate::shown(&faults[0]))
    };
    assert_eq!(read(Some(SqlDialect::Mysql), &[]), Ok(Some(SqlDialect::Mysql)));
    // A database that this build cannot talk to: the set is refused by the connection, not by the reader.
    assert_eq!(read(None, &[SqlDialect::Sqlite]), Ok(Some(SqlDialect::Mysql)));
    let said = "dialect_contradiction dir/migration_lock.toml:1:12: the file says mysql and the caller says sqlite";
    assert_eq!(read(Some(SqlDialect::Sqlite), &[]), Err(said.to_owned()));
}

#[test]
fn the_lock_file_of_prisma_is_stray_in_another_layout() {
    check(
        Options::default(),
        &[(
            "diesel",
            &[("1_a/up.sql", SQL), ("migration_lock.toml", "nonsense")],
            &[
                "1 | 1_a | 1_a/up.sql | -",
                "~ a file beside the migrations is not part of any: migration_lock.toml; nothing runs them",
            ],
        )],
    );
}

/// Prisma's own history holds the digest of the file as it is.
#[test]
fn the_digest_of_the_raw_bytes_is_kept_for_prisma_only() {
    let bytes = "\u{feff}SELECT 1;\r\n".as_bytes().to_vec();
    let entry = |path: &str| {
        let files = [File { path: path.to_owned(), bytes: bytes.clone() }];
        migrator_source::layout::read(&files, Options::default()).expect("no fault").entries.remove(0)
    };
    assert_eq!(entry("1_a/migration.sql").raw_digest, Some(checksum::digest(&bytes)));
    assert_eq!(entry("1_a/migration.sql").up, "SELECT 1;\n");
    assert_eq!(entry("1_a/up.sql").raw_digest, None);
    assert_eq!(entry("1_a.sql").raw_digest, None);
}
