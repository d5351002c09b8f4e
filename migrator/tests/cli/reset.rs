//! A database for development as an operator types it: made, marked, and dropped.

use migrator_tests::{Database, servers, sqlite};
use serde_json::{Value, json};

use super::project::{FIRST, Project, SECOND};

/// A life from nothing, by `setup`, to nothing, by `reset`, with the guard of a mark between.
fn is_set_up_marked_and_reset(database: &impl Database, missing: &str, name: &str) {
    let (project, url) = (Project::new(&[FIRST, SECOND]), missing);
    std::fs::create_dir(project.path().join("seeds")).expect("a folder can be made");
    std::fs::write(project.path().join("seeds/010_users.sql"), "INSERT INTO users VALUES (7);").expect("a seed");
    let refused = project.migrator(url, &["setup", "--env", "production"]).exits(1);
    assert!(refused.err().contains("development and test"), "{}", refused.err());
    let setup = project.migrator(url, &["setup", "--json"]).exits(0).json();
    assert!(setup["made"].as_str().is_some_and(|made| made.ends_with(name)), "{setup}");
    assert_eq!(setup["run"]["applied"].as_array().map(Vec::len), Some(2), "{setup}");
    let again = project.migrator(url, &["setup", "--seeds", "seeds", "--json"]).exits(0).json();
    assert_eq!((&again["made"], again["run"]["applied"].as_array().map(Vec::len)), (&Value::Null, Some(0)));

    let refused = project.migrator(url, &["reset", "--yes"]).exits(1).err();
    assert!(refused.contains("nobody says what it is for") && refused.contains("--env development"), "{refused}");
    let marked = project.migrator(url, &["mark", "production", "--json"]).exits(0).json();
    assert_eq!((&marked["marked"], &marked["before"]), (&json!("production"), &Value::Null));
    for args in [
        vec!["reset", "--yes", "--env", "development"],
        vec!["reset", "--yes", "--env", "development", "--confirm", name],
        vec!["reset", "--yes"],
        vec!["mark", "development", "--yes"],
    ] {
        let refused = project.migrator(url, &args).exits(1);
        assert!(refused.err().contains("production"), "{args:?}: {}", refused.err());
    }
    let another = project.migrator(url, &["mark", "development", "--yes", "--confirm", "another"]).exits(1);
    assert!(another.err().contains("`another` was typed back"), "{}", another.err());
    project.migrator(url, &["mark", "test", "--confirm", name]).exits(0);

    let asked = project.migrator(url, &["reset"]).exits(1).err();
    assert!(asked.contains("users") && asked.contains("table") && asked.contains("--yes"), "{asked}");
    project.migrator(url, &["status"]).exits(0);
    let dropped = project.migrator(url, &["reset", "--yes", "--json"]).exits(0).json();
    assert!(dropped["dropped"]["table"].as_u64().is_some_and(|tables| tables >= 5), "{dropped}");
    assert!(dropped["rows"].as_u64().is_some_and(|rows| rows >= 3), "{dropped}");
    assert_eq!(project.migrator(url, &["status", "--json"]).exits(2).json()["state"], "uninitialized");
    assert!(database.tables().is_empty(), "the other database is as it was");

    project.migrator(url, &["setup"]).exits(0);
    project.migrator(url, &["mark", "production"]).exits(0);
    let named = project.migrator(url, &["reset", "--confirm", name]).exits(1).err();
    assert!(named.contains("users") && named.contains("--yes"), "it is shown what goes, and asked: {named}");
    let unnamed = project.migrator(url, &["reset", "--yes"]).exits(1).err();
    assert!(unnamed.contains("its name has to be typed back"), "{unnamed}");
    project.migrator(url, &["reset", "--yes", "--confirm", name]).exits(0);
    assert_eq!(project.migrator(url, &["status", "--json"]).exits(2).json()["state"], "uninitialized");
}

#[test]
fn sqlite_is_set_up_marked_and_reset() {
    let database = sqlite::fresh();
    let file = database.folder().join("made here.db");
    is_set_up_marked_and_reset(&database, file.to_str().expect("a path"), "made here.db");
}

#[test]
fn postgres_is_set_up_marked_and_reset() {
    let database = servers::postgres().fresh();
    let name = format!("{}_made", database.name());
    is_set_up_marked_and_reset(&database, &database.url().replace(database.name(), &name), &name);
    database.execute(&format!("DROP DATABASE {name}"));
}

#[test]
fn mariadb_is_set_up_marked_and_reset() {
    let database = servers::mariadb().fresh();
    let name = format!("{}_made", database.name());
    is_set_up_marked_and_reset(&database, &database.url().replace(database.name(), &name), &name);
    database.execute(&format!("DROP DATABASE {name}"));
}
