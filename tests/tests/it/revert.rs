//! Down scripts: what is undone, what is refused before anything starts, and what a revert that stopped half-way leaves.

use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness;
use migrator::{DatabaseState, Migrator, Report, Resolution, State, Target};
use migrator_tests::Database;

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    it_undoes_the_newest_first,
    a_target_is_kept,
    nothing_applied_is_nothing_to_do,
    who_has_no_way_down_is_named_before_anything_starts,
    what_is_not_in_the_set_is_not_undone_beneath,
    what_fails_at_its_first_statement_leaves_all_as_it_was,
    it_goes_on_where_it_stopped,
    a_person_settles_a_half_done_revert,
    nothing_is_reverted_beneath_what_is_half_applied,
    redo_takes_in_an_edit,
    the_session_is_restored,
    events_tell_it,
    code_with_a_way_down,
    a_foreign_source_reverts,
    diesel_takes_the_next_turn,
    each_of_two_at_once_undoes_its_own,
    sections_declare_their_own_mode,
    an_older_binary_starts_beside_it,
    another_checkout_goes_on_with_it,
    a_down_script_that_takes_the_history_away,
);

const LEDGER: &str = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY version";

/// Migrations `01_t1` and so on, with their ways down.
fn reversible(count: usize) -> Folder {
    let folder = Folder::of_tables(count);
    (1..=count)
        .for_each(|number| folder.write(&format!("{number:02}_t{number}/down.sql"), format!("DROP TABLE t{number};")));
    folder
}

fn reverts<S: Subject>(database: &S::Database, folder: &Folder, target: Target) -> Report {
    let reverted = Migrator::new(&folder.set()).revert(&mut database.connect(), target);
    reverted.unwrap_or_else(|error| panic!("{error}"))
}

fn reverted(report: &Report) -> Vec<&str> {
    report.reverted().iter().map(|reverted| reverted.name.as_str()).collect()
}

/// The history without what only scripts without a transaction record.
fn milestones(database: &impl Database) -> Vec<String> {
    let is_milestone = |row: &String| !["planned", "statement", "reverting"].iter().any(|event| row.starts_with(event));
    history(database).into_iter().filter(is_milestone).collect()
}

fn it_undoes_the_newest_first<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(4));
    applies::<S>(&database, &folder.set());
    let report = reverts::<S>(&database, &folder, Target::Steps(1));
    assert_eq!((reverted(&report), report.applied().len(), report.skipped()), (vec!["04_t4"], 0, 3));
    assert!(report.to_string().starts_with("reverted 1 migration in"), "{report}");
    assert!(report.to_string().contains("3 still applied") || report.to_string().contains(", 3 "), "{report}");
    assert_eq!(
        (tables(&database), database.texts(LEDGER)),
        (["t1", "t2", "t3"].map(String::from).to_vec(), ["01", "02", "03"].map(String::from).to_vec())
    );
    let seen = status::<S>(&database, &folder.set());
    assert_eq!(
        (seen.state(), seen.applied(), seen.migrations()[3].state),
        (DatabaseState::Pending, 3, State::RolledBack)
    );

    let report = reverts::<S>(&database, &folder, Target::Steps(2));
    assert_eq!(reverted(&report), ["03_t3", "02_t2"]);
    assert_eq!(tables(&database), ["t1"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2", "03_t3", "04_t4"]);
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(usize::MAX))).len(), 4);
    assert_eq!((tables(&database).len(), database.texts(LEDGER).len()), (0, 0));
    assert_eq!(status::<S>(&database, &folder.set()).pending(), 4);
    assert_eq!(milestones(&database)[4..7], ["reverted 04", "reverted 03", "reverted 02"]);
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 4);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

fn a_target_is_kept<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(4));
    applies::<S>(&database, &folder.set());
    assert_eq!(reverts::<S>(&database, &folder, Target::Latest).reverted().len(), 0);
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::version("02_t2"))), ["04_t4", "03_t3"]);
    assert_eq!(tables(&database), ["t1", "t2"]);
    assert_eq!(reverts::<S>(&database, &folder, Target::version("02")).reverted().len(), 0);
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::version("07"))
        .expect_err("there is no such migration");
    assert_eq!(error.code(), "target_unknown");
}

