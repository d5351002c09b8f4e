//! Databases of a test's own: apart from each other, dropped, behind a password, and compared by their dumps.

use diesel::{Connection, connection::SimpleConnection};
use migrator_tests::{
    Database,
    servers::{self, FreshDatabase, Kind, Server},
    sqlite,
};

#[test]
fn postgres_databases_are_isolated_and_dropped() {
    isolated_and_dropped(servers::postgres(), "SELECT datname AS value FROM pg_database");
}

#[test]
fn mariadb_databases_are_isolated_and_dropped() {
    isolated_and_dropped(servers::mariadb(), "SELECT schema_name AS value FROM information_schema.schemata");
}

fn isolated_and_dropped<K: Kind>(server: &Server<K>, databases: &str) {
    let (one, other) = (server.fresh(), server.fresh());
    one.execute("CREATE TABLE harbour (name varchar(20)); INSERT INTO harbour VALUES ('Kiel'), ('Split')");
    assert_eq!(one.row_counts().into_iter().collect::<Vec<_>>(), [("harbour".to_owned(), 2)]);
    assert!(other.tables().is_empty(), "{:?}", other.tables());

    // A connection that is left in a transaction, with a lock on the table, is in nobody's way.
    let mut left = one.connect();
    left.batch_execute("BEGIN; INSERT INTO harbour VALUES ('Turku')").expect("insert");
    let name = one.name().to_owned();
    assert!(other.texts(databases).contains(&name));
    drop(one);
    assert!(!other.texts(databases).contains(&name));
    left.batch_execute("SELECT 1").expect_err("the connection was ended with its database");
}

#[test]
fn sqlite_databases_are_isolated_and_removed_with_their_side_files() {
    let (one, other) = (sqlite::fresh(), sqlite::fresh());
    let mut left = one.connect();
    left.batch_execute(
        "PRAGMA journal_mode = WAL; CREATE TABLE harbour (name text); INSERT INTO harbour VALUES ('Kiel')",
    )
    .expect("write");
    assert_eq!(one.row_counts()["harbour"], 1);
    assert!(other.tables().is_empty());
    let folder = one.folder().to_owned();
    assert!(folder.join("test.db-wal").exists(), "the connection that is left keeps the WAL");
    drop(one);
    assert!(!folder.exists());
}

#[test]
fn postgres_wants_the_password_over_tcp() {
    wants_the_password(servers::postgres(), &servers::postgres().fresh());
}

#[test]
fn mariadb_wants_the_password_over_tcp() {
    wants_the_password(servers::mariadb(), &servers::mariadb().fresh());
}

fn wants_the_password<K: Kind>(server: &Server<K>, database: &FreshDatabase<K>) {
    let wrong = database.url().replace(server.password(), "guess");
    assert!(K::Connection::establish(&wrong).is_err(), "a wrong password opened the database");
    K::Connection::establish(database.url()).expect("connect over TCP");
    K::Connection::establish(&database.socket_url()).expect("connect over the socket");
}

#[test]
fn postgres_dumps_compare_schemas() {
    const EXTRAS: &str = "CREATE SCHEMA yard;
        CREATE TABLE yard.crane (id serial PRIMARY KEY);
        CREATE FUNCTION tons() RETURNS int LANGUAGE sql AS 'SELECT 1'";
    const TOOLS: &str = "CREATE TABLE refinery_schema_history (version serial PRIMARY KEY, note text);
        CREATE INDEX ON refinery_schema_history (note)";
    let new = || servers::postgres().fresh();
    dumps_compare_schemas(&new(), &new(), EXTRAS, TOOLS, &["tons", "yard.crane", "crane_id_seq"]);
}

#[test]
fn mariadb_dumps_compare_schemas() {
    const EXTRAS: &str = "CREATE TABLE crane (id int AUTO_INCREMENT PRIMARY KEY);
        CREATE VIEW heavy AS SELECT id FROM crane;
        CREATE TRIGGER lifted BEFORE INSERT ON crane FOR EACH ROW SET @lifted = 1;
        CREATE FUNCTION tons() RETURNS int DETERMINISTIC RETURN 1;
        CREATE EVENT tide ON SCHEDULE EVERY 1 DAY DO SET @tide = 1";
    const TOOLS: &str = "CREATE TABLE refinery_schema_history (version int AUTO_INCREMENT PRIMARY KEY, note text);
        CREATE TRIGGER noted BEFORE INSERT ON refinery_schema_history FOR EACH ROW SET @noted = 1";
    let new = || servers::mariadb().fresh();
    dumps_compare_schemas(&new(), &new(), EXTRAS, TOOLS, &["tons", "lifted", "tide", "heavy", "crane"]);
}

#[test]
fn sqlite_dumps_compare_schemas() {
    const EXTRAS: &str = "CREATE TABLE crane (id integer PRIMARY KEY AUTOINCREMENT);
        CREATE VIEW heavy AS SELECT id FROM crane;
        CREATE TRIGGER lifted BEFORE INSERT ON crane BEGIN SELECT 1; END";
    const TOOLS: &str = "CREATE TABLE refinery_schema_history (version integer PRIMARY KEY, note text);
        CREATE INDEX notes ON refinery_schema_history (note)";
    let new = sqlite::fresh;
    dumps_compare_schemas(&new(), &new(), EXTRAS, TOOLS, &["crane", "heavy", "lifted"]);
}

/// Two databases come apart and to the same schema; `extras` is run on both, `tools` on one.
fn dumps_compare_schemas<D: Database>(one: &D, other: &D, extras: &str, tools: &str, named: &[&str]) {
    assert_eq!(one.dump(), other.dump(), "two empty databases");
    one.execute("CREATE TABLE harbour (name varchar(20) NOT NULL)");
    assert_ne!(one.dump(), other.dump(), "a table more");
    other.execute("CREATE TABLE harbour (name varchar(20))");
    assert_ne!(one.dump(), other.dump(), "NOT NULL");
    other.execute("DROP TABLE harbour; CREATE TABLE harbour (name varchar(20) NOT NULL)");
    assert_eq!(one.dump(), other.dump(), "the same table by another way");

    one.execute(extras);
    other.execute(extras);
    let dump = one.dump();
    assert_eq!(dump, other.dump(), "the same again, more of it");
    named.iter().for_each(|name| assert!(dump.contains(name), "{name} is not in the dump:\n{dump}"));

    // What migration tools keep, and rows, are no difference.
    one.execute(tools);
    one.execute("CREATE TABLE __migrator_history (version varchar(20) PRIMARY KEY)");
    let crane = one.tables().into_iter().find(|table| table.name.ends_with("crane")).expect("there is a crane").quoted;
    one.execute(&format!("INSERT INTO {crane} VALUES (7)"));
    assert_eq!(one.dump(), other.dump(), "tables of tools in one of them");
    let tables: Vec<_> = one.row_counts().into_keys().collect();
    assert_eq!(tables, other.row_counts().into_keys().collect::<Vec<_>>());
    assert_eq!(one.row_counts().into_values().sum::<u64>(), 1);
}
