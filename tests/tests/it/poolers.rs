//! A pooler between here and the server shares the server's sessions among its clients: a run does not start there.

use std::sync::{Arc, Mutex};

use diesel::{Connection, PgConnection};
use migrator::{Config, Event, Migrator};
use migrator_tests::Database;
use migrator_tests::servers::{self, Pooler};

use crate::dialects::{Postgres, Subject, tables};
use crate::folder::Folder;
use crate::provider::provider;

/// What is set and locked there would be the next client's.
#[test]
fn a_run_through_a_pooler_of_transactions_is_refused_before_anything_is_set() {
    let database = Postgres::fresh();
    let pooler = Pooler::start(servers::postgres());
    let (set, url) = (Folder::of_tables(2).set(), pooler.url(database.name()));
    let mut conn = PgConnection::establish(&url).expect("connect through the pooler");
    let of_session = "SELECT name AS value FROM pg_settings WHERE source = 'session' UNION ALL SELECT 'locked' FROM pg_locks l JOIN \
                      pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND d.datname = current_database() ORDER BY 1";
    let before = Postgres::texts(&mut conn, of_session);
    let again = url.clone();
    let migrator = Migrator::new(&set).reconnect(move || PgConnection::establish(&again));
    let error = migrator.run(&mut conn).expect_err("it is a pooler");
    assert_eq!(error.code(), "pooler_unsupported", "{error}");
    assert!(error.remedy().contains("MIGRATION_DATABASE_URL"), "{}", error.remedy());
    assert_eq!(tables(&database), [""; 0]);
    assert_eq!(Postgres::texts(&mut conn, of_session), before);

    Migrator::new(&set).run(&mut database.connect()).unwrap_or_else(|error| panic!("directly: {error}"));
    let report = migrator.run(&mut conn).unwrap_or_else(|error| panic!("nothing is pending: {error}"));
    assert_eq!(report.skipped(), 2);
}

#[test]
fn a_service_does_not_migrate_through_a_pooler_and_serves_through_it() {
    let database = Postgres::fresh();
    let pooler = Pooler::start(servers::postgres());
    let (set, url) = (Folder::of_tables(2).set(), pooler.url(database.name()));
    let error = provider::<PgConnection>(&set).init(Config::new(&url)).expect_err("it is a pooler");
    assert_eq!(error.code(), "pooler_unsupported", "{error}");
    assert_eq!(tables(&database), [""; 0]);
    let service = provider::<PgConnection>(&set);
    service.init(Config::new(&url).migration_url(database.url())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tables(&database), ["t1", "t2"]);
    assert_eq!(
        Postgres::texts(&mut service.get().expect("a connection"), "SELECT count(*)::text AS value FROM t1"),
        ["1"]
    );
}

/// The server grants a session its lock as often as it asks, whoever asks through it.
#[test]
fn two_clients_of_one_session_never_run_at_once() {
    let database = Postgres::fresh();
    let pooler = Pooler::start(servers::postgres());
    let (set, url) = (Folder::of_tables(2).set(), pooler.url(database.name()));
    let second = Arc::new(Mutex::new(None));
    let (told, of_second, place) = (Arc::clone(&second), set.clone(), url.clone());
    let first = Migrator::new(&set).on_event(move |event| {
        if matches!(event, Event::Started { version: "02", .. }) {
            let mut conn = PgConnection::establish(&place).expect("connect through the pooler");
            *told.lock().expect("one at a time") = Some(Migrator::new(&of_second).run(&mut conn));
        }
    });
    let report =
        first.run(&mut PgConnection::establish(&url).expect("connect")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.applied().len(), 2);
    let second = second.lock().expect("one at a time").take().expect("the second one ran");
    assert_eq!(second.expect_err("the lock is the first one's").code(), "pooler_unsupported");
}
