//! A migration that fails: what is kept, what is told, how it goes on.

use migrator::{DatabaseState, Migrator, Resolution, State};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    the_third_of_twenty,
    without_a_transaction_it_resumes_at_the_statement,
    an_edit_of_what_took_is_refused,
    what_the_session_was_set_to_is_set_again,
    resolved_as_applied,
    resolved_to_resume,
    resolve_refuses_what_does_not_fit,
    metadata_asks_for_no_transaction,
    fails_at_the_first_statement_and_is_still_pending,
);

fn the_third_of_twenty<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(20));
    folder.write("03_t3/up.sql", "INSERT INTO t1 VALUES (3);\n\n  INSERT INTO nowhere\n  VALUES (1);\nSELECT 1;\n");
    let set = folder.set();
    let error = run::<S>(&database, &set).expect_err("it fails");
    assert!(error.is_statement_failed() && error.code() == "statement_failed", "{error:?}");
    assert_eq!(error.version(), Some("03"));
    let place = error.place().expect("a place");
    assert!(place.file.ends_with("/03_t3/up.sql"), "{error}");
    assert_eq!((place.line, place.column, place.number), (3, 3, 2), "{error}");
    let words = error.database_words().expect("the database's words");
    assert!(words.contains(S::NO_SUCH_TABLE), "{error}");
    let text = error.to_string();
    for part in ["migration 03_t3 failed", "/03_t3/up.sql:3:3, statement 2", "INSERT INTO nowhere", words, "next: "] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(error.remedy().contains("run again"), "{error}");
    let report = error.report().expect("a report");
    assert_eq!((names(report), report.skipped()), (vec!["01_t1", "02_t2"], 0));
    assert_eq!(tables(&database), ["t1", "t2"]);
    assert_eq!(database.row_counts()["t1"], 1, "rows are undone on every database");
    let events = history(&database);
    assert_eq!(events.last().map(String::as_str), Some("failed 03"), "{events:?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("applied")).count(), 2, "{events:?}");

    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::Pending, 2, 18));
    let third = &seen.migrations()[2];
    assert_eq!((third.state, &third.applied_at), (State::Pending, &None), "it was undone whole");
    assert!(third.error.as_deref().is_some_and(|error| error.contains(S::NO_SUCH_TABLE)), "{seen}");
    assert!(seen.to_string().contains("last attempt: "), "{seen}");

    folder.write("03_t3/up.sql", table(3));
    let set = folder.set();
    assert_eq!(applies::<S>(&database, &set).applied().len(), 18);
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), &seen.migrations()[2].error), (DatabaseState::UpToDate, &None));
}

/// Five statements without a transaction, the fourth of which fails until it is corrected.
const HALF_WAY: &str = "-- migrator: no-transaction
CREATE TABLE half (id INTEGER);
INSERT INTO half VALUES (1);
INSERT INTO half VALUES (2);
INSERT INTO nowhere VALUES (3);
INSERT INTO half VALUES (4);
";

fn half_way<S: Subject>() -> (S::Database, Folder) {
    let folder = Folder::of(&[("01_t1", table(1)), ("02_half", HALF_WAY.to_owned()), ("03_t3", table(3))]);
    let database = S::fresh();
    let error = run::<S>(&database, &folder.set()).expect_err("it fails");
    assert_eq!((error.code(), error.place().expect("a place").number), ("statement_failed", 4), "{error}");
    assert_eq!(names(error.report().expect("a report")), ["01_t1"]);
    assert_eq!(database.row_counts()["half"], 2, "what took stays");
    (database, folder)
}

fn without_a_transaction_it_resumes_at_the_statement<S: Subject>() {
    let (database, folder) = half_way::<S>();
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.migrations()[1].state), (DatabaseState::Blocked, State::Failed));
    folder.write("02_half/up.sql", HALF_WAY.replace("nowhere", "half"));
    let set = folder.set();
    let plan = Migrator::new(&set).plan(&mut database.connect(), migrator::Target::Latest).expect("plan");
    assert_eq!((plan.steps()[0].resume_at, plan.steps()[0].statements), (Some(4), 2), "{plan}");
    assert!(plan.to_string().contains("resumes at statement 4"), "{plan}");
    let (migrator, events) = watch::events(Migrator::new(&set));
    let report = migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["02_half", "03_t3"]);
    assert_eq!(database.row_counts()["half"], 4, "each statement took once");
    assert!(!events.take().contains(&"Statement { number: 3, of: 5 }".to_owned()));
    let seen = status::<S>(&database, &set);
    assert_eq!((seen.state(), seen.problems().len()), (DatabaseState::UpToDate, 0), "{seen}");
}

