//! Migrations of a foreign source, of which nothing can be seen but their names.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use migrator::{DatabaseState, Migrator, Resolution, Status, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, tables};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(
    files_of_diesel_run_under_our_rules,
    code_runs_in_its_order,
    what_diesel_ran_is_taken_over,
    one_that_fails_is_undone_where_it_can_be,
    one_that_fails_outside_of_a_transaction_is_for_a_person_to_settle,
    one_that_is_killed_is_not_taken_for_done,
    a_set_takes_over_from_the_source,
    one_that_commits_by_itself_is_not_run_twice,
);

/// A migration in Rust.
#[derive(Clone)]
struct Code {
    name: &'static str,
    statements: Vec<String>,
    in_transaction: bool,
    panics: bool,
}

#[derive(Clone)]
struct Source(Vec<Code>);

fn code<T: Into<String>>(name: &'static str, statements: impl IntoIterator<Item = T>) -> Code {
    let statements = statements.into_iter().map(Into::into).collect();
    Code { name, statements, in_transaction: true, panics: false }
}

impl<DB: Backend> MigrationSource<DB> for Source {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn migration::Migration<DB>>>> {
        Ok(self.0.iter().map(|code| Box::new(code.clone()) as _).collect())
    }
}

impl<DB: Backend> migration::Migration<DB> for Code {
    fn run(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        self.statements.iter().try_for_each(|statement| conn.batch_execute(statement))?;
        assert!(!self.panics, "killed");
        Ok(())
    }

    fn revert(&self, _conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Err("there is no way back".into())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Code {
    fn run_in_transaction(&self) -> bool {
        self.in_transaction
    }
}

impl MigrationName for Code {
    fn version(&self) -> MigrationVersion<'_> {
        MigrationVersion::from(self.name.split('_').next().expect("a text has a first part"))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn migrator<S: Subject>(codes: &[Code]) -> Migrator<S::Connection> {
    let source = Source(codes.to_vec());
    Migrator::from_source(source).unwrap_or_else(|error| panic!("{error}"))
}

fn status<S: Subject>(database: &S::Database, codes: &[Code]) -> Status {
    migrator::<S>(codes).status(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"))
}

fn ledger(database: &impl Database) -> Vec<String> {
    database.texts("SELECT version AS value FROM __diesel_schema_migrations ORDER BY version")
}

fn files_of_diesel_run_under_our_rules<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let source = || FileBasedMigrations::from_path(folder.path()).expect("the folder is diesel's");
    let migrator = || Migrator::<S::Connection>::from_source(source()).unwrap_or_else(|error| panic!("{error}"));
    let plan = migrator().plan(&mut database.connect(), Target::Latest).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.steps().len(), plan.steps()[0].statements, plan.steps()[0].file.as_str()), (2, 0, "01_t1"));
    let report = migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["01_t1", "02_t2"]);
    assert_eq!(
        (tables(&database), ledger(&database)),
        (vec!["t1".into(), "t2".into()], vec!["01".into(), "02".into()])
    );
    assert!(!database.connect().has_pending_migration(source()).expect("ask"));

    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    assert_eq!(migrator().run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);
    assert_eq!(queries.take().len(), 1);
    let seen = migrator().status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((seen.state(), seen.applied()), (DatabaseState::UpToDate, 2));
    assert!(seen.migrations().iter().all(|row| row.checksum.is_none() && row.applied_at.is_some()));

    folder.write("03_t3/up.sql", table(3));
    assert_eq!(names(&migrator().run(&mut conn).unwrap_or_else(|error| panic!("{error}"))), ["03_t3"]);
}

fn code_runs_in_its_order<S: Subject>() {
    let database = S::fresh();
    // By the bytes of the version, whatever the order of the source: `10` is before `9`.
    let codes = [code("9_last", ["INSERT INTO t1 VALUES (3)"]), code("10_first", [table(1)])];
    assert_eq!(names(&migrator::<S>(&codes).run(&mut database.connect()).expect("run")), ["10_first", "9_last"]);
    assert_eq!(database.row_counts()["t1"], 2);
    let error = Migrator::<S::Connection>::from_source(Source(vec![code("1_a", ["x"]), code("1_b", ["x"])]));
    let error = error.expect_err("two have one version");
    assert!(error.is_folder_fault() && error.message().contains("1_a and 1_b"), "{error}");
}

fn what_diesel_ran_is_taken_over<S: Subject>() {
    let (database, codes) = (S::fresh(), [code("1_t1", [table(1)]), code("2_t2", [table(2)])]);
    database.connect().run_pending_migrations(Source(codes[..1].to_vec())).expect("run");
    let report = migrator::<S>(&codes).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((names(&report), report.skipped()), (vec!["2_t2"], 1));
    assert!(report.warnings()[0].contains("adopted"), "{report}");
    assert_eq!(status::<S>(&database, &codes).state(), DatabaseState::UpToDate);
    assert!(!database.connect().has_pending_migration(Source(codes.to_vec())).expect("ask"));
}

