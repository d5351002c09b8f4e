//! The transcripts of the documentation, typed again: every command, and all that it says.
//!
//! `TRANSCRIPTS=write` writes what is said now into the documents.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use diesel::connection::SimpleConnection;
use diesel::{Connection, RunQueryDsl};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use migrator_tests::{Database, servers};
use regex::Regex;

use super::project::{Project, TOOL};

/// Types a document's commands in a project, on this database, and compares what is said.
fn type_again(document: &str, project: &Project, database: Option<&dyn Named>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document);
    let written = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let export =
        written.lines().find_map(|line| line.strip_prefix("$ export DATABASE_URL=")).expect("it names a database");
    let url = database.map_or(export, |database| database.url());
    let mut said = String::new();
    let mut in_block = false;
    for line in written.lines() {
        match line {
            "```console" => in_block = true,
            "```" => in_block = false,
            _ => {}
        }
        match line.strip_prefix("$ ").filter(|_| in_block) {
            Some(typed) => {
                let mut answer =
                    typed_in(project, url, typed).replace(&project.path().display().to_string(), "/srv/app");
                if let Some(database) = database {
                    answer = answer.replace(&redacted(url), export).replace(&without_user(url), &without_user(export));
                    answer = answer.replace(database.name(), "app");
                }
                write!(said, "{line}\n{answer}").expect("a String takes it");
            }
            None if in_block && line != "```console" => {}
            None => writeln!(said, "{line}").expect("a String takes it"),
        }
    }
    if std::env::var("TRANSCRIPTS").is_ok_and(|what| what == "write") {
        std::fs::write(&path, said).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let (written, said) = (same(&written), same(&said));
    let differs = written.lines().zip(said.lines()).find(|(written, said)| written != said);
    assert!(written == said, "{document} says, and the tool says: {differs:#?}\n{said}");
}

/// What a shell says to one line.
fn typed_in(project: &Project, url: &str, typed: &str) -> String {
    let tools = Path::new(TOOL).parent().expect("it lies in a folder").display().to_string();
    let path = format!("{tools}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    for name in ["MIGRATION_DATABASE_URL", "MIGRATOR_ENV", "CLICOLOR_FORCE"] {
        shell.env_remove(name);
    }
    // As on a terminal, both come to one place in their order.
    shell.args(["-c", &format!("exec 2>&1; {typed}")]).current_dir(project.path());
    let output = shell.env("PATH", path).env("DATABASE_URL", url).output().expect("a shell can be started");
    String::from_utf8(output.stdout).expect("it says text")
}

/// A database whose name and URL are not those that a document has.
trait Named {
    fn name(&self) -> &str;
    fn url(&self) -> &str;
}

impl<D: Database> Named for D {
    fn name(&self) -> &str {
        Database::name(self)
    }

    fn url(&self) -> &str {
        Database::url(self)
    }
}

fn without_user(url: &str) -> String {
    Regex::new("//[^@/]+@").expect("a pattern").replace(url, "//").into_owned()
}

fn redacted(url: &str) -> String {
    let password = Regex::new("//([^:@/]+):[^@]*@").expect("a pattern");
    password.replace(url, "//$1:***@").into_owned()
}

/// A text without what is not the same each time.
fn same(text: &str) -> String {
    let changing = [
        (r", waited \d+ ms for the lock", ""),
        (r" +\d+ ms", " N ms"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r"[\w.-]+-\d{8}T\d{6}Z-[0-9a-f]+", "COPY"),
        (r"\b\d{14}_", "NOW_"),
        (r"\b\d{14}\b", "NOW"),
        (r"[\d.]+ (B|KiB)\b", "SIZE"),
    ];
    changing.iter().fold(text.to_owned(), |text, (pattern, word)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, *word).into_owned()
    })
}

#[test]
fn from_an_empty_folder() {
    type_again("empty-folder.md", &Project::empty(), None);
}

#[test]
fn from_a_diesel_project_on_postgres() {
    let (database, project) = (servers::postgres().fresh(), Project::empty());
    let users = "CREATE TABLE users (id SERIAL PRIMARY KEY, name TEXT NOT NULL);\n";
    let roles = "CREATE TABLE roles (name TEXT PRIMARY KEY);\nALTER TABLE users ADD COLUMN role TEXT REFERENCES roles (name);\n";
    project.write("2024-01-01-000000_users", users);
    project.write("2024-01-02-000000_roles", roles);
    let theirs = FileBasedMigrations::from_path(project.path().join("migrations")).expect("diesel reads its folder");
    database.connect().run_pending_migrations(theirs).expect("diesel runs");
    project.write("2024-02-01-000000_emails", "ALTER TABLE users ADD COLUMN email TEXT;\n");
    type_again("diesel-postgres.md", &project, Some(&database));
}

#[test]
fn from_a_prisma_project_on_sqlite() {
    let project = Project::empty();
    let migrations = [
        (
            "20240101000000_init",
            "-- CreateTable\nCREATE TABLE \"User\" (\n    \"id\" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n    \"name\" TEXT NOT NULL\n);\n",
        ),
        (
            "20240102000000_roles",
            "-- CreateTable\nCREATE TABLE \"Role\" (\n    \"name\" TEXT NOT NULL PRIMARY KEY\n);\n",
        ),
        ("20240201000000_email", "-- AlterTable\nALTER TABLE \"User\" ADD COLUMN \"email\" TEXT;\n"),
    ];
    let folder = project.path().join("prisma/migrations");
    for (name, sql) in migrations {
        std::fs::create_dir_all(folder.join(name)).expect("a folder can be made");
        std::fs::write(folder.join(name).join("migration.sql"), sql).expect("a script can be written");
    }
    std::fs::write(folder.join("migration_lock.toml"), "provider = \"sqlite\"\n").expect("a file can be written");
    let file = project.path().join("prisma/app.db").display().to_string();
    let mut conn = diesel::SqliteConnection::establish(&file).expect("a database can be made");
    let mut execute = |sql: &str| conn.batch_execute(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    // The table as Prisma makes it, and a row for each migration as it writes one.
    execute(
        "CREATE TABLE \"_prisma_migrations\" (\"id\" TEXT PRIMARY KEY NOT NULL, \"checksum\" TEXT NOT NULL, \"finished_at\" DATETIME,
         \"migration_name\" TEXT NOT NULL, \"logs\" TEXT, \"rolled_back_at\" DATETIME, \"started_at\" DATETIME NOT NULL DEFAULT
         current_timestamp, \"applied_steps_count\" INTEGER UNSIGNED NOT NULL DEFAULT 0)",
    );
    for (at, (name, sql)) in migrations.into_iter().take(2).enumerate() {
        execute(sql);
        let digest = migrator_source::checksum::hex(&migrator_source::checksum::digest(sql.as_bytes()));
        execute(&format!(
            "INSERT INTO _prisma_migrations VALUES ('{at}', '{digest}', 1704067200123, '{name}', NULL, NULL, 1704067200100, 1)"
        ));
    }
    execute("INSERT INTO \"User\" (name) VALUES ('first')");
    type_again("prisma-sqlite.md", &project, None);
    let kept = diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("(SELECT name FROM \"User\")"));
    assert_eq!(kept.get_result::<String>(&mut conn).expect("the row"), "first");
}
