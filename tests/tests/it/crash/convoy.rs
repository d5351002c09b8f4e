//! PostgreSQL, in the middle of a message of several migrations: the client dies, the server dies, or the server dies when the host
//! is told of the first of them. What was told is there; the next run ends as if nothing had happened.

use diesel::{connection::SimpleConnection, pg::Pg};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, Options, Postgres, Stop},
    wait,
};

use super::{
    sets::{Set, assert_history_is_sound, history, records, state},
    starter::{Starter, run},
};

/// What a migration waits for: a table of its own, beside which no database is empty, or a lock of its own.
#[derive(Clone, Copy)]
enum Gate {
    Table,
    Lock,
}

impl Gate {
    fn script(self, number: usize) -> String {
        match self {
            Self::Table => format!("INSERT INTO log SELECT '{number}' FROM gates.gate_{number};"),
            Self::Lock => {
                format!("INSERT INTO log SELECT '{number}' FROM pg_advisory_xact_lock_shared({number});")
            }
        }
    }

    fn hold(self, number: usize) -> String {
        match self {
            Self::Table => format!("BEGIN; LOCK TABLE gates.gate_{number}"),
            Self::Lock => format!("BEGIN; DO $$ BEGIN PERFORM pg_advisory_xact_lock({number}); END $$"),
        }
    }

    fn database(self, server: &Postgres) -> FreshDatabase<Pg> {
        let database = server.fresh();
        if matches!(self, Self::Table) {
            let gates: String =
                (1..=10).map(|number| format!("CREATE TABLE gates.gate_{number} AS SELECT 1;")).collect();
            database.execute(&format!("CREATE SCHEMA gates; {gates}"));
        }
        database
    }
}

/// Ten migrations, of which each waits.
fn gated(gate: Gate) -> Set {
    let script = |number: usize| {
        let log = if number == 1 { "CREATE TABLE log (entry VARCHAR(20) NOT NULL);" } else { "" };
        format!("{log} CREATE TABLE pier_{number} (id INT); {}", gate.script(number))
    };
    let migrations: Vec<(String, String)> =
        (1..=10).map(|number| (format!("{number:02}_pier"), script(number))).collect();
    Set::new(&migrations)
}

const WAITS: &str =
    "SELECT 'waits' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

#[test]
fn the_client_or_the_server_dies_within_a_message() {
    dies_within_a_message(Gate::Table, &[1, 2, 6, 10]);
}

#[test]
fn the_client_or_the_server_dies_within_a_transaction_that_several_share() {
    dies_within_a_message(Gate::Lock, &[1, 6, 10]);
}

fn dies_within_a_message(gate: Gate, gates: &[usize]) {
    let mut server = Postgres::start(Options::default().durable());
    let set = gated(gate);
    let reference = gate.database(&server);
    run(reference.url(), set.path());
    let expected = state(&reference);
    let ends: [fn(&mut Postgres, Starter); 3] = [
        |_, starter| starter.kill(),
        |server, _starter| server.kill(),
        |server, _starter| server.stop(Stop::Immediate),
    ];
    let mut points = 0;
    for end in ends {
        for &number in gates {
            let database = gate.database(&server);
            let mut holder = database.connect();
            holder.batch_execute(&gate.hold(number)).expect("hold a gate");
            let mut starter = Starter::start(database.url(), set.path(), &["step"]);
            starter.step_to(|event| event.starts_with("Together")).expect("they travel together");
            starter.go_on();
            wait::until("one of them to wait", || (!database.texts(WAITS).is_empty()).then_some(()));
            end(&mut server, starter);
            drop(holder);
            if server.pid().is_none() {
                server.restart();
            }
            run(database.url(), set.path());
            let kept = records(&database);
            assert_eq!(state(&database), expected, "at gate {number}: {kept:#?}");
            assert_history_is_sound(&database);
            points += 1;
        }
    }
    println!("PostgreSQL: died {points} times within a message; {points} survived");
}

#[test]
fn what_is_told_is_on_disk() {
    let mut server = Postgres::start(Options::default().durable());
    let set = gated(Gate::Table);
    // The last gate is closed for longer than the run waits: of the message all but the last take, without waiting for the disk.
    for fails in [false, true] {
        let database = Gate::Table.database(&server);
        let mut holder = database.connect();
        if fails {
            holder.batch_execute(&Gate::Table.hold(10)).expect("hold a gate");
        }
        let mut starter = Starter::start(database.url(), set.path(), &["step", "statement-timeout=50"]);
        let last = if fails { 9 } else { 10 };
        let mut told = 0;
        let reached = starter.step_to(|event| {
            told += usize::from(event.starts_with("Applied"));
            told == last
        });
        reached.expect("it is told of them");
        server.kill();
        drop((starter, holder));
        server.restart();
        assert_eq!(history(&database, "event = 'applied'").len(), last, "{:#?}", records(&database));
        run(database.url(), set.path());
        assert_history_is_sound(&database);
    }
}
