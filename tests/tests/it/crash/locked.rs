//! The migration lock: who holds it is named, it is free after every kind of end, nobody waits in a way that blocks its
//! holder, and who lost it writes nothing.

use diesel::{mysql::Mysql, pg::Pg};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, mariadb, postgres},
    sqlite,
};
use rustix::process::Signal;

use super::{
    sets::{MIXED, Set, assert_history_is_sound, history, records, reference, state},
    starter::{Starter, run},
};

#[test]
fn sqlite_names_the_process() {
    names_its_holder(&sqlite::fresh(), |holder, _| format!("process {} (starter)", holder.pid()));
}

#[test]
fn postgres_names_the_session_and_its_application() {
    let pid = |database: &FreshDatabase<Pg>| {
        let sql = "SELECT pid::text AS value FROM pg_locks WHERE locktype = 'advisory' AND granted AND database =
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
        database.texts(sql).remove(0)
    };
    names_its_holder(&postgres().fresh(), |_, database| {
        format!("backend {}, user postgres, application starter", pid(database))
    });
}

#[test]
fn mariadb_names_the_connection() {
    let id = |database: &FreshDatabase<Mysql>| {
        let sql = format!(
            "SELECT CAST(id AS CHAR(20)) AS value FROM information_schema.processlist WHERE db = '{}' AND
             id <> CONNECTION_ID() ORDER BY id LIMIT 1",
            database.name()
        );
        database.texts(&sql).remove(0)
    };
    names_its_holder(&mariadb().fresh(), |_, database| format!("connection {}, user migrator", id(database)));
}

/// A holder is frozen with the lock; who waits a short time is told so and by whom; thawed, the holder goes on.
fn names_its_holder<D: Database>(database: &D, holder_of: impl Fn(&Starter, &D) -> String) {
    let set = Set::new(&MIXED);
    let mut holder = Starter::start(database.url(), set.path(), &["step"]);
    holder.step_to(|event| event.starts_with("Statement { number: 2,")).expect("a second statement");
    holder.signal(Signal::STOP);
    let expected = holder_of(&holder, database);
    let waiter = Starter::start(database.url(), set.path(), &["lock-timeout=300"]).end();
    assert!(waiter.is("lock_timeout"), "{:#?}", waiter.said);
    assert!(waiter.has(&expected), "not {expected:?} in {:#?}", waiter.said);
    holder.signal(Signal::CONT);
    holder.go_on();
    assert_eq!(holder.end().succeeded(), MIXED.len());
    assert_history_is_sound(database);
}

#[test]
fn sqlite_is_free_after_every_end() {
    free_after_every_end(sqlite::fresh);
}

#[test]
fn postgres_is_free_after_every_end() {
    free_after_every_end(|| postgres().fresh());
}

#[test]
fn mariadb_is_free_after_every_end() {
    free_after_every_end(|| mariadb().fresh());
}

/// An error, a panic of the host's hook at each kind of event, `kill -9` while another one waits.
fn free_after_every_end<D: Database>(fresh: impl Fn() -> D) {
    let set = Set::new(&MIXED);
    let expected = reference(&fresh(), &set);

    let database = fresh();
    let faulty = Set::new(&[MIXED[0], ("2_second", "INSERT INTO nowhere VALUES (1)")]);
    let failed = Starter::start(database.url(), faulty.path(), &[]).end();
    assert!(failed.is("statement_failed"), "{:#?}", failed.said);
    faulty.write(MIXED[1].0, MIXED[1].1);
    faulty.write(MIXED[2].0, MIXED[2].1);
    assert_eq!(run(database.url(), faulty.path()), 2);
    assert_eq!(state(&database), expected);

    for event in
        ["Locked", "Planned", "Started", "Statement", "Statement { number: 2", "Statement { number: 3", "Applied"]
    {
        let database = fresh();
        let mut panicked = Starter::start(database.url(), set.path(), &[&format!("panic={event}"), "step"]);
        panicked.go_on();
        let panicked = panicked.end();
        assert!(panicked.is("died") && panicked.has("as the test wants it"), "{:#?}", panicked.said);
        run(database.url(), set.path());
        assert_eq!(state(&database), expected, "after a panic at {event}: {:#?}", records(&database));
        assert_history_is_sound(&database);
    }

    let database = fresh();
    let mut holder = Starter::start(database.url(), set.path(), &["step"]);
    holder.step_to(|event| event.starts_with("Statement { number: 2,")).expect("a second statement");
    let mut waiters = [(); 3].map(|()| Starter::start(database.url(), set.path(), &[]));
    waiters.iter_mut().for_each(|waiter| drop(waiter.until("event Waiting")));
    holder.kill();
    let mut applied = waiters.map(|waiter| waiter.end().succeeded());
    applied.sort_unstable();
    assert_eq!(applied[..2], [0, 0], "one successor");
    assert_eq!(state(&database), expected);
    assert_history_is_sound(&database);
}

