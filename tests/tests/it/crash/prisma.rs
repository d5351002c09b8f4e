//! `kill -9` with Prisma's layout: at whatever point a run or a revert dies, Prisma's table says what our history says, and in the
//! end it has one row for each migration that is applied.

use std::fs;

use diesel::connection::LoadConnection;
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    servers::{mariadb, postgres},
    sqlite,
};

use super::{
    faulty_disk::{BOUND, CALLS, injected},
    reverting::DOWNS,
    sets::{MIXED, Set, Tool, assert_is_sound, history, prismas_rows, records, state},
    starter::{End, Starter},
};

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Run,
    /// Down to the first.
    Revert,
}

impl Verb {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Run => &[],
            Self::Revert => &["revert=1_first"],
        }
    }

    /// How many migrations it carries out where nothing interrupts it.
    fn migrations(self) -> usize {
        match self {
            Self::Run => MIXED.len(),
            Self::Revert => DOWNS.len(),
        }
    }
}

fn set() -> Set {
    let set = Set::of(Tool::Prisma, &MIXED);
    DOWNS.iter().for_each(|(name, script)| set.write_down(name, script));
    set
}

fn does(verb: Verb, url: &str, set: &Set) -> usize {
    Starter::start(url, set.path(), verb.options()).end().succeeded()
}

/// A database in which the verb has something to do.
fn ready<D: Database>(verb: Verb, fresh: &impl Fn() -> D, set: &Set) -> D {
    let database = fresh();
    if verb == Verb::Revert {
        does(Verb::Run, database.url(), set);
    }
    database
}

/// Whatever was interrupted: neither table says what the other one does not.
fn assert_in_step<D: Database>(database: &D, set: &Set, point: &str)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let known = MigrationSet::from_path(set.path()).expect("the folder is read");
    let (migrator, mut conn) = (Migrator::new(&known), database.connect());
    let found = migrator.verify(&mut conn).unwrap_or_else(|error| panic!("{point}: {error}"));
    let told = ["out_of_step", "history_contradicts", "history_tampered"];
    assert!(!found.problems().iter().any(|problem| told.contains(&problem.code)), "{point}: {found}");
}

/// The next one ends as if nothing had happened.
fn assert_ends<D: Database>(verb: Verb, database: &D, set: &Set, expected: &str, point: &str) {
    does(verb, database.url(), set);
    assert_eq!(state(database), expected, "{point}: {:#?}", records(database));
    assert_done(verb, database, point);
}

fn assert_done<D: Database>(verb: Verb, database: &D, point: &str) {
    match verb {
        Verb::Run => assert_is_sound(database, Tool::Prisma),
        Verb::Revert => {
            assert_eq!(history(database, "event = 'reverted'"), ["3_third", "2_second"], "{point}");
            assert_eq!(prismas_rows(database), ["1_first"], "{point}: what is undone has no row");
        }
    }
}

fn reference<D: Database>(verb: Verb, fresh: &impl Fn() -> D, set: &Set) -> String {
    let database = ready(verb, fresh, set);
    assert_eq!(does(verb, database.url(), set), verb.migrations());
    assert_done(verb, &database, "nothing was interrupted");
    state(&database)
}

#[test]
fn at_each_event_on_sqlite() {
    at_each_event("SQLite", &sqlite::fresh);
}

#[test]
fn at_each_event_on_postgres() {
    at_each_event("PostgreSQL", &|| postgres().fresh());
}

#[test]
fn at_each_event_on_mariadb() {
    at_each_event("MariaDB", &|| mariadb().fresh());
}

fn at_each_event<D: Database>(name: &str, fresh: &impl Fn() -> D)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let set = set();
    for verb in [Verb::Run, Verb::Revert] {
        let expected = reference(verb, fresh, &set);
        let (mut points, mut statements) = (0, 0);
        loop {
            let database = ready(verb, fresh, &set);
            let options = [&["step"], verb.options()].concat();
            let mut starter = Starter::start(database.url(), set.path(), &options);
            let mut passed = 0;
            let reached = starter.step_to(|_| {
                passed += 1;
                passed > points
            });
            let Some(event) = reached else {
                assert_eq!(starter.end().succeeded(), verb.migrations());
                break;
            };
            starter.kill();
            points += 1;
            statements += usize::from(event.starts_with("Statement"));
            let point = format!("{verb:?}, after a kill at event {points}: {event}");
            assert_in_step(&database, &set, &point);
            assert_ends(verb, &database, &set, &expected, &point);
            assert_eq!(does(verb, database.url(), &set), 0, "{point}: a third has nothing to do");
        }
        assert!(statements >= 7, "{statements} statements were points");
        println!("{name}, Prisma's layout, {verb:?}: killed at {points} events; {points} survived");
    }
}

#[test]
fn at_each_write_of_a_run_on_sqlite() {
    at_each_write(Verb::Run);
}

#[test]
fn at_each_write_of_a_revert_on_sqlite() {
    at_each_write(Verb::Revert);
}

fn at_each_write(verb: Verb) {
    let set = set();
    let expected = reference(verb, &sqlite::fresh, &set);
    let prepared = ready(verb, &sqlite::fresh, &set);
    let mut points = 0;
    for call in CALLS {
        for number in 1..=BOUND {
            let database = sqlite::fresh();
            if verb == Verb::Revert {
                fs::copy(prepared.name(), database.name()).expect("copy what is to be reverted");
            }
            let fault = format!("signal=SIGKILL:when={number}");
            let (end, reached): (End, bool) = injected(&database, &set, call, &fault, verb.options());
            if !reached {
                assert_eq!(end.succeeded(), verb.migrations());
                break;
            }
            assert!((end.is("died") || end.error.is_none()) && number < BOUND, "{:#?}", end.said);
            points += 1;
            let point = format!("{verb:?}, killed at {call} {number}");
            assert_in_step(&database, &set, &point);
            assert_ends(verb, &database, &set, &expected, &point);
        }
    }
    assert!(points > 40, "only {points} writes and syncs");
    println!("SQLite, Prisma's layout, {verb:?}: killed at {points} writes and syncs; {points} survived");
}
