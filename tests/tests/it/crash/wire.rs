//! The wire to PostgreSQL and MariaDB: the connection is cut at each message of a run, before it reaches the server and
//! before its answer reaches the client, and in the middle of messages. The next run always ends as if nothing had happened; and a
//! run that may connect again ends so itself.

use diesel::{Connection, connection::LoadConnection};
use migrator::{Dialect, Error, MigrationSet, Migrator, Report};
use migrator_tests::{
    Database,
    proxy::{Direction, Fault, Moment, Proxy},
    servers::{FreshDatabase, Kind, Server, mariadb, postgres},
};

use super::sets::{MORE_DDL, Set, Tool, assert_history_is_sound, assert_is_sound, history, many, records, state};
use crate::watch;

/// Whether a run that loses its connection gets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    TheNextRun,
    AnotherConnection,
}

#[test]
fn cut_before_each_message_to_postgres() {
    cut_at_each_message(postgres(), Moment::Unsent, Then::TheNextRun, Tool::Diesel);
}

#[test]
fn cut_before_each_answer_of_postgres() {
    cut_at_each_message(postgres(), Moment::Unanswered, Then::TheNextRun, Tool::Diesel);
}

#[test]
fn cut_before_each_message_to_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unsent, Then::TheNextRun, Tool::Diesel);
}

#[test]
fn cut_before_each_answer_of_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unanswered, Then::TheNextRun, Tool::Diesel);
}

#[test]
fn cut_before_each_answer_of_postgres_with_prismas_layout() {
    cut_at_each_message(postgres(), Moment::Unanswered, Then::TheNextRun, Tool::Prisma);
}

#[test]
fn cut_before_each_answer_of_mariadb_with_prismas_layout() {
    cut_at_each_message(mariadb(), Moment::Unanswered, Then::TheNextRun, Tool::Prisma);
}

#[test]
fn connects_again_after_a_cut_before_each_message_to_postgres() {
    cut_at_each_message(postgres(), Moment::Unsent, Then::AnotherConnection, Tool::Diesel);
}

#[test]
fn connects_again_after_a_cut_before_each_answer_of_postgres() {
    cut_at_each_message(postgres(), Moment::Unanswered, Then::AnotherConnection, Tool::Diesel);
}

#[test]
fn connects_again_after_a_cut_before_each_message_to_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unsent, Then::AnotherConnection, Tool::Diesel);
}

#[test]
fn connects_again_after_a_cut_before_each_answer_of_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unanswered, Then::AnotherConnection, Tool::Diesel);
}

#[test]
fn cut_within_messages_to_and_from_postgres() {
    cut_within_messages(postgres());
}

#[test]
fn cut_within_messages_to_and_from_mariadb() {
    cut_within_messages(mariadb());
}

/// A run through a proxy, on which a fault is laid when it is connected; what it was told, and the turns it took.
fn run_through<K: Kind>(
    server: &Server<K>,
    database: &FreshDatabase<K>,
    set: &MigrationSet,
    then: Then,
    fault: impl FnOnce(&Proxy),
) -> (Result<Report, Error>, Vec<String>, Proxy)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let proxy = Proxy::to_port(server.port());
    let url = proxy.url(database.url());
    let mut connection = K::Connection::establish(&url).expect("connect through the proxy");
    fault(&proxy);
    let (mut migrator, events) = watch::events(Migrator::new(set));
    if then == Then::AnotherConnection {
        migrator = migrator.reconnect(move || K::Connection::establish(&url));
    }
    let result = migrator.run(&mut connection);
    (result, events.take(), proxy)
}

/// What must hold whatever happened to a run: what it was told, what it left, and where the next one ends.
fn check<K: Kind>(
    point: &str,
    server: &Server<K>,
    database: &FreshDatabase<K>,
    (set, tool): (&MigrationSet, Tool),
    (result, events): (Result<Report, Error>, &[String]),
    expected: &str,
) -> bool
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let told = events.iter().filter(|event| event.starts_with("Applied ")).count();
    let is_ok = result.is_ok();
    match result {
        // What follows the last record, as the release of the lock, may fail without harm. But Ok is a promise.
        Ok(report) => {
            assert_eq!(state(database), expected, "told Ok {point}");
            assert_eq!((report.applied().len(), report.skipped(), told), (set.len(), 0, set.len()), "{point}");
        }
        Err(error) => {
            let said = format!("{error}");
            assert!(!said.contains(server.password()), "the password is in: {said}");
            assert_eq!(error.code(), "connection_lost", "{point}: {error:?}");
            assert_eq!(error.report().map_or(0, |report| report.applied().len()), told, "{point}");
        }
    }
    let next = Migrator::new(set).run(&mut database.connect());
    let next = next.unwrap_or_else(|error| panic!("{point}: {error}"));
    assert!(next.skipped() >= told, "what was told is there {point}: {next}");
    assert_eq!(state(database), expected, "{point}: {:#?}", records(database));
    assert_is_sound(database, tool);
    assert!(next.applied().len() + next.skipped() == set.len(), "{next}");
    assert!(history(database, "event = 'failed'").is_empty(), "{:#?}", records(database));
    is_ok
}

