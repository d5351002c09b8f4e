//! What may not begin on a database that is marked as something else, or is production.

use diesel::connection::SimpleConnection;
use migrator::{DatabaseState, Environment, Migrator, Policy, Resolution, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, tables};
use crate::folder::Folder;

on_each_dialect!(
    a_mark_is_set_seen_and_changed_on_purpose,
    what_can_destroy_is_refused_elsewhere,
    production_wants_its_name,
    the_strictest_mark_of_several_sets_counts,
    an_empty_database_can_be_marked,
    production_is_not_reverted_by_the_way,
    a_mark_is_an_event_of_the_history,
    the_first_run_that_is_told_records_its_mark,
    two_marks_at_once_are_two_records,
);

fn marks(database: &impl Database) -> Vec<String> {
    database.texts("SELECT coalesce(environment, 'nothing') AS value FROM __migrator_meta ORDER BY set_name")
}

/// The name that is typed back.
pub(crate) fn typed<S: Subject>(database: &S::Database) -> String {
    database.name().rsplit('/').next().expect("a name").to_owned()
}

fn a_mark_is_set_seen_and_changed_on_purpose<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let migrator = || Migrator::new(&folder.set());
    migrator().environment(Environment::Staging).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(marks(&database), ["staging"], "the first run that is told so marks it");

    let told = migrator().environment(Environment::Test).run(&mut database.connect());
    let report = told.unwrap_or_else(|error| panic!("{error}"));
    assert!(report.warnings().concat().contains("staging"), "a run goes on and says so: {:?}", report.warnings());
    assert_eq!(marks(&database), ["staging"]);

    let mark = |environment| migrator().mark(&mut database.connect(), environment);
    let before = mark(Environment::Production).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((before.as_deref(), marks(&database)), (Some("staging"), vec!["production".to_owned()]));
    let error = mark(Environment::Development).expect_err("the protection is not taken away by the way");
    assert_eq!((error.code(), marks(&database)), ("not_confirmed", vec!["production".to_owned()]));
    assert!(error.remedy().contains(&format!("--confirm {}", typed::<S>(&database))), "{error}");

    let confirmed = migrator().confirm(typed::<S>(&database)).mark(&mut database.connect(), Environment::Development);
    assert_eq!(confirmed.unwrap_or_else(|error| panic!("{error}")).as_deref(), Some("production"));
    assert_eq!(marks(&database), ["development"]);
    assert_eq!(applies::<S>(&database, &folder.set()).warnings(), [""; 0], "the history is what it was");
}

/// A migration of which nobody knows how much took.
fn half_done<S: Subject>() -> (S::Database, Folder) {
    let script = "-- migrator: no-transaction\nCREATE TABLE a (id INTEGER);\nSELECT broken;\n";
    let (database, folder) = (S::fresh(), Folder::of(&[("01_half", script)]));
    let migrator = Migrator::new(&folder.set()).environment(Environment::Production);
    migrator.run(&mut database.connect()).expect_err("it stops half-way");
    (database, folder)
}

fn production_wants_its_name<S: Subject>() {
    let (database, folder) = half_done::<S>();
    let resolve = |name: Option<&str>, resolution| {
        let migrator = Migrator::new(&folder.set());
        let migrator = if let Some(name) = name { migrator.confirm(name) } else { migrator };
        migrator.resolve(&mut database.connect(), "01", resolution)
    };
    let events = || database.texts("SELECT event AS value FROM __migrator_history ORDER BY sequence");
    let before = events();
    for resolution in [Resolution::RolledBack, Resolution::ResumeAt(1)] {
        for name in [None, Some("another")] {
            let error = resolve(name, resolution).expect_err("it is production");
            assert_eq!(error.code(), "not_confirmed", "{error}");
            let help = if name.is_none() { "--yes is not enough" } else { "type its name" };
            assert!(error.remedy().contains(help), "{error}");
        }
    }
    assert_eq!(events(), before, "nothing was recorded");
    resolve(Some(&typed::<S>(&database)), Resolution::ResumeAt(2)).unwrap_or_else(|error| panic!("{error}"));
    resolve(None, Resolution::Applied).unwrap_or_else(|error| panic!("it makes nothing run: {error}"));
}

fn production_is_not_reverted_by_the_way<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    folder.write("01_t1/down.sql", "DROP TABLE t1");
    let migrator = || Migrator::new(&folder.set());
    migrator()
        .environment(Environment::Production)
        .run(&mut database.connect())
        .unwrap_or_else(|error| panic!("{error}"));
    let undo = |migrator: Migrator<S::Connection>| {
        let reverted = migrator.revert(&mut database.connect(), Target::Steps(1));
        let redone = migrator.redo(&mut database.connect());
        [reverted, redone].map(|done| done.err().map(|error| error.code()))
    };
    assert_eq!(undo(migrator()), [Some("not_confirmed"); 2]);
    assert_eq!(
        undo(migrator().environment(Environment::Test).confirm(typed::<S>(&database))),
        [Some("environment_mismatch"); 2]
    );
    assert_eq!(tables(&database), ["t1"]);
    let confirmed = migrator().confirm(typed::<S>(&database));
    confirmed.redo(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    confirmed.revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tables(&database), [""; 0]);
}

