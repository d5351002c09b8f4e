//! Databases that a run does not touch.

use diesel::Connection;
use diesel::connection::SimpleConnection;
use migrator::{DatabaseState, MigrationSet, Migrator, Policy, Resolution, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    a_transaction_of_diesel,
    a_transaction_by_hand,
    status_and_plan_in_a_transaction,
    another_dialect,
    ledgers_of_other_tools_with_rows,
    ledgers_of_other_tools_without_rows,
    tables_without_a_history,
    an_environment_that_is_another,
    an_environment_is_marked_by_the_first_run_that_is_told,
);

fn a_transaction_of_diesel<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    let error = conn
        .transaction(|conn| {
            queries.take();
            let refused = Migrator::new(&set).run(conn).expect_err("refused");
            assert_eq!(queries.take(), Vec::<String>::new(), "nothing was sent");
            conn.batch_execute("CREATE TABLE mine (id INTEGER)")?;
            Ok::<_, diesel::result::Error>(refused)
        })
        .expect("the transaction is still good");
    assert_eq!(error.code(), "open_transaction");
    assert!(error.remedy().contains("commit or roll back"), "{error}");
    assert_eq!(tables(&database), ["mine"]);
}

fn a_transaction_by_hand<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let mut conn = database.connect();
    conn.batch_execute("BEGIN").expect("begin");
    let error = Migrator::new(&set).run(&mut conn).expect_err("refused");
    assert_eq!(error.code(), "open_transaction", "{error}");
    conn.batch_execute("ROLLBACK").expect("roll back");
    assert!(tables(&database).is_empty());
    Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));

    // The same on a database that has a history.
    let set = Folder::of_tables(2).set();
    conn.batch_execute("BEGIN; INSERT INTO t1 VALUES (2)").expect("begin");
    let error = Migrator::new(&set).run(&mut conn).expect_err("refused");
    assert_eq!(error.code(), "open_transaction", "{error}");
    let error = Migrator::new(&set).resolve(&mut conn, "02", Resolution::Applied).expect_err("refused");
    assert_eq!(error.code(), "open_transaction", "{error}");
    assert_eq!(database.row_counts()["t1"], 1, "it is not for us to commit");
    conn.batch_execute("COMMIT").expect("the transaction is still good");
    assert_eq!((tables(&database), database.row_counts()["t1"]), (vec!["t1".to_owned()], 2));
}

fn status_and_plan_in_a_transaction<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let migrator = Migrator::new(&set);
    let mut conn = database.connect();
    migrator.run_to(&mut conn, Target::Steps(1)).expect("run");
    conn.transaction(|conn| {
        conn.batch_execute("INSERT INTO t1 VALUES (5)")?;
        let seen = migrator.status(conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((seen.state(), seen.pending()), (DatabaseState::Pending, 1));
        assert_eq!(migrator.plan(conn, Target::Latest).unwrap_or_else(|error| panic!("{error}")).steps().len(), 1);
        Ok::<_, diesel::result::Error>(())
    })
    .expect("the transaction is still good");
    assert_eq!(database.row_counts()["t1"], 2);
}

fn another_dialect<S: Subject>() {
    let database = S::fresh();
    let provider = if S::NAME == "sqlite" { "postgresql" } else { "sqlite" };
    let folder = Folder::of_files(&[
        ("20240101000000_first/migration.sql", &table(1)),
        ("migration_lock.toml", &format!("provider = \"{provider}\"\n")),
    ]);
    let (set, mut conn) = (folder.set(), database.connect());
    let queries = watch::queries(&mut conn);
    let migrator = Migrator::new(&set);
    for error in [
        migrator.run(&mut conn).expect_err("refused"),
        migrator.status(&mut conn).expect_err("refused"),
        migrator.plan(&mut conn, Target::Latest).expect_err("refused"),
    ] {
        assert_eq!(error.code(), "dialect_mismatch");
        assert!(error.message().contains(&provider[..6]) && error.message().contains(S::NAME), "{error}");
        assert!(error.remedy().contains("`provider` in migration_lock.toml"), "{}", error.remedy());
    }
    assert!(queries.take().is_empty(), "nothing was sent");
}

