//! Turns with diesel's own runner on one database: its table decides what is applied, and is kept in step.

use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness;
use migrator::{DatabaseState, MigrationSet, Migrator, Policy, Resolution, State, Target};
use migrator_tests::Database;

use crate::dialects::{Postgres, Subject, applies, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::prisma::details;
use crate::watch;

on_each_dialect!(
    what_diesel_applied_is_taken_over,
    diesel_sees_what_we_applied,
    each_takes_the_next_turn,
    what_diesel_reverted_is_pending_again,
    a_row_by_hand_is_adopted,
    a_row_gone_in_the_middle_is_out_of_order,
    a_table_that_is_gone_is_made_again,
    every_row_gone_is_everything_reverted,
    an_empty_table_beside_tables_that_stand_is_not_believed,
    who_cannot_write_is_served_and_told,
    an_unchanged_start_sees_each_change_of_the_table,
    a_version_that_the_set_does_not_know_yet,
    what_is_resolved_shows_in_the_table,
    a_failed_migration_leaves_no_row,
    diesel_at_the_same_moment_is_noticed,
    a_table_that_is_not_diesels,
    a_database_of_another_service_is_refused,
    other_layouts_leave_the_table_alone,
);

const LEDGER: &str = "__diesel_schema_migrations";

/// Migrations `01_t1` and so on that can be reverted.
fn reversible(count: usize) -> Folder {
    let folder = Folder::of_tables(count);
    (1..=count)
        .for_each(|number| folder.write(&format!("{number:02}_t{number}/down.sql"), format!("DROP TABLE t{number};")));
    folder
}

/// The versions in diesel's table.
fn ledger(database: &impl Database) -> Vec<String> {
    database.texts(&format!("SELECT version AS value FROM {LEDGER} ORDER BY version"))
}

/// The tables of tools, ours among them.
fn of_tools<S: Subject>(database: &S::Database) -> Vec<String> {
    database.texts(S::TABLES).into_iter().filter(|table| table.starts_with("__")).collect()
}

/// What the history says that changes what is applied, each with its detail, moments left out.
fn diesel_runs<S: Subject>(database: &S::Database, set: &MigrationSet) -> Vec<String> {
    let mut conn = database.connect();
    let applied = conn.run_pending_migrations(set).unwrap_or_else(|error| panic!("{error}"));
    applied.iter().map(ToString::to_string).collect()
}

fn diesel_reverts<S: Subject>(database: &S::Database, set: &MigrationSet) -> String {
    let mut conn = database.connect();
    conn.revert_last_migration(set).unwrap_or_else(|error| panic!("{error}")).to_string()
}

fn is_pending_for_diesel<S: Subject>(database: &S::Database, set: &MigrationSet) -> bool {
    database.connect().has_pending_migration(set).unwrap_or_else(|error| panic!("{error}"))
}

fn states<S: Subject>(database: &S::Database, set: &MigrationSet) -> Vec<&'static str> {
    status::<S>(database, set).migrations().iter().map(|row| row.state.name()).collect()
}

fn queries<S: Subject>(database: &S::Database, set: &MigrationSet) -> usize {
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    queries.take().len()
}

fn what_diesel_applied_is_taken_over<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(3));
    let set = folder.set();
    assert_eq!(diesel_runs::<S>(&database, &set), ["01", "02", "03"]);

    // Before anything is written: the tool's history alone counts as history.
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::UpToDate, 3, 0));
    assert!(
        seen.migrations().iter().all(|row| row.state == State::Applied && row.unverified && row.applied_at.is_some())
    );
    assert!(seen.to_string().contains("unverified"), "{seen}");
    let plan =
        Migrator::new(&set).plan(&mut database.connect(), Target::Latest).unwrap_or_else(|error| panic!("{error}"));
    assert!(plan.is_empty() && plan.warnings()[0].contains("3 migrations to adopt"), "{plan}");
    assert_eq!(of_tools::<S>(&database), [LEDGER], "nothing was written");

    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), report.skipped()), (0, 3));
    assert!(report.warnings()[0].contains("3 migrations adopted"), "{report}");
    assert!(events.take().iter().any(|event| event.starts_with("Warning") && event.contains("3 migrations adopted")));
    assert_eq!(details(&database), ["applied 01 adopted", "applied 02 adopted", "applied 03 adopted"]);
    assert_eq!(ledger(&database), ["01", "02", "03"]);
    assert_eq!(queries::<S>(&database, &set), 1, "from now on it is an unchanged start");
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), seen.problems().len()), (DatabaseState::UpToDate, 0));
    assert!(seen.migrations().iter().all(|row| row.unverified && row.applied_at.is_some()), "{seen}");
    let at = database.texts("SELECT detail AS value FROM __migrator_history WHERE sequence = 1");
    assert_eq!(
        Some(at[0].as_str()),
        seen.migrations()[0].applied_at.as_ref().map(|at| format!("adopted {at}")).as_deref()
    );

    // What was adopted has the text of the day of the adoption; an edit after that shows.
    folder.write("02_t2/up.sql", table(9));
    assert_eq!(states::<S>(&database, &folder.set()), ["applied", "changed", "applied"]);
}

