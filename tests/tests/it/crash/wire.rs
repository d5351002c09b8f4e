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
