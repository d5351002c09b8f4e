//! States that are not as they should be, and the policy for each.

use migrator::{DatabaseState, Error, MigrationSet, Migrator, Policy, State, Status};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    out_of_order,
    changed,
    missing,
    ahead,
    several_are_counted_and_named,
    line_endings_and_a_byte_order_mark_are_no_change,
    rolled_back_runs_again,
);

/// A database with four migrations of which a set of `folder` knows something else.
fn four<S: Subject>() -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), Folder::of_tables(4));
    applies::<S>(&database, &folder.set());
    (database, folder)
}

fn state_of(status: &Status, version: &str) -> State {
    let row = status.migrations().iter().find(|row| row.version == version);
    row.unwrap_or_else(|| panic!("no {version} in {status}")).state
}

/// What each policy makes of the same database, in the order in which nothing is spoilt for the next.
fn judged<S: Subject>(
    database: &S::Database,
    set: &MigrationSet,
    option: fn(Migrator<S::Connection>, Policy) -> Migrator<S::Connection>,
    told: &str,
) -> Error {
    let before = (tables(database), crate::dialects::history(database));
    let with = |policy| option(Migrator::new(set), policy);
    let error = with(Policy::Refuse).run(&mut database.connect()).expect_err("refused");
    assert!(error.is_blocked() && error.report().is_none(), "{error}");
    assert!(
        error.message().contains(told) && error.to_string().contains(&format!("next: {}", error.remedy())),
        "{error}"
    );
    assert_eq!((tables(database), crate::dialects::history(database)), before, "nothing was touched");

    let plan = with(Policy::Warn).plan(&mut database.connect(), migrator::Target::Latest).expect("plan");
    assert!(plan.warnings()[0].contains(told), "{plan}");
    let (warning, events) = watch::events(with(Policy::Warn));
    let report = warning.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.warnings().len(), 1, "{report}");
    assert!(report.to_string().contains(&format!("warning: {}", report.warnings()[0])), "{report}");
    assert!(report.warnings()[0].contains(told), "{report}");
    assert!(events.take().iter().any(|event| event.starts_with("Warning ") && event.contains(told)));
    error
}

fn out_of_order<S: Subject>() {
    let (database, folder) = four::<S>();
    folder.write("025_late/up.sql", table(25));
    let set = folder.set();
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "025")), (DatabaseState::Blocked, State::OutOfOrder));
    assert_eq!((seen.problems()[0].code, seen.problems()[0].version.as_deref()), ("out_of_order", Some("025")));
    let error = judged::<S>(&database, &set, Migrator::out_of_order, "025_late");
    assert_eq!((error.code(), error.version()), ("out_of_order", Some("025")));
    assert_eq!(tables(&database), ["t1", "t2", "t25", "t3", "t4"]);
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate, "its place no longer matters");

    folder.write("035_later/up.sql", table(35));
    let set = folder.set();
    let report = Migrator::new(&set).out_of_order(Policy::Allow).run(&mut database.connect()).expect("run");
    assert_eq!((names(&report), report.warnings().len()), (vec!["035_later"], 0));
    assert_eq!(applies::<S>(&database, &set).applied().len(), 0);
}

fn changed<S: Subject>() {
    let (database, folder) = four::<S>();
    folder.write("02_t2/up.sql", "CREATE TABLE other (id INTEGER);");
    folder.write("05_t5/up.sql", table(5));
    let set = folder.set();
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "02")), (DatabaseState::Blocked, State::Changed));
    let error = judged::<S>(&database, &set, Migrator::changed, "02_t2");
    assert_eq!((error.code(), error.version()), ("changed", Some("02")));
    assert!(error.remedy().contains("migrator new NAME"), "{error}");
    assert_eq!(tables(&database), ["t1", "t2", "t3", "t4", "t5"], "an edited migration never runs again");
    let report = Migrator::new(&set).changed(Policy::Allow).run(&mut database.connect()).expect("run");
    assert!(report.warnings().is_empty() && report.applied().is_empty(), "{report}");
}

fn missing<S: Subject>() {
    let (database, folder) = four::<S>();
    folder.remove("03_t3");
    folder.write("05_t5/up.sql", table(5));
    let set = folder.set();
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "03")), (DatabaseState::Blocked, State::Missing));
    let error = judged::<S>(&database, &set, Migrator::missing, "03_t3");
    assert_eq!((error.code(), error.version()), ("missing", Some("03")));
    assert!(error.remedy().contains("migrator status"), "{error}");
    assert_eq!(tables(&database), ["t1", "t2", "t3", "t4", "t5"]);
}

fn ahead<S: Subject>() {
    let (database, folder) = four::<S>();
    folder.remove("04_t4");
    let set = folder.set();
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "04")), (DatabaseState::Ahead, State::Ahead));
    assert_eq!((seen.applied(), seen.pending()), (3, 0));
    let report = run::<S>(&database, &set).expect("the older binary starts on the newer database");
    assert!(report.warnings()[0].contains("04_t4"), "by default it warns: {report}");
    let error = judged::<S>(&database, &set, Migrator::ahead, "04_t4");
    assert_eq!((error.code(), error.version()), ("ahead", Some("04")));
    let report = Migrator::new(&set).ahead(Policy::Allow).run(&mut database.connect()).expect("run");
    assert!(report.warnings().is_empty(), "{report}");
}

fn several_are_counted_and_named<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(9));
    applies::<S>(&database, &folder.set());
    (1..=7).for_each(|number| folder.remove(&format!("0{number}_t{number}")));
    let error = run::<S>(&database, &folder.set()).expect_err("refused");
    assert!(error.message().ends_with("01_t1, 02_t2, 03_t3, 04_t4, 05_t5 and 2 more"), "{error}");
}

fn line_endings_and_a_byte_order_mark_are_no_change<S: Subject>() {
    let (database, folder) = four::<S>();
    folder.write("02_t2/up.sql", table(2).replace('\n', "\r\n"));
    folder.write("03_t3/up.sql", format!("\u{feff}{}", table(3)));
    let set = folder.set();
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(&set).run(&mut conn).expect("run");
    assert_eq!(queries.take().len(), 1, "the fingerprint is the same");
}

fn rolled_back_runs_again<S: Subject>() {
    // One statement that takes, then one that fails, without a transaction: half-way on each database.
    let script = format!("-- migrator: no-transaction\n{}INSERT INTO nowhere VALUES (1);", table(2));
    let (database, folder) = (S::fresh(), Folder::of(&[("01_t1", table(1)), ("02_t2", script)]));
    let set = folder.set();
    run::<S>(&database, &set).expect_err("it fails");
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "02")), (DatabaseState::Blocked, State::Failed));
    assert!(seen.problems()[0].help.contains("--rolled-back 02"), "{seen}");
    database.execute("DROP TABLE t2");
    folder.write("02_t2/up.sql", table(2));
    let set = folder.set();
    Migrator::new(&set).resolve(&mut database.connect(), "02", migrator::Resolution::RolledBack).expect("resolve");
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), state_of(&seen, "02")), (DatabaseState::Pending, State::RolledBack));
    assert_eq!(names(&applies::<S>(&database, &set)), ["02_t2"]);
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
}
