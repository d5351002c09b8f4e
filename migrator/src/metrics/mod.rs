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
//! | `migrator_run_duration_seconds` | histogram | `result`: `applied`, `reverted`, `unchanged`, `failed` |
//! | `migrator_lock_wait_seconds` | histogram | |
//! | `migrator_lock_lost_total` | counter | |
//! | `migrator_retries_total` | counter | `class`: `busy`, `conflict`, `connection`, `seed` |
//! | `migrator_last_success_timestamp_seconds` | gauge, the end of the last run that succeeded | |
//! | `migrator_seeds` | gauge, seeds that the service lacks | `state`: `pending`, `retrying`, `exhausted`, `skipped` |
//! | `migrator_seed_attempts_total` | counter | `seed`, `result`: `applied`, `retried`, `failed` |
//! | `migrator_pool_connections` | gauge, when it was last asked for | `state`: `in_use`, `idle`, `waiting` |

use std::sync::{Mutex, Once, OnceLock, PoisonError};
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
        Event::State { to, .. } => state(to),
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

/// All names each time: a scraper can have been told of a state that nobody leaves any more.
fn state(to: &ProviderState) {
    static TURN: Mutex<()> = Mutex::new(());
    // A scraper's look and a change that come at the same time tell one after the other.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tell(|| {
        for name in ProviderState::NAMES {
            gauge!("migrator_state", "state" => name).set(f64::from(u8::from(name == to.name())));
        }
    });
    drop(turn);
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
        Ok(()) if !report.applied().is_empty() => "applied",
        Ok(()) if !report.reverted().is_empty() => "reverted",
        Ok(()) => "unchanged",
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
    state(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host's recorder has after this.
    fn told(what: impl FnOnce()) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, what);
        recorder.handle().render()
    }

    fn lines<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(start)).collect()
    }

    #[test]
    fn one_state_is_that_of_the_provider_whatever_was_told_before() {
        let text = told(|| {
            state(&ProviderState::Verifying);
            event(&Event::State { from: &ProviderState::Starting, to: &ProviderState::Ready });
        });
        let those: Vec<&str> =
            lines(&text, "migrator_state{").into_iter().filter(|line| line.ends_with(" 1")).collect();
        assert_eq!(those, [r#"migrator_state{state="ready"} 1"#], "{text}");
    }

    #[cfg(feature = "bundled")]
    #[test]
    fn what_a_part_of_the_set_leaves_is_pending_and_a_revert_is_one() {
        use crate::{Migrator, Target};
        use diesel::Connection;

        let folder = tempfile::tempdir().expect("make a folder");
        for name in ["01_a", "02_b", "03_c", "04_d", "05_e"] {
            let (path, table) = (folder.path().join(name), &name[3..]);
            std::fs::create_dir(&path).expect("make a folder");
            std::fs::write(path.join("up.sql"), format!("CREATE TABLE {table} (id INTEGER);")).expect("write");
            std::fs::write(path.join("down.sql"), format!("DROP TABLE {table};")).expect("write");
        }
        let set = crate::MigrationSet::from_path(folder.path()).expect("it is sound");
        let mut conn = diesel::SqliteConnection::establish(":memory:").expect("open");
        let text = told(|| drop(Migrator::new(&set).run_to(&mut conn, Target::Steps(2)).expect("it runs")));
        assert_eq!(lines(&text, "migrator_migrations_pending"), ["migrator_migrations_pending 3"], "{text}");
        assert_eq!(lines(&text, "migrator_migrations_applied"), ["migrator_migrations_applied 2"], "{text}");
        let text = told(|| drop(Migrator::new(&set).revert(&mut conn, Target::Steps(1)).expect("it reverts")));
        assert!(text.contains(r#"result="reverted""#) && !text.contains(r#"result="unchanged""#), "{text}");
    }
}
