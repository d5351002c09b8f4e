//! Seeds in a service: those that it waits for, those that it does not, and what it says of itself meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use migrator::seed::{Mode, Phase, Skip};
use migrator::{
    Config, DbProvider, Environment, ProviderState, Seed, SeedError, SeedOutcome, SeedResult, SeedStanding, ServiceMode,
};
use migrator_tests::{Database, servers, wait};

use super::{Gate, States, seeded, seeding};
use crate::dialects::{Sqlite, Subject, applies};

on_each_dialect!(
    boots_twice_and_changes_nothing,
    a_critical_seed_fails_the_init,
    another_seed_degrades,
    a_skipped_seed_is_no_success,
    a_job_tries_background_seeds_too,
    a_follower_waits_for_the_seeds,
);

fn note<C: SimpleConnection>(conn: &mut C, entry: &str) -> SeedResult {
    conn.batch_execute(&format!("INSERT INTO log VALUES ('{entry}')"))?;
    Ok(1)
}

fn first<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "first")
}

fn second<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "second")
}

fn broken<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "broken")?;
    Err(SeedError::new("the sky fell"))
}

fn log(database: &impl Database) -> Vec<String> {
    let mut log = database.texts("SELECT entry AS value FROM log");
    log.sort();
    log
}

/// What the ledger holds, its times included: equal texts mean that nothing was written.
fn ledger(database: &impl Database) -> Vec<String> {
    let row = "SELECT CAST(attempts AS CHAR(9)) AS value FROM __migrator_seeds ORDER BY name";
    let run = "SELECT run_id AS value FROM __migrator_seeds ORDER BY name";
    [database.texts(row), database.texts(run)].concat()
}

fn boots_twice_and_changes_nothing<S: Subject>() {
    let database = S::fresh();
    let seeds = || {
        [
            Seed::new("first", first::<S::Connection>),
            Seed::new("second", second::<S::Connection>).phase(Phase::Background),
        ]
    };
    let one = seeding(seeds());
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    let report = one.init(config).unwrap_or_else(|error| panic!("{error}"));
    let outcome = report.seeds.as_ref().and_then(|seeds| seeds.outcome("first").cloned());
    assert_eq!(outcome, Some(SeedOutcome::Applied { rows: 1 }), "{report}");
    assert_eq!(states.names()[..5], ["starting", "migrating", "seeding", "verifying", "degraded"]);
    states.until("the background seed", |state| *state == ProviderState::Ready);
    assert!(one.is_seeding_successful() && !one.is_retrying_seeding());
    assert_eq!(one.retry_seeding().expect("nothing to try").seeds().len(), 0);
    assert_eq!(log(&database), ["first", "second"]);
    one.shutdown().expect("nothing runs");
    let before = ledger(&database);
    let two = seeding(seeds());
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    let report = two.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.seeds.is_some_and(|seeds| seeds.is_successful()));
    assert_eq!(states.names(), ["starting", "verifying", "ready"]);
    assert_eq!((log(&database), ledger(&database)), (vec!["first".to_owned(), "second".to_owned()], before));
}

fn a_critical_seed_fails_the_init<S: Subject>() {
    let database = S::fresh();
    let provider =
        seeding([Seed::new("broken", broken::<S::Connection>), Seed::new("second", second::<S::Connection>)]);
    let error = provider.init(Config::new(database.url())).expect_err("it fails");
    assert!(error.code() == "seed_failed" && error.message().contains("broken"), "{error}");
    assert_eq!(error.seed_report().map(|report| report.failed().count()), Some(1));
    let ProviderState::Failed { stage, .. } = provider.state() else { panic!("{provider:?}") };
    assert_eq!(stage.name(), "seed");
    assert_eq!(provider.get().err().map(|error| error.code()), Some("init_failed"));
    assert!(!provider.is_seeding_successful() && !provider.is_retrying_seeding());
    // It blocks nobody who does not depend on it, and was undone.
    assert_eq!(log(&database), ["second"]);
}