fn diesel_sees_what_we_applied<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(3).set());
    applies::<S>(&database, &set);
    assert_eq!(ledger(&database), ["01", "02", "03"]);
    assert!(!is_pending_for_diesel::<S>(&database, &set));
    assert_eq!(diesel_runs::<S>(&database, &set), Vec::<String>::new());

    // The same columns as diesel's own, with the same defaults.
    let theirs = S::fresh();
    diesel_runs::<S>(&theirs, &set);
    let columns = |database: &S::Database| database.texts(&S::COLUMNS.replace("{}", LEDGER));
    assert_eq!((columns(&database), columns(&database).len()), (columns(&theirs), 2));
    let dated = format!("SELECT version AS value FROM {LEDGER} WHERE run_on IS NOT NULL");
    assert_eq!(database.texts(&dated).len(), 3);
}

fn each_takes_the_next_turn<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(1));
    assert_eq!(diesel_runs::<S>(&database, &folder.set()), ["01"]);
    folder.write("02_t2/up.sql", table(2));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2"]);
    folder.write("03_t3/up.sql", table(3));
    assert_eq!(diesel_runs::<S>(&database, &folder.set()), ["03"]);
    folder.write("04_t4/up.sql", table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["04_t4"]);
    assert_eq!(details(&database), ["applied 01 adopted", "applied 02", "applied 03 adopted", "applied 04"]);
    assert_eq!(ledger(&database), ["01", "02", "03", "04"]);
    assert_eq!((diesel_runs::<S>(&database, &folder.set()).len(), queries::<S>(&database, &folder.set())), (0, 1));
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

fn what_diesel_reverted_is_pending_again<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(2).set());
    applies::<S>(&database, &set);
    assert_eq!(diesel_reverts::<S>(&database, &set), "02");
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::Pending, 1, 1));
    assert_eq!(states::<S>(&database, &set), ["applied", "pending"]);
    assert_eq!(details(&database), ["applied 01", "applied 02"], "a status writes nothing");

    let report = applies::<S>(&database, &set);
    assert_eq!((names(&report), report.skipped()), (vec!["02_t2"], 1));
    assert!(report.warnings()[0].contains("reverted outside") && report.warnings()[0].contains("02_t2"), "{report}");
    assert_eq!(details(&database), ["applied 01", "applied 02", "reverted 02 outside", "applied 02"]);
    assert_eq!(
        (tables(&database), ledger(&database)),
        (vec!["t1".into(), "t2".into()], vec!["01".into(), "02".into()])
    );

    // All the way down, and up again by the other.
    assert_eq!([diesel_reverts::<S>(&database, &set), diesel_reverts::<S>(&database, &set)], ["02", "01"]);
    assert_eq!(diesel_runs::<S>(&database, &set), ["01", "02"]);
    assert_eq!(queries::<S>(&database, &set), 1, "what nobody saw did not happen");
}

fn a_row_by_hand_is_adopted<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(2).set());
    Migrator::new(&set).run_to(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    database.execute(&format!("INSERT INTO {LEDGER} (version) VALUES ('02')"));
    assert_eq!(states::<S>(&database, &set), ["applied", "applied"]);
    let report = applies::<S>(&database, &set);
    assert_eq!((report.applied().len(), report.skipped()), (0, 2));
    assert_eq!(details(&database), ["applied 01", "applied 02 adopted"]);
    assert_eq!((tables(&database), queries::<S>(&database, &set)), (vec!["t1".to_owned()], 1));
}

