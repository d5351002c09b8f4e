//! MariaDB, in the middle of a message of several migrations: the client dies, its connection is ended, or the server dies. The next
//! run ends as if nothing had happened.

use diesel::{connection::SimpleConnection, mysql::Mysql};
use migrator::{Event, Interrupt, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, Mariadb, Options, mariadb},
    wait,
};

use super::{
    server_down::aged,
    sets::{Set, assert_history_is_sound, records, reference, state},
    starter::{Starter, run},
};

/// Ten migrations, of which each waits: the odd ones with rows, the even ones with DDL.
fn gated(gates: &FreshDatabase<Mysql>) -> Set {
    let gate = |number: usize| format!("{}.gate_{number}", gates.name());
    let script = |number: usize| {
        let log = if number == 1 { "CREATE TABLE log (entry VARCHAR(20) NOT NULL);" } else { "" };
        let waits = match number % 2 {
            0 => format!("CREATE TABLE berth_{number} LIKE {};", gate(number)),
            _ => format!("INSERT INTO log SELECT '{number}' FROM {};", gate(number)),
        };
        format!("{log} CREATE TABLE pier_{number} (id INT); {waits} ALTER TABLE pier_{number} ADD COLUMN n INT;")
    };
    let migrations: Vec<(String, String)> =
        (1..=10).map(|number| (format!("{number:02}_pier"), script(number))).collect();
    Set::new(&migrations)
}

/// The connections that wait at a gate.
const WAITS: &str =
    "SELECT CAST(id AS CHAR) AS value FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'
                     AND info LIKE CONCAT('%', DATABASE(), '.gate\\_%')";

/// What ends, while the connection of this id waits.
type End = fn(&mut Mariadb, &str, Starter);

#[test]
fn the_client_the_connection_or_the_server_dies_within_a_message() {
    let mut server = Mariadb::start(Options::default().durable());
    let ends: [(&str, End); 3] = [
        ("the client", |_, _, starter| starter.kill()),
        ("the connection", |server, id, _starter| {
            server.connect().batch_execute(&format!("KILL CONNECTION {id}")).expect("end it");
        }),
        ("the server", |server, _, _starter| server.kill()),
    ];
    let mut points = 0;
    for (what, end) in ends {
        for number in [1, 2, 5, 6, 10] {
            let (database, gates) = (server.fresh(), server.fresh());
            (1..=10).for_each(|number| gates.execute(&format!("CREATE TABLE gate_{number} AS SELECT 1")));
            let set = gated(&gates);
            let expected = reference(&server.fresh(), &set);
            aged(&server);
            let mut holder = gates.connect();
            holder
                .batch_execute(&format!("SET lock_wait_timeout = 10; LOCK TABLES gate_{number} WRITE"))
                .expect("hold");
            let mut starter = Starter::start(database.url(), set.path(), &["step"]);
            starter.step_to(|event| event.starts_with("Together")).expect("they travel together");
            starter.go_on();
            let id = wait::until("one of them to wait", || gates.texts(WAITS).pop());
            end(&mut server, &id, starter);
            drop(holder);
            if server.pid().is_none() {
                server.restart();
            }
            run(database.url(), set.path());
            let point = format!("{what} died at gate {number}: {:#?}", records(&database));
            assert_eq!(state(&database), expected, "{point}");
            assert_history_is_sound(&database);
            points += 1;
        }
    }
    println!("MariaDB: died {points} times within a message; {points} survived");
}

#[test]
fn a_cancel_at_any_moment_loses_nothing() {
    let server = mariadb();
    let script = |number: usize| {
        format!(
            "CREATE TABLE pier_{number} (id INT); INSERT INTO log VALUES ('{number}'); ALTER TABLE pier_{number} ADD COLUMN n INT;"
        )
    };
    let mut migrations = vec![("00_log".to_owned(), "CREATE TABLE log (entry VARCHAR(20) NOT NULL);".to_owned())];
    migrations.extend((1..=9).map(|number| (format!("{number:02}_pier"), script(number))));
    let directory = Set::new(&migrations);
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let expected = reference(&server.fresh(), &directory);
    let mut cancelled = 0;
    for round in 0..30 {
        let database = server.fresh();
        let mut conn = database.connect();
        let (sent, sending) = std::sync::mpsc::channel();
        let migrator = Migrator::new(&set).interrupt(&Interrupt::new()).on_event(move |event| {
            if matches!(event, Event::Together { .. }) {
                let _nobody_may_wait = sent.send(());
            }
        });
        let result = std::thread::scope(|scope| {
            let run = scope.spawn(|| migrator.run(&mut conn));
            sending.recv_timeout(wait::DEADLINE).expect("they are sent");
            // Each time a little later: between the statements of a message there is no event to wait for.
            std::thread::sleep(std::time::Duration::from_micros(731 * round));
            migrator.cancel(&mut database.connect()).expect("cancel");
            run.join().expect("no panic")
        });
        match &result {
            Ok(report) => assert_eq!(report.applied().len(), 10),
            Err(error) => assert_eq!(error.code(), "interrupted", "{error}"),
        }
        cancelled += usize::from(result.is_err());
        let next = Migrator::new(&set).run(&mut database.connect());
        next.unwrap_or_else(|error| panic!("round {round}: {error}, after {result:?}; {:#?}", records(&database)));
        assert_eq!(state(&database), expected, "round {round}, after {result:?}: {:#?}", records(&database));
        assert_history_is_sound(&database);
    }
    println!("MariaDB: {cancelled} of 30 runs that were cancelled did not come to their end; all survived");
}