fn an_edit_of_what_took_is_refused<S: Subject>() {
    let (database, folder) = half_way::<S>();
    folder.write("02_half/up.sql", HALF_WAY.replace("nowhere", "half").replace("(2)", "(22)"));
    let before = history(&database);
    let error = run::<S>(&database, &folder.set()).expect_err("refused");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")), "{error}");
    assert!(error.message().contains("first 3 statements"), "{error}");
    assert!(error.remedy().contains("migrator resolve --rolled-back 02"), "{error}");
    assert_eq!((database.row_counts()["half"], history(&database)), (2, before));
}

fn what_the_session_was_set_to_is_set_again<S: Subject>() {
    let [on, _, read] = S::SETTING;
    let script = |table: &str| {
        format!(
            "-- migrator: no-transaction\nCREATE TABLE seen (value VARCHAR(20));\n{on};\nINSERT INTO {table} {read};\n\
             INSERT INTO seen {read};\n"
        )
    };
    let (database, folder) = (S::fresh(), Folder::of(&[("01_seen", script("nowhere"))]));
    run::<S>(&database, &folder.set()).expect_err("it fails");
    folder.write("01_seen/up.sql", script("seen"));
    applies::<S>(&database, &folder.set());
    assert_eq!(database.texts("SELECT value FROM seen"), ["1", "1"], "set in the part that took before");
}

fn resolved_as_applied<S: Subject>() {
    let (database, folder) = half_way::<S>();
    let set = folder.set();
    Migrator::new(&set).resolve(&mut database.connect(), "02_half", Resolution::Applied).expect("resolve");
    assert_eq!(history(&database).last().map(String::as_str), Some("resolved 02"));
    assert_eq!(status::<S>(&database, &set).migrations()[1].state, State::Applied);
    assert_eq!(names(&applies::<S>(&database, &set)), ["03_t3"]);
    assert_eq!(applies::<S>(&database, &set).skipped(), 3);
}

fn resolved_to_resume<S: Subject>() {
    let (database, folder) = half_way::<S>();
    let set = folder.set();
    Migrator::new(&set).resolve(&mut database.connect(), "02", Resolution::ResumeAt(5)).expect("resolve");
    assert_eq!(names(&applies::<S>(&database, &set)), ["02_half", "03_t3"]);
    assert_eq!(database.row_counts()["half"], 3, "statement 4 was left out");
}

fn resolve_refuses_what_does_not_fit<S: Subject>() {
    let (database, folder) = half_way::<S>();
    let (set, before) = (folder.set(), history(&database));
    let cases = [
        ("01", Resolution::RolledBack, "resolve_refused", "01_t1 is applied"),
        ("03", Resolution::RolledBack, "resolve_refused", "has not failed"),
        ("02", Resolution::ResumeAt(6), "resolve_refused", "has 5 statements"),
        ("02", Resolution::ResumeAt(0), "resolve_refused", "has 5 statements"),
        ("04", Resolution::Applied, "target_unknown", "04"),
    ];
    for (version, resolution, code, told) in cases {
        let error = Migrator::new(&set).resolve(&mut database.connect(), version, resolution).expect_err("refused");
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(told), "{error}");
    }
    assert_eq!(history(&database), before);
}

fn metadata_asks_for_no_transaction<S: Subject>() {
    let (database, folder) =
        (S::fresh(), Folder::of(&[("01_half", HALF_WAY.replace("-- migrator: no-transaction", ""))]));
    folder.write("01_half/metadata.toml", "run_in_transaction = false\n");
    run::<S>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(database.row_counts()["half"], 2, "what took stays");
    folder.write("01_half/up.sql", HALF_WAY.replace("-- migrator: no-transaction", "").replace("nowhere", "half"));
    applies::<S>(&database, &folder.set());
    assert_eq!(database.row_counts()["half"], 4);
}

fn fails_at_the_first_statement_and_is_still_pending<S: Subject>() {
    let script = format!("-- migrator: no-transaction\nINSERT INTO nowhere VALUES (1);\n{}", table(1));
    let (database, folder) = (S::fresh(), Folder::of(&[("01_t1", script)]));
    run::<S>(&database, &folder.set()).expect_err("it fails");
    assert_eq!(status::<S>(&database, &folder.set()).migrations()[0].state, State::Pending);
    folder.write("01_t1/up.sql", table(1));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["01_t1"]);
}
