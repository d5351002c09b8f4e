//! `CREATE INDEX CONCURRENTLY`: not in a transaction, and when it fails it leaves an INVALID index behind.

use diesel::{connection::SimpleConnection, pg::Pg};
use migrator::{MigrationSet, Migrator, Target};
use migrator_tests::{
    Database,
    servers::{FreshDatabase, postgres},
    wait,
};

use super::{
    sets::{Set, assert_history_is_sound},
    starter::{Starter, run},
};

pub(super) const INDEX: [(&str, &str); 2] = [
    ("1_first", "CREATE TABLE log (entry text); INSERT INTO log VALUES ('1.2');"),
    ("2_second", "CREATE UNIQUE INDEX CONCURRENTLY log_entry ON log (entry);"),
];

/// A query with a row while the index waits for an older transaction.
pub(super) const WAITS: &str = "SELECT 'waits' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock'
    AND query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY%' AND datname = current_database()";

/// A database with the table, and a transaction that the index has to wait for.
pub(super) fn with_a_writer(database: &FreshDatabase<Pg>) -> diesel::PgConnection {
    run(database.url(), Set::new(&INDEX[..1]).path());
    let mut writer = database.connect();
    writer.batch_execute("BEGIN; INSERT INTO log VALUES ('of the service')").expect("write");
    writer
}

/// Each index of the table, and whether it is valid.
fn indexes(database: &FreshDatabase<Pg>) -> Vec<String> {
    database.texts(
        "SELECT indexrelid::regclass::text || ' ' || indisvalid::text AS value FROM pg_index
         WHERE indrelid = 'log'::regclass ORDER BY 1",
    )
}

#[test]
fn others_start_while_an_index_is_made() {
    let database = postgres().fresh();
    let mut writer = with_a_writer(&database);
    let set = Set::new(&INDEX);
    let holder = Starter::start(database.url(), set.path(), &[]);
    wait::until("the index to wait", || (!database.texts(WAITS).is_empty()).then_some(()));
    let mut others = [(); 3].map(|()| Starter::start(database.url(), set.path(), &[]));
    others.iter_mut().for_each(|other| drop(other.until("event Waiting")));
    let known = MigrationSet::from_path(set.path()).expect("the set is sound");
    let status = Migrator::new(&known).status(&mut database.connect()).expect("a status needs no lock");
    let problem = &status.problems()[0];
    assert!(problem.code == "failed" && problem.message.contains("may still be running"), "{status}");
    writer.batch_execute("COMMIT").expect("commit");
    assert_eq!(holder.end().succeeded(), 1);
    others.into_iter().for_each(|other| assert_eq!(other.end().succeeded(), 0));
    assert_eq!(indexes(&database), ["log_entry true"]);
    assert_history_is_sound(&database);
}

#[test]
fn a_script_that_runs_is_not_planned_as_one_that_was_left_behind() {
    let database = postgres().fresh();
    let mut writer = with_a_writer(&database);
    // Without a name: the catalogue would not tell whether it took.
    let set = Set::new(&[INDEX[0], ("2_second", "CREATE UNIQUE INDEX CONCURRENTLY ON log (entry);")]);
    let holder = Starter::start(database.url(), set.path(), &[]);
    wait::until("the index to wait", || (!database.texts(WAITS).is_empty()).then_some(()));
    let known = MigrationSet::from_path(set.path()).expect("the set is sound");
    let plan = Migrator::new(&known).plan(&mut database.connect(), Target::Latest);
    writer.batch_execute("COMMIT").expect("commit");
    assert_eq!(holder.end().succeeded(), 1);
    assert_eq!(plan.unwrap_or_else(|error| panic!("{error}")).steps().len(), 1);
}

#[test]
fn an_index_that_waits_longer_than_other_statements_may_is_made() {
    let database = postgres().fresh();
    let mut writer = with_a_writer(&database);
    let set = Set::new(&INDEX);
    let starter = Starter::start(database.url(), set.path(), &["statement-timeout=100"]);
    let long = format!("{WAITS} AND clock_timestamp() - query_start > interval '1 second'");
    wait::until("the index to wait for a second", || (!database.texts(&long).is_empty()).then_some(()));
    writer.batch_execute("COMMIT").expect("commit");
    assert_eq!(starter.end().succeeded(), 1);
    assert_eq!(indexes(&database), ["log_entry true"]);
}