fn one_that_fails_is_undone_where_it_can_be<S: Subject>() {
    let (database, first) = (S::fresh(), code("1_t1", [table(1)]));
    // Rows are undone everywhere.
    let rows = code("2_rows", ["INSERT INTO t1 VALUES (7)", "INSERT INTO nowhere VALUES (1)"]);
    let codes = [first.clone(), rows];
    let error = migrator::<S>(&codes).run(&mut database.connect()).expect_err("there is no such table");
    assert_eq!((error.code(), error.version()), ("statement_failed", Some("2")), "{error}");
    assert!(error.database_words().is_some_and(|words| words.contains(S::NO_SUCH_TABLE)), "{error}");
    assert_eq!(error.report().map(|report| report.applied().len()), Some(1));
    assert_eq!((database.row_counts()["t1"], ledger(&database)), (1, vec!["1".to_owned()]));
    assert_eq!(status::<S>(&database, &codes).state(), DatabaseState::Pending);

    // DDL is not undone on MySQL: then nobody knows.
    let codes = [first, code("2_ddl", [table(2), "INSERT INTO nowhere VALUES (1)".to_owned()])];
    migrator::<S>(&codes).run(&mut database.connect()).expect_err("there is no such table");
    let expected = if S::UNDOES_DDL { DatabaseState::Pending } else { DatabaseState::Blocked };
    assert_eq!((status::<S>(&database, &codes).state(), ledger(&database).len()), (expected, 1));
    if !S::UNDOES_DDL {
        let error = migrator::<S>(&codes).run(&mut database.connect()).expect_err("nobody knows");
        assert_eq!((error.code(), error.version()), ("failed", Some("2")), "{error}");
        database.execute("DROP TABLE t2");
        let settled = migrator::<S>(&codes).resolve(&mut database.connect(), "2", Resolution::RolledBack);
        settled.unwrap_or_else(|error| panic!("{error}"));
    }
    let codes = [codes[0].clone(), code("2_ddl", [table(2)])];
    assert_eq!(names(&migrator::<S>(&codes).run(&mut database.connect()).expect("run")), ["2_ddl"]);
    assert_eq!(ledger(&database), ["1", "2"]);
}

fn one_that_fails_outside_of_a_transaction_is_for_a_person_to_settle<S: Subject>() {
    let database = S::fresh();
    let mut outside = code("1_t1", [table(1), "INSERT INTO nowhere VALUES (1)".to_owned()]);
    outside.in_transaction = false;
    let codes = [outside, code("2_t2", [table(2)])];
    let error = migrator::<S>(&codes).run(&mut database.connect()).expect_err("there is no such table");
    assert!(error.remedy().contains("nobody knows how much"), "{error}");
    assert_eq!(tables(&database), ["t1"]);
    let error = migrator::<S>(&codes).run(&mut database.connect()).expect_err("nobody knows");
    assert_eq!((error.code(), error.version()), ("failed", Some("1")), "{error}");
    assert_eq!(status::<S>(&database, &codes).state(), DatabaseState::Blocked);
    migrator::<S>(&codes)
        .resolve(&mut database.connect(), "1", Resolution::Applied)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&migrator::<S>(&codes).run(&mut database.connect()).expect("run")), ["2_t2"]);
    assert_eq!((ledger(&database).len(), tables(&database).len()), (2, 2));
}

fn one_that_is_killed_is_not_taken_for_done<S: Subject>() {
    for in_transaction in [true, false] {
        let database = S::fresh();
        let killed = Code { in_transaction, panics: true, ..code("1_t1", [table(1)]) };
        let codes = [killed];
        let panicked = catch_unwind(AssertUnwindSafe(|| migrator::<S>(&codes).run(&mut database.connect())));
        assert!(panicked.is_err(), "it ends in the middle");
        let undone = in_transaction && S::UNDOES_DDL;
        let expected = if undone { DatabaseState::Pending } else { DatabaseState::Blocked };
        let state = status::<S>(&database, &codes).state();
        let nothing = undone && state == DatabaseState::Uninitialized;
        assert!(nothing || state == expected, "{}: {state:?}", S::NAME);
        assert_eq!(tables(&database).is_empty(), undone);
    }
}

fn a_set_takes_over_from_the_source<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let source = FileBasedMigrations::from_path(folder.path()).expect("the folder is diesel's");
    Migrator::from_source(source).expect("read").run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 0);
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(queries.take().len(), 1, "from now on the texts are compared");
    folder.write("02_t2/up.sql", table(9));
    let error = Migrator::new(&folder.set()).run(&mut database.connect()).expect_err("it was edited");
    assert_eq!(error.code(), "changed");
}

/// What diesel's own runner says of such a migration is left to it; here the outcome is recorded, or the run stops.
fn one_that_commits_by_itself_is_not_run_twice<S: Subject>() {
    let (database, codes) = (S::fresh(), [code("1_t1", [table(1), "COMMIT".to_owned()])]);
    let first = migrator::<S>(&codes).run(&mut database.connect());
    let again = migrator::<S>(&codes).run(&mut database.connect());
    let recorded = history(&database).iter().any(|record| record == "applied 1");
    println!("{}: {first:?}, then {again:?}, {:?}", S::NAME, history(&database));
    assert_eq!(recorded, again.is_ok(), "{first:?}, then {again:?}");
    assert_eq!(database.row_counts()["t1"], 1);
}
