//! Scripts that are empty or faulty, and the dialects that decide it.

use migrator_source::layout::{self, Down, Options};
use migrator_source::sql::SqlDialect;

use crate::{SQL, check, files, outcome, read, shown};

#[test]
fn scripts_without_a_statement_are_counted_for_each_kind() {
    let up = |words: &str| format!("~ {words}; applying it changes nothing and is recorded");
    let down = |words: &str| format!("~ {words}; it counts as no down script");
    check(
        Options::default(),
        &[
            (
                "zero bytes",
                &[("1_a/up.sql", "")],
                &["1 | 1_a | 1_a/up.sql | -", &up("an up script has no statement: 1_a/up.sql")],
            ),
            (
                "blank, comments, only a mark, only a separator",
                &[
                    ("1_a/up.sql", " \r\n\t"),
                    ("2_b/up.sql", "-- nothing\n/* to do */"),
                    ("3_c/up.sql", "\u{feff}"),
                    ("4_d/up.sql", ";\n;"),
                    ("5_e/up.sql", SQL),
                ],
                &[
                    "1 | 1_a | 1_a/up.sql | -",
                    "2 | 2_b | 2_b/up.sql | -",
                    "3 | 3_c | 3_c/up.sql | -",
                    "4 | 4_d | 4_d/up.sql | -",
                    "5 | 5_e | 5_e/up.sql | -",
                    &up("4 up scripts have no statement, first 1_a/up.sql"),
                ],
            ),
            (
                "down scripts",
                &[
                    ("1_a/up.sql", SQL),
                    ("1_a/down.sql", ""),
                    ("2_b/up.sql", SQL),
                    ("2_b/down.sql", "-- This file should undo"),
                ],
                &[
                    "1 | 1_a | 1_a/up.sql | -",
                    "2 | 2_b | 2_b/up.sql | -",
                    &down("2 down scripts have no statement, first 1_a/down.sql"),
                ],
            ),
            (
                "both kinds",
                &[("1_a/up.sql", ""), ("1_a/down.sql", "")],
                &[
                    "1 | 1_a | 1_a/up.sql | -",
                    &up("an up script has no statement: 1_a/up.sql"),
                    &down("a down script has no statement: 1_a/down.sql"),
                ],
            ),
        ],
    );
}

#[test]
fn a_faulty_down_script_is_a_warning() {
    let warned = |words: &str| format!("~ {words}; revert will refuse it");
    check(
        Options::default(),
        &[
            (
                "one",
                &[("1_a/up.sql", SQL), ("1_a/down.sql", "COMMIT;")],
                &["1 | 1_a | 1_a/up.sql | !1_a/down.sql", &warned("a down script has a fault: 1_a/down.sql")],
            ),
            (
                "several",
                &[("1_a.up.sql", SQL), ("1_a.down.sql", "SELECT 'x"), ("2_b.up.sql", SQL), ("2_b.down.sql", "\0")],
                &[
                    "1 | 1_a | 1_a.up.sql | !1_a.down.sql",
                    "2 | 2_b | 2_b.up.sql | !2_b.down.sql",
                    &warned("2 down scripts have a fault, first 1_a.down.sql"),
                ],
            ),
        ],
    );
    let folder = read(&[("1_a/up.sql", SQL), ("1_a/down.sql", "ROLLBACK;\r\n")]);
    let expected = Down::Faulty { path: "1_a/down.sql".to_owned(), text: "ROLLBACK;\n".to_owned() };
    assert_eq!(folder.entries[0].down, expected);
}

/// While the dialect is unknown a script has only the faults that every candidate finds.
#[test]
fn the_candidates_decide_which_faults_count() {
    use SqlDialect::{Mysql, Postgres, Sqlite};
    // The dialects that refuse the script, and how.
    let scripts: &[(&str, &[SqlDialect], &str)] = &[
        ("SELECT 'x", &[Sqlite, Postgres, Mysql], "unterminated_string dir/1_a.sql:1:8"),
        ("SELECT 1;\nCOMMIT;", &[Sqlite, Postgres, Mysql], "transaction_control dir/1_a.sql:2:1"),
        ("SELECT $$x", &[Postgres], "unterminated_dollar_quote dir/1_a.sql:1:8"),
        ("SELECT 1;\n\\echo x\n", &[Postgres], "psql_command dir/1_a.sql:2:1"),
        ("SELECT 1;\n.tables\n", &[Sqlite], "sqlite_command dir/1_a.sql:2:1"),
        ("SELECT 1;\n--> statement-breakpoint\n", &[Mysql], "drizzle_breakpoint dir/1_a.sql:2:1"),
        ("COPY t FROM STDIN;", &[Postgres], "copy_from_stdin dir/1_a.sql:1:1"),
        ("DELIMITER //\nSELECT 1 //", &[Sqlite, Postgres, Mysql], "delimiter dir/1_a.sql:1:1"),
        ("VACUUM; SELECT 1;", &[Sqlite, Postgres], "not_in_transaction dir/1_a.sql:1:1"),
        ("CREATE INDEX CONCURRENTLY i ON t (a); SELECT 1;", &[Postgres], "not_in_transaction dir/1_a.sql:1:1"),
    ];
    for (text, refusing, expected) in scripts {
        let files = files(&[("1_a.sql", text)]);
        for mask in 0..8_u8 {
            let possible: Vec<_> = (0..)
                .zip(SqlDialect::ALL)
                .filter(|(bit, _)| mask & 1 << bit != 0)
                .map(|(_, dialect)| *dialect)
                .collect();
            let candidates = if possible.is_empty() { SqlDialect::ALL } else { &possible };
            let refused = candidates.iter().all(|dialect| refusing.contains(dialect));
            let found = outcome(&files, Options { possible: &possible, ..Options::default() });
            let is_refused = found[0].starts_with(expected);
            assert_eq!(is_refused, refused, "{text:?} with {possible:?}: {found:?}");
        }
        for &dialect in SqlDialect::ALL {
            let found = outcome(&files, Options { dialect: Some(dialect), ..Options::default() });
            assert_eq!(found[0].starts_with(expected), refusing.contains(&dialect), "{text:?} as {dialect}: {found:?}");
        }
    }
}

