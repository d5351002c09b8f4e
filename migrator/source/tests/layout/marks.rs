//! What is refused of the scripts of goose and dbmate, and beside them.

use migrator_source::layout::{self, Options};
use migrator_source::sql::SqlDialect;

use crate::sections::{DBMATE, GOOSE, check_files};
use crate::{SQL, check, files};

#[test]
fn what_the_marks_get_wrong_is_refused() {
    check_files(&[
        (
            "two ways up (dbmate)",
            "-- migrate:up\nSELECT 1;\n-- migrate:down\n\n-- migrate:up\nSELECT 2;\n-- migrate:down\n",
            &["section_twice dir/1_a.sql:5:1: `-- migrate:up` is here a second time, after line 1"],
        ),
        (
            "two ways up (goose)",
            "-- x\n-- +goose Up\nSELECT 1;\n-- +goose up\nSELECT 2;\n",
            &["section_twice dir/1_a.sql:4:1: `-- +goose up` is here a second time, after line 2"],
        ),
        (
            "two ways down",
            "-- +goose Up\n-- +goose Down\n-- +goose Down\n",
            &["section_twice dir/1_a.sql:3:1: `-- +goose Down` is here a second time, after line 2"],
        ),
        (
            "the way down first",
            "-- migrate:down\nSELECT 2;\n-- migrate:up\nSELECT 1;\n",
            &["section_order dir/1_a.sql:3:1: `-- migrate:up` comes after `-- migrate:down`"],
        ),
        (
            "the way down alone (goose)",
            "-- x\n-- +goose Down\nSELECT 2;\n",
            &[
                "section_missing dir/1_a.sql:2:1: there is `-- +goose Down` and no `-- +goose Up`, so nothing tells what to apply",
            ],
        ),
        (
            "the way down alone (dbmate)",
            "-- migrate:down\nSELECT 2;\n",
            &[
                "section_missing dir/1_a.sql:1:1: there is `-- migrate:down` and no `-- migrate:up`, so nothing tells what to apply",
            ],
        ),
        (
            "no section",
            "-- +goose NO TRANSACTION\nVACUUM;\n",
            &[
                "section_missing dir/1_a.sql:1:1: there is `-- +goose NO TRANSACTION` and no `-- +goose Up`, so nothing tells what to apply",
            ],
        ),
        (
            "an unknown one",
            "-- +goose Up\nSELECT 1;\n-- +goose Dwon\nSELECT 2;\n",
            &["mark_unknown dir/1_a.sql:3:1: `-- +goose Dwon` is no mark that goose knows"],
        ),
        (
            "a mark with more",
            "-- +goose Up and away\nSELECT 1;\n",
            &["mark_unknown dir/1_a.sql:1:1: `-- +goose Up and away` is no mark that goose knows"],
        ),
        (
            "a mark with nothing",
            "-- +goose\nSELECT 1;\n",
            &["mark_unknown dir/1_a.sql:1:1: `-- +goose` is no mark that goose knows"],
        ),
        (
            "an unknown one of dbmate",
            "-- migrate:up\nSELECT 1;\n-- migrate:dwon\nSELECT 2;\n",
            &["mark_unknown dir/1_a.sql:3:1: `-- migrate:dwon` is no mark that dbmate knows"],
        ),
        (
            "an unknown option",
            "-- migrate:up transacton:false\nSELECT 1;\n",
            &["mark_unknown dir/1_a.sql:1:1: `transacton:false` is no option of `-- migrate:up transacton:false`"],
        ),
        (
            "an unknown value",
            "-- migrate:up\nSELECT 1;\n-- migrate:down transaction:no\n",
            &["mark_unknown dir/1_a.sql:3:1: `transaction:no` is no option of `-- migrate:down transaction:no`"],
        ),
        (
            "an indented mark",
            "-- +goose Up\nSELECT 1;\n  -- +goose Down\nSELECT 2;\n",
            &[
                "mark_misplaced dir/1_a.sql:3:1: `-- +goose Down` is no mark to goose: one stands at the begin of its line, behind two dashes",
            ],
        ),
        (
            "more dashes",
            "-- migrate:up\nSELECT 1;\n---- migrate:down\nSELECT 2;\n",
            &[
                "mark_misplaced dir/1_a.sql:3:1: `---- migrate:down` is no mark to dbmate: one stands at the begin of its line, behind two dashes",
            ],
        ),
        (
            "the environment",
            "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${HOME}';\n-- +goose envsub off\n",
            &["mark_environment dir/1_a.sql:2:1: `-- +goose ENVSUB ON` puts the machine's environment into the script"],
        ),
        (
            "two tools",
            "-- +goose Up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n",
            &[
                "mark_of_two_tools dir/1_a.sql:3:1: `-- migrate:down` marks a script of dbmate, and `-- +goose Up` one of goose",
            ],
        ),
    ]);
}

#[test]
fn a_statement_in_front_of_the_sections_is_refused() {
    let outside = |place: &str, mark: &str| {
        format!("outside_sections dir/1_a.sql:{place}: a statement in front of `{mark}` belongs to no section")
    };
    check_files(&[
        ("goose", "-- x\n /* y */ SELECT 1;\n-- +goose Up\nSELECT 2;\n", &[&outside("2:10", "-- +goose Up")]),
        (
            "behind another mark",
            "-- +goose NO TRANSACTION\nSELECT 1\n-- +goose Up\n",
            &[&outside("2:1", "-- +goose Up")],
        ),
        ("dbmate", "SELECT 1;\n-- migrate:up\nSELECT 2;\n", &[&outside("1:1", "-- migrate:up")]),
        (
            "a transaction around all",
            "BEGIN;\n-- migrate:up\nSELECT 2;\nCOMMIT;\n",
            &["transaction_control dir/1_a.sql:1:1: BEGIN controls the transaction that migrator keeps"],
        ),
    ]);
    let script: &[_] = &[("1_a.sql", "# a word\nSELECT 1;\n-- +goose Up\n")];
    check(Options::default(), &[("the first of what the dialects find", script, &[&outside("1:1", "-- +goose Up")])]);
    // A comment for MySQL, and so no fault while nobody knows the dialect.
    let script = files(&[("1_a.sql", "# a word\n-- +goose Up\nSELECT 2;\n")]);
    for (dialect, refused) in [(None, false), (Some(SqlDialect::Mysql), false), (Some(SqlDialect::Postgres), true)] {
        let found = layout::read(&script, Options { dialect, ..Options::default() });
        assert_eq!(found.is_err(), refused, "{dialect:?}");
    }
}