fn nothing_applied_is_nothing_to_do<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(1));
    let report = reverts::<S>(&database, &folder, Target::Steps(1));
    assert!(report.to_string().starts_with("nothing reverted"), "{report}");
    assert_eq!(database.texts(S::TABLES), Vec::<String>::new(), "nothing was written");
}

fn who_has_no_way_down_is_named_before_anything_starts<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(5));
    std::fs::remove_file(folder.path().join("02_t2/down.sql")).expect("it is there");
    folder.write("03_t3/down.sql", "-- nothing but a word\n");
    folder.write("04_t4/down.sql", "DROP TABLE t4;\nCOMMIT;\n");
    applies::<S>(&database, &folder.set());
    let before = (tables(&database), history(&database));
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(5))
        .expect_err("three have no way down");
    assert_eq!((error.code(), error.version()), ("no_way_down", Some("04")), "{error}");
    for told in ["02_t2 (no down script)", "03_t3 (no down script)", "04_t4 (", "04_t4/down.sql:2:1"] {
        assert!(error.message().contains(told), "{told}: {error}");
    }
    assert!(!error.message().contains("05_t5") && !error.message().contains("01_t1"), "{error}");
    assert_eq!((tables(&database), history(&database)), before);
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(1))), ["05_t5"], "that one has its own");
}

fn what_is_not_in_the_set_is_not_undone_beneath<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(3));
    applies::<S>(&database, &folder.set());
    folder.remove("03_t3");
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(2))
        .expect_err("the newest is not here");
    assert_eq!((error.code(), error.version()), ("no_way_down", Some("03")), "{error}");
    assert!(error.message().contains("03_t3 (not in this set)"), "{error}");
    assert_eq!(tables(&database), ["t1", "t2", "t3"]);
}

fn what_fails_at_its_first_statement_leaves_all_as_it_was<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    folder.write("02_t2/down.sql", "-- one\nDROP TABLE nowhere;\nDROP TABLE t2;\n");
    applies::<S>(&database, &folder.set());
    let error =
        Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(2)).expect_err("no such table");
    let place = error.place().unwrap_or_else(|| panic!("{error}"));
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("02")), "{error}");
    assert!(place.file.ends_with("02_t2/down.sql") && place.line == 2 && place.number == 1, "{error}");
    assert!(
        error.message().contains("the revert of migration 02_t2") && error.remedy().contains("revert again"),
        "{error}"
    );
    assert_eq!(
        (tables(&database), milestones(&database)[2..].to_vec()),
        (vec!["t1".to_owned(), "t2".to_owned()], vec!["kept 02".to_owned()])
    );
    // It is applied as before: the next start is one query.
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    assert_eq!(Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);
    assert_eq!(queries.take().len(), 1);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.migrations()[1].state), (DatabaseState::UpToDate, State::Applied), "{seen}");
    assert!(seen.migrations()[1].applied_at.is_some() && seen.problems().is_empty(), "{seen}");

    folder.write("02_t2/down.sql", "DROP TABLE t2;");
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(2))), ["02_t2", "01_t1"]);
}

/// Three statements, of which the second fails, without a transaction.
const HALF: &str = "-- migrator: no-transaction\nDELETE FROM t2;\nINSERT INTO nowhere VALUES (1);\nDROP TABLE t2;\n";

fn half_reverted<S: Subject>() -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), reversible(2));
    folder.write("02_t2/down.sql", HALF);
    applies::<S>(&database, &folder.set());
    let error =
        Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1)).expect_err("no such table");
    assert_eq!((error.code(), error.place().map(|place| place.number)), ("statement_failed", Some(2)), "{error}");
    assert_eq!((database.row_counts()["t2"], database.texts(LEDGER).len()), (0, 2));
    (database, folder)
}

