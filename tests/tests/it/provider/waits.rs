//! A database that is not there when the service starts, or goes away under it.

use std::thread;
use std::time::Duration;

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::{MysqlConnection, PgConnection};
use migrator::{Config, Dialect, Event, Migrator, ProviderState};
use migrator_tests::Database;
use migrator_tests::servers::{self, Kind, Mariadb, Options, Postgres, Server, Stop};

use super::{Gate, States, provider};
use crate::dialects::{Subject, as_role, history};
use crate::folder::Folder;

#[test]
fn postgres_starts_after_the_service() {
    starts_after_the_service(Postgres::start(Options::default()));
}

#[test]
fn mariadb_starts_after_the_service() {
    starts_after_the_service(Mariadb::start(Options::default()));
}

#[test]
fn a_wait_for_the_lock_is_over_when_it_is_held() {
    let (database, set) = (crate::dialects::Postgres::fresh(), Folder::of_tables(8).set());
    let (held, done) = (Gate::default(), Gate::default());
    thread::scope(|scope| {
        let (mine, theirs) = (held.clone(), done.clone());
        let one = Folder::of_tables(1).set();
        let holder = Migrator::new(&one).on_event(move |event| {
            if matches!(event, Event::Locked { .. }) {
                mine.open();
                theirs.pass();
            }
        });
        let mut conn = database.connect();
        let holder = scope.spawn(move || holder.run(&mut conn));
        held.pass();
        let provider = provider::<PgConnection>(&set);
        let (config, states) = States::of(Config::new(database.url()), |_| {});
        let init = scope.spawn(move || provider.init(config));
        states.until("the wait", |state| matches!(state, ProviderState::WaitingForLock { .. }));
        done.open();
        holder.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        let told = ["starting", "waiting_for_lock", "starting", "migrating", "verifying", "ready"];
        assert_eq!(states.names(), told, "it is told also of those that travel together");
    });
}

/// A network that drops everything tells nobody that the server is gone. Linux shows when it will ask next.
#[test]
fn a_server_of_postgres_that_is_gone_without_a_word_is_noticed() {
    let (database, provider) =
        (crate::dialects::Postgres::fresh(), provider::<PgConnection>(&Folder::of_tables(1).set()));
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let mut conn = provider.get().unwrap_or_else(|error| panic!("{error}"));
    let port = crate::dialects::Postgres::texts(&mut conn, "SELECT inet_client_port()::text AS value").remove(0);
    let local = format!(":{:04X}", port.parse::<u16>().expect("a port"));
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let mut ours = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let socket = ours.find(|words| words[1].ends_with(&local)).unwrap_or_else(|| panic!("no {local} in {sockets}"));
    // Which timer it is, and the hundredths of a second until it rings; 02 is the one that asks whether the other side is there.
    let (timer, left) = socket[5].split_once(':').expect("a timer");
    assert_eq!(timer, "02", "{socket:?}");
    assert!(u32::from_str_radix(left, 16).expect("hexadecimal") <= 3000, "{socket:?}");
}

fn starts_after_the_service<K>(mut server: Server<K>)
where
    K: Kind<Connection: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static>,
{
    let (database, set) = (server.fresh(), Folder::of_tables(2).set());
    server.stop(Stop::Fast);
    let provider = provider::<K::Connection>(&set);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        states.until("a second try", |state| matches!(state, ProviderState::WaitingForDatabase { attempt: 2, .. }));
        assert_eq!(provider.get().err().expect("not yet").code(), "initializing");
        server.restart();
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(states.names()[..3], ["starting", "waiting_for_database", "starting"]);
    drop(provider.get().expect("a connection"));
    // It goes away and comes back: the pool makes new connections.
    server.restart();
    provider.get().expect("a connection").batch_execute("INSERT INTO t1 VALUES (7)").expect("it works");
}

#[test]
fn postgres_that_never_comes_up() {
    never_comes_up(Postgres::start(Options::default()));
}

#[test]
fn mariadb_that_never_comes_up() {
    never_comes_up(Mariadb::start(Options::default()));
}

/// Down, then frozen: it takes the connection and says nothing.
fn never_comes_up<K>(mut server: Server<K>)
where
    K: Kind<Connection: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static>,
{
    let (database, set) = (server.fresh(), Folder::of_tables(1).set());
    let provider = provider::<K::Connection>(&set);
    let config = || Config::new(database.url()).connect_timeout(Duration::from_millis(300));
    server.stop(Stop::Fast);
    let error = provider.init(config()).expect_err("it is down");
    assert!(error.code() == "database_unavailable" && error.is_transient(), "{error}");
    assert!(error.message().contains("127.0.0.1") && error.message().contains("times asked"), "{error}");
    assert!(error.remedy().contains("DATABASE_URL"), "{error}");
    assert!(!format!("{error:?}").contains(server.password()), "{error}");
    assert!(matches!(provider.state(), ProviderState::Failed { retryable: true, .. }), "{provider:?}");
    server.restart();
    server.pause();
    thread::scope(|scope| {
        // Frozen, a try lasts for seconds; a shutdown does not wait for it.
        let (config, states) = States::of(config(), |_| {});
        let init = scope.spawn(|| provider.init(config));
        states.until("the start", |state| *state == ProviderState::Starting);
        provider.shutdown().expect("nothing runs");
        assert_eq!(init.join().expect("no panic").expect_err("shut down").code(), "shut_down");
    });
    server.resume();
}