/// PostgreSQL's comments nest: one fault for two dialects, in two places, is not common to them.
#[test]
fn a_fault_is_common_at_one_place_only() {
    let files = files(&[("1_a.sql", "SELECT 1; /* a /* b */\n/* c")]);
    let codes = |possible: &[SqlDialect]| -> Vec<_> {
        let faults = layout::read(&files, Options { possible, ..Options::default() }).map(|_| ()).err();
        faults.iter().flatten().map(|fault| (fault.code, fault.place(""))).collect()
    };
    let unterminated = |place: &str| [("unterminated_comment", format!("1_a.sql:{place}"))];
    assert_eq!(codes(&[SqlDialect::Postgres]), unterminated("1:11"));
    assert_eq!(codes(&[SqlDialect::Mysql]), unterminated("2:1"));
    assert_eq!(codes(&[SqlDialect::Postgres, SqlDialect::Mysql]), []);
}

#[test]
fn a_single_candidate_is_the_dialect() {
    let files = files(&[("1_a.sql", SQL)]);
    let dialect = |possible: &[SqlDialect]| {
        layout::read(&files, Options { possible, ..Options::default() }).expect("no fault").dialect
    };
    assert_eq!(dialect(&[]), None);
    assert_eq!(dialect(&[SqlDialect::Mysql]), Some(SqlDialect::Mysql));
    assert_eq!(dialect(&[SqlDialect::Mysql, SqlDialect::Sqlite]), None);
}

/// A script that each dialect refuses for a reason of its own is not taken for an empty one.
#[test]
fn what_nobody_can_read_is_not_empty() {
    let none_reads = ".tables\n--> statement-breakpoint\nSELECT $$x";
    for &dialect in SqlDialect::ALL {
        let options = Options { dialect: Some(dialect), ..Options::default() };
        layout::read(&files(&[("1_a.sql", none_reads)]), options).expect_err(dialect.name());
    }
    let found = read(&[("1_a.up.sql", none_reads), ("1_a.down.sql", none_reads)]);
    assert!(matches!(found.entries[0].down, Down::Script { .. }), "{:?}", found.entries[0].down);
    assert_eq!(found.warnings, []);
}

#[test]
fn the_metadata_counts_for_the_script() {
    let index = "CREATE INDEX CONCURRENTLY i ON t (a);\nSELECT 1;";
    let read = |metadata: &str| {
        let files = files(&[("1_a/up.sql", index), ("1_a/metadata.toml", metadata)]);
        let options = Options { dialect: Some(SqlDialect::Postgres), ..Options::default() };
        layout::read(&files, options).map(|_| ()).map_err(|faults| shown(&faults[0]))
    };
    assert_eq!(read("run_in_transaction = false"), Ok(()));
    let refused = read("run_in_transaction = true").expect_err("a fault");
    assert!(refused.starts_with("not_in_transaction dir/1_a/up.sql:1:1"), "{refused}");
}

#[test]
fn what_breaks_before_names_must_be_a_migration_that_comes_no_later() {
    let with = |version: &str| format!("-- migrator: breaks-before {version}\nSELECT 1;");
    let outcome = |version: &str| {
        let (breaking, files) =
            (with(version), |text: &str| files(&[("1_a/up.sql", SQL), ("2_b/up.sql", text), ("3_c/up.sql", SQL)]));
        outcome(&files(&breaking), Options::default())
    };
    assert_eq!(outcome("1").len(), 3);
    assert_eq!(outcome("2"), outcome("1"));
    assert_eq!(
        outcome("3"),
        ["breaks_before dir/2_b/up.sql: it says that it breaks what is before 3, which comes after it"]
    );
    assert_eq!(
        outcome("1_a"),
        ["breaks_before dir/2_b/up.sql: it says that it breaks what is before 1_a, and there is no such migration"]
    );
    assert!(
        outcome("").concat().contains("unknown_directive") && outcome("1 2").concat().contains("unknown_directive")
    );
}