fn it_goes_on_where_it_stopped<S: Subject>() {
    let (database, folder) = half_reverted::<S>();
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.migrations()[1].state), (DatabaseState::Blocked, State::Failed), "{seen}");
    let problem = &seen.problems()[0];
    assert_eq!((problem.code, problem.version.as_deref(), seen.problems().len()), ("failed", Some("02"), 1));
    assert!(problem.message.contains("revert stopped half-way") && problem.help.contains("migrator revert"), "{seen}");
    folder.write("03_t3/up.sql", table(3));
    let before = history(&database);
    let error = run::<S>(&database, &folder.set()).expect_err("nothing is built upon it");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")), "{error}");
    assert!(error.remedy().contains("migrator revert") && error.remedy().contains("--rolled-back 02"), "{error}");
    assert_eq!((history(&database), tables(&database).len()), (before, 2), "nothing was touched");

    // What took is not repeated: a row that came since stays until its table goes.
    database.execute("INSERT INTO t2 VALUES (7)");
    folder.write("02_t2/down.sql", HALF.replace("nowhere", "t1").replace("(1)", "(5)"));
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(1))), ["02_t2"]);
    assert_eq!((tables(&database), database.row_counts()["t1"]), (vec!["t1".to_owned()], 2));
    assert_eq!(database.texts(LEDGER), ["01"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2", "03_t3"]);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
}

fn a_person_settles_a_half_done_revert<S: Subject>() {
    let settle = |database: &S::Database, folder: &Folder, resolution| {
        let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), "02", resolution);
        settled.unwrap_or_else(|error| panic!("{error}"));
    };
    // All of it stands: the row that was deleted is put back by hand.
    let (database, folder) = half_reverted::<S>();
    database.execute("INSERT INTO t2 VALUES (1)");
    settle(&database, &folder, Resolution::Applied);
    assert_eq!((applies::<S>(&database, &folder.set()).skipped(), database.texts(LEDGER).len()), (2, 2));
    let seen = status::<S>(&database, &folder.set());
    assert_eq!(seen.state(), DatabaseState::UpToDate, "{seen}");

    // All of it is gone.
    let (database, folder) = half_reverted::<S>();
    database.execute("DROP TABLE t2");
    settle(&database, &folder, Resolution::RolledBack);
    assert_eq!(database.texts(LEDGER), ["01"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2"]);

    // It goes on at the third.
    let (database, folder) = half_reverted::<S>();
    let beyond = Migrator::new(&folder.set()).resolve(&mut database.connect(), "02", Resolution::ResumeAt(4));
    assert!(beyond.expect_err("it has three statements").message().contains("3 statements"));
    settle(&database, &folder, Resolution::ResumeAt(3));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("still half done").code(), "failed");
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(1))), ["02_t2"]);
    assert_eq!(tables(&database), ["t1"]);
}

fn nothing_is_reverted_beneath_what_is_half_applied<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    folder.write(
        "03_half/up.sql",
        "-- migrator: no-transaction\nCREATE TABLE half (a INTEGER);\nINSERT INTO nowhere VALUES (1);",
    );
    folder.write("03_half/down.sql", "DROP TABLE half;");
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(1))
        .expect_err("its down script is for the whole of it");
    assert_eq!((error.code(), error.version()), ("failed", Some("03")), "{error}");
    assert!(error.remedy().contains("migrator run"), "{error}");
    assert_eq!(tables(&database), ["half", "t1", "t2"]);
}

fn redo_takes_in_an_edit<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    folder.write("02_t2/up.sql", "CREATE TABLE t2 (id INTEGER PRIMARY KEY, note VARCHAR(20));");
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::Blocked);
    let report = Migrator::new(&folder.set()).redo(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((reverted(&report), names(&report), report.skipped()), (vec!["02_t2"], vec!["02_t2"], 1));
    assert!(report.to_string().starts_with("reverted 1 migration, applied 1 migration in"), "{report}");
    database.execute("INSERT INTO t2 (id, note) VALUES (1, 'new')");
    assert_eq!(milestones(&database)[2..], ["reverted 02", "applied 02"]);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);

    // What cannot be applied again is pending.
    folder.write("02_t2/up.sql", "INSERT INTO nowhere VALUES (1);");
    let error = Migrator::new(&folder.set()).redo(&mut database.connect()).expect_err("no such table");
    let told = error.report().unwrap_or_else(|| panic!("{error}"));
    assert_eq!((error.code(), reverted(told)), ("statement_failed", vec!["02_t2"]), "{error}");
    assert_eq!((tables(&database), database.texts(LEDGER)), (vec!["t1".to_owned()], vec!["01".to_owned()]));
    folder.write("02_t2/up.sql", table(2));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), ["02_t2"]);
}

