//! `kill -9` of a starter: at each event, and while a statement runs. The next run ends as if nothing had happened.

use std::fs;

use diesel::{connection::SimpleConnection, mysql::Mysql, pg::Pg};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, Server, mariadb, postgres},
    sqlite, wait,
};

use super::{
    sets::{MIXED, MORE_DDL, Set, assert_history_is_sound, records, reference, state},
    starter::{Starter, run},
};

#[test]
fn at_each_event_on_sqlite() {
    at_each_event("SQLite", sqlite::fresh, &MIXED);
    at_each_event("SQLite", sqlite::fresh, &MORE_DDL);
}

#[test]
fn at_each_event_on_sqlite_with_wal() {
    let fresh = || {
        let database = sqlite::fresh();
        database.connect().batch_execute("PRAGMA journal_mode = wal").expect("switch to WAL");
        database
    };
    at_each_event("SQLite with WAL", fresh, &MIXED);
}

#[test]
fn at_each_event_on_postgres() {
    at_each_event("PostgreSQL", || postgres().fresh(), &MIXED);
    at_each_event("PostgreSQL", || postgres().fresh(), &MORE_DDL);
}

#[test]
fn at_each_event_on_mariadb() {
    at_each_event("MariaDB", || mariadb().fresh(), &MIXED);
    at_each_event("MariaDB", || mariadb().fresh(), &MORE_DDL);
}

/// Kills at the first event, then in a new database at the second, until a run is done before it is killed.
fn at_each_event<D: Database>(name: &str, fresh: impl Fn() -> D, migrations: &[(&str, &str)]) {
    let set = Set::new(migrations);
    let expected = reference(&fresh(), &set);
    let (mut points, mut statements) = (0, 0);
    loop {
        let database = fresh();
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        let mut passed = 0;
        let reached = starter.step_to(|_| {
            passed += 1;
            passed > points
        });
        let Some(event) = reached else {
            assert_eq!(starter.end().succeeded(), migrations.len());
            break;
        };
        starter.kill();
        points += 1;
        statements += usize::from(event.starts_with("Statement"));
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "after a kill at event {points}: {event}");
        assert_history_is_sound(&database);
        assert_eq!(run(database.url(), set.path()), 0, "a third run has nothing to do");
    }
    let all: usize = migrations.iter().map(|(_, script)| script.matches(";\n").count() + 1).sum();
    assert_eq!(statements, all, "each statement was one of the points");
    println!("{name}: killed at {points} events, {statements} of them statements; {points} survived");
}

/// Each statement waits for a table of its own that the test holds; so it can be killed while it runs.
const GATED: [(&str, &str); 3] = [
    (
        "1_first",
        "CREATE TABLE log (entry VARCHAR(20) NOT NULL);
         INSERT INTO log SELECT '1.2' FROM GATE_2;
         CREATE TABLE harbour AS SELECT '1.3' AS entry FROM GATE_3;",
    ),
    (
        "2_second",
        "-- migrator: no-transaction
         INSERT INTO log SELECT '2.1' FROM GATE_1;
         CREATE TABLE berth AS SELECT '2.2' AS entry FROM GATE_2;
         INSERT INTO berth SELECT '2.3' FROM GATE_3;",
    ),
    (
        "3_third",
        "INSERT INTO log SELECT '3.1' FROM GATE_1;
         CREATE TABLE lighthouse AS SELECT '3.2' AS entry FROM GATE_2;
         INSERT INTO lighthouse SELECT '3.3' FROM GATE_3;",
    ),
];

/// What a test needs to know of a server to stop a statement half-way.
struct Gate {
    /// Makes the tables, in a place of its own: a database that is not empty is refused.
    make: &'static str,
    /// The tables' name in the scripts but for the number; `DATABASE` stands for the name of a second database.
    table: &'static str,
    /// `?` stands for the number of the statement.
    lock: &'static str,
    /// A query with a row when a session waits for the table.
    blocked: &'static str,
}

#[test]
fn while_a_statement_runs_on_postgres() {
    let gate = Gate {
        make: "CREATE SCHEMA gates; CREATE TABLE gates.gate_1 AS SELECT 1; CREATE TABLE gates.gate_2 AS SELECT 1;
               CREATE TABLE gates.gate_3 AS SELECT 1",
        table: "gates.gate_",
        lock: "SET lock_timeout = '10s'; BEGIN; LOCK TABLE gates.gate_?",
        blocked: "SELECT 'blocked' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                  AND datname = current_database()",
    };
    while_a_statement_runs::<Pg>(postgres(), &gate);
}

#[test]
fn while_a_statement_runs_on_mariadb() {
    let gate = Gate {
        make: "CREATE TABLE gate_1 AS SELECT 1; CREATE TABLE gate_2 AS SELECT 1; CREATE TABLE gate_3 AS SELECT 1",
        table: "DATABASE.gate_",
        lock: "SET lock_wait_timeout = 10; LOCK TABLES gate_? WRITE",
        blocked: "SELECT 'blocked' AS value FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'
                  AND info LIKE CONCAT('%', DATABASE(), '.gate\\_%')",
    };
    while_a_statement_runs::<Mysql>(mariadb(), &gate);
}

