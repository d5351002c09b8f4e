//! Which layout a directory has, and what is no migration in it.

use migrator_source::fault::Fault;
use migrator_source::layout::{Layout, Options};

use crate::{Paths, SQL, check, faults, read};

#[test]
fn the_files_decide_for_a_layout() {
    let rows: &[(&str, Paths<'_>, Layout)] = &[
        ("diesel", &[("1_a/up.sql", SQL)], Layout::Diesel),
        ("prisma", &[("1_a/migration.sql", SQL)], Layout::Prisma),
        ("flat", &[("1_a.sql", SQL)], Layout::Flat),
        ("a sub-folder decides against loose files", &[("1_a.sql", SQL), ("2_b/up.sql", SQL)], Layout::Diesel),
        ("so does Prisma's", &[("1_a.sql", SQL), ("2_b/migration.sql", SQL)], Layout::Prisma),
        ("a flat directory with a folder of something else", &[("1_a.sql", SQL), ("docs/a.md", "")], Layout::Flat),
        ("a folder with the ending of a file", &[("1_a.sql/up.sql", SQL)], Layout::Diesel),
    ];
    for (situation, paths, layout) in rows {
        assert_eq!(read(paths).layout, *layout, "{situation}");
    }
}

#[test]
fn a_layout_that_is_named_wins() {
    let both = [("1_a/up.sql", SQL), ("1_a/down.sql", SQL), ("2_b/migration.sql", SQL), ("3_c.sql", SQL)];
    let named = |layout| Options { layout: Some(layout), ..Options::default() };
    let stray = "~ 2 files beside the migrations are not part of any, first";
    check(
        named(Layout::Diesel),
        &[("diesel", &both, &["1 | 1_a | 1_a/up.sql | 1_a/down.sql", &format!("{stray} 3_c.sql; nothing runs them")])],
    );
    check(
        named(Layout::Prisma),
        &[("prisma", &both, &["2_b | 2_b | 2_b/migration.sql | -", &format!("{stray} 3_c.sql; nothing runs them")])],
    );
    check(
        named(Layout::Flat),
        &[("flat", &both, &["3 | 3_c | 3_c.sql | -", &format!("{stray} 1_a; nothing runs them")])],
    );
}

#[test]
fn a_layout_that_is_named_and_absent_is_refused() {
    check(
        Options { layout: Some(Layout::Flat), ..Options::default() },
        &[(
            "flat",
            &[("1_a/up.sql", SQL)],
            &["layout_unrecognised dir: nothing in the directory has the layout `flat`; it holds 1_a"],
        )],
    );
}

#[test]
fn two_kinds_of_folder_are_ambiguous() {
    let found = faults(&[("1_a/up.sql", SQL), ("2_b/migration.sql", SQL)]);
    assert_eq!(codes(&found), ["layout_ambiguous"]);
    assert_eq!(found[0].message, "the directory holds folders with up.sql (1_a) and folders with migration.sql (2_b)");
    assert!(found[0].help.contains("layout = \"diesel\""), "{}", found[0].help);
}

#[test]
fn nothing_recognised_is_an_error_that_says_what_is_there() {
    let nothing = "nothing in the directory is a migration of a known layout; it holds";
    let unrecognised = |holds: &str| format!("layout_unrecognised dir: {nothing} {holds}");
    check(
        Options::default(),
        &[
            ("an empty directory", &[], &["directory_empty dir: the directory is empty"]),
            ("a directory that git keeps", &[(".gitkeep", "")], &["directory_empty dir: the directory is empty"]),
            ("only a text", &[("README.md", "")], &[&unrecognised("README.md")]),
            (
                "TypeScript",
                &[("1700000000000-Init.ts", ""), ("1700000000001-Users.ts", "")],
                &[&unrecognised("1700000000000-Init.ts, 1700000000001-Users.ts")],
            ),
            (
                "many files",
                &[("a.rs", ""), ("b.rs", ""), ("c.rs", ""), ("d.rs", ""), ("e.rs", "")],
                &[&unrecognised("a.rs, b.rs, c.rs and 2 more")],
            ),
            ("no version", &[("users.sql", SQL)], &[&unrecognised("users.sql")]),
            (
                "the way down alone",
                &[("1_a.down.sql", SQL), ("U2__b.sql", SQL)],
                &[&unrecognised("1_a.down.sql, U2__b.sql")],
            ),
            ("capitals", &[("1_a/UP.SQL", SQL)], &[&unrecognised("1_a")]),
            (
                "folders that no layout reads",
                &[("deploy/a.sql", SQL), ("sqitch.plan", "")],
                &[&unrecognised("sqitch.plan, deploy")],
            ),
        ],
    );
}

#[test]
fn the_directory_that_was_meant_is_named() {
    let rows: &[(&str, Paths<'_>, &str)] = &[
        (
            "one folder for each database",
            &[("mysql/1_a/up.sql", ""), ("postgresql/1_a/up.sql", ""), ("sqlite/1_a/up.sql", "")],
            "the folders `mysql`, `postgresql`, `sqlite` in it hold migrations: name one of them",
        ),
        (
            "the same in the flat layout",
            &[("mysql/1_a.sql", ""), ("sqlite/1_a.sql", "")],
            "the folders `mysql`, `sqlite` in it hold migrations: name one of them",
        ),
        (
            "Prisma's own folder",
            &[("migrations/1_a/migration.sql", ""), ("migrations/migration_lock.toml", ""), ("schema.prisma", "")],
            "the folder `migrations` in it holds migrations: name that one",
        ),
        (
            "a folder for each release",
            &[("0.20/00__a.sql", ""), ("0.21/00__a.sql", ""), ("0.22/00__a.sql", ""), ("0.23/01__b.sql", "")],
            "the layouts are diesel (v_name/up.sql), prisma (v_name/migration.sql) and flat (v_name.sql)",
        ),
        (
            "nothing inside either",
            &[("src/a.ts", "")],
            "the layouts are diesel (v_name/up.sql), prisma (v_name/migration.sql) and flat (v_name.sql)",
        ),
    ];
    for (situation, paths, help) in rows {
        let found = faults(paths);
        assert_eq!(codes(&found), ["layout_unrecognised"], "{situation}");
        assert_eq!(found[0].help, *help, "{situation}");
    }
}

#[test]
fn the_folder_of_another_tool_is_named_by_its_marker() {
    let marks = |line: &str, tool: &str| {
        format!("layout_foreign dir/1_a.sql: `{line}` marks a script of {tool}: up and down in one file")
    };
    let scripts = [
        ("-- +migrate Up\nSELECT 1;\n-- +migrate Down\n", "-- +migrate Up", "sql-migrate"),
        ("-- a word before it\n  --   +migrate   Up\n", "--   +migrate   Up", "sql-migrate"),
        ("\u{feff}-- +migrate Up\r\nSELECT 1;\r\n", "-- +migrate Up", "sql-migrate"),
        ("SELECT 1;\n---- create above / drop below ----\n", "---- create above / drop below ----", "tern"),
        ("-- Up Migration\n\n-- Down Migration\n", "-- Down Migration", "node-pg-migrate"),
    ];
    for (script, line, tool) in scripts {
        for layout in [None, Some(Layout::Flat)] {
            let paths: &[_] = &[("1_a.sql", script)];
            check(Options { layout, ..Options::default() }, &[(tool, paths, &[&marks(line, tool)])]);
        }
    }
    check(
        Options::default(),
        &[
            (
                "drizzle",
                &[("0000_a.sql", SQL), ("meta/_journal.json", ""), ("meta/0000_snapshot.json", "")],
                &[
                    "layout_foreign dir/meta/_journal.json: meta/_journal.json marks a directory of drizzle, which is no layout that can be run",
                ],
            ),
            (
                "words that are like a marker",
                &[("1_a.sql", "-- the goose went up\n-- Up Migration for users\nSELECT '+goose Up'; -- migrate:up\n")],
                &["1 | 1_a | 1_a.sql | -"],
            ),
        ],
    );
}

#[test]
fn what_is_beside_the_migrations_is_counted_once() {
    let stray = |words: &str| format!("~ {words}; nothing runs them");
    let (diesel, flat) = ("1 | 1_a | 1_a/up.sql | -", "1 | 1_a | 1_a.sql | -");
    check(
        Options::default(),
        &[
            (
                "one",
                &[("1_a/up.sql", SQL), ("README.md", "")],
                &[diesel, &stray("a file beside the migrations is not part of any: README.md")],
            ),
            (
                "several",
                &[("1_a/up.sql", SQL), ("README.md", ""), ("data_x.sql", SQL), ("2_b.sql", SQL)],
                &[diesel, &stray("3 files beside the migrations are not part of any, first README.md")],
            ),
            (
                "files that are there on purpose",
                &[
                    ("1_a/up.sql", SQL),
                    (".gitkeep", ""),
                    (".keep", ""),
                    (".gitignore", ""),
                    (".gitattributes", ""),
                    (".diesel_lock", ""),
                    ("1_a/generate.sh", ""),
                    (".git/HEAD", ""),
                ],
                &[diesel],
            ),
            (
                "hidden files",
                &[("1_a.sql", SQL), (".DS_Store", ""), (".1_a.sql.swp", ""), (".2_b.sql", SQL)],
                &[flat, &stray("3 files beside the migrations are not part of any, first .DS_Store")],
            ),
            (
                "an editor's copies",
                &[("1_a.sql", SQL), ("1_a.sql~", SQL), ("#1_a.sql#", SQL), ("1_a.sql.bak", SQL)],
                &[flat, &stray("3 files beside the migrations are not part of any, first 1_a.sql~")],
            ),
            (
                "a folder with the ending of a file",
                &[("1_a.sql", SQL), ("2_b.sql/notes.txt", "")],
                &[flat, &stray("a file beside the migrations is not part of any: 2_b.sql")],
            ),
            (
                "a folder of old ones",
                &[("2_b/up.sql", SQL), ("archive/1_a/up.sql", SQL)],
                &["2 | 2_b | 2_b/up.sql | -", &stray("a file beside the migrations is not part of any: archive")],
            ),
            (
                "a word in front",
                &[("1_a.sql", SQL), ("LATEST.sql", SQL), ("1a.sql", SQL)],
                &[flat, &stray("2 files beside the migrations are not part of any, first LATEST.sql")],
            ),
        ],
    );
}

fn codes(found: &[Fault]) -> Vec<&str> {
    found.iter().map(|fault| fault.code).collect()
}