fn a_row_gone_in_the_middle_is_out_of_order<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(3).set());
    applies::<S>(&database, &set);
    database.execute(&format!("DELETE FROM {LEDGER} WHERE version = '02'"));
    assert_eq!(states::<S>(&database, &set), ["applied", "out_of_order", "applied"]);
    let error = run::<S>(&database, &set).expect_err("a later one may need it");
    assert_eq!((error.code(), error.version()), ("out_of_order", Some("02")));
    assert_eq!(details(&database).len(), 3, "nothing was written");

    // Whoever knows that the row was a slip puts it back, through us.
    Migrator::new(&set)
        .resolve(&mut database.connect(), "02", Resolution::Applied)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((ledger(&database).len(), queries::<S>(&database, &set)), (3, 1));
    assert_eq!(details(&database)[3..], ["reverted 02 outside", "resolved 02 applied"]);

    // Whoever knows that it was undone lets it run again.
    database.execute(&format!("DELETE FROM {LEDGER} WHERE version = '02'; DROP TABLE t2"));
    let report = Migrator::new(&set).out_of_order(Policy::Allow).run(&mut database.connect()).expect("run");
    assert_eq!((names(&report), ledger(&database).len()), (vec!["02_t2"], 3));
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
}

fn a_table_that_is_gone_is_made_again<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(3));
    applies::<S>(&database, &folder.set());
    database.execute(&format!("DROP TABLE {LEDGER}"));
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.applied()), (DatabaseState::UpToDate, 3), "our history stands");
    let report = applies::<S>(&database, &folder.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 3));
    assert!(report.warnings()[0].contains("was made again from our history"), "{report}");
    assert_eq!((ledger(&database).len(), details(&database).len()), (3, 3));
    assert_eq!(diesel_runs::<S>(&database, &folder.set()), Vec::<String>::new());
    assert_eq!(queries::<S>(&database, &folder.set()), 1);

    // Also by a run that has work to do.
    database.execute(&format!("DROP TABLE {LEDGER}"));
    folder.write("04_t4/up.sql", table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["04_t4"]);
    assert_eq!(ledger(&database), ["01", "02", "03", "04"]);
}

fn every_row_gone_is_everything_reverted<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(2).set());
    applies::<S>(&database, &set);
    [(); 2].iter().for_each(|()| drop(diesel_reverts::<S>(&database, &set)));
    assert_eq!(states::<S>(&database, &set), ["pending", "pending"]);
    assert_eq!(applies::<S>(&database, &set).applied().len(), 2);
    assert_eq!(details(&database)[2..], ["reverted 02 outside", "reverted 01 outside", "applied 01", "applied 02"]);
}

/// Each command of diesel's makes an empty table where none is.
fn an_empty_table_beside_tables_that_stand_is_not_believed<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(2).set());
    applies::<S>(&database, &set);
    database.execute(&format!("DROP TABLE {LEDGER}"));
    assert!(is_pending_for_diesel::<S>(&database, &set), "it made its table, and starts from zero");
    let error = run::<S>(&database, &set).expect_err("t1 and t2 stand");
    assert_eq!(error.code(), "not_empty", "{error}");
    assert!(error.message().contains("t1, t2") && error.remedy().contains("DROP TABLE"), "{error}");
    assert_eq!(details(&database), ["applied 01", "applied 02"], "nothing was written");
    // As the error says.
    database.execute(&format!("DROP TABLE {LEDGER}"));
    assert_eq!(applies::<S>(&database, &set).skipped(), 2);
    assert!(!is_pending_for_diesel::<S>(&database, &set));
    // Or the other way: they were reverted, and what stands is known.
    database.execute(&format!("DELETE FROM {LEDGER}; DROP TABLE t1; DROP TABLE t2; CREATE TABLE mine (id INTEGER)"));
    let report = Migrator::new(&set).non_empty(Policy::Allow).run(&mut database.connect()).expect("run");
    assert_eq!((report.applied().len(), queries::<S>(&database, &set)), (2, 1));
}

