//! A database that is newer than the binary: who can serve it, and who must not.

use std::time::Duration;

use migrator::{Config, DatabaseState, Error, Migrator, Policy, ServiceMode, Status, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, names, run, status};
use crate::folder::{Folder, table};
use crate::provider::provider;

on_each_dialect!(
    what_a_newer_migration_breaks_is_told_through_the_database,
    it_holds_from_the_moment_at_which_it_is_about_to_be_applied,
    a_newer_binary_at_work_keeps_nobody_from_serving,
    whatever_records_it_says_what_it_breaks,
    a_binary_says_from_where_on_it_serves,
    many_that_travel_say_it_too,
);

/// A contracting migration: binaries before 02 still use what it takes away.
const CONTRACT: &str = "-- migrator: breaks-before 02\nDROP TABLE t1;\n";

/// What a binary with so many migrations of a folder sees.
fn seen_by<S: Subject>(database: &S::Database, count: usize) -> Status {
    status::<S>(database, &Folder::of_tables(count).set())
}

fn what_a_newer_migration_breaks_is_told_through_the_database<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    folder.write("03_drop_t1/up.sql", CONTRACT);
    folder.write("03_drop_t1/down.sql", table(1));
    folder.write("04_t4/up.sql", table(4));
    applies::<S>(&database, &folder.set());
    let recent = seen_by::<S>(&database, 2);
    assert_eq!((recent.state(), recent.is_servable()), (DatabaseState::Ahead, true), "{recent}");
    assert!(run::<S>(&database, &Folder::of_tables(2).set()).expect("it serves").warnings()[0].contains("03_drop_t1"));

    let old = seen_by::<S>(&database, 1);
    assert_eq!((old.state(), old.is_servable()), (DatabaseState::Blocked, false), "{old}");
    let problem = &old.problems()[0];
    assert_eq!((problem.code, problem.version.as_deref()), ("outdated", Some("03")));
    assert!(problem.message.contains("03_drop_t1 breaks what is older than 02"), "{old}");
    assert!(problem.help.contains("02 or newer"), "{old}");
    let refused = |error: Error| assert!(error.code() == "outdated" && error.is_blocked(), "{error}");
    let set = Folder::of_tables(1).set();
    refused(run::<S>(&database, &set).expect_err("it would break"));
    refused(provider::<S::Connection>(&set).init(Config::new(database.url())).expect_err("it would break"));
    let check = Config::new(database.url()).mode(ServiceMode::CheckOnly);
    refused(provider::<S::Connection>(&set).init(check).expect_err("it would break"));
    Migrator::new(&set).ahead(Policy::Allow).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));

    // Undone, it breaks nobody any more.
    Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::version("02"))
        .expect_err("04 has no way down");
    folder.write("04_t4/down.sql", "DROP TABLE t4;");
    Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::version("02"))
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(seen_by::<S>(&database, 1).is_servable());
}

fn it_holds_from_the_moment_at_which_it_is_about_to_be_applied<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    folder.write("03_drop_t1/up.sql", format!("-- migrator: no-transaction\n{CONTRACT}DROP TABLE nowhere;\n"));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let old = seen_by::<S>(&database, 1);
    assert!(!old.is_servable() && old.problems()[0].code == "outdated", "{old}");
    assert!(seen_by::<S>(&database, 2).is_servable());
}

/// During a rolling deploy the older pods see the newer binary's script half-done.
fn a_newer_binary_at_work_keeps_nobody_from_serving<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    folder.write(
        "03_half/up.sql",
        "-- migrator: no-transaction\nCREATE TABLE half (a INTEGER);\nINSERT INTO nowhere VALUES (1);\n",
    );
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let older = seen_by::<S>(&database, 2);
    assert_eq!((older.state(), older.is_servable()), (DatabaseState::Blocked, true), "{older}");
    assert!(!status::<S>(&database, &folder.set()).is_servable(), "the newer one has to go on first");
    folder.write("02_t2/up.sql", table(9));
    folder.remove("03_half");
    assert!(!status::<S>(&database, &folder.set()).is_servable(), "an edit is another matter");
    assert!(!status::<S>(&S::fresh(), &folder.set()).is_servable(), "nothing is there");
}

fn whatever_records_it_says_what_it_breaks<S: Subject>() {
    use diesel_migrations::MigrationHarness;

    let folder = Folder::of_tables(2);
    folder.write("03_drop_t1/up.sql", CONTRACT);
    let set = folder.set();
    // Taken over from diesel.
    let database = S::fresh();
    database.connect().run_pending_migrations(&set).unwrap_or_else(|error| panic!("{error}"));
    applies::<S>(&database, &set);
    assert!(!seen_by::<S>(&database, 1).is_servable());
    // Baselined.
    let database = S::fresh();
    database.execute(&table(2));
    Migrator::new(&set).baseline(&mut database.connect(), "03").unwrap_or_else(|error| panic!("{error}"));
    assert!(!seen_by::<S>(&database, 1).is_servable());
    // Known by an edit only.
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    folder.write("03_drop_t1/up.sql", "DROP TABLE t1;\n");
    applies::<S>(&database, &folder.set());
    assert!(seen_by::<S>(&database, 1).is_servable());
    folder.write("03_drop_t1/up.sql", CONTRACT);
    let accepted = Migrator::new(&folder.set()).accept(&mut database.connect(), "03", "it was forgotten");
    accepted.unwrap_or_else(|error| panic!("{error}"));
    assert!(!seen_by::<S>(&database, 1).is_servable());
}

fn a_binary_says_from_where_on_it_serves<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(4));
    let set = folder.set();
    let migrator = || Migrator::new(&set).serves_from("02_t2");
    let seen = || migrator().status(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(!seen().is_servable());
    let config = || {
        let config = Config::new(database.url()).mode(ServiceMode::WaitOnly).wait_timeout(Duration::from_millis(50));
        config.migrator(|migrator| migrator.serves_from("02_t2"))
    };
    migrator().run_to(&mut database.connect(), Target::version("01")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((seen().state(), seen().is_servable()), (DatabaseState::Pending, false));
    let error = provider::<S::Connection>(&set).init(config()).expect_err("02 is missing");
    assert_eq!(error.code(), "pending");
    migrator().run_to(&mut database.connect(), Target::version("02")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((seen().state(), seen().is_servable()), (DatabaseState::Pending, true));
    assert!(!status::<S>(&database, &set).is_servable(), "without a word all of the set has to be there");
    provider::<S::Connection>(&set).init(config()).unwrap_or_else(|error| panic!("{error}"));
    // It changes no run.
    assert_eq!(
        names(&migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"))),
        ["03_t3", "04_t4"]
    );
    let unknown = Migrator::new(&set).serves_from("07").status(&mut database.connect()).expect_err("no such migration");
    assert_eq!(unknown.code(), "target_unknown");
}

fn many_that_travel_say_it_too<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(9));
    folder.write("05_t5/up.sql", format!("-- migrator: breaks-before 03\n{}", table(5)));
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 9);
    let breaking = database.texts("SELECT CONCAT(version, ' ', breaks_before) AS value FROM __migrator_history WHERE event = 'applied' AND breaks_before IS NOT NULL");
    assert_eq!(breaking, ["05 03"]);
    assert_eq!([2, 3].map(|count| seen_by::<S>(&database, count).is_servable()), [false, true]);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}