#[test]
fn strangers_are_refused_at_once_on_postgres() {
    strangers_are_refused_at_once::<PgConnection>(&servers::postgres().fresh(), servers::postgres().password());
}

#[test]
fn strangers_are_refused_at_once_on_mariadb() {
    strangers_are_refused_at_once::<MysqlConnection>(&servers::mariadb().fresh(), servers::mariadb().password());
}

fn strangers_are_refused_at_once<C>(database: &impl Database, password: &str)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    let set = Folder::of_tables(1).set();
    let url = database.url();
    let wrong: String = std::iter::repeat_with(fastrand::alphanumeric).take(24).collect();
    let user = url.split_once("://").expect("a scheme").1.split(':').next().expect("a user");
    let urls = [as_role(url, user, &wrong), as_role(url, "nobody", &wrong), format!("{url}_not_there")];
    for url in urls {
        // As the URL of the service, and as that of its owner.
        for config in [Config::<C>::new(&url), Config::new(database.url()).migration_url(&url)] {
            let shown = format!("{config:?}");
            let (config, states) = States::of(config, |_| {});
            let provider = provider::<C>(&set);
            let error = provider.init(config).expect_err("refused");
            assert_eq!(error.code(), "connection_failed", "{error}");
            assert!(error.remedy().contains("DATABASE_URL"), "{error}");
            assert_eq!(states.names(), ["starting", "failed"], "it does not wait");
            let ProviderState::Failed { stage, retryable, .. } = provider.state() else { panic!("{provider:?}") };
            assert_eq!((stage.name(), retryable), ("connect", false));
            let source = std::error::Error::source(&error).map(|source| format!("{source:?}")).unwrap_or_default();
            for text in [shown, format!("{error:?}"), error.to_string(), format!("{provider:?}"), source] {
                assert!(!text.contains(&wrong) && !text.contains(password), "{text}");
            }
        }
    }
    // The role of the service has a wrong password, the owner's is right: it migrates, and says what is wrong at once.
    let config = Config::<C>::new(as_role(url, user, &wrong)).migration_url(url);
    let error = provider::<C>(&set).init(config).expect_err("refused");
    assert_eq!(error.code(), "connection_failed", "{error}");
    assert!(error.remedy().contains("correct DATABASE_URL"), "{error}");
}

#[test]
fn postgres_closes_the_connection_in_the_middle_of_a_run() {
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> \
                pg_backend_pid()";
    loses_the_connection::<PgConnection>(servers::postgres().fresh(), kill.to_owned());
}

#[test]
fn mariadb_closes_the_connection_in_the_middle_of_a_run() {
    // Whoever is connected to this database, but the one who asks.
    let database = servers::mariadb().fresh();
    let kill = format!(
        "BEGIN NOT ATOMIC FOR other IN (SELECT id FROM information_schema.processlist WHERE db = '{}' AND id <> \
         CONNECTION_ID()) DO EXECUTE IMMEDIATE CONCAT('KILL ', other.id); END FOR; END",
        database.name()
    );
    loses_the_connection::<MysqlConnection>(database, kill);
}

fn loses_the_connection<C>(database: impl Database<Connection = C> + Send + Sync + 'static, kill: String)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    let set = Folder::of(&[
        ("01_t1", "CREATE TABLE t1 (id INTEGER PRIMARY KEY)"),
        ("02_rows", "INSERT INTO t1 VALUES (1); INSERT INTO t1 VALUES (2)"),
    ]);
    let set = set.set();
    let provider = provider::<C>(&set);
    let (database, lost) = (std::sync::Arc::new(database), std::sync::atomic::AtomicBool::new(false));
    let theirs = std::sync::Arc::clone(&database);
    let (config, states) = States::of(Config::new(database.url()), move |event| {
        let here = matches!(event, Event::State { to: ProviderState::Migrating { step: 2, statement: 2, .. }, .. });
        if here && !lost.swap(true, std::sync::atomic::Ordering::SeqCst) {
            theirs.connect().batch_execute(&kill).expect("kill the others");
        }
    });
    let report = provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let applied = report.migrations.expect("a run");
    let applied: Vec<&str> = applied.applied().iter().map(|applied| applied.name.as_str()).collect();
    assert_eq!(applied, ["01_t1", "02_rows"], "what the first connection did counts");
    assert_eq!(states.names(), ["starting", "migrating", "starting", "migrating", "verifying", "ready"]);
    assert_eq!(database.row_counts()["t1"], 2);
    let applied = history(&*database).iter().filter(|record| record.starts_with("applied")).count();
    assert_eq!(applied, 2);
}
