//! The commands, as an operator types them: answers, JSON and exit codes on the three databases.

use migrator_tests::{Database, servers, sqlite};
use serde_json::{Value, json};

use super::project::{Answer, FIRST, Project, SECOND, THIRD};

on_each_database!(names_what_failed, goes_down_and_up_again, is_taken_over_accepted_and_verified);

const BROKEN: (&str, &str) = ("20240103000000_broken", "-- one line\n  INSERT INTO nowhere VALUES (1);\n");

/// The whole life of a project, as the contract has it.
fn goes_from_empty_to_up_to_date(database: &impl Database, dialect: &str) {
    let (project, url) = (Project::new(&[FIRST, SECOND]), database.url());
    let status = project.migrator(url, &["status", "--json"]).exits(2).json();
    assert_eq!(status["state"], "uninitialized");
    assert_eq!(status["dialect"], dialect);
    assert_eq!((&status["applied"], &status["pending"]), (&json!(0), &json!(2)));

    let plan = project.migrator(url, &["plan", "--json"]).exits(2).json();
    assert_eq!(plan["steps"][1]["name"], SECOND.0);
    let dry = project.migrator(url, &["run", "--dry-run", "--json"]).exits(2).json();
    assert_eq!(dry, plan, "a dry run is the plan");
    assert!(database.tables().is_empty(), "reading made a table");

    let report = project.migrator(url, &["run", "--steps", "1", "--json"]).exits(0).json();
    assert_eq!(report["applied"][0]["version"], "20240101000000");
    assert_eq!((&report["skipped"], &report["error"]), (&json!(0), &Value::Null));
    assert!(report["applied"][0]["duration_ms"].is_u64());
    project.migrator(url, &["status"]).exits(2);

    let report = project.migrator(url, &["up", "--target", "20240102", "--json"]).exits(0).json();
    assert_eq!(report["applied"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["skipped"], 1);

    let status = project.migrator(url, &["status", "--json"]).exits(0).json();
    assert_eq!(status["state"], "up_to_date");
    let row = &status["migrations"][1];
    assert_eq!((&row["version"], &row["state"]), (&json!("20240102000000"), &json!("applied")));
    assert!(row["applied_at"].as_str().is_some_and(|at| at.ends_with('Z') && at.contains('T')), "{row}");
    assert_eq!(row["checksum"].as_str().map(str::len), Some(64));
    assert_eq!((&row["reversible"], &status["problems"]), (&json!(false), &json!([])));

    let answer = project.migrator(url, &["deploy"]).exits(0);
    assert!(answer.out().starts_with("nothing pending, 2 migrations applied before"), "{}", answer.out());
    project.migrator(url, &["plan"]).exits(0);
}

/// A failing migration: exit 1, the place, the database's words, the next command; and what was applied before is told.
fn names_what_failed(database: &impl Database) {
    let (project, url) = (Project::new(&[FIRST, BROKEN]), database.url());
    let answer = project.migrator(url, &["run", "--json"]).exits(1);
    let report = answer.json();
    assert_eq!(report["applied"][0]["name"], FIRST.0);
    let error = &report["error"];
    assert_eq!(error["code"], "statement_failed");
    assert_eq!(error["version"], "20240103000000");
    assert_eq!(error["file"], "migrations/20240103000000_broken/up.sql");
    assert_eq!((&error["line"], &error["column"]), (&json!(2), &json!(3)));
    assert_eq!(error["statement"], "INSERT INTO nowhere VALUES (1)");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("nowhere")), "{error}");
    assert!(error["help"].as_str().is_some_and(|help| help.contains("run again")), "{error}");
    assert!(answer.err().contains("--> migrations/20240103000000_broken/up.sql:2:"), "{}", answer.err());

    let status = project.migrator(url, &["status"]).exits(2);
    assert!(status.out().contains("last attempt: "), "{}", status.out());

    project.write(BROKEN.0, "CREATE TABLE here (id INTEGER);\n");
    project.migrator(url, &["run"]).exits(0);
    project.migrator(url, &["status"]).exits(0);
}

