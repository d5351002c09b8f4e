//! What an operator asks before and after a deployment: `health`, `doctor` and `deploy-check`.

use migrator_tests::{Database, servers};
use serde_json::{Value, json};

use super::project::{FIRST, Project};

on_each_database!(is_examined);

#[test]
fn health_is_what_a_service_reports() {
    let project = Project::new(&[("20240101000000_users", "CREATE TABLE users (id INTEGER)")]);
    tells_its_health(&project, servers::postgres().fresh().url());
    tells_its_health(&project, "sqlite:app.db");
    assert_eq!(project.migrator("postgres://nobody@127.0.0.1:1/x", &["health"]).exits(1).out(), "");
}

fn tells_its_health(project: &Project, url: &str) {
    let report = project.migrator(url, &["health", "--json"]).exits(2).json();
    assert_eq!(
        (&report["status"], &report["checks"]["migrations:pending"][0]["observedValue"]),
        (&json!("fail"), &json!(1))
    );
    project.migrator(url, &["run"]).exits(0);
    let report = project.migrator(url, &["health", "--json"]).exits(0).json();
    assert_eq!(report["status"], "pass");
    assert_eq!(report["checks"]["migrations:state"][0]["head"], "20240101000000");
    let text = project.migrator(url, &["health"]).exits(0).out();
    assert!(text.starts_with("pass: ") && text.contains("1 applied, 0 pending"), "{text}");
}

/// Sound; with something to say; with something that fails; and where something cannot be looked at.
fn is_examined(database: &impl Database) {
    let (project, url) = (Project::new(&[FIRST]), database.url());
    // Of SQLite it is made by the first who connects.
    database.execute("SELECT 1");
    let doctor = project.migrator(url, &["doctor", "--env", "staging", "--json"]).exits(0).json();
    let verdict = |document: &Value, name: &str| {
        let checks = document["checks"].as_array().expect("a list").clone();
        let found = checks.into_iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("{name}: {document}"))["verdict"].as_str().expect("a word").to_owned()
    };
    assert_eq!([verdict(&doctor, "lock"), verdict(&doctor, "privileges")], ["pass", "pass"]);
    assert!(database.tables().is_empty());
    project.migrator(url, &["doctor", "--deny", "warnings"]).exits(2);

    let check = project.migrator(url, &["deploy-check", "--json"]).exits(0).json();
    assert_eq!(
        [verdict(&check, "plan"), verdict(&check, "drift"), verdict(&check, "backup")],
        ["pass", "warn", "warn"]
    );
    project.migrator(url, &["run", "--env", "staging"]).exits(0);
    project.migrator(url, &["deploy-check", "--backup-age", "1day"]).exits(2);
    project.migrator(url, &["backup"]).exits(0);
    let check = project.migrator(url, &["deploy-check", "--backup-age", "1day", "--json"]).exits(0).json();
    assert_eq!([verdict(&check, "backup"), verdict(&check, "environment")], ["pass", "pass"], "{check}");
    project.migrator(url, &["deploy-check", "--backup-age", "0s"]).exits(2);

    let failed = project.migrator(url, &["doctor", "--env", "production"]).exits(2);
    assert!(failed.out().contains("fail  environment"), "{}", failed.out());
    project.write(FIRST.0, "CREATE TABLE users (id INTEGER PRIMARY KEY, more INTEGER);");
    let check = project.migrator(url, &["deploy-check"]).exits(2).out();
    assert!(check.contains("fail  status") && check.contains("fail  plan"), "{check}");
    database.execute("DROP TABLE __migrator_meta");
    let check = project.migrator(url, &["deploy-check"]).exits(1).out();
    assert!(check.contains("could not be looked at") && check.contains("pass  lock"), "{check}");
}

/// A check before a deployment that looks at a wrong path must not pass.
#[test]
fn a_file_that_is_missing_is_no_sound_database() {
    let project = Project::new(&[FIRST]);
    for command in ["doctor", "deploy-check"] {
        let document = project.migrator("sqlite:wrong.db", &[command, "--json"]).exits(1).json();
        assert_eq!(document["error"]["code"], "database_unavailable", "{document}");
        let refused = project.migrator("sqlite:wrong.db", &[command]).exits(1).err();
        assert!(refused.contains("wrong.db is not there") && refused.contains("migrator run"), "{refused}");
    }
    assert!(!project.path().join("wrong.db").exists());
}
