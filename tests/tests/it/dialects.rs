//! The databases that the suite runs on, and everything in which they differ.

use diesel::connection::LoadConnection;
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, MysqlConnection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use diesel::{mysql::Mysql, pg::Pg, sql_types::Text};
use diesel_migrations::MigrationHarness;
use migrator::{Dialect, Error, MigrationSet, Migrator, Report, Status, Target};
use migrator_tests::{Database, servers, sqlite};

/// A database under test.
pub(crate) trait Subject: Sized + 'static {
    /// diesel's connection.
    type Connection: LoadConnection<Backend: Dialect>
        + R2D2Connection
        + MigrationHarness<<Self::Connection as Connection>::Backend>
        + Send
        + 'static;
    /// A database of a test's own.
    type Database: Database<Connection = Self::Connection> + Sync;

    /// What it is called in a status.
    const NAME: &'static str;
    /// Whether a script with DDL is undone whole when it fails.
    const UNDOES_DDL: bool;
    /// Whether the whole run is one transaction, and what it applied is told at its end.
    const ONE_TRANSACTION: bool;
    /// A part of its words for a table that is not there.
    const NO_SUCH_TABLE: &'static str;
    /// Sets something in a session to 1; sets it to 0; a query that tells it as `1` or `0`.
    const SETTING: [&'static str; 3];
    /// A query for the names of all tables.
    const TABLES: &'static str;
    /// A query for everything about the columns of the table `{}`.
    const COLUMNS: &'static str;

    /// An empty database.
    fn fresh() -> Self::Database;
    /// The connection of a role that may read the tables that are there now, and nothing else.
    fn reader(database: &Self::Database) -> Self::Connection;
    /// The rows of a query whose one column is text and is called `value`.
    fn texts(conn: &mut Self::Connection, query: &str) -> Vec<String>;
}

pub(crate) struct Sqlite;
pub(crate) struct Postgres;
pub(crate) struct Mariadb;

impl Subject for Sqlite {
    type Connection = SqliteConnection;
    type Database = sqlite::FreshDatabase;

    const NAME: &'static str = "sqlite";
    const UNDOES_DDL: bool = true;
    const ONE_TRANSACTION: bool = true;
    const NO_SUCH_TABLE: &'static str = "no such table";
    const SETTING: [&'static str; 3] = [
        "PRAGMA recursive_triggers = 1",
        "PRAGMA recursive_triggers = 0",
        "SELECT CAST(recursive_triggers AS TEXT) AS value FROM pragma_recursive_triggers",
    ];
    const TABLES: &'static str = "SELECT name AS value FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    const COLUMNS: &'static str =
        "SELECT concat_ws(' ', name, type, \"notnull\", dflt_value, pk) AS value FROM pragma_table_info('{}')";

    fn fresh() -> Self::Database {
        sqlite::fresh()
    }

    fn reader(database: &Self::Database) -> Self::Connection {
        connect::<Self>(&format!("file:{}?mode=ro", database.url()))
    }

    fn texts(conn: &mut Self::Connection, query: &str) -> Vec<String> {
        values(sql_query(query).load(conn), query)
    }
}

impl Subject for Postgres {
    type Connection = PgConnection;
    type Database = servers::FreshDatabase<Pg>;

    const NAME: &'static str = "postgres";
    const UNDOES_DDL: bool = true;
    const ONE_TRANSACTION: bool = false;
    const NO_SUCH_TABLE: &'static str = "does not exist";
    const SETTING: [&'static str; 3] = [
        "SET max_parallel_workers_per_gather = 1",
        "SET max_parallel_workers_per_gather = 0",
        "SELECT current_setting('max_parallel_workers_per_gather') AS value",
    ];
    const TABLES: &'static str =
        "SELECT tablename::text AS value FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
    const COLUMNS: &'static str = "SELECT concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, \
         column_default) AS value FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position";

    fn fresh() -> Self::Database {
        servers::postgres().fresh()
    }

    fn reader(database: &Self::Database) -> Self::Connection {
        let role = format!("reader_of_{}", database.name());
        database.execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'letter'; GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        ));
        connect::<Self>(&as_role(database.url(), &role, "letter"))
    }

    fn texts(conn: &mut Self::Connection, query: &str) -> Vec<String> {
        values(sql_query(query).load(conn), query)
    }
}

impl Subject for Mariadb {
    type Connection = MysqlConnection;
    type Database = servers::FreshDatabase<Mysql>;