/// Down by one, down to a version that stays, and the last one again; what has no way down is refused before anything starts.
fn goes_down_and_up_again(database: &impl Database) {
    let (project, url) = (Project::new(&[FIRST, SECOND, THIRD]), database.url());
    let down = |name: &str, script: &str| {
        let path = project.path().join("migrations").join(name).join("down.sql");
        std::fs::write(path, script).expect("a script can be written");
    };
    down(SECOND.0, "DROP TABLE posts;");
    down(THIRD.0, "DROP TABLE tags;");
    project.migrator(url, &["run"]).exits(0);

    let report = project.migrator(url, &["revert", "--json"]).exits(0).json();
    assert_eq!((&report["reverted"][0]["version"], &report["applied"]), (&json!("20240103000000"), &json!([])));
    assert_eq!((&report["skipped"], &report["error"]), (&json!(2), &Value::Null));
    project.migrator(url, &["run"]).exits(0);
    let answer = project.migrator(url, &["revert", "--target", "20240101"]).exits(0);
    assert!(
        answer.out().starts_with("reverted 2 migrations in") && answer.err().contains("reverting"),
        "{}",
        answer.out()
    );
    assert_eq!(database.tables().len(), 1);

    let refused = project.migrator(url, &["revert", "--json"]).exits(1);
    assert_eq!(refused.json()["error"]["code"], "no_way_down");
    assert!(refused.err().contains("20240101000000_users (no down script)"), "{}", refused.err());

    project.migrator(url, &["run"]).exits(0);
    let report = project.migrator(url, &["redo", "--json"]).exits(0).json();
    let version = json!("20240103000000");
    assert_eq!((&report["reverted"][0]["version"], &report["applied"][0]["version"]), (&version, &version));

    down(THIRD.0, "-- migrator: no-transaction\nINSERT INTO tags VALUES (1);\nDROP TABLE nowhere;\nDROP TABLE tags;\n");
    let error = project.migrator(url, &["revert", "--json"]).exits(1).json()["error"].take();
    assert_eq!((&error["code"], &error["line"]), (&json!("statement_failed"), &json!(3)));
    assert_eq!(error["file"], "migrations/20240103000000_tags/down.sql");
    project.migrator(url, &["status"]).exits(2);
    let refused = project.migrator(url, &["run"]).exits(1);
    assert!(refused.err().contains("migrator revert"), "{}", refused.err());
    project.migrator(url, &["resolve", "--resume-at", "20240103:3"]).exits(0);
    project.migrator(url, &["resolve", "--applied", "20240103"]).exits(0);
    project.migrator(url, &["status"]).exits(0);
}

/// A database made by hand: refused with the command that takes it over, then an edit is accepted, and all of it verified.
fn is_taken_over_accepted_and_verified(database: &impl Database) {
    let (project, url) = (Project::new(&[FIRST, SECOND]), database.url());
    database.execute(&format!("{}{}", FIRST.1, SECOND.1));
    let refused = project.migrator(url, &["run"]).exits(1);
    let offered = refused.err().split_once("migrator baseline ").expect("it is offered").1.to_owned();
    let version = offered.split_whitespace().next().expect("a version").to_owned();
    let told = project.migrator(url, &["baseline", &version, "--json"]).exits(0).json();
    assert_eq!(told, json!({ "baselined": [FIRST.0, SECOND.0] }));
    assert!(project.migrator(url, &["baseline", &version]).exits(0).out().contains("is recorded already"));
    project.write(THIRD.0, THIRD.1);
    project.migrator(url, &["verify"]).exits(2);
    project.migrator(url, &["run"]).exits(0);
    let refused = project.migrator(url, &["baseline", "20240101", "--json"]).exits(1).json();
    assert_eq!(refused["error"]["code"], "baseline_refused");
    let verified = project.migrator(url, &["verify", "--json"]).exits(0).json();
    assert_eq!((&verified["state"], &verified["problems"]), (&json!("up_to_date"), &json!([])));

    // The edit of a sealed migration: one command for both, and each half is told.
    project.migrator(url, &["seal"]).exits(0);
    let edited = format!("-- users\n{}", FIRST.1);
    project.write(FIRST.0, &edited);
    let accept =
        |args: &[&str]| project.migrator(url, &[&["accept", "20240101", "--reason", "a comment"], args].concat());
    let told = accept(&[]).exits(0).out();
    assert!(told.contains("seal: 20240101000000_users is sealed with its new text"), "{told}");
    assert!(told.contains("is the text of record"), "{told}");
    project.migrator(url, &["verify"]).exits(0);
    let nothing = accept(&[]).exits(1);
    assert!(nothing.err().contains("sealed with this text already"), "{}", nothing.err());

    // Accepted in the directory before, by somebody else.
    project.write(SECOND.0, &format!("-- posts\n{}", SECOND.1));
    let args = ["accept", SECOND.0, "--reason", "a comment", "--json"];
    let told = project.with_env(&[], &args).exits(0).json();
    assert_eq!(told, json!({ "accepted": SECOND.0, "seal": "accepted", "database": null }));
    project.migrator(url, &["verify"]).exits(2);
    let told = project.migrator(url, &args).exits(0).json();
    assert_eq!(told, json!({ "accepted": SECOND.0, "seal": "unchanged", "database": "accepted" }));
    project.migrator(url, &["verify"]).exits(0);

    database.execute("UPDATE __migrator_meta SET sequence = sequence + 1");
    let found = project.migrator(url, &["verify", "--json"]).exits(2).json();
    assert_eq!((&found["state"], &found["problems"][0]["code"]), (&json!("blocked"), &json!("history_tampered")));
}

