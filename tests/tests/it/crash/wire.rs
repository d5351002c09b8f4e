//! The wire to PostgreSQL and MariaDB: the connection is cut at each message of a run, before it reaches the server and
//! before its answer reaches the client. The next run always ends as if nothing had happened.

use diesel::{Connection, connection::LoadConnection};
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    proxy::{Direction, Moment, Proxy},
    servers::{Kind, Server, mariadb, postgres},
};

use super::sets::{MORE_DDL, Set, assert_history_is_sound, history, records, state};

#[test]
fn cut_before_each_message_to_postgres() {
    cut_at_each_message(postgres(), Moment::Unsent);
}

#[test]
fn cut_before_each_answer_of_postgres() {
    cut_at_each_message(postgres(), Moment::Unanswered);
}

#[test]
fn cut_before_each_message_to_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unsent);
}

#[test]
fn cut_before_each_answer_of_mariadb() {
    cut_at_each_message(mariadb(), Moment::Unanswered);
}

/// One message more from run to run, until a run is done before the cut.
fn cut_at_each_message<K: Kind>(server: &Server<K>, moment: Moment)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let directory = Set::new(&MORE_DDL);
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let mut expected = None;
    let (mut points, mut told_ok) = (0, 0);
    loop {
        let database = server.fresh();
        let proxy = Proxy::to_port(server.port());
        let mut connection = K::Connection::establish(&proxy.url(database.url())).expect("connect through the proxy");
        if expected.is_some() {
            // The last piece of the handshake may be the client's, and then belongs to the next turn.
            proxy.cut_at_turn(proxy.traffic(Direction::ToServer).turns + points + 1, moment);
        }
        let before = proxy.traffic(Direction::ToServer).turns;
        let result = Migrator::new(&set).run(&mut connection);
        let turns = proxy.traffic(Direction::ToServer).turns - before;
        let Some(expected) = &expected else {
            result.expect("nothing is cut in the first run");
            expected = Some((state(&database), turns));
            continue;
        };
        let (expected, all) = expected;
        if points + 1 > *all {
            assert_eq!(result.expect("the run was over before the cut").applied().len(), MORE_DDL.len());
            break;
        }
        points += 1;
        match result {
            // What follows the last record, as the release of the lock, may fail without harm. But Ok is a promise.
            Ok(_) => {
                told_ok += 1;
                assert_eq!(&state(&database), expected, "told Ok after a cut at message {points} of {all}");
            }
            Err(error) => {
                let said = format!("{error}");
                assert!(!said.contains(server.password()), "the password is in: {said}");
                assert_eq!(error.code(), "connection_lost", "at message {points} of {all}: {error:?}");
            }
        }
        drop(connection);
        let next = Migrator::new(&set).run(&mut database.connect());
        let next = next.unwrap_or_else(|error| panic!("after a cut at message {points} of {all}: {error}"));
        assert_eq!(&state(&database), expected, "after a cut at message {points} of {all}: {:#?}", records(&database));
        assert_history_is_sound(&database);
        assert!(next.applied().len() + next.skipped() == MORE_DDL.len(), "{next}");
        assert!(history(&database, "event = 'failed'").is_empty(), "{:#?}", records(&database));
    }
    println!("{}, {moment:?}: cut at {points} messages; {points} survived, {told_ok} of them told Ok", K::NAME);
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
