//! Reverts that fail: what stays as it was, and what one that stopped half-way leaves and asks for.

use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use migrator::{DatabaseState, Migrator, Resolution, State, Target};
use migrator_tests::Database;

use crate::dialects::{Mariadb, Postgres, Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};
use crate::watch;

use super::{LEDGER, milestones, reversible, reverted, reverts};

on_each_dialect!(
    what_fails_at_its_first_statement_leaves_all_as_it_was,
    it_goes_on_where_it_stopped,
    a_person_settles_a_half_done_revert,
    nothing_is_reverted_beneath_what_is_half_applied,
    an_older_binary_starts_beside_it,
    another_checkout_goes_on_with_it,
    a_down_script_that_takes_the_history_away,
);

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