/// The tools go by lines alone. What a mark cuts in two has no end.
#[test]
fn a_mark_inside_of_something_cuts_it() {
    let rows = [
        ("/*\n-- +goose Up\n*/\nSELECT 1;\n", Some("unterminated_comment 1:1")),
        ("-- +goose Up\nSELECT 1;\n/*\n-- +goose Down\n*/\n", Some("unterminated_comment 3:1")),
        ("-- migrate:up\nSELECT '\n-- migrate:down\n';\n", Some("unterminated_string 2:8")),
        ("-- migrate:up\nSELECT $$\n-- migrate:down\n$$;\n", Some("unterminated_dollar_quote 2:8")),
        ("-- migrate:up\nSELECT 1; /* -- migrate:down\n*/ SELECT 2;\n", None),
    ];
    for (script, expected) in rows {
        let options = Options { dialect: Some(SqlDialect::Postgres), ..Options::default() };
        let faults = layout::read(&files(&[("1_a.sql", script)]), options).err().unwrap_or_default();
        let found: Vec<_> =
            faults.iter().map(|fault| format!("{} {}", fault.code, fault.place("").replace("1_a.sql:", ""))).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{script}");
    }
}

#[test]
fn what_stands_beside_sections_is_refused() {
    let unmarked = |path: &str, mark: &str, first: &str, tool: &str, more: &str| {
        format!(
            "section_unmarked dir/{path}: there is no `{mark}` in it, as there is in {first}: {tool} would not run it, and here it would run whole{more}"
        )
    };
    let go = "a migration of goose in Go, which cannot be run here";
    check(
        Options::default(),
        &[
            (
                "a plain file",
                &[("1_a.sql", GOOSE), ("2_b.sql", SQL)],
                &[&unmarked("2_b.sql", "-- +goose Up", "1_a.sql", "goose", "")],
            ),
            (
                "plain files, one of them empty, and one marked",
                &[("1_a.sql", ""), ("2_b.sql", DBMATE), ("3_c.sql", SQL)],
                &[&unmarked("1_a.sql", "-- migrate:up", "2_b.sql", "dbmate", " (1 more like it)")],
            ),
            ("no text", &[("1_a.sql", GOOSE), ("2_b.sql", "\0")], &["nul dir/2_b.sql:1:1: a NUL character at byte 0"]),
            (
                "a script for the way down",
                &[("1_a.up.sql", GOOSE), ("1_a.down.sql", SQL), ("U2__b.sql", SQL)],
                &[
                    "section_elsewhere dir/1_a.down.sql: a script for the way down beside 1_a.up.sql, in which goose has both ways (1 more like it)",
                ],
            ),
            (
                "Go",
                &[("00001_a.sql", GOOSE), ("00002_b.go", ""), ("00002_b_test.go", ""), ("embed.go", "")],
                &[&format!("go_migration dir/00002_b.go: {go}")],
            ),
            (
                "more Go",
                &[("00001_a.sql", GOOSE), ("00003_c.go", ""), ("00002_b.go", "")],
                &[&format!("go_migration dir/00002_b.go: {go} (1 more like it)")],
            ),
            (
                "Go that is no migration",
                &[("00001_a.sql", GOOSE), ("1.go", ""), ("embed.go", ""), ("00002_b_test.go", "")],
                &[
                    "00001 | 00001_a | 00001_a.sql | -",
                    "~ 3 files beside the migrations are not part of any, first 1.go; nothing runs them",
                ],
            ),
            (
                "Go beside plain files",
                &[("00001_a.sql", SQL), ("00002_b.go", "")],
                &[
                    "00001 | 00001_a | 00001_a.sql | -",
                    "~ a file beside the migrations is not part of any: 00002_b.go; nothing runs them",
                ],
            ),
            (
                "each kind at once",
                &[("1_a.sql", GOOSE), ("2_b.sql", SQL), ("2_b.down.sql", SQL), ("3_c.go", "")],
                &[
                    &unmarked("2_b.sql", "-- +goose Up", "1_a.sql", "goose", ""),
                    "section_elsewhere dir/2_b.down.sql: a script for the way down beside 1_a.sql, in which goose has both ways",
                    &format!("go_migration dir/3_c.go: {go}"),
                ],
            ),
            (
                "both tools",
                &[("1_a.sql", GOOSE), ("2_b.sql", DBMATE)],
                &["1 | 1_a | 1_a.sql | -", "2 | 2_b | 2_b.sql | 2_b.sql"],
            ),
            (
                "another tool's marks",
                &[("1_a.sql", GOOSE), ("2_b.sql", "-- +migrate Up\n")],
                &[
                    "layout_foreign dir/2_b.sql: `-- +migrate Up` marks a script of sql-migrate: up and down in one file",
                ],
            ),
            ("marks in another layout are comments", &[("1_a/up.sql", DBMATE)], &["1 | 1_a | 1_a/up.sql | -"]),
        ],
    );
}