#[test]
fn what_an_index_that_fails_leaves_is_removed_by_the_next_run() {
    let database = postgres().fresh();
    let mut writer = with_a_writer(&database);
    writer.batch_execute("COMMIT; INSERT INTO log VALUES ('of the service')").expect("write the same row twice");
    let set = Set::new(&INDEX);
    let failed = Starter::start(database.url(), set.path(), &[]).end();
    assert!(failed.is("statement_failed"), "{:#?}", failed.said);
    assert_eq!(indexes(&database), ["log_entry false"]);
    database.execute("DELETE FROM log WHERE entry = 'of the service'");
    assert_eq!(run(database.url(), set.path()), 1);
    assert_eq!(indexes(&database), ["log_entry true"]);
}

#[test]
fn an_index_that_was_there_before_is_not_taken_for_its_own() {
    let database = postgres().fresh();
    run(database.url(), Set::new(&INDEX[..1]).path());
    let set = Set::new(&INDEX);
    database.execute("CREATE INDEX log_entry ON log (entry)");
    // Killed before the statement is sent, which nobody sees.
    let mut starter = Starter::start(database.url(), set.path(), &["step"]);
    starter.step_to(|event| event.starts_with("Statement")).expect("the index");
    starter.kill();
    let next = Starter::start(database.url(), set.path(), &[]).end();
    assert!(next.is("statement_failed") && next.has("already exists"), "{:#?}", next.said);
    database.execute("DROP INDEX log_entry");
    assert_eq!(run(database.url(), set.path()), 1);
}

#[test]
fn what_a_reindex_leaves_is_removed_by_the_next_run() {
    // Of so long a name PostgreSQL leaves the end out.
    let long = "l".repeat(63);
    let cases = [
        ("INDEX CONCURRENTLY log_entry", true),
        ("TABLE CONCURRENTLY log", false),
        (&format!("INDEX CONCURRENTLY {long}")[..], false),
    ];
    for (what, is_killed) in cases {
        let database = postgres().fresh();
        run(database.url(), Set::new(&INDEX[..1]).path());
        database.execute(&format!("CREATE UNIQUE INDEX log_entry ON log (entry); CREATE INDEX {long} ON log (entry)"));
        let sound = indexes(&database);
        let mut writer = database.connect();
        writer.batch_execute("BEGIN; INSERT INTO log VALUES ('of the service')").expect("write");
        let set = Set::new(&[INDEX[0], ("2_second", &format!("REINDEX {what};"))]);
        let starter = Starter::start(database.url(), set.path(), &[]);
        let waits = WAITS.replace("CREATE UNIQUE INDEX CONCURRENTLY", "REINDEX");
        wait::until("the reindex to wait", || (!database.texts(&waits).is_empty()).then_some(()));
        if is_killed {
            starter.kill();
            wait::until("the reindex to be given up", || database.texts(&waits).is_empty().then_some(()));
        } else {
            database.texts(&waits.replace("'waits'", "pg_cancel_backend(pid)::text"));
            assert!(starter.end().is("statement_failed"), "{what}");
        }
        writer.batch_execute("COMMIT").expect("commit");
        assert_ne!(indexes(&database), sound, "{what}");
        // One that a reindex replaced and could not drop; and one that is nobody's.
        database.execute(
            "CREATE INDEX log_entry_ccold ON log (entry); CREATE INDEX odd_ccnew ON log (entry); UPDATE pg_index SET indisvalid = \
             false WHERE indexrelid IN ('log_entry_ccold'::regclass, 'odd_ccnew'::regclass)",
        );
        assert_eq!(run(database.url(), set.path()), 1, "{what}");
        database.execute("DROP INDEX odd_ccnew");
        let mut left = indexes(&database);
        if what.ends_with(&long) {
            left.retain(|index| index != "log_entry_ccold false");
        }
        assert_eq!(left, sound, "{what}");
        assert_history_is_sound(&database);
    }
}