fn another_seed_degrades<S: Subject>() {
    let database = S::fresh();
    let provider = seeding([
        Seed::new("broken", broken::<S::Connection>).critical(false),
        Seed::new("second", second::<S::Connection>),
    ]);
    let report = provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let ProviderState::Degraded { seeds, ahead: false } = &report.state else { panic!("{report}") };
    assert_eq!((seeds.len(), seeds[0].seed.as_str(), seeds[0].attempts), (1, "broken", 1));
    assert_eq!(seeds[0].standing, SeedStanding::Exhausted);
    assert!(provider.is_initialized() && !provider.is_seeding_successful() && !provider.is_retrying_seeding());
    drop(provider.get().expect("it serves"));
    // Forced, it is tried, and fails again.
    let forced = provider.retry_seeding().unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(forced.outcome("broken"), Some(SeedOutcome::Failed { attempts: 2, .. })), "{forced}");
    assert!(matches!(provider.state(), ProviderState::Degraded { .. }));
    database.execute("ALTER TABLE log ADD COLUMN forgiven INT");
    assert_eq!(log(&database), ["second"]);
}

fn a_skipped_seed_is_no_success<S: Subject>() {
    let database = S::fresh();
    let seeds = || {
        [
            Seed::new("first", first::<S::Connection>).environments(&[Environment::Development]),
            Seed::new("manual", second::<S::Connection>).mode(Mode::Manual),
        ]
    };
    let production = seeding(seeds());
    let config = Config::new(database.url()).environment(Environment::Production);
    let report = production.init(config).unwrap_or_else(|error| panic!("{error}"));
    let skipped = report.seeds.as_ref().and_then(|seeds| seeds.outcome("first"));
    assert!(matches!(skipped, Some(SeedOutcome::Skipped(Skip::Environment(Some(_))))), "{report}");
    assert_eq!(production.state(), ProviderState::Ready, "it is not meant for here");
    assert!(!production.is_seeding_successful() && !production.is_retrying_seeding());
    assert!(log(&database).is_empty());
    // Nobody says where this is: whether the service lacks it nobody knows.
    let database = S::fresh();
    let unknown = seeding(seeds());
    unknown.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let ProviderState::Degraded { seeds, .. } = unknown.state() else { panic!("{unknown:?}") };
    assert!(matches!(&seeds[..], [one] if one.seed == "first" && matches!(one.standing, SeedStanding::Skipped(_))));
    assert!(!unknown.is_seeding_successful());
}

fn a_job_tries_background_seeds_too<S: Subject>() {
    let database = S::fresh();
    let provider = seeding([
        Seed::new("first", first::<S::Connection>),
        Seed::new("second", second::<S::Connection>).phase(Phase::Background),
    ]);
    let config = Config::new(database.url()).mode(ServiceMode::MigrateOnly);
    let report = provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.seeds.as_ref().is_some_and(|seeds| seeds.is_successful() && seeds.seeds().len() == 2), "{report}");
    assert!(provider.is_seeding_successful());
    assert_eq!(provider.state(), ProviderState::Ready);
    assert_eq!(log(&database), ["first", "second"]);
}

