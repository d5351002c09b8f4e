//! Many starters at once on an empty database: exactly one applies, and all succeed.

use std::{sync::Barrier, thread};

use diesel::connection::{LoadConnection, SimpleConnection};
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    servers::{mariadb, postgres},
    sqlite,
};

use super::{
    sets::{MIXED, Set, assert_history_is_sound, history, records, reference, state},
    starter::{End, Starter},
};

const STARTERS: usize = 16;

#[test]
fn sixteen_processes_on_sqlite() {
    sixteen(&sqlite::fresh(), &reference(&sqlite::fresh(), &Set::new(&MIXED)));
}

#[test]
fn sixteen_processes_on_sqlite_with_wal() {
    let database = sqlite::fresh();
    database.connect().batch_execute("PRAGMA journal_mode = wal").expect("switch to WAL");
    sixteen(&database, &reference(&sqlite::fresh(), &Set::new(&MIXED)));
}

#[test]
fn sixteen_processes_on_postgres() {
    sixteen(&postgres().fresh(), &reference(&postgres().fresh(), &Set::new(&MIXED)));
}

#[test]
fn sixteen_processes_on_mariadb() {
    sixteen(&mariadb().fresh(), &reference(&mariadb().fresh(), &Set::new(&MIXED)));
}

fn sixteen<D: Database>(database: &D, expected: &str) {
    let set = Set::new(&MIXED);
    let ends = at_once(database.url(), &[&set; STARTERS]);
    let mut applied: Vec<usize> = ends.into_iter().map(End::succeeded).collect();
    applied.sort_unstable();
    assert_eq!(applied[..STARTERS - 1], [0; STARTERS - 1], "who found nothing to do");
    assert_eq!(applied[STARTERS - 1], MIXED.len(), "who did it all");
    assert_eq!(state(database), expected);
    assert_history_is_sound(database);
    // One run: nobody failed, nothing was begun twice.
    assert_eq!(history(database, "event = 'planned'").len(), history_of_one_run(database), "{:#?}", records(database));
    assert!(history(database, "event = 'failed'").is_empty());
}

/// How many scripts no transaction holds: each is announced before its first statement.
fn history_of_one_run<D: Database>(database: &D) -> usize {
    let alone = history(database, "event = 'statement'");
    let mut names: Vec<String> = alone;
    names.dedup();
    names.len()
}

/// Starts them all, lets them connect and read, and releases them together.
fn at_once(url: &str, sets: &[&Set]) -> Vec<End> {
    let mut starters: Vec<Starter> = sets.iter().map(|set| Starter::start(url, set.path(), &["barrier"])).collect();
    starters.iter_mut().for_each(|starter| drop(starter.until("ready")));
    starters.iter_mut().for_each(Starter::go);
    starters.into_iter().map(Starter::end).collect()
}

#[test]
fn two_versions_on_sqlite() {
    two_versions(&sqlite::fresh());
}

#[test]
fn two_versions_on_postgres() {
    two_versions(&postgres().fresh());
}

#[test]
fn two_versions_on_mariadb() {
    two_versions(&mariadb().fresh());
}

/// A rolling deploy: half of the starters know one migration less.
fn two_versions<D: Database>(database: &D) {
    let (old, new) = (Set::new(&MIXED[..2]), Set::new(&MIXED));
    let sets: Vec<&Set> = (0..8).map(|at| if at % 2 == 0 { &old } else { &new }).collect();
    let ends = at_once(database.url(), &sets);
    let by_old: usize = ends.iter().step_by(2).map(|end| end.applied).sum();
    let by_new: usize = ends.iter().skip(1).step_by(2).map(|end| end.applied).sum();
    assert_eq!(by_old + by_new, MIXED.len(), "{ends:#?}");
    assert!(by_new >= 1, "only the new ones know the third");
    for end in ends {
        end.succeeded();
    }
    assert_eq!(history(database, "event = 'applied'"), MIXED.map(|(name, _)| name));
    assert_history_is_sound(database);
    let late = Starter::start(database.url(), old.path(), &[]).end();
    assert!(late.has("newer than this binary"), "{:#?}", late.said);
    assert_eq!(late.succeeded(), 0);
}

#[test]
fn sixteen_threads_on_sqlite() {
    threads(&sqlite::fresh());
}

#[test]
fn sixteen_threads_on_postgres() {
    threads(&postgres().fresh());
}

#[test]
fn sixteen_threads_on_mariadb() {
    threads(&mariadb().fresh());
}

fn threads<D: Database>(database: &D)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let directory = Set::new(&MIXED);
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let barrier = Barrier::new(STARTERS);
    let connections: Vec<D::Connection> = (0..STARTERS).map(|_| database.connect()).collect();
    let mut applied: Vec<usize> = thread::scope(|scope| {
        let starters: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let (set, barrier) = (&set, &barrier);
                let start = move || {
                    barrier.wait();
                    Migrator::new(set).run(&mut connection).map(|report| report.applied().len())
                };
                scope.spawn(start)
            })
            .collect();
        starters.into_iter().map(|starter| starter.join().expect("no panic").expect("a run")).collect()
    });
    applied.sort_unstable();
    assert_eq!(applied[..STARTERS - 1], [0; STARTERS - 1]);
    assert_eq!(applied[STARTERS - 1], MIXED.len());
    assert_history_is_sound(database);
    assert_eq!(history(database, "event = 'applied'"), MIXED.map(|(name, _)| name));
}