/// One message more from run to run, until a run is done before the cut.
fn cut_at_each_message<K: Kind>(server: &Server<K>, moment: Moment, then: Then, tool: Tool)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let directory = Set::of(tool, &many());
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let turns = |proxy: &Proxy| proxy.traffic(Direction::ToServer).turns;
    let first = server.fresh();
    let mut before = 0;
    let (result, _, proxy) = run_through(server, &first, &set, then, |proxy| before = turns(proxy));
    result.expect("nothing is cut in the first run");
    let (expected, all) = (state(&first), turns(&proxy) - before);
    let mut told_ok = 0;
    for point in 1..=all {
        let database = server.fresh();
        // The last piece of the handshake may be the client's, and then belongs to the next turn.
        let cut = |proxy: &Proxy| proxy.cut_at_turn(turns(proxy) + point, moment);
        let (result, events, proxy) = run_through(server, &database, &set, then, cut);
        drop(proxy);
        let place = format!("after a cut at message {point} of {all}");
        // The very first query is of the connection that the host made.
        if then == Then::AnotherConnection && point > 1 {
            assert!(result.is_ok(), "{place}: {result:?}");
        }
        told_ok += usize::from(check(&place, server, &database, (&set, tool), (result, &events), &expected));
    }
    println!(
        "{}, {tool:?}'s layout, {moment:?}, {then:?}: cut at {all} messages; {all} survived, {told_ok} of them told Ok",
        K::NAME
    );
}

/// At bytes all over what goes each way.
fn cut_within_messages<K: Kind>(server: &Server<K>)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    const PLACES: u64 = 25;
    let directory = Set::new(&many());
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let first = server.fresh();
    let bytes = |proxy: &Proxy| [Direction::ToServer, Direction::ToClient].map(|way| proxy.traffic(way).bytes);
    let mut before = [0; 2];
    let (result, _, proxy) = run_through(server, &first, &set, Then::TheNextRun, |proxy| before = bytes(proxy));
    result.expect("nothing is cut in the first run");
    let (expected, after) = (state(&first), bytes(&proxy));
    let mut told_ok = 0;
    for (way, direction) in [Direction::ToServer, Direction::ToClient].into_iter().enumerate() {
        let all = after[way] - before[way];
        for point in 0..PLACES {
            for then in [Then::TheNextRun, Then::AnotherConnection] {
                let database = server.fresh();
                let more = all * point / PLACES + 1;
                let cut = |proxy: &Proxy| proxy.inject_after(direction, more, Fault::Cut);
                let (result, events, proxy) = run_through(server, &database, &set, then, cut);
                drop(proxy);
                let place = format!("after a cut {direction:?} at byte {more} of {all}, {then:?}");
                told_ok +=
                    usize::from(check(&place, server, &database, (&set, Tool::Diesel), (result, &events), &expected));
            }
        }
    }
    println!("{}: cut at {} bytes; all survived, {told_ok} of them told Ok", K::NAME, 4 * PLACES);
}

#[test]
fn cut_while_postgres_is_taken_over() {
    cut_while_it_is_taken_over(postgres());
}

#[test]
fn cut_while_mariadb_is_taken_over() {
    cut_while_it_is_taken_over(mariadb());
}

/// The same with nothing to apply: our tables are to be made from diesel's, or diesel's from ours.
fn cut_while_it_is_taken_over<K: Kind>(server: &Server<K>)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let directory = Set::new(&MORE_DDL);
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    for gone in ["DROP TABLE __migrator_history; DROP TABLE __migrator_meta", "DROP TABLE __diesel_schema_migrations"] {
        let (mut points, mut all) = (0, u64::MAX);
        while points <= all {
            let database = server.fresh();
            Migrator::new(&set).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
            database.execute(gone);
            let proxy = Proxy::to_port(server.port());
            let mut connection =
                K::Connection::establish(&proxy.url(database.url())).expect("connect through the proxy");
            let before = proxy.traffic(Direction::ToServer).turns;
            if all == u64::MAX {
                let report = Migrator::new(&set).run(&mut connection).expect("nothing is cut in the first run");
                assert_eq!((report.applied().len(), report.skipped()), (0, MORE_DDL.len()), "{report}");
                all = proxy.traffic(Direction::ToServer).turns - before;
                continue;
            }
            points += 1;
            proxy.cut_at_turn(before + points, if points % 2 == 0 { Moment::Unsent } else { Moment::Unanswered });
            let result = Migrator::new(&set).run(&mut connection);
            drop(connection);
            let point = format!("{gone}, cut at message {points} of {all}: {result:?}");
            let next = Migrator::new(&set).run(&mut database.connect());
            let next = next.unwrap_or_else(|error| panic!("{point}, then {error}"));
            assert_eq!((next.applied().len(), next.skipped()), (0, MORE_DDL.len()), "{point}, then {next}");
            assert_history_is_sound(&database);
        }
        println!("{}: {gone}: cut at {all} messages; all survived", K::NAME);
    }
}