fn a_follower_waits_for_the_seeds<S: Subject>() {
    let database = S::fresh();
    let seeds = || [Seed::new("first", first::<S::Connection>)];
    applies::<S>(&database, &seeded());
    let check = seeding(seeds());
    let error = check.init(Config::new(database.url()).mode(ServiceMode::CheckOnly)).expect_err("no seed yet");
    assert!(error.code() == "seeds_missing" && error.message().contains("first") && error.is_transient(), "{error}");
    let follower = seeding(seeds());
    let (config, states) = States::of(Config::new(database.url()).mode(ServiceMode::WaitOnly), |_| {});
    std::thread::scope(|scope| {
        let init = scope.spawn(|| follower.init(config));
        states.until("the wait", |state| matches!(state, ProviderState::WaitingForMigrations { pending: 0, .. }));
        assert!(log(&database).is_empty(), "it does not seed");
        seeding(seeds()).init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(follower.state(), ProviderState::Ready);
    assert!(follower.is_seeding_successful());
    assert_eq!(log(&database), ["first"]);
}

/// The mail server that a background seed needs.
struct Mail {
    sleeps: AtomicBool,
    tries: AtomicU32,
}

impl Mail {
    const fn asleep() -> Self {
        Self { sleeps: AtomicBool::new(true), tries: AtomicU32::new(0) }
    }

    fn ask<C: SimpleConnection>(&self, conn: &mut C) -> SeedResult {
        note(conn, "mail")?;
        self.tries.fetch_add(1, Ordering::SeqCst);
        if self.sleeps.load(Ordering::SeqCst) { Err(SeedError::transient("the mail server sleeps")) } else { Ok(1) }
    }
}

#[test]
fn a_background_seed_is_retried_while_the_service_is_up() {
    static MAIL: Mail = Mail::asleep();
    let database = servers::postgres().fresh();
    let provider: DbProvider<PgConnection> =
        seeding([Seed::new("mail", |conn| MAIL.ask(conn)).phase(Phase::Background)]);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    let report = provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    assert!(!report.seeds.is_some_and(|seeds| seeds.is_successful()));
    states.until("a failed try", ProviderState::is_retrying_seeding);
    drop(provider.get().expect("it serves meanwhile"));
    assert!(provider.is_initialized() && provider.is_retrying_seeding() && !provider.is_seeding_successful());
    wait::until("a second try", || (MAIL.tries.load(Ordering::SeqCst) > 1).then_some(()));
    MAIL.sleeps.store(false, Ordering::SeqCst);
    states.until("the seed", |state| *state == ProviderState::Ready);
    assert!(provider.is_seeding_successful() && !provider.is_retrying_seeding());
    assert_eq!(log(&database), ["mail"]);
}

#[test]
fn an_exhausted_seed_is_not_retrying_until_it_is_forced() {
    static MAIL: Mail = Mail::asleep();
    let database = servers::mariadb().fresh();
    let provider: DbProvider<MysqlConnection> =
        seeding([Seed::new("mail", |conn| MAIL.ask(conn)).phase(Phase::Background)]);
    let config = Config::new(database.url()).migrator(|migrator| migrator.seed_attempts(2));
    let (config, states) = States::of(config, |_| {});
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let exhausted = |state: &ProviderState| matches!(state, ProviderState::Degraded { seeds, .. } if seeds[0].standing == SeedStanding::Exhausted);
    states.until("the end of its tries", exhausted);
    assert!(!provider.is_retrying_seeding() && !provider.is_seeding_successful() && provider.is_initialized());
    assert_eq!(MAIL.tries.load(Ordering::SeqCst), 2);
    let forced = provider.retry_seeding().unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(forced.outcome("mail"), Some(SeedOutcome::Failed { .. })), "{forced}");
    assert!(exhausted(&provider.state()), "{provider:?}");
    MAIL.sleeps.store(false, Ordering::SeqCst);
    let forced = provider.retry_seeding().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(forced.outcome("mail"), Some(&SeedOutcome::Applied { rows: 1 }), "the outcome of the try it caused");
    assert_eq!(provider.state(), ProviderState::Ready);
    assert!(provider.is_seeding_successful());
    assert_eq!(log(&database), ["mail"]);
}

#[test]
fn a_background_seed_in_memory_has_the_only_connection() {
    let provider: DbProvider<SqliteConnection> = seeding([Seed::new("first", first).phase(Phase::Background)]);
    let (config, states) = States::of(Config::new(":memory:"), |_| {});
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    states.until("the seed", |state| *state == ProviderState::Ready);
    let mut conn = provider.get().expect("the connection");
    assert_eq!(Sqlite::texts(&mut conn, "SELECT entry AS value FROM log"), ["first"]);
}

#[test]
fn a_follower_leaves_the_seeds_alone() {
    let database = servers::postgres().fresh();
    let seeds = || [Seed::new("first", first::<PgConnection>).phase(Phase::Background)];
    applies::<crate::dialects::Postgres>(&database, &seeded());
    let follower = seeding(seeds());
    follower.init(Config::new(database.url()).mode(ServiceMode::WaitOnly)).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(follower.state(), ProviderState::Degraded { .. }), "{follower:?}");
    assert!(!follower.is_seeding_successful());
    assert_eq!(follower.retry_seeding().expect_err("it never writes").code(), "read_only");
    assert!(log(&database).is_empty());
}