fn who_cannot_write_is_served_and_told<S: Subject>() {
    let set = reversible(2).set();
    let (migrator, events) = watch::events(Migrator::new(&set));
    let serve = |database: &S::Database, told: &str| {
        let mut conn = S::reader(database);
        let report = migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((report.applied().len(), report.skipped(), report.run_id()), (0, 2, ""));
        assert!(report.warnings().iter().any(|warning| warning.contains(told)), "{report}");
        assert!(events.take().iter().any(|event| event.starts_with("Warning") && event.contains(told)));
        let seen = migrator.status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((seen.state(), seen.applied()), (DatabaseState::UpToDate, 2));
    };
    let made_by_diesel = S::fresh();
    diesel_runs::<S>(&made_by_diesel, &set);
    serve(&made_by_diesel, "2 migrations to adopt");
    assert_eq!(of_tools::<S>(&made_by_diesel), [LEDGER], "nothing was written");

    let without_table = S::fresh();
    applies::<S>(&without_table, &set);
    without_table.execute(&format!("DROP TABLE {LEDGER}"));
    serve(&without_table, "is to be made again");
}

fn an_unchanged_start_sees_each_change_of_the_table<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(3).set());
    applies::<S>(&database, &set);
    let start = || queries::<S>(&database, &set);
    assert_eq!(start(), 1);
    for change in ["INSERT INTO {} (version) VALUES ('09')", "UPDATE {} SET version = '08' WHERE version = '09'"] {
        database.execute(&change.replace("{}", LEDGER));
        assert!(start() > 1, "{change}");
        assert!(start() > 1, "it is ahead, and said at each start");
    }
    for change in ["DELETE FROM {} WHERE version = '08'", "UPDATE {} SET version = '03' WHERE version = '03'"] {
        database.execute(&change.replace("{}", LEDGER));
        start();
        assert_eq!(start(), 1, "{change}");
    }
    // Two that are one row: neither is there.
    database.execute(&format!("DELETE FROM {LEDGER} WHERE version = '03'"));
    database.execute(&format!("UPDATE {LEDGER} SET version = '02/03' WHERE version = '02'"));
    assert_eq!(states::<S>(&database, &set), ["applied", "out_of_order", "missing", "pending"]);
}

fn a_version_that_the_set_does_not_know_yet<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(1));
    applies::<S>(&database, &folder.set());
    let older = folder.set();
    folder.write("02_t2/up.sql", table(2));
    assert_eq!(diesel_runs::<S>(&database, &folder.set()), ["02"]);
    // The older binary serves, and says that it is older.
    let report = applies::<S>(&database, &older);
    assert!(report.warnings().iter().any(|warning| warning.contains("newer than this binary")), "{report}");
    assert_eq!(status::<S>(&database, &older).state(), DatabaseState::Ahead);
    // The newer one knows it, and has nothing to do but to say which text it stands for.
    assert_eq!(states::<S>(&database, &folder.set()), ["applied", "applied"]);
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 0);
    assert_eq!(queries::<S>(&database, &folder.set()), 1);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

fn what_is_resolved_shows_in_the_table<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(2).set());
    Migrator::new(&set).run_to(&mut database.connect(), Target::Steps(1)).expect("run");
    Migrator::new(&set)
        .resolve(&mut database.connect(), "02", Resolution::Applied)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ledger(&database), ["01", "02"]);
    assert_eq!((is_pending_for_diesel::<S>(&database, &set), queries::<S>(&database, &set)), (false, 1));
}

fn a_failed_migration_leaves_no_row<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(1));
    folder.write("02_bad/up.sql", "CREATE TABLE t2 (id INTEGER);\nINSERT INTO nowhere VALUES (1);");
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    assert_eq!(ledger(&database), ["01"]);
    folder.write("02_bad/up.sql", "CREATE TABLE t2 (id INTEGER);\nINSERT INTO t1 VALUES (7);");
    applies::<S>(&database, &folder.set());
    assert_eq!(ledger(&database), ["01", "02"]);
}

/// diesel takes no lock. Where both ran the same migration, the second record of it fails, and with it what it records.
fn diesel_at_the_same_moment_is_noticed<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(1));
    applies::<S>(&database, &folder.set());
    // As if diesel had recorded it between our look at the table and the end of the script.
    folder.write("02_row/up.sql", format!("INSERT INTO t1 VALUES (2);\nINSERT INTO {LEDGER} (version) VALUES ('02');"));
    let error = run::<S>(&database, &folder.set()).expect_err("the row is there");
    assert!(error.to_string().contains("02_row") && !error.remedy().is_empty(), "{error}");
    assert_eq!((ledger(&database), database.row_counts()["t1"]), (vec!["01".to_owned()], 1), "all of it was undone");
}

