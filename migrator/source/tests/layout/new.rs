//! The files of a migration that is still to be written.

use migrator_source::layout::{self, Layout};

use super::{Paths, SQL, files, read};

const MOMENT: &str = "20260102030405";

/// The paths of a new migration, or the codes of the faults.
fn new(paths: Paths<'_>, named: Option<Layout>, name: &str) -> Vec<String> {
    match layout::new(&files(paths), named, name, MOMENT) {
        Ok(files) => files.into_iter().map(|file| file.path).collect(),
        Err(faults) => faults.into_iter().map(|fault| fault.code.to_owned()).collect(),
    }
}

#[test]
fn a_new_migration_has_the_form_of_the_others() {
    let goose = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n";
    let rows: [(&str, Paths<'_>, &[&str]); 12] = [
        ("nothing yet", &[], &["20260102030405_add_tags/up.sql", "20260102030405_add_tags/down.sql"]),
        (
            "a lock file",
            &[("migration_lock.toml", "provider = \"sqlite\"")],
            &["20260102030405_add_tags/migration.sql"],
        ),
        (
            "diesel",
            &[("2024-01-31-120000_users/up.sql", SQL)],
            &["20260102030405_add_tags/up.sql", "20260102030405_add_tags/down.sql"],
        ),
        ("prisma", &[("01_init/migration.sql", SQL)], &["20260102030405_add_tags/migration.sql"]),
        ("flat, by time", &[("20240131120000_users.sql", SQL)], &["20260102030405_add_tags.sql"]),
        ("flat, counted", &[("0009_users.sql", SQL)], &["0010_add_tags.sql"]),
        ("flat, counted up to 9", &[("9_users.sql", SQL)], &["10_add_tags.sql"]),
        (
            "flat, both ways",
            &[("1_users.up.sql", SQL), ("1_users.down.sql", SQL)],
            &["2_add_tags.up.sql", "2_add_tags.down.sql"],
        ),
        ("refinery", &[("V9__users.sql", SQL)], &["V10__add_tags.sql"]),
        ("goose", &[("00001_users.sql", goose)], &["00002_add_tags.sql"]),
        (
            "a version of the future",
            &[("20990101000000_users/migration.sql", SQL)],
            &["20990101000001_add_tags/migration.sql"],
        ),
        ("a fault", &[("1_users.sql", "SELECT '")], &["unterminated_string"]),
    ];
    for (situation, paths, expected) in rows {
        assert_eq!(new(paths, None, "add_tags"), expected, "{situation}");
    }
    assert_eq!(new(&[], Some(Layout::Flat), "add_tags"), ["20260102030405_add_tags.sql"]);
    assert_eq!(new(&[("99_users/migration.sql", SQL)], None, "add_tags"), ["version_unclear"]);
}

#[test]
fn what_is_written_is_read_as_the_last_migration() {
    for first in ["1_users/up.sql", "01_users/migration.sql", "1_users.sql", "1_users.up.sql", "V1__users.sql"] {
        let mut all = files(&[(first, SQL)]);
        let new = layout::new(&all, None, "add_tags", MOMENT).expect("a good name");
        all.extend(new);
        let folder =
            layout::read(&all, layout::Options::default()).unwrap_or_else(|faults| panic!("{first}: {faults:?}"));
        let names: Vec<&str> = folder.entries.iter().map(|entry| layout::words(&entry.name)).collect();
        assert_eq!(names, ["users", "add_tags"], "{first}");
    }
    let goose = [("1_users.sql", "-- +goose Up\nSELECT 1;\n")];
    let mut all = files(&goose);
    all.extend(layout::new(&all, None, "add_tags", MOMENT).expect("a good name"));
    assert_eq!(layout::read(&all, layout::Options::default()).expect("sections").entries.len(), 2);
    assert_eq!(read(&goose).entries.len(), 1);
}

#[test]
fn a_name_says_what_the_migration_does() {
    for good in ["add_tags", "users", "update_prices", "fix_tag_order", "add_email2"] {
        assert_eq!(layout::bad_name(good), None);
    }
    for bad in [
        "",
        "AddTags",
        "add-tags",
        "add tags",
        "add__tags",
        "_tags",
        "tags_",
        "1_tags",
        "migration_1",
        "update",
        "fix2",
        "changes",
        "new_migration",
        "ärger",
    ] {
        assert_eq!(new(&[], None, bad), ["bad_name"], "{bad}");
    }
}
