//! What a run costs, counted: round trips, statements, and waits of SQLite for the disk, as relations that hold on every machine.

use diesel::Connection;
use diesel::connection::{LoadConnection, SimpleConnection};
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    proxy::{Direction, Proxy},
    servers::{self, Kind, Server},
    sqlite,
};

use crate::dialects::{Mariadb, Sqlite, Subject};
use crate::folder::Folder;
use crate::watch;

/// Migrations of two statements each.
fn light(count: usize) -> MigrationSet {
    let script = |number: usize| match number {
        1 => "CREATE TABLE base (id INTEGER);\nINSERT INTO base VALUES (1);".to_owned(),
        _ => format!("ALTER TABLE base ADD COLUMN c{number} INTEGER;\nINSERT INTO base (id) VALUES ({number});"),
    };
    let migrations: Vec<(String, String)> =
        (1..=count).map(|number| (format!("{number:03}_light"), script(number))).collect();
    Folder::of(&migrations).set()
}

/// Round trips of a cold apply, and of an unchanged start after it.
fn round_trips<K: Kind>(server: &Server<K>, set: &MigrationSet) -> [u64; 2]
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let database = server.fresh();
    let proxy = Proxy::to_port(server.port());
    let mut conn = K::Connection::establish(&proxy.url(database.url())).expect("connect through the proxy");
    // The last that a client sends as it connects may want no answer, and counts with what follows.
    conn.batch_execute("SELECT 1").expect("it answers");
    let turns = || proxy.traffic(Direction::ToServer).turns;
    [(); 2].map(|()| {
        let before = turns();
        Migrator::new(set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        turns() - before
    })
}

#[test]
fn postgres_takes_many_migrations_in_few_messages() {
    let server = servers::postgres();
    let [few, many] = [40, 80].map(|count| round_trips(server, &light(count)));
    // A glance, facts, session, lock, facts under it; the message, what took, the lock back.
    assert_eq!([few[0], many[0]], [8, 8], "a cold apply of what goes in one message");
    assert_eq!([few[1], many[1]], [1, 1], "an unchanged start is one round trip");
}

#[test]
fn mariadb_takes_many_migrations_in_few_messages() {
    let server = servers::mariadb();
    let [few, many] = [40, 80].map(|count| round_trips(server, &light(count)));
    // For a message of several statements diesel switches the server twice, and what took is read.
    let per_message = 3 + 3;
    assert!(many[0] - few[0] <= 40 / 20 * per_message, "{few:?} {many:?}");
    assert!(few[0] <= 40 / 20 * per_message + 60, "all but the migrations: {few:?}");
    // Prepared and executed: the client library cannot do both in one step. What it closes before wants no answer, and may count.
    assert!(few[1] <= 3 && many[1] <= 3, "{few:?} {many:?}");
}

#[test]
fn mariadb_takes_a_statement_and_its_outcome_in_one_message() {
    let server = servers::mariadb();
    // Fewer than travel together.
    let [one, three] = [1, 3].map(|count| round_trips(server, &light(count)));
    // For a message of several statements diesel switches the server twice.
    let per_message = 3;
    assert!(three[0] - one[0] <= 2 * 2 * per_message, "{one:?} {three:?}");
}

#[test]
fn mariadb_commits_once_for_each_statement() {
    let server = servers::mariadb();
    let commits = |count: usize| {
        let database = server.fresh();
        let mut conn = database.connect();
        // Each is one wait for the disk; what DDL waits for besides is its own.
        let so_far =
            "SELECT variable_value AS value FROM information_schema.session_status WHERE variable_name = 'COM_COMMIT'";
        Migrator::new(&light(count)).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        let commits = Mariadb::texts(&mut conn, so_far).remove(0);
        commits.parse::<usize>().expect("a number")
    };
    let [few, many] = [20, 40].map(commits);
    assert_eq!(many - few, 20 * 2, "the record of a migration and the intent of the next share one: {few} {many}");
}

#[test]
fn sqlite_waits_for_the_disk_as_often_for_many_as_for_few() {
    let syncs = |count: usize| {
        let (database, folder) = (sqlite::fresh(), tempfile::tempdir().expect("make a folder"));
        for number in 1..=count {
            let one = folder.path().join(format!("{number:03}_t"));
            std::fs::create_dir(&one).expect("make a folder");
            std::fs::write(one.join("up.sql"), crate::folder::table(number)).expect("write a script");
        }
        [(); 2].map(|()| crate::crash::system_calls(&database, folder.path(), "fsync,fdatasync"))
    };
    let [few, many] = [2, 40].map(syncs);
    assert_eq!(few, many);
    assert_eq!(few[1], 0, "an unchanged start writes nothing");
}

#[test]
fn sqlite_takes_so_many_statements_for_each_migration() {
    let statements = |count: usize| {
        let database = Sqlite::fresh();
        let mut conn = database.connect();
        let queries = watch::queries(&mut conn);
        Migrator::new(&light(count)).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        queries.take().len()
    };
    let [few, many] = [20, 40].map(statements);
    // A savepoint and its release, and the script's two; the records are one, whatever their number.
    assert_eq!(many - few, 20 * 4, "{few} {many}");
    // Settings of the session are read one by one, and set back; two looks; the tables and the records.
    assert!(few <= 20 * 4 + 35, "all but the migrations: {few}");
}