fn what_can_destroy_is_refused_elsewhere<S: Subject>() {
    let (database, folder) = half_done::<S>();
    let migrator = Migrator::new(&folder.set()).environment(Environment::Development).confirm(typed::<S>(&database));
    let error =
        migrator.resolve(&mut database.connect(), "01", Resolution::RolledBack).expect_err("another environment");
    assert_eq!(error.code(), "environment_mismatch", "{error}");
    let error = migrator.reset(&mut database.connect()).expect_err("another environment");
    assert_eq!(error.code(), "environment_mismatch", "{error}");
    assert!(error.message().contains("marked production") && error.message().contains("development"), "{error}");
    assert_eq!(tables(&database), ["a"]);
}

fn the_strictest_mark_of_several_sets_counts<S: Subject>() {
    let database = S::fresh();
    let [one, two] = [Folder::of_tables(1), Folder::of(&[("01_other", "CREATE TABLE other (id INTEGER)")])];
    let run = |folder: &Folder, name: &str, environment| {
        let migrator = Migrator::new(&folder.set()).set_name(name).environment(environment).non_empty(Policy::Allow);
        migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    };
    run(&one, "", Environment::Development);
    run(&two, "two", Environment::Production);
    assert_eq!(marks(&database), ["development", "production"]);
    let error = Migrator::new(&one.set()).reset(&mut database.connect()).expect_err("another set says production");
    assert_eq!(error.code(), "not_confirmed", "{error}");
    let migrator = Migrator::new(&one.set()).confirm(typed::<S>(&database));
    migrator.mark(&mut database.connect(), Environment::Test).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(marks(&database), ["test", "test"]);
}

fn an_empty_database_can_be_marked<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let migrator = Migrator::new(&folder.set());
    let before = migrator.mark(&mut database.connect(), Environment::Test).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((before, marks(&database)), (None, vec!["test".to_owned()]));
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 1);

    let full = S::fresh();
    full.connect().batch_execute("CREATE TABLE theirs (id INTEGER)").expect("make a table");
    let error = migrator.mark(&mut full.connect(), Environment::Test).expect_err("it is somebody else's");
    assert_eq!(error.code(), "not_empty");
    assert_eq!(tables(&full), ["theirs"]);
}

fn a_mark_is_an_event_of_the_history<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let migrator = || Migrator::new(&folder.set()).application("harbour 1.2.0");
    let mark = |environment| {
        let migrator = migrator().confirm(typed::<S>(&database));
        migrator.mark(&mut database.connect(), environment).unwrap_or_else(|error| panic!("{error}"))
    };
    let events = || {
        database.texts("SELECT concat(event, ': ', coalesce(detail, '')) AS value FROM __migrator_history WHERE event = 'marked' ORDER BY sequence")
    };
    mark(Environment::Test);
    assert_eq!(database.texts("SELECT event AS value FROM __migrator_history"), [""; 0], "there is no history yet");
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    mark(Environment::Production);
    mark(Environment::Production);
    mark(Environment::Staging);
    assert_eq!(
        events(),
        ["marked: test -> production", "marked: production -> staging"],
        "what changes nothing is none"
    );
    let who = "SELECT application AS value FROM __migrator_history WHERE event = 'marked' AND run_id <> ''";
    assert_eq!(database.texts(who), ["harbour 1.2.0"; 2]);

    let verified = migrator().verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((verified.state(), verified.migrations().len()), (DatabaseState::UpToDate, 1), "{verified}");
    folder.write("02_t2/up.sql", crate::folder::table(2));
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 1, "it goes on behind it");
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 2);

    database.execute("DELETE FROM __migrator_history WHERE event = 'marked'");
    let error = migrator().mark(&mut database.connect(), Environment::Production).expect_err("a record is gone");
    assert_eq!((error.code(), marks(&database)), ("history_tampered", vec!["staging".to_owned()]));
}

fn the_first_run_that_is_told_records_its_mark<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    applies::<S>(&database, &folder.set());
    folder.write("02_t2/up.sql", crate::folder::table(2));
    let migrator = || Migrator::new(&folder.set()).environment(Environment::Test);
    let report = migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), marks(&database)), (1, vec!["test".to_owned()]));
    let told = database.texts("SELECT concat(event, ' ', coalesce(detail, '')) AS value FROM __migrator_history WHERE event IN ('applied', 'marked') ORDER BY sequence");
    assert_eq!(told, ["applied ", "marked nothing -> test", "applied "]);
    folder.write("02_t2/up.sql", format!("-- a word\n{}", crate::folder::table(2)));
    migrator().accept(&mut database.connect(), "02", "a comment").unwrap_or_else(|error| panic!("{error}"));
    let verified = migrator().verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verified.state(), DatabaseState::UpToDate, "{verified}");
}

/// A process that was told the environment while another one is told another: one mark, one record, no gap.
fn two_marks_at_once_are_two_records<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    applies::<S>(&database, &folder.set());
    std::thread::scope(|scope| {
        for environment in [Environment::Staging, Environment::Production] {
            let (database, set) = (&database, folder.set());
            scope.spawn(move || {
                let migrator = Migrator::new(&set).confirm(typed::<S>(database));
                migrator.mark(&mut database.connect(), environment).unwrap_or_else(|error| panic!("{error}"));
            });
        }
    });
    let told =
        database.texts("SELECT detail AS value FROM __migrator_history WHERE event = 'marked' ORDER BY sequence");
    let last = marks(&database).remove(0);
    let first = if last == "staging" { "production" } else { "staging" };
    assert_eq!(told, [format!("nothing -> {first}"), format!("{first} -> {last}")]);
    let verified =
        Migrator::new(&folder.set()).verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verified.state(), DatabaseState::UpToDate, "{verified}");
}
