//! Servers that have no connection left, or no space.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};
use std::thread;

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, ConnectionError, MysqlConnection};
use migrator::{Config, Dialect, Event, MigrationSet, Migrator, ProviderState};
use migrator_tests::servers::{self, Kind, Mariadb, Options, Server};
use migrator_tests::{Database, wait};

use crate::dialects::{self, Subject, applies, as_role, history, names};
use crate::folder::{Folder, table};
use crate::provider::{States, provider};
use crate::watch::{self, Notes};

#[test]
fn postgres_has_no_connection_left() {
    let options = Options::default().set("max_connections", "6").set("superuser_reserved_connections", "0");
    let server = servers::Postgres::start(options);
    waits_for_a_connection(&server, "too many clients");
    comes_back_to_a_full_server::<_, dialects::Postgres>(&server);
}

#[test]
fn mariadb_has_no_connection_left() {
    let server = Mariadb::start(Options::default().set("max_connections", "10"));
    waits_for_a_connection(&server, "Too many connections");
    comes_back_to_a_full_server::<_, dialects::Mariadb>(&server);
}

/// Every connection that a server gives, and its words when it gave the last one.
fn all<C: Connection>(url: &str) -> (Vec<C>, String) {
    let mut taken = Vec::new();
    loop {
        match C::establish(url) {
            Ok(conn) => taken.push(conn),
            Err(error) => return (taken, error.to_string()),
        }
        assert!(taken.len() < 50, "the server has no limit");
    }
}

/// A service that starts is one client too many, until another one goes.
fn waits_for_a_connection<K>(server: &Server<K>, words: &str)
where
    K: Kind<Connection: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static>,
{
    let (database, set) = (server.fresh(), Folder::of_tables(2).set());
    let (taken, refused) = all::<K::Connection>(database.url());
    assert!(refused.contains(words), "{refused}");
    starts_when_it_is_let_in(database.url(), &set, taken);
}

/// The service waits, as it does for a server that is not up yet, and starts when the others are gone.
fn starts_when_it_is_let_in<C>(url: &str, set: &MigrationSet, others: Vec<C>)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    let provider = provider::<C>(set);
    let (config, states) = States::of(Config::new(url).pool_size(1), |_| {});
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        states.until("a third try", |state| matches!(state, ProviderState::WaitingForDatabase { attempt: 3, .. }));
        drop(others);
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(states.names()[..3], ["starting", "waiting_for_database", "starting"]);
    assert_eq!(provider.health().readiness().code, "ready");
    provider.shutdown().expect("shut down");
}

/// A run loses its connection, and its place is taken when it asks for another one.
fn comes_back_to_a_full_server<K: Kind, S: Subject<Connection = K::Connection>>(server: &Server<K>)
where
    K::Connection: LoadConnection<Backend: Dialect> + Send + 'static,
{
    let (database, set) = (server.fresh(), Folder::of_tables(4).set());
    let url = database.url().to_owned();
    let own = match S::NAME {
        "postgres" => "SELECT pg_backend_pid()::text AS value",
        _ => "SELECT CAST(CONNECTION_ID() AS CHAR) AS value",
    };
    let mut conn = K::Connection::establish(&url).expect("connect");
    let me = S::texts(&mut conn, own).remove(0);
    let kill = if S::NAME == "postgres" { format!("SELECT pg_terminate_backend({me})") } else { format!("KILL {me}") };
    // Taken by others while the run is at its second migration: theirs, and in a moment its own.
    let others: Arc<Mutex<Vec<K::Connection>>> = Arc::default();
    let (refusals, theirs, asked) = (Notes::default(), Arc::clone(&others), url.clone());
    let noted = refusals.clone();
    let connect = move || {
        let answer = K::Connection::establish(&asked);
        if let Err(ConnectionError::BadConnection(words)) = &answer {
            noted.add(words.clone());
            let mut others = theirs.lock().expect("no panic");
            if !others.is_empty() && noted.count() > 2 {
                others.clear();
            }
        }
        answer
    };
    let killed = Mutex::new(false);
    let migrator = Migrator::new(&set).reconnect(connect).on_event(move |event| {
        let mut killed = killed.lock().expect("no panic");
        if matches!(event, Event::Started { version: "02", .. }) && !*killed {
            *killed = true;
            let mut killer = K::Connection::establish(&url).expect("one more");
            killer.batch_execute(&kill).expect("kill");
            let mut others = others.lock().expect("no panic");
            others.push(killer);
            others.extend(all::<K::Connection>(&url).0);
            // Its own place may be free only now.
            while let Ok(conn) = K::Connection::establish(&url) {
                others.push(conn);
            }
        }
    });
    let report = migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t1", "02_t2", "03_t3", "04_t4"]);
    assert!(
        refusals.take().iter().all(|words| words.to_lowercase().contains("too many")),
        "it is what it was refused for"
    );
    assert!(database.row_counts().values().all(|rows| *rows == 1), "{:?}", database.row_counts());
}

