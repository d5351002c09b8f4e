//! Many at once: each seed's effect is there exactly once.

use std::sync::Barrier;
use std::thread;

use migrator::seed::{Pass, Phase};
use migrator::{Seed, SeedOutcome};
use migrator_tests::Database;

use super::*;

on_each_dialect!(blocking_seeds_run_once, background_seeds_run_once);

const STARTERS: usize = 8;

fn at_once<S: Subject, R: Send>(database: &S::Database, start: impl Fn(&mut S::Connection) -> R + Sync) -> Vec<R> {
    let barrier = Barrier::new(STARTERS);
    let connections: Vec<S::Connection> = (0..STARTERS).map(|_| database.connect()).collect();
    thread::scope(|scope| {
        let starters: Vec<_> = connections
            .into_iter()
            .map(|mut conn| {
                let (barrier, start) = (&barrier, &start);
                scope.spawn(move || {
                    barrier.wait();
                    start(&mut conn)
                })
            })
            .collect();
        starters.into_iter().map(|starter| starter.join().expect("no panic")).collect()
    })
}

fn blocking_seeds_run_once<S: Subject>() {
    let (database, set) = migrated::<S>();
    let first = Seed::new("roles", roles);
    let all = list([first, Seed::new("second", second).depends_on(list([first])), Seed::new("third", third)]);
    let reports = at_once::<S, _>(&database, |conn| migrator(&set).seed(conn, all));
    let reports: Vec<_> = reports.into_iter().map(|report| report.unwrap_or_else(|error| panic!("{error}"))).collect();
    assert!(reports.iter().all(|report| report.is_successful()));
    for at in 0..3 {
        let applied = reports.iter().filter(|report| matches!(report.seeds()[at].outcome, SeedOutcome::Applied { .. }));
        assert_eq!(applied.count(), 1);
    }
    assert_eq!(log::<S>(&database), ["roles", "second", "third"]);
}

fn background_seeds_run_once<S: Subject>() {
    let (database, set) = migrated::<S>();
    let later = |name, run| Seed::new(name, run).phase(Phase::Background);
    let all = list([later("second", second), later("third", third)]);
    let reports = at_once::<S, _>(&database, |conn| {
        let worker = migrator(&set);
        let mut pass = Pass::First;
        migrator_tests::wait::until("the background seeds", || {
            let report = worker.seed_background(conn, all, pass).unwrap_or_else(|error| panic!("{error}"));
            pass = Pass::Due;
            report.is_successful().then_some(report)
        })
    });
    assert_eq!(reports.len(), STARTERS);
    assert_eq!(log::<S>(&database), ["second", "third"]);
}
