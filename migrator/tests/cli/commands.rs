//! The commands, as an operator types them: answers, JSON and exit codes on the three databases.

use std::path::PathBuf;

use migrator_tests::{Database, servers, sqlite};
use serde_json::{Value, json};

use super::project::{Answer, Project};

const FIRST: (&str, &str) = ("20240101000000_users", "CREATE TABLE users (id INTEGER PRIMARY KEY);\n");
const SECOND: (&str, &str) = ("20240102000000_posts", "CREATE TABLE posts (id INTEGER PRIMARY KEY);\n");
const THIRD: (&str, &str) = ("20240103000000_tags", "CREATE TABLE tags (id INTEGER PRIMARY KEY);\n");
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

#[test]
fn sqlite_goes_down_and_up_again() {
    goes_down_and_up_again(&sqlite::fresh());
}

#[test]
fn postgres_goes_down_and_up_again() {
    goes_down_and_up_again(&servers::postgres().fresh());
}

#[test]
fn mariadb_goes_down_and_up_again() {
    goes_down_and_up_again(&servers::mariadb().fresh());
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
fn sqlite_is_taken_over_accepted_and_verified() {
    is_taken_over_accepted_and_verified(&sqlite::fresh());
}

#[test]
fn postgres_is_taken_over_accepted_and_verified() {
    is_taken_over_accepted_and_verified(&servers::postgres().fresh());
}

#[test]
fn mariadb_is_taken_over_accepted_and_verified() {
    is_taken_over_accepted_and_verified(&servers::mariadb().fresh());
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
fn sqlite_names_what_failed() {
    names_what_failed(&sqlite::fresh());
}

#[test]
fn postgres_names_what_failed() {
    names_what_failed(&servers::postgres().fresh());
}

#[test]
fn mariadb_names_what_failed() {
    names_what_failed(&servers::mariadb().fresh());
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
fn prisma_s_own_folder_is_found() {
    let project = Project::new(&[]);
    let folder: PathBuf = project.path().join("prisma/migrations/20240101000000_init");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    std::fs::write(folder.join("migration.sql"), "CREATE TABLE a (b INTEGER);").expect("a script can be written");
    project.migrator("app.db", &["run", "--quiet"]).exits(0);
    let status = project.migrator("app.db", &["status", "--json"]).exits(0).json();
    assert_eq!(status["migrations"][0]["version"], "20240101000000_init");
}

#[test]
fn what_is_sealed_cannot_be_edited() {
    let project = Project::new(&[FIRST]);
    let seal = |args: &[&str]| project.with_env(&[], &[&["seal"], args].concat());
    let nothing_known = seal(&[]).exits(1);
    assert!(nothing_known.err().contains("--dialect"), "{}", nothing_known.err());
    assert_eq!(seal(&["--database-url", "sqlite:app.db"]).exits(0).out(), format!("sealed {}\n", FIRST.0));
    assert_eq!(seal(&["--json"]).exits(0).json(), json!({ "sealed": [] }));

    project.write(SECOND.0, SECOND.1);
    project.migrator("app.db", &["run"]).exits(0);
    project.write(SECOND.0, "CREATE TABLE posts (id BIGINT);");
    assert_eq!(seal(&[]).exits(0).out(), format!("sealed {}\n", SECOND.0), "a draft is free to change until then");
    project.write(FIRST.0, "CREATE TABLE users (id BIGINT);");
    for command in ["run", "plan", "status", "seal"] {
        let refused = project.migrator("app.db", &[command]).exits(1);
        let expected = format!("{}/up.sql: was edited, and it is sealed (migrations.seal:3)", FIRST.0);
        assert!(refused.err().contains(&expected), "{command}: {}", refused.err());
    }
    let accept = |reason: &str| project.with_env(&[], &["accept", FIRST.0, "--reason", reason]);
    assert!(accept(" ").exits(1).err().contains("no reason is given"));
    accept("SQLite knows one kind of integer").exits(0);
    project.with_env(&[], &["check"]).exits(0);
    let changed = project.migrator("app.db", &["run"]).exits(1);
    assert!(
        changed.err().contains("edited after it was applied"),
        "the database has run the old text: {}",
        changed.err()
    );
}

#[test]
fn a_new_migration_is_written_and_checked() {
    let project = Project::new(&[]);
    let type_in = |args: &[&str]| project.with_env(&[], args);
    assert!(type_in(&["new", "update"]).exits(1).err().contains("does not say what the migration does"));
    let files = type_in(&["new", "add_users", "--json"]).exits(0).json();
    let up = files["files"][0].as_str().expect("a path").to_owned();
    let (_, name) = up.split_once("migrations/").expect("the directory in front");
    let version: String = name.chars().take_while(char::is_ascii_digit).collect();
    assert_eq!((version.len(), &name[version.len()..]), (14, "_add_users/up.sql"));
    assert_eq!(files["files"][1], json!(up.replace("up.sql", "down.sql")));

    let empty = type_in(&["check"]).exits(0);
    assert!(empty.out().contains("warning: ") && empty.out().contains("[empty_up]"), "{}", empty.out());
    type_in(&["check", "--deny", "warnings"]).exits(2);
    std::fs::write(project.path().join(&up), "CREATE TABLE users (id INTEGER);").expect("the script");
    std::fs::write(project.path().join(up.replace("up.sql", "down.sql")), "DROP TABLE users;").expect("the script");
    assert_eq!(type_in(&["check", "--deny", "warnings", "--json"]).exits(0).json(), json!({ "findings": [] }));

    type_in(&["seal", "--dialect", "sqlite"]).exits(0);
    project.write("20990101000000_fix", "SELECT 1;");
    std::fs::write(project.path().join(&up), "CREATE TABLE people (id INTEGER);").expect("the script");
    let findings = type_in(&["lint", "--json"]).exits(2).json();
    assert_eq!(findings["findings"][0]["rule"], json!("sealed_edited"));
    assert_eq!(findings["findings"][0]["severity"], json!("error"));
    assert_eq!(findings["findings"][0]["file"], json!(up));
    std::fs::write(project.path().join(&up), "CREATE TABLE users (id INTEGER);").expect("the script");
    let named = type_in(&["check", "--json"]).exits(0).json();
    assert_eq!(named["findings"][0]["rule"], json!("bad_name"), "a draft can still be renamed");
}

#[test]
fn a_new_migration_of_prisma_says_how_its_tools_leave_our_tables_alone() {
    let project = Project::new(&[]);
    let new = |name: &str| project.with_env(&[], &["new", name, "--dir", "prisma/migrations"]).exits(0);
    let first = new("add_users");
    assert!(first.out().trim_end().ends_with("_add_users/migration.sql"), "{}", first.out());
    assert!(first.err().contains("external: ['__migrator_history'"), "{}", first.err());
    assert_eq!(new("add_posts").err(), "");

    // Where Prisma is at home, as long as it is not told.
    let told = || {
        let findings = project.with_env(&[], &["check", "--dir", "prisma/migrations", "--json"]).exits(0).json();
        let findings = findings["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().find(|finding| finding["rule"] == json!("prisma_external"))
    };
    let write = |file: &str, text: &str| std::fs::write(project.path().join(file), text).expect("write a file");
    assert_eq!(told(), None);
    write("prisma/schema.prisma", "");
    write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    let finding = told().expect("nobody told Prisma");
    assert_eq!(finding["severity"], json!("warning"));
    assert!(finding["message"].to_string().contains("there is no prisma.config.ts"), "{finding}");
    write("prisma.config.ts", "export default {}");
    let finding = told().expect("nobody told Prisma");
    let help = finding["help"].as_str().expect("a help").to_owned();
    assert!(help.contains("'public.__migrator_history', 'public.__migrator_meta'"), "with the schema: {help}");
    assert!(new("add_tags").err().contains("public.__migrator_seeds"));
    let (_, lines) = help.split_once('\n').expect("the lines to put there");
    write("prisma.config.ts", &format!("export default {{\n{lines}\n}}"));
    assert_eq!(told(), None);
    assert_eq!(new("add_words").err(), "");
}

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

#[test]
fn sqlite_backs_up_and_restores() {
    backs_up_and_restores(&sqlite::fresh());
}

#[test]
fn postgres_backs_up_and_restores() {
    backs_up_and_restores(&servers::postgres().fresh());
}

#[test]
fn mariadb_backs_up_and_restores() {
    backs_up_and_restores(&servers::mariadb().fresh());
}

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

#[test]
fn sqlite_is_examined() {
    is_examined(&sqlite::fresh());
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

#[test]
fn postgres_is_examined() {
    is_examined(&servers::postgres().fresh());
}

#[test]
fn mariadb_is_examined() {
    is_examined(&servers::mariadb().fresh());
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
