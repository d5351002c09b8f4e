//! Databases for a host's own tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use migrator::testing::{TestDatabase, assert_idempotent};
use migrator::{MigrationSet, Migrator, Seed, SeedError, SeedResult};
use migrator_tests::Database;

use crate::dialects::Subject;
use crate::folder::Folder;

on_each_dialect!(
    each_test_has_a_database_of_its_own,
    what_is_copied_belongs_to_its_content,
    nothing_is_left_of_a_database_that_could_not_be_made,
    a_seed_that_runs_twice_is_compared,
);

/// Where databases are made: a directory, or the server of a database, with that database.
struct Server<S: Subject>(S::Database, tempfile::TempDir);

impl<S: Subject> Server<S> {
    fn start() -> Self {
        Self(S::fresh(), tempfile::tempdir().expect("make a folder"))
    }

    fn url(&self) -> String {
        if S::NAME == "sqlite" { format!("sqlite:{}", self.dir().display()) } else { self.0.url().to_owned() }
    }

    fn dir(&self) -> &Path {
        self.1.path()
    }

    /// The databases that were made, templates left out.
    fn databases(&self) -> Vec<String> {
        let mut names = match S::NAME {
            "sqlite" => {
                let items =
                    self.dir().read_dir().expect("list the folder").map(|item| item.expect("an entry").file_name());
                items.map(|name| name.to_string_lossy().into_owned()).collect()
            }
            "postgres" => self.0.texts("SELECT datname::text AS value FROM pg_database"),
            _ => self.0.texts("SELECT CAST(schema_name AS CHAR) AS value FROM information_schema.schemata"),
        };
        let process = format!("migrator_test_{:x}_", std::process::id());
        names.retain(|name| name.starts_with(&process));
        names
    }
}

fn set() -> MigrationSet {
    Folder::of(&[(
        "01_roles",
        "CREATE TABLE role (name VARCHAR(40) NOT NULL PRIMARY KEY, uses INTEGER, picture BLOB);",
    )])
    .set()
}

fn set_of<S: Subject>() -> MigrationSet {
    if S::NAME == "postgres" {
        return Folder::of(&[("01_roles", "CREATE TABLE role (name text PRIMARY KEY, uses int, picture bytea);")])
            .set();
    }
    set()
}

fn roles<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("INSERT INTO role (name, uses) VALUES ('admin', 1)")?;
    Ok(1)
}

/// Adds a row only when it is not there.
fn reader<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute(
        "INSERT INTO role (name) SELECT 'reader' FROM role WHERE NOT EXISTS (SELECT 1 FROM role WHERE name = 'reader')",
    )?;
    Ok(1)
}

fn counts<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("UPDATE role SET uses = uses + 1")?;
    Ok(1)
}

/// Bytes that are no text, others at each run.
fn paints<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    static RUNS: AtomicU8 = AtomicU8::new(0);
    let byte = 0x80 + RUNS.fetch_add(1, Ordering::SeqCst);
    let literal = [format!("X'{byte:02x}'"), format!("decode('{byte:02x}', 'hex')")];
    let [hex, postgres] = literal.map(|literal| format!("UPDATE role SET picture = {literal}"));
    conn.batch_execute("SAVEPOINT hex")?;
    if conn.batch_execute(&hex).is_err() {
        conn.batch_execute("ROLLBACK TO SAVEPOINT hex")?;
        conn.batch_execute(&postgres)?;
    }
    Ok(1)
}

fn fails<C>(_conn: &mut C) -> SeedResult {
    Err(SeedError::new("no"))
}

fn names<S: Subject>(database: &TestDatabase<S::Connection>) -> Vec<String> {
    let mut conn = database.connect().unwrap_or_else(|error| panic!("{error}"));
    S::texts(&mut conn, "SELECT name AS value FROM role ORDER BY name")
}

