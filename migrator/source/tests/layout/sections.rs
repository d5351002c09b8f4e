//! Scripts of goose and dbmate, which hold both ways in one file.

use migrator_source::checksum;
use migrator_source::layout::{Down, Entry, Layout, Options};
use migrator_source::pack::Packed;
use migrator_source::sql::{Script, SqlDialect, position};

use crate::{Row, check, files, outcome, read};

pub(crate) const GOOSE: &str = "-- +goose Up\nSELECT 1;\n";
pub(crate) const DBMATE: &str = "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n";

/// Checks tables of one file each: `1_a.sql`.
#[track_caller]
pub(crate) fn check_files(rows: &[(&str, &str, &[&str])]) {
    for (situation, script, expected) in rows {
        let paths: &[_] = &[("1_a.sql", *script)];
        let row: &[Row<'_>] = &[(situation, paths, expected)];
        check(Options::default(), row);
        check(Options { layout: Some(Layout::Flat), ..Options::default() }, row);
    }
}

fn entry(script: &str) -> Entry {
    read(&[("1_a.sql", script)]).entries.remove(0)
}

fn down(script: &str) -> String {
    match entry(script).down {
        Down::Script { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

const BOTH: &str = "1 | 1_a | 1_a.sql | 1_a.sql";
const UP: &str = "1 | 1_a | 1_a.sql | -";
const EMPTY_UP: &str = "~ an up script has no statement: 1_a.sql; applying it changes nothing and is recorded";
const EMPTY_DOWN: &str = "~ a down script has no statement: 1_a.sql; it counts as no down script";

#[test]
fn a_file_holds_both_ways() {
    let none = |way: &str| format!("{way} | no transaction");
    check_files(&[
        ("goose", "-- +goose Up\nSELECT 1;\n\n-- +goose Down\nSELECT 2;\n", &[BOTH]),
        ("any case", "-- +GOOSE up\nSELECT 1;\n-- +goose DOWN\nSELECT 2;\n", &[BOTH]),
        ("any white space", "--\t+goose   Up  \nSELECT 1;\n--+goose Down\nSELECT 2;\n", &[BOTH]),
        (
            "other line endings and a mark",
            "\u{feff}-- +goose Up\r\nSELECT 1;\r\n-- +goose Down\r\nSELECT 2;\r\n",
            &[BOTH],
        ),
        ("the way up alone", GOOSE, &[UP]),
        ("no statement down", "-- +goose Up\nSELECT 1;\n-- +goose Down\n-- nothing\n", &[UP, EMPTY_DOWN]),
        ("no statement up", "-- +goose Up\n-- +goose Down\nSELECT 2;\n", &[BOTH, EMPTY_UP]),
        ("words in front", "-- The first.\n/* of\nall */\n\n-- +goose Up\nSELECT 1;\n", &[UP]),
        (
            "no transaction in front",
            "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM;\n-- +goose Down\nVACUUM;\n",
            &[&none(BOTH)],
        ),
        (
            "no transaction behind",
            "-- +goose up\nSELECT 1;\n-- +goose down\nSELECT 2;\n-- +goose no transaction",
            &[&none(BOTH)],
        ),
        (
            "statements in marks",
            "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\n-- +goose ENVSUB OFF\n",
            &[UP],
        ),
        ("somebody's words", "-- +goose Up\n-- migrate: the users\n-- migrate:later\nSELECT 1;\n", &[UP]),
        ("somebody's words to dbmate", "-- migrate:up\n-- migrate: the users\nSELECT 1;\n", &[UP]),
        (
            "another mark behind it",
            "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\nVACUUM;\n-- +goose StatementEnd\n",
            &[&none(UP)],
        ),
        ("dbmate", DBMATE, &[BOTH]),
        ("dbmate, close and in capitals", "--migrate:UP\nSELECT 1;\n--  Migrate:down\nSELECT 2;\n", &[BOTH]),
        ("dbmate's up alone", "-- migrate:up\nSELECT 1;\n", &[UP]),
        ("an empty way down", "-- migrate:up\nSELECT 1;\n\n-- migrate:down\n\n", &[UP, EMPTY_DOWN]),
        (
            "an option that says nothing",
            "-- migrate:up transaction:true and words\nSELECT 1;\n",
            &[&format!("{UP} | transaction")],
        ),
        (
            "without a transaction",
            "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down transaction:false\nSELECT 2;\n",
            &[&none(BOTH)],
        ),
        (
            "the way up alone without a transaction",
            "-- migrate:up  transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2;\n",
            &[&format!("{BOTH} | no transaction | down:")],
        ),
        (
            "the way down alone without a transaction",
            "-- migrate:up\nSELECT 1;\n-- migrate:down transaction:false\nSELECT 2;\n",
            &[&format!("{BOTH} | down: | no transaction")],
        ),
        (
            "words that are like a mark",
            "-- the goose went up\nSELECT '-- +goose Up'; -- migrate:up\n-- migrate:sideways\n",
            &[UP],
        ),
        (
            "a fault in the way down",
            "-- migrate:up\nSELECT 1;\n-- migrate:down\nCOMMIT;\n",
            &["1 | 1_a | 1_a.sql | !1_a.sql", "~ a down script has a fault: 1_a.sql; revert will refuse it"],
        ),
    ]);
}

/// VACUUM runs in no transaction, and never with another statement by chance.
#[test]
fn what_is_declared_counts_for_the_script() {
    let vacuum = "VACUUM;\nSELECT 1;\n";
    let rows = [
        (
            "up transaction:false",
            "SELECT 1;\n",
            "down",
            vacuum,
            "1 | 1_a | 1_a.sql | !1_a.sql | no transaction | down:",
        ),
        ("up", "SELECT 1;\n", "down transaction:false", vacuum, "1 | 1_a | 1_a.sql | 1_a.sql | down: | no transaction"),
        ("up transaction:false", vacuum, "down", "SELECT 1;\n", "1 | 1_a | 1_a.sql | 1_a.sql | no transaction | down:"),
        (
            "up",
            vacuum,
            "down transaction:false",
            "SELECT 1;\n",
            "not_in_transaction dir/1_a.sql:2:1: VACUUM cannot run inside a transaction",
        ),
    ];
    for (up_mark, up, down_mark, down, expected) in rows {
        let script = format!("-- migrate:{up_mark}\n{up}-- migrate:{down_mark}\n{down}");
        let options = Options { dialect: Some(SqlDialect::Sqlite), ..Options::default() };
        assert_eq!(outcome(&files(&[("1_a.sql", &script)]), options)[0], expected, "{script}");
    }
}

#[test]
fn versions_are_those_of_the_flat_layout() {
    check(
        Options::default(),
        &[
            (
                "goose's two kinds, and a directory that begins late",
                &[("005_init.sql", GOOSE), ("00006_b.sql", GOOSE), ("20240101120000_c.sql", GOOSE)],
                &[
                    "005 | 005_init | 005_init.sql | -",
                    "00006 | 00006_b | 00006_b.sql | -",
                    "20240101120000 | 20240101120000_c | 20240101120000_c.sql | -",
                ],
            ),
            (
                "dbmate's, and an ending of another tool",
                &[("20240101000000_x.sql", DBMATE), ("20240102000000_y.up.sql", DBMATE)],
                &[
                    "20240101000000 | 20240101000000_x | 20240101000000_x.sql | 20240101000000_x.sql",
                    "20240102000000 | 20240102000000_y | 20240102000000_y.up.sql | 20240102000000_y.up.sql",
                ],
            ),
            (
                "one version twice",
                &[("0001_a.sql", GOOSE), ("1_b.sql", DBMATE)],
                &["duplicate_version dir/1_b.sql: `0001_a.sql` has the version 1 too"],
            ),
        ],
    );
}

const SHIP: &str = "-- The ship.\n\n-- +goose Up\nCREATE TABLE ship (id INTEGER);\n  INSERT INTO ship VALUES (1); -- one\n\n\
                    -- +goose Down\n-- all of it\n  DROP TABLE ship;\n";

#[test]
fn lines_and_columns_are_those_of_the_file() {
    let places = |text: &str| -> Vec<String> {
        let script = Script::parse(text, SqlDialect::Sqlite, None).expect("no fault");
        script.statements().iter().map(|statement| position(text, statement.start).to_string()).collect()
    };
    assert_eq!(places(&entry(SHIP).up), ["4:1", "5:3"]);
    assert_eq!(places(&down(SHIP)), ["9:3"]);
    assert_eq!(places(&down(&SHIP.replace('\n', "\r\n"))), ["9:3"]);
    check_files(&[(
        "a fault",
        "-- x\n-- migrate:up\nSELECT 1;\n  COMMIT;\n-- migrate:down\nSELECT 1;\n",
        &["transaction_control dir/1_a.sql:4:3: COMMIT controls the transaction that migrator keeps"],
    )]);
}

#[test]
fn a_section_is_the_text_that_runs() {
    assert_eq!(entry(SHIP).up, SHIP[..SHIP.find("\n\n-- +goose Down").expect("a mark")]);
    assert_eq!(down(SHIP), "\n\n\n\n\n\n-- +goose Down\n-- all of it\n  DROP TABLE ship;\n");
    assert_eq!(entry(GOOSE).up, GOOSE.trim_end());
}

#[test]
fn the_checksum_is_that_of_the_way_up() {
    let sum = |script: &str| checksum::of_script(&entry(script).up);
    let edited = |from: &str, to: &str| {
        assert!(SHIP.contains(from), "{from}");
        sum(&SHIP.replace(from, to))
    };
    let (head, _) = SHIP.split_once("-- +goose Down").expect("a mark");
    let same = [
        edited("DROP TABLE ship;", "DROP TABLE IF EXISTS ship;"),
        edited("-- all of it\n", ""),
        edited("-- +goose Down", "-- +goose down"),
        edited("\n\n-- +goose Down", "\n\n\n-- +goose Down"),
        edited("ship;\n", "ship;"),
        edited("\n", "\r\n"),
        sum(head),
        sum(head.trim_end()),
    ];
    assert_eq!(same, [sum(SHIP); 8]);
    for (from, to) in
        [("(1)", "(2)"), ("-- one", "-- two"), ("-- The ship.", "-- A ship."), ("-- +goose Up", "-- +goose up")]
    {
        assert_ne!(edited(from, to), sum(SHIP), "{from}");
    }
    let dbmate = sum(DBMATE);
    assert_eq!(sum(&DBMATE.replace("SELECT 2", "SELECT 3")), dbmate);
    assert_eq!(sum(&DBMATE.replace("migrate:down", "migrate:down transaction:false")), dbmate);
}

#[test]
fn both_ways_come_out_of_a_binary() {
    let folder = read(&[
        ("1_a.sql", SHIP),
        ("2_b.up.sql", "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2;\n"),
        ("V3__c.sql", GOOSE),
    ]);
    let packed = Packed::new(&folder, "db").expect("small");
    let items: Vec<_> = (0..3).map(|at| packed.get(at).expect("an item")).collect();
    let paths: Vec<_> = items.iter().map(|item| (item.up_path(), item.down_path())).collect();
    let path = |path: &str| path.to_owned();
    let expected = [
        (path("1_a.sql"), Some(path("1_a.sql"))),
        (path("2_b.up.sql"), Some(path("2_b.up.sql"))),
        (path("V3__c.sql"), None),
    ];
    assert_eq!(paths, expected);
    for (item, entry) in items.iter().zip(&folder.entries) {
        assert_eq!(
            (item.up, item.declared, item.declared_down),
            (entry.up.as_str(), entry.declared, entry.declared_down)
        );
        match &entry.down {
            Down::Script { text, .. } => assert_eq!(item.down, Some(text.as_str())),
            _ => assert_eq!(item.down, None),
        }
    }
}
