//! Seeds that a service does without, cannot do without, or waits for; and the worker that tries them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use migrator::health::{Outcome, Worker};
use migrator::seed::Phase;
use migrator::{Config, ProviderState, Seed, SeedError, SeedResult, SeedStanding, ServiceMode};
use migrator_tests::{Database, sqlite, wait};

use super::{becomes, probes};
use crate::dialects::{Sqlite, Subject, applies};
use crate::provider::{Gate, seeded, seeding};

on_each_dialect!(
    without_a_seed_it_is_degraded,
    without_a_critical_seed_it_is_not_ready,
    a_follower_sees_the_seeds_come,
);

fn broken<C: SimpleConnection>(_: &mut C) -> SeedResult {
    Err(SeedError::new("the sky fell on secret_thing"))
}

fn busy<C: SimpleConnection>(_: &mut C) -> SeedResult {
    Err(SeedError::transient("the sky is falling on secret_thing"))
}

fn fine<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("INSERT INTO log VALUES ('fine')")?;
    Ok(1)
}

fn without_a_seed_it_is_degraded<S: Subject>() {
    let database = S::fresh();
    let seeds = [
        Seed::new("broken", broken::<S::Connection>).critical(false),
        Seed::new("busy", busy::<S::Connection>).critical(false).phase(Phase::Background),
    ];
    let provider = seeding(seeds);
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health();
    let retries = |standing: &SeedStanding| *standing == SeedStanding::Retrying;
    let report = wait::until("a retry", || {
        Some(health.report()).filter(|report| report.missing_seeds.iter().any(|seed| retries(&seed.standing)))
    });
    assert_eq!((report.status, report.readiness.code, report.worker), (Outcome::Warn, "degraded", Worker::Alive));
    assert_eq!(probes(&health), (200, 200, 200, "degraded"));
    let broken = report.missing_seeds.iter().find(|seed| seed.seed == "broken").expect("it is missing");
    assert_eq!((&broken.standing, broken.attempts, broken.critical), (&SeedStanding::Exhausted, 1, false));
    let overview = health.overview().expect("it is read");
    assert_eq!(overview.seeds.len(), 2);
    assert!(overview.seeds.iter().all(|seed| seed.error.is_some()));
    let told = format!("{:?} {}", overview.without_details(), health.report().without_details());
    assert!(!told.contains("secret_thing"), "{told}");
    provider.shutdown().expect("it ends");
    assert_eq!(health.report().worker, Worker::None);
}

fn without_a_critical_seed_it_is_not_ready<S: Subject>() {
    let database = S::fresh();
    let seed = Seed::new("busy", busy::<S::Connection>).phase(Phase::Background);
    let provider = seeding([seed]);
    // Once: then nobody tries it again.
    let config = Config::new(database.url()).migrator(|migrator| migrator.seed_attempts(1));
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health();
    assert_eq!(probes(&health), (200, 200, 503, "seeds_missing"));
    wait::until("the end of its tries", || {
        let is_over = |seed: &migrator::MissingSeed| seed.standing == SeedStanding::Exhausted;
        health.report().missing_seeds.iter().any(is_over).then_some(())
    });
    let verdict = becomes(&health, "seeds_missing");
    assert_eq!((verdict.http_status(), verdict.retry_after), (503, Some(Duration::from_secs(60))));
    assert!(verdict.message.contains("busy"), "{verdict}");
    assert_eq!(health.liveness().http_status(), 200, "a restart repairs nothing");
}

/// It tries none itself, so its own state never changes; the ledger does.
fn a_follower_sees_the_seeds_come<S: Subject>() {
    let database = S::fresh();
    applies::<S>(&database, &seeded());
    let seeds = || [Seed::new("fine", fine::<S::Connection>).phase(Phase::Background)];
    let follower = seeding(seeds());
    follower.init(Config::new(database.url()).mode(ServiceMode::WaitOnly)).unwrap_or_else(|error| panic!("{error}"));
    let health = follower.health();
    assert_eq!(probes(&health), (200, 200, 503, "seeds_missing"));
    let leader = seeding(seeds());
    leader.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    becomes(&health, "ready");
    assert!(matches!(follower.state(), ProviderState::Degraded { .. }));
}

static PANICS: AtomicBool = AtomicBool::new(true);

#[test]
fn a_worker_that_died_is_not_alive_until_another_one_works() {
    fn fails(_: &mut SqliteConnection) -> SeedResult {
        Err(SeedError::transient("not yet"))
    }
    let database = sqlite::fresh();
    let provider = seeding([Seed::new("fails", fails).critical(false).phase(Phase::Background)]);
    // What panics in the worker is the host's hook: a seed that panics is a failed seed.
    let config = Config::new(database.url()).on_event(|event| {
        if matches!(event, migrator::Event::SeedStarted { .. }) && PANICS.load(Ordering::SeqCst) {
            panic!("the test wants it");
        }
    });
    provider.init(config).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health();
    let verdict = wait::until("its death", || Some(health.liveness()).filter(|verdict| !verdict.is_positive()));
    assert_eq!((verdict.code, verdict.http_status()), ("worker_died", 503));
    let page = migrator::http::answer(&health, "/status").into_body();
    assert!(page.contains("needs a restart") && page.contains("The worker for background seeds panicked"), "{page}");
    assert_eq!((health.report().http_status(), health.readiness().http_status()), (503, 200));
    PANICS.store(false, Ordering::SeqCst);
    provider.retry_seeding().unwrap_or_else(|error| panic!("{error}"));
    wait::until("another worker", || health.liveness().is_positive().then_some(()));
    applies::<Sqlite>(&database, &seeded());
}

static RELEASED: OnceLock<Gate> = OnceLock::new();

#[test]
fn a_worker_that_hangs_is_not_alive_until_it_goes_on() {
    fn hangs(conn: &mut SqliteConnection) -> SeedResult {
        RELEASED.get_or_init(Gate::default).pass();
        fine(conn)
    }
    let database = sqlite::fresh();
    let deadline = Duration::from_millis(20);
    let provider = seeding([Seed::new("hangs", hangs).critical(false).phase(Phase::Background).deadline(deadline)]);
    provider
        .init(Config::new(database.url()).connect_timeout(Duration::from_millis(20)))
        .unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health();
    let verdict = wait::until("its silence", || Some(health.liveness()).filter(|verdict| !verdict.is_positive()));
    assert_eq!((verdict.code, health.report().worker), ("worker_hung", Worker::Hung));
    RELEASED.get_or_init(Gate::default).open();
    wait::until("a sign of life", || health.liveness().is_positive().then_some(()));
}