#[test]
fn two_databases_of_one_mariadb_do_not_wait_for_each_other() {
    let (one, other) = (mariadb().fresh(), mariadb().fresh());
    let set = Set::new(&MIXED);
    let mut holder = Starter::start(one.url(), set.path(), &["step"]);
    holder.step_to(|event| event.starts_with("Statement")).expect("a statement");
    let end = Starter::start(other.url(), set.path(), &[]).end();
    assert!(!end.has("event Waiting"), "{:#?}", end.said);
    assert_eq!(end.succeeded(), MIXED.len());
    holder.go_on();
    assert_eq!(holder.end().succeeded(), MIXED.len());
}

#[test]
fn two_schemas_of_one_postgres_do_not_wait_for_each_other() {
    let database = postgres().fresh();
    database.execute("CREATE SCHEMA one; CREATE SCHEMA other");
    let url = |schema: &str| format!("{}?options=-csearch_path%3D{schema}", database.url());
    let set = Set::new(&MIXED);
    let mut holder = Starter::start(&url("one"), set.path(), &["step"]);
    holder.step_to(|event| event.starts_with("Statement")).expect("a statement");
    let end = Starter::start(&url("other"), set.path(), &[]).end();
    assert!(!end.has("event Waiting"), "{:#?}", end.said);
    assert_eq!(end.succeeded(), MIXED.len());
    holder.go_on();
    assert_eq!(holder.end().succeeded(), MIXED.len());
    for schema in ["one", "other"] {
        let sql =
            format!("SELECT name AS value FROM {schema}.__migrator_history WHERE event = 'applied' ORDER BY sequence");
        assert_eq!(database.texts(&sql), MIXED.map(|(name, _)| name));
    }
}

/// The lock is given away on the migrating session itself: by a pooler, by a script.
const GIVEN_AWAY: [&str; 2] = ["INSERT INTO log VALUES ('2.1');\nGIVE;\nINSERT INTO log VALUES ('2.3');", "GIVE;"];

#[test]
fn postgres_writes_nothing_without_the_lock() {
    for script in GIVEN_AWAY {
        let database = postgres().fresh();
        lost(&database, &script.replace("GIVE", "SELECT pg_advisory_unlock_all()"));
        assert_eq!(database.texts("SELECT entry AS value FROM log"), ["1.2"], "the migration is rolled back");
        assert_eq!(history(&database, "name = '2_second'"), Vec::<String>::new());
        // In a script without a transaction, the statement that no record can follow is rolled back.
        let database = postgres().fresh();
        let alone = format!("-- migrator: no-transaction\n{script}");
        lost(&database, &alone.replace("GIVE", "SELECT pg_advisory_unlock_all()"));
        let took = if script.starts_with("INSERT") { vec!["1.2", "2.1"] } else { vec!["1.2"] };
        assert_eq!(database.texts("SELECT entry AS value FROM log ORDER BY 1"), took);
    }
}

#[test]
fn mariadb_writes_nothing_without_the_lock() {
    for script in GIVEN_AWAY {
        let database = mariadb().fresh();
        lost(&database, &script.replace("GIVE", "DO RELEASE_ALL_LOCKS()"));
        assert_eq!(database.texts("SELECT entry AS value FROM log"), ["1.2"], "without DDL it is rolled back here too");
        assert_eq!(history(&database, "name = '2_second'"), Vec::<String>::new());
    }
    // Given away in front of a statement that commits by itself.
    let database = mariadb().fresh();
    lost(
        &database,
        "CREATE PROCEDURE give() BEGIN DO RELEASE_ALL_LOCKS(); CREATE TABLE given (id INT); END;\nCALL give();",
    );
    assert_eq!(history(&database, "name = '2_second' AND event = 'statement'").len(), 1, "{:#?}", records(&database));
}

/// A run whose second migration gives the lock away.
fn lost<D: Database>(database: &D, script: &str) {
    let set = Set::new(&[MIXED[0], ("2_second", script)]);
    let end = Starter::start(database.url(), set.path(), &[]).end();
    assert!(end.is("lock_lost"), "{:#?}", end.said);
    assert_eq!(history(database, "event = 'applied'"), ["1_first"], "{:#?}", records(database));
}