#[test]
fn a_shutdown_cancels_a_seed_and_joins_the_worker() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let long = |conn: &mut PgConnection| {
        note(conn, "long")?;
        BEGUN.store(true, Ordering::SeqCst);
        conn.batch_execute("SELECT pg_sleep(600)")?;
        Ok(1)
    };
    for phase in [Phase::Background, Phase::Blocking] {
        BEGUN.store(false, Ordering::SeqCst);
        let database = servers::postgres().fresh();
        let provider: DbProvider<PgConnection> = seeding([Seed::new("long", long).phase(phase)]);
        let gate = Gate::default();
        std::thread::scope(|scope| {
            let init = scope.spawn(|| provider.init(Config::new(database.url())));
            wait::until("the seed", || BEGUN.load(Ordering::SeqCst).then_some(()));
            provider.shutdown().unwrap_or_else(|error| panic!("{error}"));
            let outcome = init.join().expect("no panic");
            assert_eq!(outcome.is_err_and(|error| error.is_shut_down()), phase == Phase::Blocking);
            gate.open();
        });
        let sleeping = "SELECT 'yes' AS value FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active' \
                        AND datname = current_database()";
        assert!(database.texts(sleeping).is_empty(), "the server does not go on");
        assert!(log(&database).is_empty(), "it was undone");
        assert!(database.texts("SELECT name AS value FROM __migrator_seeds").is_empty(), "no attempt is counted");
        assert!(provider.retry_seeding().expect_err("over").is_shut_down());
    }
}

#[test]
fn a_worker_that_dies_is_not_retrying() {
    let database = servers::postgres().fresh();
    let provider: DbProvider<PgConnection> = seeding([Seed::new("first", first).phase(Phase::Background)]);
    let (config, states) = States::of(Config::new(database.url()), |event| {
        let ours = std::thread::current().name() == Some("migrator-seeds");
        assert!(!(ours && matches!(event, migrator::Event::SeedStarted { .. })), "the host's hook panics");
    });
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    states.until(
        "its end",
        |state| matches!(state, ProviderState::Degraded { seeds, .. } if seeds[0].standing == SeedStanding::Exhausted),
    );
    assert!(provider.is_initialized() && !provider.is_retrying_seeding() && !provider.is_seeding_successful());
    assert!(log(&database).is_empty(), "it was undone");
    assert!(provider.retry_seeding().unwrap_or_else(|error| panic!("{error}")).is_successful());
    assert_eq!(provider.state(), ProviderState::Ready);
    provider.shutdown().expect("nothing runs");
}

#[test]
fn a_seed_that_panics_fails_and_the_worker_lives_on() {
    static CALMS: AtomicBool = AtomicBool::new(false);
    let database = servers::postgres().fresh();
    let panics = |conn: &mut PgConnection| {
        assert!(CALMS.load(Ordering::SeqCst), "as the test wants it");
        note(conn, "calm")
    };
    let provider: DbProvider<PgConnection> = seeding([Seed::new("panics", panics).phase(Phase::Background)]);
    let (config, states) = States::of(Config::new(database.url()), |_| {});
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    states.until(
        "the failure",
        |state| matches!(state, ProviderState::Degraded { seeds, .. } if seeds[0].standing == SeedStanding::Exhausted),
    );
    CALMS.store(true, Ordering::SeqCst);
    assert!(provider.retry_seeding().unwrap_or_else(|error| panic!("{error}")).is_successful());
    assert_eq!(provider.state(), ProviderState::Ready);
}
