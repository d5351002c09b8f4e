//! The server itself dies in the middle of a run. What it had not committed it rolls back; what it may have done without a
//! record is named, and a person settles it with the command that the error tells.

use diesel::{
    connection::{LoadConnection, SimpleConnection},
    mysql::Mysql,
    pg::Pg,
};
use migrator::{Dialect, MigrationSet, Migrator, Resolution};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, Kind, Mariadb, Options, Postgres, Server, Stop},
    wait,
};

use super::{
    concurrently::{INDEX, WAITS, with_a_writer},
    sets::{MIXED, Set, assert_history_is_sound, records, reference, state},
    starter::{End, Starter, run},
};

#[test]
fn postgres_dies_between_statements() {
    let mut server = Postgres::start(Options::default().durable());
    between_statements(&mut server);
}

#[test]
fn mariadb_dies_between_statements() {
    let mut server = Mariadb::start(Options::default().durable());
    between_statements(&mut server);
}

/// In front of a statement of each script, and in front of the end.
fn between_statements<K: Kind>(server: &mut Server<K>)
where
    K::Connection: LoadConnection<Backend: Dialect>,
{
    let set = Set::new(&MIXED);
    let expected = reference(&server.fresh(), &set);
    let ends: [fn(&mut Server<K>); 2] = [Server::kill, |server| server.stop(Stop::Immediate)];
    let mut points = 0;
    for (point, (script, statement)) in [(1, 1), (1, 2), (2, 2), (3, 2), (3, 3)].into_iter().enumerate() {
        let database = server.fresh();
        aged(server);
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        starter.step_to_statement(script, statement);
        ends[point % 2](server);
        starter.go_on();
        let end = starter.end();
        assert!(end.is("connection_lost"), "{:#?}", end.said);
        server.restart();
        points += 1;
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "{:#?}", records(&database));
        assert_history_is_sound(&database);
    }
    println!("{}: the server died {points} times; {points} survived", K::NAME);
}

/// A server tells when it started in seconds, so that one that lived for less is not told from its successor.
pub(super) fn aged<K: Kind>(server: &Server<K>) {
    if K::NAME == "MariaDB" {
        let uptime = "SELECT CAST(variable_value AS CHAR) AS value FROM information_schema.global_status
                      WHERE variable_name = 'UPTIME'";
        let old = || K::texts(&mut server.connect(), uptime)[0].parse::<u32>().ok().filter(|&seconds| seconds > 3);
        wait::until("the server to be some seconds old", old);
    }
}

/// Does what the remedy says: `took` chooses between the two commands in it.
fn resume<D: Database>(database: &D, directory: &Set, refused: &End, took: bool)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let remedy = refused.said.iter().find(|line| line.starts_with("next: ")).expect("a remedy");
    let commands: Vec<&str> = remedy.split("migrator resolve --resume-at ").skip(1).collect();
    let [if_it_took, else_] = commands[..] else { panic!("not two commands: {remedy}") };
    let command = if took { if_it_took } else { else_ };
    let word = command.split([',', ' ', ';']).next().expect("a word");
    let (version, number) = word.rsplit_once(':').expect("version:number");
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let resolution = Resolution::ResumeAt(number.parse().expect("a number"));
    Migrator::new(&set).resolve(&mut database.connect(), version, resolution).expect("the remedy works");
}

#[test]
fn mariadb_dies_while_a_statement_that_commits_runs() {
    let mut server = Mariadb::start(Options::default().durable());
    // Columns in parentheses are more than the catalogue is asked for.
    let third = MIXED[2].1.replace("depth INT", "(depth INT)");
    let set = Set::new(&[MIXED[0], MIXED[1], (MIXED[2].0, &third)]);
    let expected = reference(&server.fresh(), &set);
    // The third script's ALTER, held up by a reader of the table, did not take; held up at its record, it took.
    for (table, took) in [("harbour", false), ("__migrator_history", true)] {
        let database: FreshDatabase<Mysql> = server.fresh();
        aged(&server);
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        starter.step_to_statement(3, 2);
        let mut holder = database.connect();
        holder.batch_execute(&format!("LOCK TABLES {table} READ")).expect("hold a table");
        starter.go_on();
        let blocked = "SELECT 'blocked' AS value FROM information_schema.processlist
                       WHERE state LIKE 'Waiting for table%' AND db = DATABASE()";
        wait::until("the statement to wait", || (!database.texts(blocked).is_empty()).then_some(()));
        server.kill();
        drop(holder);
        let end = starter.end();
        assert!(end.is("connection_lost"), "{:#?}", end.said);
        server.restart();
        let columns = "SELECT column_name AS value FROM information_schema.columns WHERE table_schema = DATABASE() AND
                       table_name = 'harbour' AND column_name = 'depth'";
        assert_eq!(!database.texts(columns).is_empty(), took);
        let next = Starter::start(database.url(), set.path(), &[]).end();
        assert!(next.is("failed") && next.has("statement 2 was started"), "{:#?}", next.said);
        assert!(next.has("3_third/up.sql"), "{:#?}", next.said);
        resume(&database, &set, &next, took);
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "{:#?}", records(&database));
    }
    println!("MariaDB: the server died during 2 statements; 2 named and settled");
}

#[test]
fn postgres_or_its_client_dies_while_an_index_is_made_concurrently() {
    let mut server = Postgres::start(Options::default().durable());
    let set = Set::new(&INDEX);
    let expected = reference(&server.fresh(), &set);
    for server_dies in [true, false] {
        let database: FreshDatabase<Pg> = server.fresh();
        let writer = with_a_writer(&database);
        let starter = Starter::start(database.url(), set.path(), &[]);
        wait::until("the index to wait", || (!database.texts(WAITS).is_empty()).then_some(()));
        if server_dies {
            server.kill();
            server.restart();
        } else {
            starter.kill();
            wait::until("the index to be given up", || database.texts(WAITS).is_empty().then_some(()));
        }
        drop(writer);
        // What was left INVALID is removed, and the index made again.
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "{:#?}", records(&database));
    }
}
