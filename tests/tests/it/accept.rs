//! An edit of an applied migration becomes the text of record, in the database.

use migrator::{DatabaseState, Migrator, Policy, State, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, run, status};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    the_new_text_is_the_text_of_record,
    what_was_not_edited_is_not_accepted,
    an_accepted_migration_can_be_reverted,
);

/// Three applied migrations, of which the second was edited since.
fn edited<S: Subject>() -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), Folder::of_tables(3));
    applies::<S>(&database, &folder.set());
    folder.write("02_t2/up.sql", format!("-- a comment\n{}", table(2)));
    (database, folder)
}

fn the_new_text_is_the_text_of_record<S: Subject>() {
    let (database, folder) = edited::<S>();
    let before = status::<S>(&database, &folder.set());
    assert_eq!(before.migrations()[1].state, State::Changed);
    assert!(before.problems()[0].help.contains("migrator accept 02 --reason"), "{before}");
    let events = history(&database);

    let migrator = Migrator::new(&folder.set());
    let accepted = migrator.accept(&mut database.connect(), "02", "  a comment\nwas missing ");
    assert_eq!(accepted.unwrap_or_else(|error| panic!("{error}")), "02_t2");
    let after = status::<S>(&database, &folder.set());
    let [was, is] = [&before.migrations()[1], &after.migrations()[1]];
    assert_eq!((after.state(), is.state, after.problems().len()), (DatabaseState::UpToDate, State::Applied, 0));
    assert_eq!((&is.applied_at, is.duration_ms), (&was.applied_at, was.duration_ms), "when it ran stays as it was");
    assert!(is.applied_at.is_some());
    assert_eq!(history(&database), [events, vec!["accepted 02".to_owned()]].concat(), "it only adds");
    let reason = database.texts("SELECT detail AS value FROM __migrator_history WHERE event = 'accepted'");
    assert_eq!(reason, ["a comment was missing"]);
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    assert_eq!(migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 3);
    assert_eq!(queries.take().len(), 1, "an unchanged start");
    let ledger = database.texts("SELECT version AS value FROM __diesel_schema_migrations ORDER BY version");
    assert_eq!(ledger, ["01", "02", "03"]);

    // A binary that still has the old text is the one that is wrong now.
    folder.write("02_t2/up.sql", table(2));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("the old text").code(), "changed");
}

fn what_was_not_edited_is_not_accepted<S: Subject>() {
    let (database, folder) = edited::<S>();
    folder.write("04_t4/up.sql", table(4));
    let before = history(&database);
    for (version, reason, told) in [
        ("01", "why", "01_t1 has the text of record"),
        ("04", "why", "04_t4 is not applied"),
        ("02", "  ", "no reason is given"),
    ] {
        let error = Migrator::new(&folder.set()).accept(&mut database.connect(), version, reason).expect_err(told);
        assert_eq!((error.code(), error.version()), ("accept_refused", Some(version)), "{error}");
        assert!(error.message().contains(told), "{error}");
    }
    let empty = S::fresh();
    let error = Migrator::new(&folder.set()).accept(&mut empty.connect(), "02", "why").expect_err("nothing is applied");
    assert_eq!(error.code(), "accept_refused");
    assert_eq!((history(&database), empty.texts(S::TABLES).len()), (before, 0), "nothing was written");
    let report = Migrator::new(&folder.set()).changed(Policy::Allow).run(&mut database.connect()).expect("run");
    assert_eq!(names(&report), ["04_t4"]);
}

fn an_accepted_migration_can_be_reverted<S: Subject>() {
    let (database, folder) = edited::<S>();
    folder.remove("03_t3");
    folder.write("03_t3/up.sql", table(3));
    folder.write("03_t3/down.sql", "DROP TABLE nowhere;");
    folder.write("02_t2/down.sql", "DROP TABLE t2;");
    let migrator = || Migrator::new(&folder.set());
    migrator().accept(&mut database.connect(), "02", "a comment").unwrap_or_else(|error| panic!("{error}"));
    folder.write("03_t3/up.sql", format!("{}-- more\n", table(3)));
    migrator().accept(&mut database.connect(), "03", "a comment").unwrap_or_else(|error| panic!("{error}"));
    // A revert that did not take leaves the accepted text in place.
    migrator().revert(&mut database.connect(), Target::Steps(1)).expect_err("no such table");
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    folder.write("03_t3/down.sql", "DROP TABLE t3;");
    migrator().revert(&mut database.connect(), Target::Steps(2)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2", "03_t3"]);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}
