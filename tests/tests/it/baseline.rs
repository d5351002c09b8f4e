//! Taking over a database that has what the migrations make, and no history that says so.

use diesel_migrations::MigrationHarness;
use migrator::{DatabaseState, Error, Migrator, Policy, Resolution, State, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};

on_each_dialect!(
    what_is_there_is_recorded_and_the_rest_runs,
    the_refusal_of_a_database_that_is_not_empty_offers_it,
    the_rest_of_a_history_that_agrees_is_recorded,
    a_history_that_says_something_else_refuses_it,
    a_database_of_another_tool_can_be_taken_over,
    a_baselined_migration_can_be_reverted,
);

const LEDGER: &str = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY version";

/// Tables `t1` and `t2` by hand, and a set of four migrations of which the first two make those.
fn by_hand<S: Subject>() -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), Folder::of_tables(4));
    database.execute(&format!("{}{}", table(1), table(2)));
    (database, folder)
}

fn baseline<S: Subject>(database: &S::Database, folder: &Folder, version: &str) -> Result<Vec<String>, Error> {
    Migrator::new(&folder.set()).baseline(&mut database.connect(), version)
}

fn what_is_there_is_recorded_and_the_rest_runs<S: Subject>() {
    let (database, folder) = by_hand::<S>();
    let recorded = baseline::<S>(&database, &folder, "02").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (recorded, history(&database)),
        (["01_t1", "02_t2"].map(String::from).to_vec(), ["baselined 01", "baselined 02"].map(String::from).to_vec())
    );
    let seen = status::<S>(&database, &folder.set());
    assert_eq!(
        (seen.state(), seen.applied(), seen.migrations()[1].state),
        (DatabaseState::Pending, 2, State::Baselined)
    );
    assert_eq!(tables(&database), ["t1", "t2"]);
    assert_eq!(database.texts(LEDGER), ["01", "02"], "diesel knows it too");
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["03_t3", "04_t4"]);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    let set = folder.set();
    assert!(!database.connect().has_pending_migration(&set).unwrap_or_else(|error| panic!("{error}")));
    // Once more is nothing more.
    assert_eq!(
        baseline::<S>(&database, &folder, "04_t4").unwrap_or_else(|error| panic!("{error}")),
        Vec::<String>::new()
    );
    folder.write("02_t2/up.sql", table(9));
    assert_eq!(status::<S>(&database, &folder.set()).migrations()[1].state, State::Changed, "its text was recorded");
}

fn the_refusal_of_a_database_that_is_not_empty_offers_it<S: Subject>() {
    let (database, folder) = by_hand::<S>();
    let error = run::<S>(&database, &folder.set()).expect_err("it is somebody's");
    let offered = error.remedy().split_once("migrator baseline ").unwrap_or_else(|| panic!("{error}")).1;
    let version = offered.split(' ').next().unwrap_or("");
    database.execute(&format!("{}{}", table(3), table(4)));
    assert_eq!(baseline::<S>(&database, &folder, version).unwrap_or_else(|error| panic!("{error}")).len(), 4);
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 4);
}

fn the_rest_of_a_history_that_agrees_is_recorded<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(4));
    Migrator::new(&folder.set())
        .run_to(&mut database.connect(), Target::Steps(1))
        .unwrap_or_else(|error| panic!("{error}"));
    database.execute(&table(2));
    assert_eq!(baseline::<S>(&database, &folder, "02").unwrap_or_else(|error| panic!("{error}")), ["02_t2"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["03_t3", "04_t4"]);
}

fn a_history_that_says_something_else_refuses_it<S: Subject>() {
    let refused = |database: &S::Database, folder: &Folder, version: &str, told: &str, about: &str| {
        let before = history(database);
        let error = baseline::<S>(database, folder, version).expect_err(told);
        assert_eq!((error.code(), error.version()), ("baseline_refused", Some(about)), "{error}");
        assert!(error.message().contains(told), "{told}: {error}");
        assert_eq!(history(database), before, "nothing was written");
        error
    };
    let (database, folder) = (S::fresh(), Folder::of_tables(3));
    applies::<S>(&database, &folder.set());
    refused(&database, &folder, "02", "newer than 02_t2, and applied: 03_t3", "03");

    folder.write("03_t3/down.sql", "DROP TABLE t3;");
    Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(1))
        .unwrap_or_else(|error| panic!("{error}"));
    let error = refused(&database, &folder, "03", "undone in this database", "03");
    assert!(error.remedy().contains("migrator resolve --applied 03"), "{error}");
    database.execute(&table(3));
    Migrator::new(&folder.set())
        .resolve(&mut database.connect(), "03", Resolution::Applied)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 3, "as it says");

    let original = folder.set();
    folder.write("02_t2/up.sql", table(9));
    refused(&database, &folder, "03", "applied with another text: 02_t2", "02");
    folder.remove("02_t2");
    refused(&database, &folder, "03", "not in this set: 02_t2", "02");
    assert_eq!(
        Migrator::new(&original).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).skipped(),
        3
    );

    folder.write(
        "04_half/up.sql",
        "-- migrator: no-transaction\nCREATE TABLE half (a INTEGER);\nINSERT INTO nowhere VALUES (1);",
    );
    folder.write("02_t2/up.sql", table(2));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let error = refused(&database, &folder, "04", "half done", "04");
    assert!(error.remedy().contains("migrator resolve"), "{error}");
    assert_eq!(baseline::<S>(&database, &folder, "07").expect_err("unknown").code(), "target_unknown");
}

fn a_database_of_another_tool_can_be_taken_over<S: Subject>() {
    let (database, folder) = by_hand::<S>();
    database
        .execute("CREATE TABLE flyway_schema_history (version INTEGER); INSERT INTO flyway_schema_history VALUES (2)");
    let set = folder.set();
    let refused = Migrator::new(&set).non_empty(Policy::Allow).run(&mut database.connect()).expect_err("Flyway's");
    assert_eq!(refused.code(), "foreign_history");
    baseline::<S>(&database, &folder, "02").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&applies::<S>(&database, &set)), ["03_t3", "04_t4"]);
}

fn a_baselined_migration_can_be_reverted<S: Subject>() {
    let (database, folder) = by_hand::<S>();
    folder.write("02_t2/down.sql", "DROP TABLE t2;");
    baseline::<S>(&database, &folder, "02").unwrap_or_else(|error| panic!("{error}"));
    let set = folder.set();
    Migrator::new(&set).revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((tables(&database), database.texts(LEDGER)), (vec!["t1".to_owned()], vec!["01".to_owned()]));
    // One that fails leaves it baselined.
    folder.write("02_t2/up.sql", table(2));
    folder.write("01_t1/down.sql", "DROP TABLE nowhere;");
    Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1)).expect_err("no such table");
    assert_eq!(status::<S>(&database, &folder.set()).migrations()[0].state, State::Baselined);
}
