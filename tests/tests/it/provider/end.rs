//! A shutdown, at every place: it ends what runs, waits for it, and nothing begins afterwards.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use diesel::connection::{LoadConnection, SimpleConnection};
use diesel::r2d2::R2D2Connection;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use migrator::{Config, DbProvider, Dialect, Event, Interrupt, Migrator, ProviderState};
use migrator_tests::{Database, servers, sqlite};

use super::{Gate, States, provider};
use crate::dialects::{Subject, applies, history, tables};
use crate::folder::{Folder, table};

on_each_dialect!(is_terminal, ends_a_wait_for_the_lock, ends_between_two_statements, returns_at_once_in_a_hook,);

/// What every provider says after a shutdown, for ever.
fn assert_is_over<C>(provider: &DbProvider<C>, url: &str)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    assert_eq!(provider.state(), ProviderState::ShutDown);
    assert!(!provider.is_initialized() && !provider.is_seeding_successful() && !provider.is_retrying_seeding());
    assert!(provider.get().err().expect("refused").is_shut_down());
    assert!(provider.pool().expect_err("refused").is_shut_down());
    assert!(provider.status().expect_err("refused").is_shut_down());
    assert!(provider.retry_seeding().expect_err("refused").is_shut_down());
    let (config, states) = States::of(Config::new(url), |_| {});
    assert!(provider.init(config).expect_err("refused").is_shut_down());
    assert!(states.all().is_empty(), "{:?}", states.all());
    provider.shutdown().expect("again");
    assert_eq!(provider.state(), ProviderState::ShutDown);
}

fn is_terminal<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let early = provider::<S::Connection>(&set);
    early.shutdown().expect("nothing runs");
    assert_is_over(&early, database.url());
    let provider = provider::<S::Connection>(&set);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let mut out = provider.get().expect("a connection");
    provider.shutdown().expect("nothing runs");
    assert_is_over(&provider, database.url());
    assert_eq!(states.all().last(), Some(&ProviderState::ShutDown));
    out.batch_execute("INSERT INTO t1 VALUES (7)").expect("what is out can finish");
    drop(out);
}

fn ends_a_wait_for_the_lock<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let (held, done) = (Gate::default(), Gate::default());
    thread::scope(|scope| {
        let (mine, theirs) = (held.clone(), done.clone());
        let holder = Migrator::new(&set).on_event(move |event| {
            if matches!(event, Event::Locked { .. }) {
                mine.open();
                theirs.pass();
            }
        });
        let mut conn = database.connect();
        let holder = scope.spawn(move || holder.run(&mut conn));
        held.pass();
        let provider = provider::<S::Connection>(&set);
        let (config, states) = States::of(Config::new(database.url()), |_| {});
        thread::scope(|scope| {
            let init = scope.spawn(|| provider.init(config));
            states.until("the wait", |state| matches!(state, ProviderState::WaitingForLock { .. }));
            provider.shutdown().unwrap_or_else(|error| panic!("{error}"));
            assert!(init.join().expect("no panic").expect_err("shut down").is_shut_down());
        });
        assert_eq!(states.names(), ["starting", "waiting_for_lock", "shut_down"]);
        assert_is_over(&provider, database.url());
        done.open();
        holder.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(database.row_counts().len(), 2, "the holder was not disturbed");
}

/// The second statement is allowed to end, and a third one never begins.
fn ends_between_two_statements<S: Subject>() {
    let database = S::fresh();
    let script = "INSERT INTO t1 VALUES (2); INSERT INTO t1 VALUES (3); INSERT INTO t1 VALUES (4)";
    let set = Folder::of(&[("01_t1", table(1).as_str()), ("02_rows", script)]).set();
    let provider = Arc::new(provider::<S::Connection>(&set));
    let (reached, stopped) = (Gate::default(), Gate::default());
    let (mine, theirs) = (reached.clone(), stopped.clone());
    let (config, states) = States::of(Config::new(database.url()), move |event| {
        if let Event::State { to: ProviderState::Migrating { step: 2, statement: 2, .. }, .. } = event {
            mine.open();
            theirs.pass();
        }
    });
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        reached.pass();
        let end = scope.spawn(|| provider.shutdown());
        migrator_tests::wait::until("the shutdown", || (provider.state() == ProviderState::ShutDown).then_some(()));
        stopped.open();
        end.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
        let error = init.join().expect("no panic").expect_err("shut down");
        assert!(error.is_shut_down(), "{error:?}");
        assert_eq!(error.report().map(|report| report.applied().len()), Some(1), "{error:?}");
    });
    assert_eq!(states.names(), ["starting", "migrating", "shut_down"]);
    assert_is_over(&provider, database.url());
    // The first migration is kept, and the next start does the rest: of the second nothing twice.
    assert_eq!(applies::<S>(&database, &set).applied().len(), 1);
    assert_eq!(database.row_counts()["t1"], 4);
}