fn the_session_is_restored<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    let [set, unset, tell] = S::SETTING;
    folder.write("02_t2/down.sql", format!("{set};\nDROP TABLE t2;\n"));
    applies::<S>(&database, &folder.set());
    let mut conn = database.connect();
    conn.batch_execute(unset).expect("set");
    Migrator::new(&folder.set()).revert(&mut conn, Target::Steps(2)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(S::texts(&mut conn, tell), ["0"]);
}

fn events_tell_it<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    migrator.revert(&mut database.connect(), Target::Steps(2)).unwrap_or_else(|error| panic!("{error}"));
    let events = events.take();
    let of = |name: &str| events.iter().filter(|event| event.starts_with(name)).cloned().collect::<Vec<_>>();
    assert!(of("Planned")[0].contains("steps: 2"), "{events:?}");
    assert!(of("Reverting")[1].contains("\"01_t1\", step: 2, steps: 2"), "{events:?}");
    assert_eq!((of("Statement").len(), of("Reverted").len(), of("Applied").len()), (2, 2, 0), "{events:?}");
    assert!(of("Reverted")[0].contains("02_t2"), "{events:?}");
}

fn code_with_a_way_down<S: Subject>() {
    fn insert<C: SimpleConnection>(conn: &mut C) -> QueryResult<()> {
        conn.batch_execute("INSERT INTO t1 VALUES (2)")
    }
    fn delete<C: SimpleConnection>(conn: &mut C) -> QueryResult<()> {
        conn.batch_execute("DELETE FROM t1 WHERE id = 2")
    }
    fn fails<C: SimpleConnection>(conn: &mut C) -> QueryResult<()> {
        conn.batch_execute("DELETE FROM t1")?;
        conn.batch_execute("DELETE FROM nowhere")
    }
    let (database, folder) = (S::fresh(), reversible(1));
    let of = |down: fn(&mut S::Connection) -> QueryResult<()>| {
        Migrator::new(&folder.set()).reversible_code("02_insert", insert, down)
    };
    of(delete).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let seen = of(delete).status(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((seen.state(), seen.migrations()[1].reversible), (DatabaseState::UpToDate, true));

    let error = of(fails).revert(&mut database.connect(), Target::Steps(1)).expect_err("there is no such table");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("02")), "{error}");
    assert_eq!((database.row_counts()["t1"], milestones(&database).pop()), (2, Some("kept 02".to_owned())));
    assert_eq!(of(delete).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);

    let report = of(delete).revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((reverted(&report), database.row_counts()["t1"]), (vec!["02_insert"], 1));
    of(delete).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(of(delete).redo(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).applied().len(), 1);

    let without = Migrator::new(&folder.set()).code("02_insert", insert);
    let error = without.revert(&mut database.connect(), Target::Steps(1)).expect_err("it has no way down");
    assert_eq!(error.code(), "no_way_down", "{error}");
}

fn a_foreign_source_reverts<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    let source = || diesel_migrations::FileBasedMigrations::from_path(folder.path()).expect("diesel reads it");
    let migrator = || Migrator::from_source(source()).unwrap_or_else(|error| panic!("{error}"));
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let report = migrator().revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((reverted(&report), tables(&database)), (vec!["02_t2"], vec!["t1".to_owned()]));
    assert_eq!(database.texts(LEDGER), ["01"]);
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));

    // Whether it has a way down only the source knows; what it says is a failure that changed nothing.
    std::fs::remove_file(folder.path().join("02_t2/down.sql")).expect("it is there");
    let error = migrator().revert(&mut database.connect(), Target::Steps(1)).expect_err("it has none");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("02")), "{error}");
    assert_eq!(tables(&database), ["t1", "t2"]);
    assert_eq!(migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);
}

