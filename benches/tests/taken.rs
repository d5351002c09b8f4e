//! What sqlx and refinery themselves migrated is taken over, with their checksums compared: the runners are at hand here.

use diesel::connection::LoadConnection;
use diesel::{Connection, MysqlConnection, PgConnection, SqliteConnection};
use migrator::{DatabaseState, Dialect, MigrationSet, Migrator};
use migrator_tests::{Database, servers, sqlite};
use refinery::{Migration, Runner};
use sqlx::migrate::Migrate;
use tempfile::TempDir;

/// Scripts with what a checksum may stumble over: both line endings, letters beyond ASCII, no end of the last line.
const SCRIPTS: [(&str, &str); 3] = [
    ("V1__first.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY);\n"),
    ("V2__more_of_it.sql", "-- Größe\r\nCREATE TABLE second (id INTEGER PRIMARY KEY);\r\n"),
    ("V10__the_third.sql", "CREATE TABLE third (id INTEGER PRIMARY KEY)"),
];

fn folder(name: impl Fn(&str) -> String) -> TempDir {
    let folder = tempfile::tempdir().expect("make a folder");
    for (file, text) in SCRIPTS {
        std::fs::write(folder.path().join(name(file)), text).expect("write a script");
    }
    folder
}

/// Our first run after the other tool's last one, then an edit.
fn takes_over<C: LoadConnection<Backend: Dialect>>(url: &str, folder: &TempDir, table: &str) {
    let mut conn = C::establish(url).expect("connect");
    let set = || MigrationSet::from_path(folder.path()).expect("read the folder");
    let report = Migrator::new(&set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), report.skipped()), (0, 3), "{report}");
    assert!(
        report.warnings()[0].contains(&format!("3 migrations adopted from {table}, with the checksum")),
        "{report}"
    );
    let status = Migrator::new(&set()).status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((status.state(), status.problems().len()), (DatabaseState::UpToDate, 0), "{status}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let year = (1970 + now / 31_556_952).to_string();
    assert!(
        status.migrations().iter().all(|row| row.applied_at.as_ref().is_some_and(|at| at.starts_with(&year))),
        "{status}"
    );
}

/// As [`takes_over`], after an edit.
fn finds_an_edit<C: LoadConnection<Backend: Dialect>>(url: &str, folder: &TempDir, file: &str) {
    let mut conn = C::establish(url).expect("connect");
    std::fs::write(folder.path().join(file), "CREATE TABLE first (id INTEGER)").expect("write a script");
    let set = MigrationSet::from_path(folder.path()).expect("read the folder");
    let error = Migrator::new(&set).run(&mut conn).expect_err("it was edited");
    assert_eq!((error.code(), error.version()), ("changed", Some("1")), "{error}");
}

fn refinery_runs(mut conn: impl refinery::Migrate) {
    let all = SCRIPTS.map(|(file, text)| Migration::unapplied(file.trim_end_matches(".sql"), text).expect("a name"));
    Runner::new(&all).run(&mut conn).expect("refinery runs them");
}

fn sqlx_runs<D: sqlx::Database<Connection: Migrate>>(url: &str, folder: &TempDir) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut conn = <D::Connection as sqlx::Connection>::connect(url).await.expect("connect");
        let set = sqlx::migrate::Migrator::new(folder.path()).await.expect("sqlx reads the folder");
        set.run_direct(None, &mut conn, false).await.expect("sqlx runs it");
    });
}

/// sqlx wants the number alone at the front.
fn of_sqlx(file: &str) -> String {
    file.trim_start_matches('V').replace("__", "_")
}

const REFINERY: &str = "refinery_schema_history";
const SQLX: &str = "_sqlx_migrations";

#[test]
fn refinery_on_sqlite() {
    for edited in [false, true] {
        let (database, folder) = (sqlite::fresh(), folder(str::to_owned));
        refinery_runs(rusqlite::Connection::open(database.url()).expect("open"));
        match edited {
            false => takes_over::<SqliteConnection>(database.url(), &folder, REFINERY),
            true => finds_an_edit::<SqliteConnection>(database.url(), &folder, "V1__first.sql"),
        }
    }
}

#[test]
fn refinery_on_postgres() {
    let (database, folder) = (servers::postgres().fresh(), folder(str::to_owned));
    refinery_runs(postgres::Client::connect(database.url(), postgres::NoTls).expect("connect"));
    takes_over::<PgConnection>(database.url(), &folder, REFINERY);
}

#[test]
fn refinery_on_mariadb() {
    let (database, folder) = (servers::mariadb().fresh(), folder(str::to_owned));
    let url = format!("{}?prefer_socket=false", database.url());
    refinery_runs(mysql::Conn::new(url.as_str()).expect("connect"));
    takes_over::<MysqlConnection>(database.url(), &folder, REFINERY);
}

#[test]
fn sqlx_on_sqlite() {
    for edited in [false, true] {
        let (database, folder) = (sqlite::fresh(), folder(of_sqlx));
        sqlx_runs::<sqlx::Sqlite>(&format!("sqlite://{}?mode=rwc", database.url()), &folder);
        match edited {
            false => takes_over::<SqliteConnection>(database.url(), &folder, SQLX),
            true => finds_an_edit::<SqliteConnection>(database.url(), &folder, "1_first.sql"),
        }
    }
}

#[test]
fn sqlx_on_postgres() {
    let (database, folder) = (servers::postgres().fresh(), folder(of_sqlx));
    sqlx_runs::<sqlx::Postgres>(database.url(), &folder);
    takes_over::<PgConnection>(database.url(), &folder, SQLX);
}

#[test]
fn sqlx_on_mariadb() {
    let (database, folder) = (servers::mariadb().fresh(), folder(of_sqlx));
    sqlx_runs::<sqlx::MySql>(database.url(), &folder);
    takes_over::<MysqlConnection>(database.url(), &folder, SQLX);
}