fn returns_at_once_in_a_hook<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider: &'static DbProvider<S::Connection> = Box::leak(Box::new(provider::<S::Connection>(&set)));
    let config = Config::new(database.url()).on_event(move |event| {
        if let Event::Started { step: 2, .. } = event {
            let again = provider.init(Config::new("sqlite:elsewhere"));
            assert!(again.is_err(), "it does not wait for itself");
            provider.shutdown().expect("it does not wait for itself");
        }
    });
    let error = provider.init(config).expect_err("shut down");
    assert!(error.is_shut_down(), "{error:?}");
    assert_is_over(provider, database.url());
    assert_eq!(tables(&database), ["t1"]);
}

#[test]
fn a_statement_of_postgres_is_cancelled() {
    let database = servers::postgres().fresh();
    a_statement_is_cancelled::<PgConnection>(
        &database,
        "SELECT pg_sleep(120)",
        "pg_stat_activity WHERE query LIKE '%SELECT pg_sleep(120)%' AND pid <> pg_backend_pid() AND state = 'active' AND \
         datname = current_database()",
    );
}

#[test]
fn a_statement_of_mariadb_is_cancelled() {
    let database = servers::mariadb().fresh();
    let running =
        "information_schema.processlist WHERE info LIKE '%SLEEP(120)%' AND db = DATABASE() AND id <> CONNECTION_ID()";
    a_statement_is_cancelled::<MysqlConnection>(&database, "INSERT INTO t1 SELECT 9 + SLEEP(120)", running);
}

fn a_statement_is_cancelled<C>(database: &(impl Database<Connection = C> + Sync), statement: &str, running: &str)
where
    C: LoadConnection<Backend: Dialect> + R2D2Connection + Send + 'static,
{
    let set =
        Folder::of(&[("01_t1", table(1)), ("02_long", format!("INSERT INTO t1 VALUES (2);\n{statement};"))]).set();
    let provider = provider::<C>(&set);
    let count = format!("SELECT CAST(COUNT(*) AS CHAR(9)) AS value FROM {running}");
    let runs = || database.texts(&count)[0].trim() != "0";
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(Config::new(database.url())));
        migrator_tests::wait::until("the statement", || runs().then_some(()));
        provider.shutdown().unwrap_or_else(|error| panic!("{error}"));
        let error = init.join().expect("no panic").expect_err("shut down");
        assert!(error.is_shut_down(), "{error:?}");
        assert_eq!(error.report().map(|report| report.applied().len()), Some(1), "{error:?}");
    });
    assert!(!runs(), "the server does not go on");
    assert_eq!(database.row_counts()["t1"], 1, "the migration was undone");
    assert!(history(database).last().is_some_and(|last| last == "interrupted 02"), "{:?}", history(database));
}

/// The same without a provider: a host with connections of its own.
#[test]
fn a_run_is_interrupted_and_cancelled() {
    let database = servers::postgres().fresh();
    let set = Folder::of(&[("01_long", "SELECT pg_sleep(120)")]).set();
    let interrupt = Interrupt::new();
    let migrator = Migrator::new(&set).interrupt(&interrupt);
    thread::scope(|scope| {
        let run = scope.spawn(|| migrator.run(&mut database.connect()));
        let running = "SELECT 'yes' AS value FROM pg_stat_activity WHERE query LIKE '%SELECT pg_sleep(120)%' AND pid <> pg_backend_pid() AND state = 'active' \
                       AND datname = current_database()";
        migrator_tests::wait::until("the statement", || (!database.texts(running).is_empty()).then_some(()));
        migrator.cancel(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.join().expect("no panic").expect_err("interrupted").code(), "interrupted");
    });
    assert!(interrupt.is_stopped());
}

#[test]
fn a_statement_of_sqlite_that_does_not_end_is_told() {
    let database = sqlite::fresh();
    let set = Folder::of(&[("01_t1", "CREATE TABLE t1 (id INTEGER)"), ("02_t2", "CREATE TABLE t2 (id INTEGER)")]).set();
    let provider = provider::<SqliteConnection>(&set);
    let (reached, free) = (Gate::default(), Gate::default());
    let (mine, theirs) = (reached.clone(), free.clone());
    let config = Config::new(database.url()).shutdown_timeout(Duration::ZERO).on_event(move |event| {
        if let Event::Statement { .. } = event {
            mine.open();
            theirs.pass();
        }
    });
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        reached.pass();
        let error = provider.shutdown().expect_err("something still runs");
        assert!(error.code() == "shutdown_timeout" && error.remedy().contains("MIGRATOR_SHUTDOWN_TIMEOUT"), "{error}");
        assert_eq!(provider.state(), ProviderState::ShutDown);
        free.open();
        assert!(init.join().expect("no panic").expect_err("shut down").is_shut_down());
    });
}
