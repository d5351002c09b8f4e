//! Figures about runs, seeds and the pool, through the facade `metrics`, and as Prometheus text.
//!
//! Each event of a run and each change of a provider's state is told to the recorder that the host installed, if it did, and to one
//! of this crate's own, which [`render`] and the page `/metrics` show. So a host with a recorder has everything there, and a host
//! without one needs none. They count for the process: with several databases in it they are sums, and gauges are the last one's.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `migrator_state` | gauge, 1 for the state that a provider is in | `state` |
//! | `migrator_migrations_applied`, `migrator_migrations_pending` | gauge, as it was last seen | |
//! | `migrator_database_ahead` | gauge, 1 when the database is newer than the binary | |
//! | `migrator_migrations_total` | counter | `result`: `applied`, `failed` |
//! | `migrator_migration_duration_seconds` | histogram | |
//! | `migrator_run_duration_seconds` | histogram | `result`: `applied`, `unchanged`, `failed` |
//! | `migrator_lock_wait_seconds` | histogram | |
//! | `migrator_lock_lost_total` | counter | |
//! | `migrator_retries_total` | counter | `class`: `busy`, `conflict`, `connection`, `seed` |
//! | `migrator_last_success_timestamp_seconds` | gauge, the end of the last run that succeeded | |
//! | `migrator_seeds` | gauge, seeds that the service lacks | `state`: `pending`, `retrying`, `exhausted`, `skipped` |
//! | `migrator_seed_attempts_total` | counter | `seed`, `result`: `applied`, `retried`, `failed` |
//! | `migrator_pool_connections` | gauge, when it was last asked for | `state`: `in_use`, `idle`, `waiting` |

use std::sync::{Once, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::error::Error;
use crate::event::Event;
use crate::provider_state::{MissingSeed, ProviderState};
use crate::report::Report;
use crate::seed::SeedOutcome;

/// From a millisecond, which a small migration takes, to the hour that a large one may.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// What is counted so far, as Prometheus reads it (text format 0.0.4).
pub fn render() -> String {
    let (_, handle) = ours();
    handle.run_upkeep();
    handle.render()
}

/// The page `/metrics`.
#[cfg(feature = "http")]
pub(crate) fn page() -> Option<String> {
    Some(render())
}

fn ours() -> &'static (PrometheusRecorder, PrometheusHandle) {
    static OURS: OnceLock<(PrometheusRecorder, PrometheusHandle)> = OnceLock::new();
    OURS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // Buckets are refused only when there are none.
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, describe);
        (recorder, handle)
    })
}

/// Tells the host's recorder, and ours.
fn tell(what: impl Fn()) {
    static DESCRIBED: Once = Once::new();
    DESCRIBED.call_once(describe);
    what();
    metrics::with_local_recorder(&ours().0, what);
}

fn describe() {
    describe_gauge!("migrator_state", "1 for the state that the provider is in");
    describe_gauge!("migrator_migrations_applied", "Migrations of the set that are applied");
    describe_gauge!("migrator_migrations_pending", "Migrations of the set that are not applied");
    describe_gauge!("migrator_database_ahead", "Whether the database is newer than the binary");
    describe_counter!("migrator_migrations_total", "Migrations that ran");
    describe_histogram!("migrator_migration_duration_seconds", Unit::Seconds, "How long a migration took");
    describe_histogram!("migrator_run_duration_seconds", Unit::Seconds, "How long a run took");
    describe_histogram!("migrator_lock_wait_seconds", Unit::Seconds, "How long a run waited for the migration lock");
    describe_counter!("migrator_lock_lost_total", "Runs that lost the migration lock");
    describe_counter!("migrator_retries_total", "What was tried again");
    describe_gauge!("migrator_last_success_timestamp_seconds", Unit::Seconds, "When a run last succeeded");
    describe_gauge!("migrator_seeds", "Seeds that the service lacks");
    describe_counter!("migrator_seed_attempts_total", "Tries of seeds");
    describe_gauge!("migrator_pool_connections", "Connections of the pool, and who waits for one");
}