const LEDGERS: [&str; 13] = [
    "_prisma_migrations",
    "__diesel_schema_migrations",
    "_sqlx_migrations",
    "refinery_schema_history",
    "schema_migrations",
    "flyway_schema_history",
    "goose_db_version",
    "atlas_schema_revisions",
    "__drizzle_migrations",
    "seaql_migrations",
    "knex_migrations",
    "databasechangelog",
    "django_migrations",
];

/// A set of a layout whose tool's table is not kept in step.
fn flat() -> MigrationSet {
    Folder::of_files(&[("01_t1.sql", &table(1))]).set()
}

fn ledgers_of_other_tools_with_rows<S: Subject>() {
    let (database, set) = (S::fresh(), flat());
    for ledger in LEDGERS {
        database.execute(&format!("CREATE TABLE {ledger} (id INTEGER); INSERT INTO {ledger} VALUES (1)"));
        // To say that the database may hold something is not to say that another tool's history does not count.
        let migrator = Migrator::new(&set).non_empty(Policy::Allow);
        let error = migrator.run(&mut database.connect()).expect_err(ledger);
        assert_eq!(error.code(), "foreign_history", "{error}");
        assert!(error.message().contains(ledger) && !error.remedy().is_empty(), "{error}");
        let planned = migrator.plan(&mut database.connect(), Target::Latest).expect_err(ledger);
        assert_eq!(planned.code(), "foreign_history");
        database.execute(&format!("DROP TABLE {ledger}"));
    }
    assert!(tables(&database).is_empty());
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::Uninitialized);
}

fn ledgers_of_other_tools_without_rows<S: Subject>() {
    let (database, set) = (S::fresh(), flat());
    LEDGERS.iter().for_each(|ledger| database.execute(&format!("CREATE TABLE {ledger} (id INTEGER)")));
    assert_eq!(applies::<S>(&database, &set).applied().len(), 1);
}

fn tables_without_a_history<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    for name in ["alder", "birch", "cedar", "elm", "fir", "hazel", "larch"] {
        database.execute(&format!("CREATE TABLE {name} (id INTEGER)"));
    }
    let error = run::<S>(&database, &set).expect_err("refused");
    assert_eq!(error.code(), "not_empty");
    assert!(error.message().ends_with("alder, birch, cedar, elm, fir and 2 more"), "{error}");
    assert!(error.remedy().contains("--allow-non-empty"), "{error}");
    assert_eq!(
        Migrator::new(&set).plan(&mut database.connect(), Target::Latest).expect_err("refused").code(),
        "not_empty"
    );
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::Uninitialized);

    let (warning, events) = watch::events(Migrator::new(&set).non_empty(Policy::Warn));
    let report = warning.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(events.take().iter().any(|event| event.starts_with("Warning ") && event.contains("alder")));
    assert!(report.warnings().iter().any(|warning| warning.contains("alder")), "{report:?}");
    assert_eq!(history(&database).last().map(String::as_str), Some("applied 01"));

    let other = S::fresh();
    other.execute("CREATE TABLE alder (id INTEGER)");
    let report = Migrator::new(&set).non_empty(Policy::Allow).run(&mut other.connect()).expect("run");
    assert_eq!((report.applied().len(), report.warnings().len()), (1, 0));
}

fn an_environment_that_is_another<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let run = |environment| {
        let migrator = Migrator::new(&folder.set()).environment(environment);
        migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"))
    };
    assert!(run(migrator::Environment::Production).warnings().is_empty());
    assert!(run(migrator::Environment::Production).warnings().is_empty());
    let report = run(migrator::Environment::Test);
    assert!(report.warnings()[0].contains("marked production") && report.warnings()[0].contains("test"), "{report}");
    folder.write("02_t2/up.sql", table(2));
    let report = run(migrator::Environment::Test);
    assert_eq!((report.applied().len(), report.warnings().len()), (1, 1), "also when there is work to do: {report}");
    assert_eq!(database.texts("SELECT environment AS value FROM __migrator_meta"), ["production"]);
}

fn an_environment_is_marked_by_the_first_run_that_is_told<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    applies::<S>(&database, &folder.set());
    folder.write("02_t2/up.sql", table(2));
    let migrator = Migrator::new(&folder.set()).environment(migrator::Environment::Staging);
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.texts("SELECT environment AS value FROM __migrator_meta"), ["staging"]);
}
