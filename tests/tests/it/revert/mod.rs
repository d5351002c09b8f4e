//! Down scripts: what is undone, and what is refused before anything starts.

mod half_done;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel_migrations::MigrationHarness;
use migrator::{DatabaseState, Migrator, Report, State, Target};
use migrator_tests::Database;

use crate::dialects::{Postgres, Sqlite, Subject, applies, history, names, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    it_undoes_the_newest_first,
    a_target_is_kept,
    nothing_applied_is_nothing_to_do,
    who_has_no_way_down_is_named_before_anything_starts,
    what_is_not_in_the_set_is_not_undone_beneath,
    redo_takes_in_an_edit,
    the_session_is_restored,
    events_tell_it,
    code_with_a_way_down,
    a_foreign_source_reverts,
    diesel_takes_the_next_turn,
    each_of_two_at_once_undoes_its_own,
    sections_declare_their_own_mode,
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