/// Takes an event in.
pub(crate) fn event(event: &Event<'_>) {
    match *event {
        Event::Locked { waited } => tell(|| histogram!("migrator_lock_wait_seconds").record(waited)),
        Event::Planned { steps } => tell(|| gauge!("migrator_migrations_pending").set(count(steps))),
        Event::Applied { duration, .. } => tell(|| {
            counter!("migrator_migrations_total", "result" => "applied").increment(1);
            histogram!("migrator_migration_duration_seconds").record(duration);
        }),
        Event::Failed { .. } => tell(|| counter!("migrator_migrations_total", "result" => "failed").increment(1)),
        Event::Retrying { class, .. } => retried(class),
        Event::Reconnecting { .. } => retried("connection"),
        Event::SeedRetrying { name, .. } => {
            retried("seed");
            tried(name, "retried");
        }
        Event::SeedEnded { name, outcome: SeedOutcome::Applied { .. } } => tried(name, "applied"),
        Event::SeedEnded { name, outcome: SeedOutcome::Failed { .. } } => tried(name, "failed"),
        Event::State { from, to } => state(Some(from), to),
        _ => {}
    }
}

fn retried(class: &'static str) {
    tell(|| counter!("migrator_retries_total", "class" => class).increment(1));
}

fn tried(seed: &str, result: &'static str) {
    let count = || counter!("migrator_seed_attempts_total", "seed" => seed.to_owned(), "result" => result).increment(1);
    tell(count);
}

fn state(from: Option<&ProviderState>, to: &ProviderState) {
    tell(|| {
        from.iter().for_each(|from| gauge!("migrator_state", "state" => from.name()).set(0.0));
        gauge!("migrator_state", "state" => to.name()).set(1.0);
    });
    missing(if let ProviderState::Degraded { seeds, .. } = to { seeds } else { &[] });
}

fn missing(seeds: &[MissingSeed]) {
    tell(|| {
        for state in ["pending", "retrying", "exhausted", "skipped"] {
            let those = seeds.iter().filter(|seed| seed.standing.name() == state).count();
            gauge!("migrator_seeds", "state" => state).set(count(those));
        }
    });
}

/// Takes in how a run ended, and how many migrations are pending then, where that is known.
pub(crate) fn run(result: &Result<(), Error>, report: &Report, pending: Option<usize>) {
    let word = match result {
        Err(_) => "failed",
        Ok(()) if report.applied().is_empty() => "unchanged",
        Ok(()) => "applied",
    };
    tell(|| {
        histogram!("migrator_run_duration_seconds", "result" => word).record(report.duration());
        match result {
            Ok(()) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                gauge!("migrator_last_success_timestamp_seconds").set(now.as_secs_f64());
                if let Some(pending) = pending {
                    gauge!("migrator_migrations_applied").set(count(report.skipped() + report.applied().len()));
                    gauge!("migrator_migrations_pending").set(count(pending));
                }
            }
            Err(error) if error.code() == "lock_lost" => counter!("migrator_lock_lost_total").increment(1),
            Err(_) => {}
        }
    });
}

/// Takes in how many migrations of the set are applied and pending, as they were just read.
#[cfg(feature = "http")]
pub(crate) fn migrations(applied: usize, pending: usize, is_ahead: bool) {
    tell(|| {
        gauge!("migrator_migrations_applied").set(count(applied));
        gauge!("migrator_migrations_pending").set(count(pending));
        gauge!("migrator_database_ahead").set(f64::from(u8::from(is_ahead)));
    });
}

/// Takes in where a provider stands, and what its seeds lack.
#[cfg(feature = "http")]
pub(crate) fn standing(now: &ProviderState, seeds: &[MissingSeed]) {
    state(None, now);
    missing(seeds);
}

/// Takes in how many connections a pool has.
#[cfg(feature = "http")]
pub(crate) fn pool(in_use: u32, idle: u32, waiting: u32) {
    tell(|| {
        for (state, connections) in [("in_use", in_use), ("idle", idle), ("waiting", waiting)] {
            gauge!("migrator_pool_connections", "state" => state).set(f64::from(connections));
        }
    });
}

fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
