//! `kill -9` of a revert: at each event, and while a statement runs. The next revert ends as if nothing had happened, and until
//! then no run is built upon what is left.

use diesel::connection::{LoadConnection, SimpleConnection};
use migrator::{Dialect, MigrationSet, Migrator, State};
use migrator_tests::{
    Database,
    servers::{mariadb, postgres},
    sqlite, wait,
};

use super::{
    sets::{MIXED, Set, history, records, state},
    starter::{Starter, run},
};

/// Of the second and the third of [`MIXED`]: no statement can run twice without showing.
pub(super) const DOWNS: [(&str, &str); 2] = [
    (
        "2_second",
        "-- migrator: no-transaction
         INSERT INTO log VALUES ('down 2.1');
         DELETE FROM harbour WHERE id IN (SELECT COUNT(*) - 4 FROM log);
         CREATE TABLE berth AS SELECT entry FROM log;
         INSERT INTO log VALUES ('down 2.4');",
    ),
    (
        "3_third",
        "INSERT INTO log VALUES ('down 3.1');
         ALTER TABLE harbour DROP COLUMN depth;
         INSERT INTO log VALUES ('down 3.3');",
    ),
];

fn set() -> Set {
    let set = Set::new(&MIXED);
    DOWNS.iter().for_each(|(name, script)| set.write_down(name, script));
    set
}

/// Reverts down to the first, and returns how many that were.
fn revert(url: &str, set: &Set) -> usize {
    Starter::start(url, set.path(), &["revert=1"]).end().succeeded()
}

/// What a revert leaves that nothing interrupted.
fn reference(database: &impl Database, set: &Set) -> String {
    run(database.url(), set.path());
    assert_eq!(revert(database.url(), set), 2);
    assert_is_sound(database);
    state(database)
}

/// Numbered without gaps, each migration reverted once, diesel's table in step.
fn assert_is_sound(database: &impl Database) {
    let numbers =
        database.texts("SELECT TRIM(CAST(sequence AS CHAR(20))) AS value FROM __migrator_history ORDER BY sequence");
    let expected: Vec<String> = (1..=numbers.len()).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "the numbers of the history");
    assert_eq!(history(database, "event = 'reverted'"), ["3_third", "2_second"], "{:#?}", records(database));
    assert_eq!(database.texts("SELECT version AS value FROM __diesel_schema_migrations"), ["1"]);
}

/// Where a revert is half done, a run is refused and says how to go on. How often that was looked at.
fn is_not_built_upon<D: Database>(database: &D, set: &Set) -> usize
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let known = MigrationSet::from_path(set.path()).expect("the folder is read");
    let (migrator, mut conn) = (Migrator::new(&known), database.connect());
    let status = migrator.status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    if !status.migrations().iter().any(|row| row.state == State::Failed) {
        return 0;
    }
    let before = records(database);
    let error = migrator.run(&mut conn).expect_err("a revert is half done");
    assert!(error.code() == "failed" && error.remedy().contains("migrator revert"), "{error}");
    assert_eq!(records(database), before, "nothing was written");
    1
}

#[test]
fn at_each_event_on_sqlite() {
    at_each_event("SQLite", sqlite::fresh, 1);
}

#[test]
fn at_each_event_on_postgres() {
    at_each_event("PostgreSQL", || postgres().fresh(), 1);
}

#[test]
fn at_each_event_on_mariadb() {
    at_each_event("MariaDB", || mariadb().fresh(), 4);
}

/// Kills at the first event, then in a new database at the second, until a revert is done before it is killed.
fn at_each_event<D: Database>(name: &str, fresh: impl Fn() -> D, at_least: usize)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let set = set();
    let expected = reference(&fresh(), &set);
    let (mut points, mut statements, mut half_done) = (0, 0, 0);
    loop {
        let database = fresh();
        run(database.url(), set.path());
        let mut starter = Starter::start(database.url(), set.path(), &["step", "revert=1"]);
        let mut passed = 0;
        let reached = starter.step_to(|_| {
            passed += 1;
            passed > points
        });
        let Some(event) = reached else {
            assert_eq!(starter.end().succeeded(), 2);
            break;
        };
        starter.kill();
        points += 1;
        statements += usize::from(event.starts_with("Statement"));
        half_done += is_not_built_upon(&database, &set);
        revert(database.url(), &set);
        assert_eq!(state(&database), expected, "after a kill at event {points}: {event}");
        assert_is_sound(&database);
        assert_eq!(revert(database.url(), &set), 0, "a third has nothing to do");
    }
    assert_eq!(statements, 7, "each statement was one of the points");
    assert!(half_done >= at_least, "{half_done} times it was half done");
    println!("{name}: killed at {points} events of a revert, {statements} of them statements; {points} survived");
}

/// The server carries a statement out whose client is gone, and the outcome with it: the next revert does not repeat it.
#[test]
fn while_a_statement_runs_on_mariadb() {
    let server = mariadb();
    let mut points = 0;
    for statement in 1..=3 {
        let (database, gates) = (server.fresh(), server.fresh());
        gates.execute(
            "CREATE TABLE gate_1 AS SELECT 1; CREATE TABLE gate_2 AS SELECT 1; CREATE TABLE gate_3 AS SELECT 1",
        );
        let set = set();
        let gate = |number: usize| format!("{}.gate_{number}", gates.name());
        set.write_down(
            "3_third",
            &format!(
                "INSERT INTO log SELECT 'down 3.1' FROM {};
                 CREATE TABLE berth AS SELECT '3.2' AS entry FROM {};
                 CREATE TABLE pier AS SELECT '3.3' AS entry FROM {};",
                gate(1),
                gate(2),
                gate(3)
            ),
        );
        set.write_down("2_second", "DELETE FROM log WHERE entry LIKE '2.%';");
        run(database.url(), set.path());
        let mut starter = Starter::start(database.url(), set.path(), &["step", "revert=1"]);
        let reached = starter.step_to(|event| event.starts_with(&format!("Statement {{ number: {statement}, of: 3")));
        reached.unwrap_or_else(|| panic!("no statement {statement}: {starter:?}"));
        let mut holder = gates.connect();
        let lock = format!("SET lock_wait_timeout = 10; LOCK TABLES gate_{statement} WRITE");
        holder.batch_execute(&lock).expect("hold the gate");
        starter.go();
        let blocked =
            "SELECT 'blocked' AS value FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'
                       AND info LIKE CONCAT('%', DATABASE(), '.gate\\_%')";
        wait::until("the statement to wait at the gate", || (!gates.texts(blocked).is_empty()).then_some(()));
        starter.kill();
        points += 1;
        // A run and a revert that come now wait for the lock; only then is it known what took.
        let mut next = Starter::start(database.url(), set.path(), &["revert=1"]);
        next.until("event Waiting");
        let other = Starter::start(database.url(), set.path(), &["lock-timeout=1"]).end();
        assert!(other.is("lock_timeout"), "{other:#?}");
        drop(holder);
        // The last statement carries the end of its migration with it.
        assert_eq!(next.end().succeeded(), if statement == 3 { 1 } else { 2 });
        assert_is_sound(&database);
        let log = database.texts("SELECT entry AS value FROM log ORDER BY 1");
        assert_eq!(log, ["1.2", "3.1", "3.3", "down 3.1"], "statement {statement}: {:#?}", records(&database));
    }
    println!("MariaDB: killed while {points} statements of a revert ran; {points} survived");
}