#[test]
fn sqlite_goes_from_empty_to_up_to_date() {
    goes_from_empty_to_up_to_date(&sqlite::fresh(), "sqlite");
}

#[test]
fn postgres_goes_from_empty_to_up_to_date() {
    goes_from_empty_to_up_to_date(&servers::postgres().fresh(), "postgres");
}

#[test]
fn mariadb_goes_from_empty_to_up_to_date() {
    goes_from_empty_to_up_to_date(&servers::mariadb().fresh(), "mysql");
}

#[test]
fn every_form_of_a_sqlite_url_is_the_same_file() {
    let project = Project::new(&[FIRST]);
    project.migrator("sqlite:app.db", &["run"]).exits(0);
    let file = project.path().join("app.db");
    let absolute = format!("sqlite://{}", file.display());
    for url in ["app.db", "sqlite://app.db", "file:app.db", absolute.as_str()] {
        project.migrator(url, &["status"]).exits(0);
    }
    project.migrator(":memory:", &["status"]).exits(2);
}

#[test]
fn reading_a_file_that_is_not_there_does_not_make_it() {
    let project = Project::new(&[FIRST]);
    let status = project.migrator("sqlite:app.db", &["status", "--json"]).exits(2).json();
    assert_eq!((&status["state"], &status["database"]), (&json!("uninitialized"), &json!("sqlite:app.db")));
    project.migrator("sqlite:app.db", &["plan"]).exits(2);
    assert!(!project.path().join("app.db").exists());
}

#[test]
fn what_is_written_for_another_database_makes_no_file() {
    let project = Project::new(&[]);
    let folder = project.path().join("prisma/migrations/20240101000000_init");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join("migration.sql"), "CREATE TABLE a (b INTEGER);").expect("a script can be written");
    let lock = project.path().join("prisma/migrations/migration_lock.toml");
    std::fs::write(&lock, "provider = \"postgresql\"\n").expect("the lock can be written");
    for command in [&["run"][..], &["setup", "--env", "test"], &["baseline", "20240101000000_init"]] {
        let refused = project.migrator("sqlite:app.db", command).exits(1).err();
        assert!(refused.contains("dialect_mismatch") && refused.contains("migration_lock.toml"), "{refused}");
        assert!(!project.path().join("app.db").exists(), "{command:?}");
    }
    std::fs::write(&lock, "provider = \"sqlite\"\n").expect("the lock can be written");
    project.migrator("sqlite:app.db", &["run"]).exits(0);
}