/// For each statement: a starter is killed while the server runs it. The next starter is there before the statement ends.
fn while_a_statement_runs<K>(server: &Server<K>, gate: &Gate)
where
    K: migrator_tests::servers::Kind,
    K::Connection: SimpleConnection,
{
    let mut expected = None;
    let mut points = 0;
    // The first statement makes the log and waits for nothing.
    for (migration, statement) in (0..3).flat_map(|migration| (1..=3).map(move |statement| (migration, statement))) {
        let database = server.fresh();
        // The gate of PostgreSQL is in the database itself, in a schema of its own; that of MariaDB in another database.
        let other: FreshDatabase<K> = server.fresh();
        let place = if gate.table.contains("DATABASE") { &other } else { &database };
        place.execute(gate.make);
        let table = gate.table.replace("DATABASE", other.name());
        let scripts = GATED.map(|(name, script)| (name, script.replace("GATE_", &table)));
        let set = Set::new(&scripts.each_ref().map(|(name, script)| (*name, script.as_str())));
        if migration == 0 && statement == 1 {
            expected = Some(reference(&database, &set));
            continue;
        }
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        starter.step_to_statement(migration + 1, statement);
        let mut holder = place.connect();
        holder.batch_execute(&gate.lock.replace('?', &statement.to_string())).expect("hold the gate");
        starter.go();
        let blocked = || (!place.texts(gate.blocked).is_empty()).then_some(());
        wait::until("the statement to wait at the gate", blocked);
        starter.kill();
        points += 1;
        let mut next = Starter::start(database.url(), set.path(), &[]);
        // On PostgreSQL the server may have given up the statement of the dead client by now, and the next starter waits
        // at the gate itself; on MariaDB it cannot, so the next one has to wait for the lock.
        if K::NAME == "MariaDB" {
            next.until("event Waiting");
            assert!(!place.texts(gate.blocked).is_empty(), "the statement of the dead client still runs");
        } else {
            wait::until("one statement at the gate", || (place.texts(gate.blocked).len() == 1).then_some(()));
        }
        drop(holder);
        next.end().succeeded();
        let state = state(&database);
        let point = format!("statement {statement} of {}: {:#?}", GATED[migration].0, records(&database));
        assert_eq!(Some(state), expected, "{point}");
        assert_history_is_sound(&database);
    }
    println!("{}: killed while {points} statements ran; {points} survived", K::NAME);
}

/// The statement of the dead client would run for ten minutes more, and its session has the lock. The server looks whether its client
/// is there, because the run asked it to.
#[test]
fn the_lock_of_a_dead_client_of_postgres_is_soon_free() {
    let database = postgres().fresh();
    database.execute("CREATE SCHEMA gates; CREATE TABLE gates.gate AS SELECT 1");
    let set = Set::new(&[
        MIXED[0],
        (
            "2_second",
            "INSERT INTO log VALUES ('2.1');
             SELECT CASE WHEN EXISTS (SELECT FROM gates.gate) THEN pg_sleep(600) END;",
        ),
    ]);
    let starter = Starter::start(database.url(), set.path(), &[]);
    let sleeps =
        "SELECT pid::text AS value FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    wait::until("the statement to sleep", || database.texts(sleeps).pop());
    starter.kill();
    database.execute("DELETE FROM gates.gate");
    let next = Starter::start(database.url(), set.path(), &["lock-timeout=30000"]).end();
    assert_eq!(next.succeeded(), 1);
    assert_eq!(database.texts(sleeps), [""; 0], "the server goes on with it");
    assert_eq!(database.texts("SELECT entry AS value FROM log ORDER BY 1"), ["1.2", "2.1"]);
    assert_history_is_sound(&database);
}

/// A statement that computes for a while, as nothing can be waited for in SQLite.
const BUSY: [(&str, &str); 2] = [
    (
        "1_first",
        "CREATE TABLE log (entry TEXT);
         INSERT INTO log WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400000)
             SELECT '1.2' FROM n WHERE i = 400000;",
    ),
    (
        "2_second",
        "-- migrator: no-transaction
         INSERT INTO log VALUES ('2.1');
         INSERT INTO log WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400000)
             SELECT '2.2' FROM n WHERE i = 400000;",
    ),
];

#[test]
fn while_a_statement_runs_on_sqlite() {
    let set = Set::new(&BUSY);
    let expected = reference(&sqlite::fresh(), &set);
    for migration in 1..=2 {
        let database = sqlite::fresh();
        let mut starter = Starter::start(database.url(), set.path(), &["step"]);
        starter.step_to_statement(migration, 2);
        let before = ticks(starter.pid());
        starter.go();
        wait::until("the statement to compute", || (ticks(starter.pid()) > before).then_some(()));
        starter.kill();
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "{:#?}", records(&database));
        assert_history_is_sound(&database);
    }
    println!("SQLite: killed while 2 statements ran; 2 survived");
}

/// How much a process has computed, from `/proc/PID/stat`.
pub(super) fn ticks(pid: u32) -> u64 {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let fields = line.rsplit(')').next().expect("a name in parentheses");
    fields.split_ascii_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).expect("field 14")
}