fn diesel_takes_the_next_turn<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(3));
    let set = folder.set();
    applies::<S>(&database, &set);
    reverts::<S>(&database, &folder, Target::Steps(1));
    let mut conn = database.connect();
    let reverted = conn.revert_last_migration(&set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(reverted.to_string(), "02", "diesel knows that 03 is gone");
    let ran = conn.run_pending_migrations(&set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ran.len(), 2);
    let report = reverts::<S>(&database, &folder, Target::Steps(2));
    assert_eq!(self::reverted(&report), ["03_t3", "02_t2"], "{report}");
    assert!(report.warnings().iter().any(|warning| warning.contains("adopted")), "{report}");
    assert!(conn.has_pending_migration(&set).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!((tables(&database), database.texts(LEDGER)), (vec!["t1".to_owned()], vec!["01".to_owned()]));
    assert_eq!(applies::<S>(&database, &set).applied().len(), 2);
}

/// A step is decided under the lock: two who ask for one step each undo two migrations, and none twice.
fn each_of_two_at_once_undoes_its_own<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(4));
    let set = folder.set();
    applies::<S>(&database, &set);
    let undo = || {
        let report = Migrator::new(&set).revert(&mut database.connect(), Target::Steps(1));
        reverted(&report.unwrap_or_else(|error| panic!("{error}"))).join(" ")
    };
    let mut undone = std::thread::scope(|scope| {
        let both = [scope.spawn(undo), scope.spawn(undo)];
        both.map(|one| one.join().expect("it does not panic"))
    });
    undone.sort();
    assert_eq!(
        (undone, tables(&database)),
        (["03_t3", "04_t4"].map(String::from), vec!["t1".to_owned(), "t2".to_owned()])
    );
}

fn sections_declare_their_own_mode<S: Subject>() {
    let text = "-- migrate:up\nCREATE TABLE a (id INTEGER);\n-- migrate:down transaction:false\nDELETE FROM a;\nDELETE FROM nowhere;\nDROP TABLE a;\n";
    let folder = Folder::of_files(&[("20240101000000_a.sql", text)]);
    let database = S::fresh();
    applies::<S>(&database, &folder.set());
    let error =
        Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1)).expect_err("no such table");
    let place = error.place().unwrap_or_else(|| panic!("{error}"));
    assert_eq!((place.line, place.number), (5, 2), "{error}");
    assert!(history(&database).contains(&"statement 20240101000000".to_owned()), "each by itself");
    folder.write("20240101000000_a.sql", text.replace("nowhere", "a"));
    assert_eq!(reverts::<S>(&database, &folder, Target::Steps(1)).reverted().len(), 1);
    assert_eq!(tables(&database), Vec::<String>::new());
}

/// What a newer binary left half undone keeps an older one from nothing but applying.
fn an_older_binary_starts_beside_it<S: Subject>() {
    let (database, _newer) = half_reverted::<S>();
    let older = reversible(1);
    let report = applies::<S>(&database, &older.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 1));
    assert!(
        Migrator::new(&older.set()).plan(&mut database.connect(), Target::Latest).is_ok_and(|plan| plan.is_empty())
    );
    older.write("03_t3/up.sql", table(3));
    let error = run::<S>(&database, &older.set()).expect_err("nothing is built upon it");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")), "{error}");
}

/// With CRLF line endings and a byte order mark, as another machine has it.
fn another_checkout_goes_on_with_it<S: Subject>() {
    let (database, folder) = half_reverted::<S>();
    let text = HALF.replace("nowhere", "t1").replace("(1)", "(5)").replace('\n', "\r\n");
    folder.write("02_t2/down.sql", format!("\u{feff}{text}"));
    assert_eq!(reverted(&reverts::<S>(&database, &folder, Target::Steps(1))), ["02_t2"]);
    // Another text of what took is something else.
    let (database, folder) = half_reverted::<S>();
    folder.write("02_t2/down.sql", HALF.replace("DELETE FROM t2", "DELETE FROM t1"));
    let error = Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1)).expect_err("edited");
    assert_eq!((error.code(), error.version()), ("failed", Some("02")), "{error}");
    assert!(error.message().contains("02_t2/down.sql: one of the first 1 statements was edited"), "{error}");
    assert!(error.remedy().contains("--applied 02"), "nothing of it is to be there: {error}");
}

