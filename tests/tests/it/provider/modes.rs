//! One binary, four modes; and two roles in one database.

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{PgConnection, SqliteConnection};
use migrator::{Config, DatabaseState, Policy, ProviderState, ServiceMode};
use migrator_tests::{Database, servers, sqlite};

use super::{States, provider};
use crate::dialects::{Sqlite, Subject, applies, as_role, history, tables};
use crate::folder::{Folder, table};

on_each_dialect!(migrate_only_has_no_pool, wait_only_waits, wait_only_gives_up, check_only_checks, ahead_is_served);

fn migrate_only_has_no_pool<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let report = provider.init(Config::new(database.url()).mode(ServiceMode::MigrateOnly));
    let report = report.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.migrations.map(|run| run.applied().len()), Some(2));
    assert_eq!(provider.state(), ProviderState::Ready);
    let error = provider.get().err().expect("no pool");
    assert!(error.code() == "migrate_only" && error.message().contains("MIGRATOR_MODE"), "{error}");
    assert_eq!(provider.pool().err().map(|error| error.code()), Some("migrate_only"));
}

fn wait_only_waits<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let (config, states) = States::of(Config::new(database.url()).mode(ServiceMode::WaitOnly), |_| {});
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        states.until("the wait", |state| matches!(state, ProviderState::WaitingForMigrations { pending: 2, .. }));
        assert!(tables(&database).is_empty(), "it does not write");
        applies::<S>(&database, &set);
        let report = init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        assert!(report.migrations.is_none() && report.seeds.is_none());
    });
    assert_eq!(states.names(), ["starting", "waiting_for_migrations", "verifying", "ready"]);
    provider.get().expect("it serves").batch_execute("INSERT INTO t1 VALUES (7)").expect("it works");
}

fn wait_only_gives_up<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    folder.write("03_t3/up.sql", table(3));
    let before = history(&database);
    let config = || Config::new(database.url()).mode(ServiceMode::WaitOnly).wait_timeout(Duration::from_millis(50));
    let error = provider::<S::Connection>(&folder.set()).init(config()).expect_err("nobody migrates");
    assert!(error.code() == "pending" && error.is_transient() && error.message().contains("1 migration"), "{error}");
    // What no wait repairs is not waited for.
    folder.write("01_t1/up.sql", "CREATE TABLE other (id INTEGER)");
    let patient = config().wait_timeout(Duration::from_secs(600));
    let error = provider::<S::Connection>(&folder.set()).init(patient).expect_err("changed");
    assert_eq!(error.code(), "changed", "{error}");
    assert_eq!(history(&database), before);
}

fn check_only_checks<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let init = |folder: &Folder| {
        provider::<S::Connection>(&folder.set()).init(Config::new(database.url()).mode(ServiceMode::CheckOnly))
    };
    assert_eq!(init(&folder).expect_err("pending").code(), "pending");
    assert!(database.texts("SELECT 'here' AS value").len() == 1 && tables(&database).is_empty());
    applies::<S>(&database, &folder.set());
    assert_eq!(init(&folder).unwrap_or_else(|error| panic!("{error}")).state, ProviderState::Ready);
    folder.write("02_t2/up.sql", table(2));
    assert_eq!(init(&folder).expect_err("pending").code(), "pending");
    assert_eq!(tables(&database), ["t1"]);
}

fn ahead_is_served<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let old = folder.set();
    folder.write("02_t2/up.sql", table(2));
    applies::<S>(&database, &folder.set());
    for mode in [ServiceMode::MigrateAndServe, ServiceMode::WaitOnly, ServiceMode::CheckOnly] {
        let provider = provider::<S::Connection>(&old);
        provider.init(Config::new(database.url()).mode(mode)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(provider.state(), ProviderState::Ahead, "{mode}");
        drop(provider.get().expect("it serves"));
        assert_eq!(provider.status().expect("a status").state(), DatabaseState::Ahead);
        let refusing = Config::new(database.url()).mode(mode).migrator(|migrator| migrator.ahead(Policy::Refuse));
        let error = super::provider::<S::Connection>(&old).init(refusing).expect_err("refused");
        assert_eq!(error.code(), "ahead", "{mode}: {error}");
    }
}