fn a_table_that_is_not_diesels<S: Subject>() {
    let (database, set) = (S::fresh(), reversible(1).set());
    database.execute(&format!("CREATE TABLE {LEDGER} (id INTEGER)"));
    let error = run::<S>(&database, &set).expect_err("no column is called version");
    assert_eq!(error.code(), "foreign_history", "{error}");
    assert!(error.message().contains("version") && error.remedy().contains("rename"), "{error}");
}

fn a_database_of_another_service_is_refused<S: Subject>() {
    let (database, theirs) = (S::fresh(), Folder::of(&[("00_other", table(7))]).set());
    diesel_runs::<S>(&database, &theirs);
    let error = run::<S>(&database, &reversible(2).set()).expect_err("it is another's");
    assert_eq!((error.code(), error.version()), ("missing", Some("00")), "{error}");
    assert_eq!(of_tools::<S>(&database), [LEDGER], "nothing was written");
}

fn other_layouts_leave_the_table_alone<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_files(&[("01_t1.sql", &table(1))]).set());
    applies::<S>(&database, &set);
    let named = Folder::of(&[("01_named", table(2))]).set();
    Migrator::new(&named).set_name("second").run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        of_tools::<S>(&database).iter().all(|table| table != LEDGER),
        "diesel knows one set only, which has no name"
    );
}

/// As lemmy does it: who writes to diesel's table has to hold a lock of the application.
#[test]
fn a_trigger_on_diesels_table_is_served_by_the_session() {
    let (database, folder) = (Postgres::fresh(), reversible(1));
    folder.write(
        "02_trigger/up.sql",
        format!(
            "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = 0) THEN
                 RAISE 'not like this';
               END IF;
               RETURN NULL;
             END $$;
             CREATE TRIGGER forbid BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {LEDGER} EXECUTE FUNCTION forbid();"
        ),
    );
    folder.write("03_t3/up.sql", table(3));
    let error = run::<Postgres>(&database, &folder.set()).expect_err("nobody holds the lock");
    assert_eq!(error.version(), Some("02"));
    assert!(error.database_words().is_some_and(|words| words.contains("not like this")), "{error}");
    assert_eq!((ledger(&database), tables(&database)), (vec!["01".to_owned()], vec!["t1".to_owned()]), "it was undone");
    let migrator = Migrator::new(&folder.set()).session("SELECT pg_advisory_lock(0)", "SELECT pg_advisory_unlock(0)");
    assert_eq!(names(&migrator.run(&mut database.connect()).expect("run")), ["02_trigger", "03_t3"]);
    assert_eq!(ledger(&database), ["01", "02", "03"]);
}

/// A schema in front of another in the search path has a table of its own, as diesel would make one there.
#[test]
fn a_table_in_another_schema_of_the_path_is_not_this_ones() {
    let (database, set) = (Postgres::fresh(), reversible(2).set());
    database.execute("CREATE SCHEMA tenant");
    applies::<Postgres>(&database, &set);
    let tenant = || {
        let mut conn = database.connect();
        conn.batch_execute("SET search_path = tenant, public").expect("set the path");
        conn
    };
    let report = Migrator::new(&set).run(&mut tenant()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), report.warnings().len()), (2, 0), "nothing of public's is adopted");
    database.execute(&format!("DROP TABLE tenant.{LEDGER}"));
    let report = Migrator::new(&set).run(&mut tenant()).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.warnings()[0].contains("made again"), "{report}");
    assert_eq!(database.texts(&format!("SELECT version AS value FROM tenant.{LEDGER}")).len(), 2);
    assert!(!tenant().has_pending_migration(&set).expect("ask"));
}

#[test]
fn a_server_that_only_reads_is_served_and_told() {
    let (database, set) = (Postgres::fresh(), reversible(2).set());
    diesel_runs::<Postgres>(&database, &set);
    let mut conn = database.connect();
    conn.batch_execute("SET default_transaction_read_only = on").expect("set");
    let report = Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.skipped(), of_tools::<Postgres>(&database)), (2, vec![LEDGER.to_owned()]));
    assert!(report.warnings()[0].contains("cannot be recorded here"), "{report}");
}