fn a_down_script_that_takes_the_history_away<S: Subject>() {
    let (database, folder) = (S::fresh(), reversible(2));
    folder.write("02_t2/down.sql", "DROP TABLE t2;\nDROP TABLE __migrator_history;\n");
    applies::<S>(&database, &folder.set());
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(1))
        .expect_err("it cannot be recorded");
    assert_eq!(error.version(), Some("02"), "{error}");
    if S::UNDOES_DDL {
        assert_eq!(
            (tables(&database).len(), status::<S>(&database, &folder.set()).state()),
            (2, DatabaseState::UpToDate)
        );
        return;
    }
    // It is gone: never a start from zero.
    for refused in [
        run::<S>(&database, &folder.set()).map(drop),
        Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1)).map(drop),
        Migrator::new(&folder.set()).baseline(&mut database.connect(), "02").map(drop),
        Migrator::new(&folder.set()).verify(&mut database.connect()).map(drop),
    ] {
        assert_eq!(refused.expect_err("the history is gone").code(), "history_tampered");
    }
}

#[test]
fn code_that_commits_by_itself_is_half_done() {
    fn insert<C: SimpleConnection>(conn: &mut C) -> QueryResult<()> {
        conn.batch_execute("INSERT INTO t1 VALUES (2)")
    }
    fn check<S: Subject>(commits: &'static str) {
        let (database, folder) = (S::fresh(), reversible(1));
        let fails = move |conn: &mut S::Connection| {
            conn.batch_execute(commits)?;
            conn.batch_execute("DELETE FROM nowhere")
        };
        let of = |set| Migrator::new(set).reversible_code("02_insert", insert, fails);
        let (set, mut conn) = (folder.set(), database.connect());
        of(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        let error = of(&set).revert(&mut conn, Target::Steps(1)).expect_err("there is no such table");
        assert!(error.remedy().contains("resolve 02 as rolled back"), "{error}");
        let seen = of(&set).verify(&mut conn).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((seen.migrations()[1].state, seen.problems().len()), (State::Failed, 1), "{seen}");
        assert_eq!(of(&set).run(&mut conn).expect_err("half done").code(), "failed");
        let again = of(&set).revert(&mut conn, Target::Steps(1)).expect_err("nobody knows");
        assert!(again.code() == "failed" && again.remedy().contains("--rolled-back"), "{again}");
        of(&set).resolve(&mut conn, "02", Resolution::RolledBack).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(of(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}")).applied().len(), 1);
    }
    check::<Postgres>("DELETE FROM t1 WHERE id = 2; COMMIT");
    check::<Mariadb>("DELETE FROM t1 WHERE id = 2; CREATE TABLE other (a INT); DROP TABLE other");
}

#[test]
fn an_index_that_is_dropped_concurrently_is_asked_about() {
    let database = Postgres::fresh();
    let folder =
        Folder::of(&[("01_t", "CREATE TABLE t (a INTEGER);"), ("02_index", "CREATE INDEX CONCURRENTLY t_a ON t (a);")]);
    folder.write("02_index/down.sql", "DROP INDEX CONCURRENTLY t_a;");
    applies::<Postgres>(&database, &folder.set());
    database.execute("CREATE TABLE fingerprints AS SELECT fingerprint FROM __migrator_meta");
    assert_eq!(reverts::<Postgres>(&database, &folder, Target::Steps(1)).reverted().len(), 1);
    // As after a kill between the statement and its record: the index is gone, and nothing says so.
    database.execute(
        "CREATE TABLE kept AS SELECT max(sequence) AS last FROM __migrator_history;
         DELETE FROM __migrator_history WHERE sequence = (SELECT last FROM kept);
         UPDATE __migrator_meta SET sequence = sequence - 1;
         INSERT INTO __diesel_schema_migrations (version) VALUES ('02');",
    );
    assert_eq!(run::<Postgres>(&database, &folder.set()).expect_err("in doubt").code(), "failed");
    assert_eq!(reverted(&reverts::<Postgres>(&database, &folder, Target::Steps(1))), ["02_index"]);
    assert_eq!(history(&database)[2..], ["applied 02", "reverting 02", "statement 02", "reverting 02", "reverted 02"]);
    assert_eq!(names(&applies::<Postgres>(&database, &folder.set())), ["02_index"]);
}

/// PostgreSQL took the index out of use before it waited.
#[test]
fn an_index_whose_drop_was_cancelled_is_not_taken_for_whole() {
    let (database, folder) = (Postgres::fresh(), Folder::of(&[("01_t", "CREATE TABLE t (a INTEGER);")]));
    folder.write("02_index/up.sql", "CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a);");
    folder.write("02_index/down.sql", "DROP INDEX CONCURRENTLY t_a;");
    applies::<Postgres>(&database, &folder.set());
    let mut reader = database.connect();
    reader.batch_execute("BEGIN; SELECT * FROM t; INSERT INTO t VALUES (1)").expect("a transaction that goes on");
    let set = folder.set();
    let migrator = Migrator::new(&set).lock_timeout(Duration::from_millis(100));
    let error = migrator.revert(&mut database.connect(), Target::Steps(1)).expect_err("it waits for the reader");
    let broken =
        database.texts("SELECT (NOT indisvalid)::text AS value FROM pg_index WHERE indexrelid = 't_a'::regclass");
    assert_eq!(broken, ["true"], "{error}");
    assert_eq!(run::<Postgres>(&database, &folder.set()).expect_err("half undone").code(), "failed");
    reader.batch_execute("ROLLBACK").expect("rollback");
    assert_eq!(reverted(&reverts::<Postgres>(&database, &folder, Target::Steps(1))), ["02_index"]);
    assert_eq!(names(&applies::<Postgres>(&database, &folder.set())), ["02_index"]);
}

#[test]
fn a_down_script_that_moves_its_session_is_recorded_all_the_same() {
    let database = Postgres::fresh();
    let folder = Folder::of(&[("01_s", "CREATE SCHEMA s; CREATE TABLE s.t (a INTEGER);")]);
    folder.write("01_s/down.sql", "SET search_path = s;\nDROP TABLE t;\nDROP SCHEMA s;\n");
    applies::<Postgres>(&database, &folder.set());
    let mut conn = database.connect();
    let report =
        Migrator::new(&folder.set()).revert(&mut conn, Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(reverted(&report), ["01_s"]);
    let path = Postgres::texts(&mut conn, "SELECT current_setting('search_path') AS value");
    assert_eq!(
        (path, history(&database)),
        (vec!["\"$user\", public".to_owned()], vec!["applied 01".into(), "reverted 01".into()])
    );
}

#[test]
fn a_down_script_must_not_leave_rows_without_their_parents() {
    let database = Sqlite::fresh();
    let folder = Folder::of(&[
        ("01_parent", "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);"),
        ("02_child", "CREATE TABLE child (parent INTEGER REFERENCES parent (id)); INSERT INTO child VALUES (1);"),
        ("03_more", "INSERT INTO parent VALUES (2);"),
    ]);
    folder.write("02_child/down.sql", "DROP TABLE child;");
    folder.write("03_more/down.sql", "DELETE FROM parent;");
    applies::<Sqlite>(&database, &folder.set());
    let error = Migrator::new(&folder.set())
        .revert(&mut database.connect(), Target::Steps(1))
        .expect_err("the child is left alone");
    assert_eq!((error.code(), error.version()), ("foreign_key_violation", Some("03")), "{error}");
    assert_eq!((database.row_counts()["parent"], status::<Sqlite>(&database, &folder.set()).applied()), (2, 3));
    // What one breaks and the next mends is no violation.
    assert_eq!(reverted(&reverts::<Sqlite>(&database, &folder, Target::Steps(2))), ["03_more", "02_child"]);
}
