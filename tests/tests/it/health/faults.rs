//! A database that is killed, frozen, slow, or used up.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use migrator::health::Health;
use migrator::{Config, DbProvider, Dialect};
use migrator_tests::proxy::{Direction, Fault, Proxy};
use migrator_tests::servers::{Kind, Mariadb, Options, Postgres, Server, Stop};
use migrator_tests::{Database, servers, wait};

use super::{becomes, probes};
use crate::dialects::Subject;
use crate::folder::Folder;
use crate::provider::provider;

on_each_dialect!(a_pool_that_is_used_up_is_not_ready, sixty_four_callers_take_one_connection);

/// However slow this machine is: a server that does not answer at all would take longer.
const SOON: Duration = Duration::from_secs(30);

fn in_time<T>(what: &str, ask: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = ask();
    assert!(start.elapsed() < SOON, "{what} took {:?}", start.elapsed());
    answer
}

fn a_pool_that_is_used_up_is_not_ready<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let provider = provider::<S::Connection>(&set);
    let health = provider.health().bound(Duration::from_millis(400));
    provider.init(Config::new(database.url()).pool_size(2)).unwrap_or_else(|error| panic!("{error}"));
    becomes(&health, "ready");
    assert_eq!(probes(&health), (200, 200, 200, "ready"));
    let held = [provider.get().expect("the first"), provider.get().expect("the second")];
    let verdict = becomes(&health, "pool_exhausted");
    assert_eq!((verdict.http_status(), health.liveness().http_status()), (503, 200));
    let pool = health.report().pool.expect("a pool");
    assert_eq!((pool.size, pool.in_use, pool.idle), (2, 2, 0));
    drop(held);
    becomes(&health, "ready");
}

fn sixty_four_callers_take_one_connection<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let provider = provider::<S::Connection>(&set);
    provider.init(Config::new(database.url()).pool_size(8)).unwrap_or_else(|error| panic!("{error}"));
    thread::scope(|scope| {
        for _ in 0..64 {
            let health = provider.health();
            // A busy machine may not answer in time, and says so.
            scope.spawn(move || assert!(matches!(health.readiness().code, "ready" | "database_timeout")));
        }
    });
    let pool = provider.health().report().pool.expect("a pool");
    assert_eq!(pool.in_use + pool.idle, 1, "{pool:?}");
}

#[test]
fn postgres_is_killed_frozen_and_comes_back() {
    // What it promised is there after a kill.
    is_killed_frozen_and_comes_back(Postgres::start(Options::default().durable()));
}

#[test]
fn mariadb_is_killed_frozen_and_comes_back() {
    is_killed_frozen_and_comes_back(Mariadb::start(Options::default().durable()));
}

fn is_killed_frozen_and_comes_back<K>(mut server: Server<K>)
where
    K: Kind<Connection: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static>,
{
    let (database, set) = (server.fresh(), Folder::of_tables(2).set());
    let provider = provider::<K::Connection>(&set);
    let health = provider.health().bound(Duration::from_millis(500));
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    becomes(&health, "ready");
    assert_eq!(probes(&health), (200, 200, 200, "ready"));
    server.kill();
    let verdict = wait::until("the loss", || Some(health.readiness()).filter(|verdict| !verdict.is_positive()));
    assert!(["database_unavailable", "database_timeout", "connection_lost"].contains(&verdict.code), "{verdict:?}");
    assert_lives_and_is_bounded(&health);
    let report = health.report().without_details();
    assert!(report.latency.is_none() && report.schema.is_none(), "{report:?}");
    let told = format!("{report} {verdict:?}");
    assert!(!told.contains("127.0.0.1") && !told.contains(server.password()) && !told.contains("5432"), "{told}");
    server.restart();
    becomes(&health, "ready");
    server.pause();
    let verdict = becomes(&health, "database_timeout");
    assert_eq!(verdict.retry_after, Some(Duration::from_secs(1)));
    assert_lives_and_is_bounded(&health);
    let error = in_time("the overview", || health.overview()).expect_err("it is frozen");
    assert!(["database_unavailable", "database_timeout"].contains(&error.code()), "{error}");
    server.resume();
    becomes(&health, "ready");
    works(&provider);
    server.stop(Stop::Fast);
}

fn works<C>(provider: &DbProvider<C>)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    let mut conn = wait::until("a connection", || provider.get().ok());
    conn.batch_execute("INSERT INTO t1 VALUES (7)").expect("the service works again");
}

/// The more ask, the longer nobody waits.
fn assert_lives_and_is_bounded(health: &Health) {
    in_time("probing", || {
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| assert_eq!(health.readiness().http_status(), 503));
                scope.spawn(|| assert_eq!(health.report().http_status(), 503));
            }
        });
    });
    assert_eq!((health.startup().http_status(), health.liveness().http_status()), (200, 200));
}

#[test]
fn a_slow_postgres_is_not_ready_until_it_is_faster() {
    let (database, set) = (servers::postgres().fresh(), Folder::of_tables(1).set());
    let proxy = Proxy::to_port(servers::postgres().port());
    let provider = provider::<diesel::PgConnection>(&set);
    provider.init(Config::new(proxy.url(database.url()))).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().bound(Duration::from_millis(200));
    becomes(&health, "ready");
    proxy.inject_after(Direction::ToServer, 0, Fault::Latency(Duration::from_millis(300)));
    let verdict = becomes(&health, "database_timeout");
    assert_eq!(verdict.http_status(), 503);
    // It stays so although each answer arrives in the end.
    for _ in 0..20 {
        assert_eq!(health.readiness().code, "database_timeout");
        thread::yield_now();
    }
    proxy.release(Direction::ToServer);
    becomes(&health, "ready");
}

#[test]
fn a_connection_that_is_lost_while_it_is_asked_is_made_again() {
    let (database, set) = (servers::postgres().fresh(), Folder::of_tables(1).set());
    let proxy = Proxy::to_port(servers::postgres().port());
    let provider = provider::<diesel::PgConnection>(&set);
    provider.init(Config::new(proxy.url(database.url()))).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().bound(Duration::from_millis(300));
    becomes(&health, "ready");
    proxy.inject_after(Direction::ToServer, 0, Fault::Hold);
    becomes(&health, "database_timeout");
    proxy.cut();
    proxy.release(Direction::ToServer);
    becomes(&health, "ready");
}