    const NAME: &'static str = "mysql";
    const UNDOES_DDL: bool = false;
    const ONE_TRANSACTION: bool = false;
    const NO_SUCH_TABLE: &'static str = "doesn't exist";
    const SETTING: [&'static str; 3] = [
        "SET SESSION sql_safe_updates = 1",
        "SET SESSION sql_safe_updates = 0",
        "SELECT CAST(@@sql_safe_updates + 0 AS CHAR) AS value",
    ];
    const TABLES: &'static str =
        "SELECT TABLE_NAME AS value FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
    const COLUMNS: &'static str = "SELECT CONCAT_WS(' ', COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, \
         COLUMN_DEFAULT, COLUMN_KEY, EXTRA) AS value FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND \
         TABLE_NAME = '{}' ORDER BY ORDINAL_POSITION";

    fn fresh() -> Self::Database {
        servers::mariadb().fresh()
    }

    fn reader(database: &Self::Database) -> Self::Connection {
        let (name, role) = (database.name(), format!("reader_of_{}", database.name()));
        database.execute(&format!(
            "CREATE USER '{role}'@'127.0.0.1' IDENTIFIED BY 'letter'; GRANT SELECT ON {name}.* TO '{role}'@'127.0.0.1'"
        ));
        connect::<Self>(&as_role(database.url(), &role, "letter"))
    }

    fn texts(conn: &mut Self::Connection, query: &str) -> Vec<String> {
        values(sql_query(query).load(conn), query)
    }
}

/// Makes a test of each function, for each database.
macro_rules! on_each_dialect {
    ($($test:ident),* $(,)?) => {
        mod on_sqlite { $(#[test] fn $test() { super::$test::<crate::dialects::Sqlite>(); })* }
        mod on_postgres { $(#[test] fn $test() { super::$test::<crate::dialects::Postgres>(); })* }
        mod on_mariadb { $(#[test] fn $test() { super::$test::<crate::dialects::Mariadb>(); })* }
    };
}

/// Makes a test of each function, for each database that is a server.
macro_rules! on_each_server {
    ($($test:ident),* $(,)?) => {
        mod on_postgres { $(#[test] fn $test() { super::$test::<crate::dialects::Postgres>(); })* }
        mod on_mariadb { $(#[test] fn $test() { super::$test::<crate::dialects::Mariadb>(); })* }
    };
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

fn values(rows: diesel::QueryResult<Vec<Value>>, query: &str) -> Vec<String> {
    rows.unwrap_or_else(|error| panic!("{error}, in the query: {query}")).into_iter().map(|row| row.value).collect()
}

fn connect<S: Subject>(url: &str) -> S::Connection {
    S::Connection::establish(url).unwrap_or_else(|error| panic!("connect to {}: {error}", S::NAME))
}

/// The URL with another user and password.
pub(crate) fn as_role(url: &str, role: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("the URL has a scheme");
    let (_, place) = rest.split_once('@').expect("the URL has a user");
    format!("{scheme}://{role}:{password}@{place}")
}

/// What the tests do most: run a set with every option at its default, on a connection of its own.
pub(crate) fn run<S: Subject>(database: &S::Database, set: &MigrationSet) -> Result<Report, Error> {
    Migrator::new(set).run(&mut database.connect())
}

/// As [`run`], where nothing may go wrong.
pub(crate) fn applies<S: Subject>(database: &S::Database, set: &MigrationSet) -> Report {
    run::<S>(database, set).unwrap_or_else(|error| panic!("{error}"))
}

/// One run for each migration: nothing travels together.
pub(crate) fn one_by_one<S: Subject>(database: &S::Database, set: &MigrationSet) -> Result<(), Error> {
    let mut conn = database.connect();
    let steps = set.iter().count();
    (0..steps).try_for_each(|_| Migrator::new(set).run_to(&mut conn, Target::Steps(1)).map(drop))
}

pub(crate) fn status<S: Subject>(database: &S::Database, set: &MigrationSet) -> Status {
    Migrator::new(set).status(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"))
}

/// The history as `event version`, oldest first.
pub(crate) fn history(database: &impl Database) -> Vec<String> {
    let column =
        |name: &str| database.texts(&format!("SELECT {name} AS value FROM __migrator_history ORDER BY sequence"));
    column("event").iter().zip(column("version")).map(|(event, version)| format!("{event} {version}")).collect()
}

/// The names of the tables, ours left out.
pub(crate) fn tables(database: &impl Database) -> Vec<String> {
    database.tables().into_iter().map(|table| table.name).collect()
}

/// The names of a report's migrations.
pub(crate) fn names(report: &Report) -> Vec<&str> {
    report.applied().iter().map(|applied| applied.name.as_str()).collect()
}