#[test]
fn mistakes_exit_with_one_and_say_what_to_type() {
    let project = Project::new(&[FIRST]);
    let says = |answer: Answer, words: &[&str]| {
        let err = answer.exits(1).err();
        words.iter().for_each(|word| assert!(err.contains(word), "{word} is not in: {err}"));
    };
    says(project.with_env(&[], &["run"]), &["no database is named", "--database-url"]);
    says(project.migrator("oracle://db", &["run"]), &["oracle", "sqlite:PATH"]);
    says(project.migrator("app.db", &["run", "--dir", "nowhere"]), &["nowhere", "cannot be read"]);
    says(project.migrator("app.db", &["run", "--target", "9"]), &["no migration is called 9", "migrator status"]);
    says(project.migrator("app.db", &["run", "--steps", "1", "--target", "9"]), &["cannot be used with"]);
    says(project.migrator("app.db", &["resolve"]), &["--applied", "--rolled-back", "--resume-at"]);
    says(project.migrator("app.db", &["resolve", "--rolled-back", "2024"]), &["has not failed"]);
    project.write("20240102000000_open", "SELECT 'open;\n");
    says(project.migrator("app.db", &["status"]), &["20240102000000_open/up.sql:1:8", "unterminated_string"]);
    let refused = project.migrator("app.db", &["run", "--json"]).exits(1).json();
    assert_eq!((&refused["error"]["code"], &refused["applied"]), (&json!("folder"), &json!([])));
}

#[test]
fn a_password_is_never_printed() {
    let project = Project::new(&[FIRST]);
    let secret = "hidden%3Asecret";
    for url in [
        format!("postgres://app:{secret}@127.0.0.1:1/db?sslpassword={secret}"),
        format!("mysql://app:{secret}@127.0.0.1:1/db"),
        format!("mariadb://app:{secret}@127.0.0.1:1/db"),
    ] {
        let accept = ["accept", FIRST.0, "--reason", "why"];
        for args in [&["run"][..], &["revert"], &["redo"], &["baseline", FIRST.0], &["verify"], &accept] {
            let answer = project.migrator(&url, args).exits(1);
            let printed = format!("{}{}", answer.out(), answer.err());
            assert!(printed.contains("127.0.0.1:1"), "{printed}");
            assert!(!printed.contains("hidden"), "{printed}");
        }
    }
}

#[test]
fn the_owner_s_url_goes_before_the_service_s() {
    let project = Project::new(&[FIRST]);
    let env = [("DATABASE_URL", "oracle://nowhere"), ("MIGRATION_DATABASE_URL", "sqlite:app.db")];
    project.with_env(&env, &["run"]).exits(0);
    assert!(project.path().join("app.db").exists());
}

#[test]
fn another_environment_is_a_warning() {
    let project = Project::new(&[FIRST]);
    project.migrator("app.db", &["run", "--env", "production"]).exits(0);
    let answer = project.migrator("app.db", &["run", "--env", "development"]).exits(0);
    assert!(answer.err().contains("marked production"), "{}", answer.err());
    project.migrator("app.db", &["run", "--env", "prod"]).exits(1);
}

#[test]
fn a_database_that_is_not_empty_is_asked_for_twice() {
    let project = Project::new(&[FIRST]);
    let database = sqlite::fresh();
    database.execute("CREATE TABLE theirs (id INTEGER)");
    let answer = project.migrator(database.url(), &["run"]).exits(1);
    assert!(answer.err().contains("theirs") && answer.err().contains("--allow-non-empty"), "{}", answer.err());
    project.migrator(database.url(), &["run", "--allow-non-empty"]).exits(0);
    project.migrator(database.url(), &["run"]).exits(0);
}

#[test]
fn a_plan_names_the_risk_and_prints_the_sql() {
    let project = Project::new(&[FIRST, ("20240102000000_drop", "DROP TABLE users;\n")]);
    let plan = project.migrator("app.db", &["plan"]).exits(2).out();
    assert!(
        plan.contains("destroys  migrations/20240102000000_drop/up.sql:1, statement 1: DROP TABLE users"),
        "{plan}"
    );
    let sql = project.migrator("app.db", &["plan", "--sql"]).exits(2).out();
    assert!(sql.contains("\nCREATE TABLE users (id INTEGER PRIMARY KEY);"), "{sql}");
    let json = project.migrator("app.db", &["plan", "--sql", "--json"]).exits(2).json();
    assert_eq!(
        json["steps"][1]["script"][0],
        json!({"number": 1, "line": 1, "risk": "destroys", "sql": "DROP TABLE users"})
    );
}

#[test]
fn an_argument_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let project = Project::new(&[]);
    let mut command = project.command(&["status"]);
    let output = command.arg(std::ffi::OsStr::from_bytes(b"\xff")).output().expect("the tool can be started");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.starts_with("error: ") && !err.contains("panicked"), "{err}");
}
