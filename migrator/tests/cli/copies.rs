//! Backups as an operator types them: made, listed, brought back, and refused.

use migrator_tests::{Database, sqlite};
use serde_json::{Value, json};

use super::project::{FIRST, Project, SECOND};

on_each_database!(backs_up_and_restores);

/// A backup before a run, listed, verified, brought back, and refused when it is damaged.
fn backs_up_and_restores(database: &impl Database) {
    let (project, url) = (Project::new(&[FIRST]), database.url());
    project.migrator(url, &["run", "--backup=first"]).exits(0);
    project.write(SECOND.0, SECOND.1);
    let report = project.migrator(url, &["run", "--backup", "copies", "--json"]).exits(0).json();
    let file = report["backup"].as_str().expect("it is named").to_owned();
    let nothing = project.migrator(url, &["run", "--backup", "copies", "--json"]).exits(0).json();
    assert_eq!(nothing["backup"], Value::Null, "nothing was pending");

    let list = project.with_env(&[], &["backups", "--in", "copies", "--json"]).exits(0).json();
    let backup = &list["backups"][0];
    assert_eq!(backup["head"], "20240101000000");
    assert!(file.ends_with(backup["file"].as_str().expect("it is named")), "{file}: {backup}");
    assert_eq!((list["backups"].as_array().map(Vec::len), &list["problems"]), (Some(1), &json!([])));
    let list = project.with_env(&[], &["backups", "--in", "copies", "--verify"]).exits(0).out();
    assert!(list.contains("20240101000000") && list.contains("KiB") | list.contains(" B"), "{list}");

    let restored = project.migrator(url, &["restore", &file, "--json"]).exits(0).json();
    assert_eq!(restored["restored"]["copy"]["head"], "20240102000000");
    let status = project.migrator(url, &["status", "--json"]).exits(2).json();
    assert_eq!((&status["applied"], &status["pending"]), (&json!(1), &json!(1)));

    let one = project.migrator(url, &["backup", "--out", "one.copy"]).exits(0);
    assert!(one.out().contains("one.copy") && one.err().contains("copying "), "{}{}", one.out(), one.err());
    let again = project.migrator(url, &["backup", "--out", "one.copy", "--json"]).exits(1);
    assert_eq!(again.json()["error"]["code"], "backup_failed");
    std::fs::write(project.path().join("one.copy"), "damaged").expect("write");
    let refused = project.migrator(url, &["restore", "one.copy"]).exits(1).err();
    assert!(refused.contains("one.copy") && refused.contains("next: "), "{refused}");
    let listed = project.with_env(&[], &["backups", "--in", ".", "--verify"]).exits(2).out();
    assert!(listed.contains("damaged: ./one.copy"), "{listed}");
    let gone = project.with_env(&[], &["backups", "--in", "copies", "--keep", "1", "--json"]).exits(0).json();
    assert_eq!(
        (gone["deleted"].as_array().map(Vec::len), gone["backups"].as_array().map(Vec::len)),
        (Some(1), Some(1))
    );
}

/// The moment at which an operator wants one.
#[test]
fn a_backup_is_made_though_a_sealed_migration_was_edited() {
    let (project, url) = (Project::new(&[FIRST]), "sqlite:app.db");
    project.migrator(url, &["run"]).exits(0);
    project.migrator(url, &["seal"]).exits(0);
    let head =
        |file| project.migrator(url, &["backup", "--out", file, "--json"]).exits(0).json()["backup"]["head"].take();
    let before = head("before");
    assert_eq!(before, "20240101000000");
    project.write(FIRST.0, "CREATE TABLE users (id INTEGER PRIMARY KEY, more INTEGER);");
    project.migrator(url, &["run"]).exits(1);
    assert_eq!(head("after"), before);
    let told = project.migrator(url, &["backup", "--out", "again"]).exits(0).err();
    assert!(told.contains("warning") && told.contains("without the migrations"), "{told}");
}

/// A copy of the test's database over production, and the other way round.
#[test]
fn a_restore_is_guarded() {
    let (production, test) = (sqlite::fresh(), sqlite::fresh());
    let project = Project::new(&[FIRST]);
    for (database, environment) in [(&production, "production"), (&test, "test")] {
        project.migrator(database.url(), &["run", "--env", environment]).exits(0);
        project.migrator(database.url(), &["backup", "--out", environment]).exits(0);
    }
    let restore = |database: &sqlite::FreshDatabase, more: &[&str]| {
        project.migrator(database.url(), &[&["restore", "--other-database", "--yes"], more].concat())
    };
    let refused = restore(&production, &["test"]).exits(1).err();
    assert!(refused.contains("its name has to be typed back") && refused.contains("--confirm test.db"), "{refused}");
    let refused = restore(&production, &["test", "--env", "test", "--confirm", "test.db"]).exits(1).err();
    assert!(refused.contains("is marked production"), "{refused}");
    assert_eq!(production.texts("SELECT environment AS value FROM __migrator_meta"), ["production"]);

    let told = restore(&test, &["production"]).exits(0).out();
    assert!(told.contains("marked production now") && told.contains("migrator mark test"), "{told}");
    restore(&test, &["test"]).exits(1);
    restore(&test, &["test", "--confirm", "test.db"]).exits(0);
    assert_eq!(test.texts("SELECT environment AS value FROM __migrator_meta"), ["test"]);
    restore(&production, &["production", "--env", "production", "--confirm", "test.db"]).exits(0);
}
