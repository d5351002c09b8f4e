//! Each row of the table of verdicts, as the documentation has it, against the code.

use std::time::Duration;

use super::reading::{Footing, Migrations, Pool, Reading, Stand, Trouble};
use super::verdict::{Outcome, Probe, Verdict, liveness, readiness, startup};
use super::worker::Worker;
use crate::migration::Checksum;
use crate::provider_state::{MissingSeed, ProviderState, SeedStanding, Stage};

/// The rows of the table, cell by cell.
fn rows() -> Vec<Vec<String>> {
    let lines = include_str!("verdict.rs").lines().filter_map(|line| line.strip_prefix("/// |"));
    let cells = lines.map(|line| line.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect());
    let rows: Vec<Vec<String>> = cells.skip(2).collect();
    assert!(rows.len() > 20, "the table is not where it was: {rows:?}");
    rows
}

fn failed(retryable: bool) -> ProviderState {
    ProviderState::Failed { stage: Stage::Migrate, code: "statement_failed", remedy: "x".to_owned(), retryable }
}

/// What the first cell means: a state, whether it was ready, whether there is a pool.
fn stands(cell: &str) -> Vec<Stand> {
    let (second, name) = (Duration::from_secs(1), || "a".to_owned());
    let degraded = ProviderState::Degraded { seeds: vec![missing(false, SeedStanding::Retrying)], ahead: true };
    let states: Vec<(ProviderState, bool, bool)> = match cell {
        "not started" => vec![(ProviderState::NotStarted, false, false)],
        "starting" => vec![(ProviderState::Starting, false, false)],
        "waiting for the database" => {
            vec![(ProviderState::WaitingForDatabase { attempt: 1, next: second }, false, false)]
        }
        "waiting for the lock" => {
            let holder = Some("tom@host.example".to_owned());
            vec![(ProviderState::WaitingForLock { holder, since: second }, false, false)]
        }
        "waiting for migrations" => {
            vec![(ProviderState::WaitingForMigrations { pending: 1, since: second }, false, false)]
        }
        "migrating" => vec![(ProviderState::Migrating { step: 1, steps: 2, name: name(), statement: 1 }, false, false)],
        "seeding" => vec![(ProviderState::Seeding { seed: name(), attempt: 1 }, false, false)],
        "verifying" => vec![(ProviderState::Verifying, false, false)],
        "failed, can pass" => vec![(failed(true), false, false)],
        "failed" => vec![(failed(false), false, false)],
        "serves" => [ProviderState::Ready, ProviderState::Ahead, degraded].map(|state| (state, true, true)).to_vec(),
        "only migrates, and is done" => vec![(ProviderState::Ready, true, false)],
        "shut down, was ready" => vec![(ProviderState::ShutDown, true, false)],
        "shut down, never was ready" => vec![(ProviderState::ShutDown, false, false)],
        other => panic!("the table has a state that the test does not know: {other}"),
    };
    let pool = |there: bool| there.then_some(Pool { size: 1, in_use: 0, idle: 1, waiting: 0 });
    let stand =
        |(state, was_ready, serves)| Stand { state, epoch: 1, was_ready, worker: Worker::None, pool: pool(serves) };
    states.into_iter().map(stand).collect()
}

fn missing(critical: bool, standing: SeedStanding) -> MissingSeed {
    MissingSeed { seed: "a".to_owned(), attempts: 1, critical, standing }
}

fn trouble(code: &'static str, passes: bool) -> Trouble {
    Trouble { code, remedy: "for tom@host.example".to_owned(), words: "no role tom@host.example".to_owned(), passes }
}

fn read(footing: Footing, missing: Vec<MissingSeed>) -> Option<Reading> {
    let fingerprint = Checksum::from_hex(&"0".repeat(64)).expect("64 digits");
    let migrations = Migrations { footing, applied: 2, pending: 1, head: None, fingerprint };
    Some(Reading { latency: Some(Duration::from_millis(1)), migrations: Ok(migrations), missing })
}