/// The limit is the role's own.
#[test]
fn a_role_of_mariadb_has_no_connection_left() {
    let (database, set) = (dialects::Mariadb::fresh(), Folder::of_tables(1).set());
    let role = format!("role_of_{}", database.name());
    let grant = format!(
        "GRANT ALL PRIVILEGES ON {}.* TO '{role}'@'127.0.0.1' IDENTIFIED BY 'letter' WITH MAX_USER_CONNECTIONS 2",
        database.name()
    );
    database.execute(&grant);
    let url = as_role(database.url(), &role, "letter");
    let (taken, refused) = all::<MysqlConnection>(&url);
    assert!(refused.contains("max_user_connections"), "{refused}");
    starts_when_it_is_let_in(&url, &set, taken);
}

/// What a run says of a full disk: its migration is undone, nobody tries again in a loop, and the next run goes on.
fn is_full<S: Subject>(database: &S::Database, folder: &Folder, makes_room: impl FnOnce()) {
    let set = folder.set();
    let (migrator, events) = watch::events(Migrator::new(&set));
    let error = migrator.run(&mut database.connect()).expect_err("no space is left");
    assert_eq!((error.code(), error.version()), ("disk_full", Some("02")), "{error}");
    assert_eq!(error.place().map(|place| place.number), Some(2), "{error}");
    assert!(error.remedy().contains("make room, then run again"), "{error}");
    assert!(!events.take().iter().any(|event| event.starts_with("Retrying")), "not again and again");
    assert_eq!(database.row_counts()["t1"], 1, "it was undone");
    assert!(history(database).ends_with(&["applied 01", "failed 02"].map(str::to_owned)));
    makes_room();
    assert_eq!(names(&applies::<S>(database, &set)), ["02_much", "03_t3"]);
    assert_eq!(database.row_counts()["t1"], 2);
}

/// The file of a table is one in which there is never space.
#[test]
fn postgres_has_no_space_left() {
    let (database, folder) = (dialects::Postgres::fresh(), Folder::of_tables(1));
    folder.write("01_t1/up.sql", format!("{} CREATE TABLE much (text text);", table(1)));
    applies::<dialects::Postgres>(&database, &folder.set());
    folder.write("02_much/up.sql", "INSERT INTO t1 VALUES (2);\nINSERT INTO much VALUES ('much');");
    folder.write("03_t3/up.sql", table(3));
    let place = database.texts("SELECT pg_relation_filepath('much') AS value").remove(0);
    let file = servers::postgres().folder().join("data").join(place);
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).expect("put the file aside");
    symlink("/dev/full", &file).expect("a file without space");
    is_full::<dialects::Postgres>(&database, &folder, || fs::rename(&aside, &file).expect("put the file back"));
}

/// The tablespace may not grow.
#[test]
fn mariadb_has_no_space_left() {
    let options = Options::default().set("innodb_file_per_table", "0");
    let server = Mariadb::start(options.set("innodb_data_file_path", "ibdata1:12M:autoextend:max:48M"));
    let (database, folder) = (server.fresh(), Folder::of_tables(1));
    let fill = |table: &str, rows: u32| format!("INSERT INTO {table} SELECT REPEAT('x', 8000) FROM seq_1_to_{rows}");
    folder.write("01_t1/up.sql", format!("{} CREATE TABLE much (a TEXT); CREATE TABLE other (a TEXT);", table(1)));
    applies::<dialects::Mariadb>(&database, &folder.set());
    database.execute(&fill("other", 3000));
    folder.write("02_much/up.sql", format!("INSERT INTO t1 VALUES (2);\n{};", fill("much", 2000)));
    folder.write("03_t3/up.sql", table(3));
    let purged =
        "SELECT 'purged' AS value FROM information_schema.global_status WHERE variable_value = '0' AND variable_name =
                  'INNODB_HISTORY_LIST_LENGTH'";
    is_full::<dialects::Mariadb>(&database, &folder, || {
        database.execute("DROP TABLE other");
        // Its pages are given back in the background.
        wait::until("the pages of the table", || database.texts(purged).pop());
    });
}
