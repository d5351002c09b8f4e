//! What others see while a starter works.

use diesel::connection::LoadConnection;
use migrator::{Dialect, MigrationSet, Migrator};
use migrator_tests::{
    Database,
    servers::{mariadb, postgres},
    sqlite,
};

use super::{
    sets::{MIXED, Set, assert_history_is_sound, history, records, reference, state},
    starter::{Starter, run},
};

#[test]
fn status_of_sqlite_needs_no_lock() {
    status_needs_no_lock(&sqlite::fresh(), "SELECT name AS value FROM sqlite_master");
}

#[test]
fn status_of_postgres_needs_no_lock() {
    status_needs_no_lock(&postgres().fresh(), TABLES);
}

#[test]
fn status_of_mariadb_needs_no_lock() {
    status_needs_no_lock(&mariadb().fresh(), &TABLES.replace("current_schema()", "DATABASE()"));
}

const TABLES: &str = "SELECT table_name AS value FROM information_schema.tables WHERE table_schema = current_schema()";

/// At each event of a run another session asks for the status; before the run it makes nothing.
fn status_needs_no_lock<D: Database>(database: &D, tables: &str)
where
    D::Connection: LoadConnection<Backend: Dialect>,
{
    let directory = Set::new(&MIXED);
    let set = MigrationSet::from_path(directory.path()).expect("the set is sound");
    let status = || Migrator::new(&set).status(&mut database.connect()).expect("a status");
    assert_eq!(status().pending(), MIXED.len());
    assert_eq!(database.texts(tables), Vec::<String>::new(), "a status makes no table");

    let mut holder = Starter::start(database.url(), directory.path(), &["step"]);
    let mut applied = 0;
    let mut asked = 0;
    while let Some(event) = holder.step_to(|_| true) {
        // The holder stands still: whatever waited for it would never be answered.
        let now = status();
        assert!(now.applied() >= applied, "at {event}: {now}");
        assert!(now.problems().iter().all(|problem| problem.code != "history_tampered"), "at {event}: {now}");
        applied = now.applied();
        asked += 1;
        holder.go();
    }
    assert_eq!(holder.end().succeeded(), MIXED.len());
    assert_eq!(status().applied(), MIXED.len());
    assert!(asked > 10, "asked {asked} times");
}

#[test]
fn a_script_in_progress_on_sqlite_is_waited_for() {
    let set = Set::new(&MIXED);
    let expected = reference(&sqlite::fresh(), &set);
    for statement in 1..=3 {
        let database = sqlite::fresh();
        let mut holder = Starter::start(database.url(), set.path(), &["step"]);
        holder.step_to_statement(2, statement);
        // Nothing holds the database now, only the file beside it says that the script is in progress.
        let mut second = Starter::start(database.url(), set.path(), &[]);
        let waiting = second.until("event Waiting");
        assert!(waiting.contains("-migrator-lock") && waiting.contains("(starter)"), "{waiting}");
        // An older binary, which knows nothing of that script, has nothing to do and need not wait.
        assert_eq!(run(database.url(), Set::new(&MIXED[..1]).path()), 0);
        holder.go_on();
        assert_eq!(holder.end().succeeded(), MIXED.len());
        let second = second.end();
        assert_eq!((second.applied, second.skipped), (0, MIXED.len()), "{:#?}", second.said);
        second.succeeded();
        assert_eq!(state(&database), expected, "{:#?}", records(&database));
        assert_eq!(history(&database, "event = 'planned'").len(), 1);
        assert_history_is_sound(&database);
    }
}