#[test]
fn the_owner_migrates_and_a_restricted_role_serves() {
    let database = servers::postgres().fresh();
    let role = format!("service_of_{}", database.name());
    database
        .execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'letter'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
    let grants = format!("{}GRANT SELECT, INSERT ON t1 TO {role}", table(1));
    let set = Folder::of(&[("01_t1", grants.as_str())]).set();
    let restricted = as_role(database.url(), &role, "letter");
    // Alone it may not migrate.
    let error = provider::<PgConnection>(&set).init(Config::new(&restricted)).expect_err("no right to create");
    assert_eq!(error.code(), "permission_denied", "{error}");
    let provider = provider::<PgConnection>(&set);
    let config = Config::new(&restricted).migration_url(database.url());
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let mut conn = provider.get().expect("a connection");
    conn.batch_execute("INSERT INTO t1 VALUES (7)").expect("it may write rows");
    conn.batch_execute("DROP TABLE t1").expect_err("it may not change the schema");
    // Nobody of the owner is left behind.
    let others = "SELECT usename::text AS value FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    migrator_tests::wait::until("the owner to leave", || {
        database.texts(others).iter().all(|user| *user == role).then_some(())
    });
    // A second start needs no more than to read our tables.
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    for mode in ServiceMode::ALL {
        let again = super::provider::<PgConnection>(&set);
        again.init(Config::new(&restricted).mode(mode)).unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
}

#[test]
fn a_database_in_memory_is_one_connection() {
    for url in [
        ":memory:",
        "sqlite::memory:",
        "file::memory:",
        "file:any?mode=memory",
        "sqlite:",
        "file::memory:?cache=shared",
    ] {
        let set = Folder::of_tables(1).set();
        let provider = provider::<SqliteConnection>(&set);
        let config = Config::new(url).pool_size(5).pool_timeout(Duration::from_millis(50));
        provider.init(config).unwrap_or_else(|error| panic!("{url}: {error}"));
        let mut conn = provider.get().expect("the connection");
        conn.batch_execute("INSERT INTO t1 VALUES (7)").unwrap_or_else(|error| panic!("{url}: {error}"));
        assert!(provider.get().err().expect("there is one only").is_pool_timeout());
        drop(conn);
        let rows =
            Sqlite::texts(&mut *provider.get().expect("the same"), "SELECT CAST(COUNT(*) AS TEXT) AS value FROM t1");
        assert_eq!(rows, ["2"], "{url}");
        provider.shutdown().expect("nothing runs");
    }
}

#[test]
fn a_connection_of_sqlite_has_its_pragmas() {
    let (database, set) = (sqlite::fresh(), Folder::of_tables(1).set());
    let provider = provider::<SqliteConnection>(&set);
    let config = Config::new(database.url()).on_connect("PRAGMA journal_mode = WAL");
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let mut conn = provider.get().expect("a connection");
    assert_eq!(Sqlite::texts(&mut conn, "SELECT journal_mode AS value FROM pragma_journal_mode"), ["wal"]);
    let waits = "SELECT CAST(timeout AS TEXT) AS value FROM pragma_busy_timeout";
    assert_eq!(Sqlite::texts(&mut conn, waits), ["5000"]);
    // As the build has it: the bundled SQLite checks foreign keys.
    assert_eq!(Sqlite::texts(&mut conn, "SELECT CAST(foreign_keys AS TEXT) AS value FROM pragma_foreign_keys"), ["1"]);
}

#[test]
fn the_status_has_the_options_of_the_host() {
    let (database, set) = (servers::postgres().fresh(), Folder::of_tables(1).set());
    database.execute("CREATE SCHEMA books");
    let provider = provider::<PgConnection>(&set);
    let config = Config::new(database.url()).migrator(|migrator| migrator.schema("books").set_name("ours"));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(provider.status().unwrap_or_else(|error| panic!("{error}")).state(), DatabaseState::UpToDate);
}
