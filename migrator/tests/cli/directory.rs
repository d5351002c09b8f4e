//! The directory with the migrations, as an operator types it: found, written to, checked and sealed.

use std::path::PathBuf;

use serde_json::json;

use super::project::{FIRST, Project, SECOND};

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