fn each_test_has_a_database_of_its_own<S: Subject>() {
    let (server, set) = (Server::<S>::start(), set_of::<S>());
    let seeds = [Seed::new("roles", roles)];
    let make =
        || TestDatabase::new(&server.url(), &Migrator::new(&set), &seeds).unwrap_or_else(|error| panic!("{error}"));
    // At once, as tests do.
    let databases: Vec<TestDatabase<S::Connection>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a database")).collect()
    });
    databases[0].connect().expect("connect").batch_execute("DELETE FROM role").expect("delete");
    assert_eq!(names::<S>(&databases[0]), [""; 0]);
    for database in &databases[1..] {
        assert_eq!(names::<S>(database), ["admin"]);
        let mut conn = S::Connection::establish(database.url()).expect("the URL of the database");
        let report = Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((report.applied().len(), report.skipped()), (0, 1));
    }
    assert!(server.databases().len() >= 4, "{:?}", server.databases());
    // One that is connected to goes away too.
    let _conn = databases[3].connect().expect("connect");
    let urls: Vec<String> = databases.iter().map(|database| database.url().to_owned()).collect();
    drop(databases);
    let left = server.databases();
    assert!(left.iter().all(|name| !urls.iter().any(|url| url.contains(name.as_str()))), "{left:?}");
}

fn what_is_copied_belongs_to_its_content<S: Subject>() {
    let (server, set) = (Server::<S>::start(), set_of::<S>());
    let with = |seeds: &[Seed<S::Connection>]| {
        let database =
            TestDatabase::new(&server.url(), &Migrator::new(&set), seeds).unwrap_or_else(|error| panic!("{error}"));
        names::<S>(&database)
    };
    let (one, two) = (Seed::new("roles", roles), Seed::new("reader", reader));
    assert_eq!(with(&[]), [""; 0]);
    assert_eq!(with(&[one]), ["admin"]);
    assert_eq!(with(&[one, two]), ["admin", "reader"]);
    assert_eq!(with(&[one]), ["admin"]);
}

fn nothing_is_left_of_a_database_that_could_not_be_made<S: Subject>() {
    let (server, set) = (Server::<S>::start(), set_of::<S>());
    let before = server.databases();
    let made = TestDatabase::<S::Connection>::new(&server.url(), &Migrator::new(&set), &[Seed::new("fails", fails)]);
    assert_eq!(made.err().expect("a seed that fails").code(), "seed_failed");
    let new: Vec<String> = server.databases().into_iter().filter(|name| !before.contains(name)).collect();
    // Other tests of this process make databases on the same server.
    if S::NAME == "sqlite" {
        assert_eq!(new, [""; 0]);
    }
    let again = TestDatabase::<S::Connection>::new(&server.url(), &Migrator::new(&set), &[]);
    assert_eq!(names::<S>(&again.unwrap_or_else(|error| panic!("{error}"))), [""; 0]);
}

fn a_seed_that_runs_twice_is_compared<S: Subject>() {
    let (server, set) = (Server::<S>::start(), set_of::<S>());
    let roles = Seed::new("roles", roles);
    let leaked: &'static [Seed<S::Connection>] = Box::leak(Box::new([roles]));
    let url = server.url();
    let said = |seed: Seed<S::Connection>| {
        let judged = catch_unwind(AssertUnwindSafe(|| assert_idempotent(&url, &Migrator::new(&set), seed)));
        judged.err().map(|panic| panic.downcast_ref::<String>().expect("a message").clone()).unwrap_or_default()
    };
    assert_eq!(said(Seed::new("reader", reader).depends_on(leaked)), "");
    let counted = said(Seed::new("counts", counts).depends_on(leaked));
    let quote = if S::NAME == "sqlite" { "'" } else { "" };
    let expected = format!(
        "the seed counts is not idempotent: its second run changed the table role: it made ({quote}admin{quote}, 3, NULL) out of \
         ({quote}admin{quote}, 2, NULL)"
    );
    assert_eq!(counted, expected);
    let painted = said(Seed::new("paints", paints).depends_on(leaked));
    assert!(painted.contains("changed the table role"), "bytes that are no text are compared too: {painted}");
    let twice = said(roles);
    assert!(twice.contains("the seed roles failed after 1 attempt"), "{twice}");
}
