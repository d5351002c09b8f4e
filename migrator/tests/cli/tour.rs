//! What each command says, word by word, on the three databases: as text and as JSON.

use std::fmt::Write;

use migrator_tests::{Database, servers, sqlite};

use super::project::Project;

const USERS: (&str, &str) = ("20240101000000_users", "CREATE TABLE users (id INTEGER PRIMARY KEY);\n");
const POSTS: (&str, &str) =
    ("20240102000000_posts", "CREATE TABLE posts (id INTEGER PRIMARY KEY);\nDROP TABLE posts;\n");
const BROKEN: (&str, &str) = ("20240103000000_broken", "-- one line\n  INSERT INTO nowhere\n  VALUES (1);\n");

/// A life of a project: each line is typed in its turn, `|` is what is done besides.
const TOUR: &[&str] = &[
    "status",
    "plan",
    "plan --sql",
    "run --dry-run",
    "run --steps 1",
    "status",
    "run",
    "status",
    "run",
    "plan",
    "check",
    "seal",
    "seal",
    "| break",
    "run",
    "status",
    "| edit",
    "status",
    "check",
    "accept 20240101 --reason a-comment",
    "run",
    "resolve --rolled-back 20240101",
    "wait",
    "restore nothing.backup",
    "backups",
    "new fix",
    "| repair",
    "accept 20240101 --reason taken-back",
    "new add_email_to_users",
    "| forget",
    "run --target 20240103",
    "run",
    "seed",
    "| seeds",
    "seed",
    "seed roles",
    "seed nobody",
    "verify",
    "revert",
    "revert --steps 2",
    "run",
    "redo",
    "baseline 20240101",
    "mark test",
    "reset --env test",
    "reset --yes --env production",
    "backup --out copy",
    "reset --yes --env test",
    "setup --env test",
    "doctor",
    "backups --in . --verify",
    "restore copy",
    "run --target 9",
    "run --steps many",
];

/// Takes the tour and returns all that was said.
fn tour(database: &impl Database, more: &[&str]) -> String {
    let project = Project::new(&[USERS, POSTS]);
    let mut said = String::new();
    for line in TOUR {
        match *line {
            "| break" => project.write(BROKEN.0, BROKEN.1),
            "| edit" => {
                project.write(BROKEN.0, "SELECT 1;\n");
                project.write(USERS.0, "CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY);\n");
            }
            "| repair" => project.write(USERS.0, USERS.1),
            "| forget" => {
                let folders = std::fs::read_dir(project.path().join("migrations")).expect("it can be listed");
                let mut new = folders.filter_map(|item| Some(item.ok()?.path()));
                let new =
                    new.find(|path| path.display().to_string().ends_with("add_email_to_users")).expect("it was made");
                std::fs::remove_dir_all(new).expect("it can be removed");
            }
            "| seeds" => {
                std::fs::create_dir(project.path().join("seeds")).expect("a folder can be made");
                let sql = "INSERT INTO users (id) VALUES (1), (2);\n";
                std::fs::write(project.path().join("seeds/010_roles.sql"), sql).expect("a seed can be written");
                let down = project.path().join("migrations").join(BROKEN.0).join("down.sql");
                std::fs::write(down, "SELECT 2;\n").expect("a script can be written");
            }
            typed => {
                let args: Vec<&str> = typed.split(' ').chain(more.iter().copied()).collect();
                let answer = project.migrator(database.url(), &args);
                let err: String = answer.err().lines().map(|line| format!("! {line}\n")).collect();
                let args = args.join(" ");
                write!(said, "$ migrator {args}\n{err}{}=> {}\n\n", answer.out(), answer.code())
                    .expect("a String takes it");
            }
        }
    }
    // Each database has a name and a place of its own.
    let folder = project.path().display().to_string();
    let names = [(redacted(database.url()), "URL"), (database.name().to_owned(), "NAME"), (folder, "FOLDER")];
    for (one, any) in &names {
        said = said.replace(one, any);
    }
    said
}

/// The URL as it is printed.
fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return format!("sqlite:{}", url.trim_start_matches("sqlite:"));
    };
    match rest.split_once('@') {
        Some((user, place)) => {
            let who = user.split_once(':').map_or(user.to_owned(), |(name, _)| format!("{name}:***"));
            format!("{scheme}://{who}@{place}")
        }
        None => url.to_owned(),
    }
}

/// What is not the same in two tours.
const FILTERS: [(&str, &str); 12] = [
    (r"\d{8}T\d{6}Z-[0-9a-f]+", "TIME-ID"),
    (r"\b20(2[5-9]|[3-9]\d)\d{10}", "NOW"),
    (r"127\.0\.0\.1:\d+", "SERVER"),
    (r"[\d.]+ (B|KiB)\b", "SIZE"),
    (r#""(bytes|sha256|server|tool|fingerprint)": .*"#, r#""$1": ANY"#),
    (r", waited \d+ ms for the lock", ""),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r" +\d+ ms", " N ms"),
    (r#"_ms": \d+"#, r#"_ms": N"#),
    (r#""run_id": "[0-9a-f]+""#, r#""run_id": "ID""#),
    (r#""(host|application)": "[^"]+""#, r#""$1": "ANY""#),
    (r"by migrator [\d.]+ on \S+", "by TOOL on HOST"),
];

fn compare(name: &str, said: &str) {
    insta::with_settings!({ filters => FILTERS, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, said);
    });
}

#[test]
fn sqlite_says() {
    compare("sqlite", &tour(&sqlite::fresh(), &[]));
    compare("sqlite-json", &tour(&sqlite::fresh(), &["--json"]));
}

#[test]
fn postgres_says() {
    compare("postgres", &tour(&servers::postgres().fresh(), &[]));
    compare("postgres-json", &tour(&servers::postgres().fresh(), &["--json"]));
}

#[test]
fn mariadb_says() {
    compare("mariadb", &tour(&servers::mariadb().fresh(), &[]));
    compare("mariadb-json", &tour(&servers::mariadb().fresh(), &["--json"]));
}

#[test]
fn the_help_of_each_command_has_an_example() {
    let project = Project::new(&[]);
    let all = project.with_env(&[], &["--help"]).exits(0).out();
    let list = all.split_once("Commands:\n").expect("a list").1.split("\n\n").next().expect("its end").to_owned();
    let commands: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let commands: Vec<&str> = commands.into_iter().filter(|name| !matches!(*name, "" | "help")).collect();
    assert!(commands.len() >= 13, "{commands:?}");
    for name in commands {
        let help = project.with_env(&[], &[name, "--help"]).exits(0).out();
        assert!(help.contains(&format!("Example:\n  migrator {name}")), "{help}");
        assert!(!help.starts_with("Usage"), "it opens with what it does: {help}");
    }
}

#[test]
fn completions_are_for_each_shell() {
    let project = Project::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.with_env(&[], &["completions", shell]).exits(0).out();
        assert!(script.contains("allow-non-empty"), "{shell}: {script}");
    }
    project.with_env(&[], &["completions", "tcsh"]).exits(1);
}