/// What the second cell means; each is one that has to have the same verdict.
fn readings(cell: &str) -> Vec<Option<Reading>> {
    let refused = |code, passes| vec![Some(Reading::trouble(trouble(code, passes)))];
    let each = |critical: bool, standings: &[SeedStanding]| {
        let with = |standing: &SeedStanding| read(Footing::Ahead, vec![missing(critical, standing.clone())]);
        standings.iter().map(with).collect()
    };
    match cell {
        // It is not even looked at.
        "" => vec![None, read(Footing::UpToDate, Vec::new())],
        "up to date" => vec![read(Footing::UpToDate, Vec::new())],
        "migrations pending that it can do without" => vec![read(Footing::Behind, Vec::new())],
        "ahead" => vec![read(Footing::Ahead, Vec::new())],
        "without a seed that is not critical" => each(
            false,
            &[
                SeedStanding::Pending,
                SeedStanding::Retrying,
                SeedStanding::Exhausted,
                SeedStanding::Skipped("x".into()),
            ],
        ),
        "without a critical seed that is still to come" => each(true, &[SeedStanding::Pending, SeedStanding::Retrying]),
        "without a critical seed that is given up" => {
            each(true, &[SeedStanding::Exhausted, SeedStanding::Skipped("x".into())])
        }
        "migrations pending" => vec![read(Footing::Pending, Vec::new())],
        "blocked" => vec![read(Footing::Blocked(trouble("changed", false)), Vec::new())],
        "nothing in time" => vec![None],
        "no connection" => refused("database_unavailable", true),
        "no connection, all are in use" => refused("pool_exhausted", true),
        "the connection broke" => refused("connection_lost", true),
        "refused" => refused("permission_denied", false),
        other => panic!("the table has a reading that the test does not know: {other}"),
    }
}

/// What the reason's cell means.
fn code(cell: &str, row: &[String]) -> &'static str {
    match (cell, row[0].as_str()) {
        ("the error's", "serves") => "permission_denied",
        ("the error's", _) => "statement_failed",
        ("the problem's", _) => "changed",
        (code, _) => code.trim_matches('`').to_owned().leak(),
    }
}

#[test]
fn each_row_of_the_table_is_what_the_code_does() {
    for row in rows() {
        for stand in stands(&row[0]) {
            for reading in readings(&row[1]) {
                let ready = readiness(&stand, reading.as_ref());
                assert_eq!(startup(&stand).http_status().to_string(), row[2], "startup: {row:?}");
                assert_eq!(liveness(&stand).http_status().to_string(), row[3], "liveness: {row:?}");
                let warns = if ready.status == Outcome::Warn { ", warn" } else { "" };
                assert_eq!(format!("{}{warns}", ready.http_status()), row[4], "readiness: {row:?}");
                assert_eq!(ready.code, code(&row[5], &row), "{row:?}");
                let again = ready.retry_after.map(|time| format!("{} s", time.as_secs())).unwrap_or_default();
                assert_eq!(again, row[6], "{row:?}");
                assert_eq!(ready.probe, Probe::Readiness);
                assert!(!ready.to_string().contains("tom") && !ready.message.is_empty(), "{ready}");
            }
        }
    }
}

#[test]
fn a_worker_that_is_gone_is_all_that_liveness_asks_for() {
    for row in rows() {
        for stand in stands(&row[0]) {
            let of = |worker| liveness(&Stand { worker, ..stand.clone() });
            for (worker, status, code) in [
                (Worker::None, 200, "alive"),
                (Worker::Alive, 200, "alive"),
                (Worker::Died, 503, "worker_died"),
                (Worker::Hung, 503, "worker_hung"),
            ] {
                let Verdict { code: told, .. } = of(worker);
                assert_eq!((of(worker).http_status(), told), (status, code), "{row:?}");
            }
        }
    }
}
