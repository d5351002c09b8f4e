//! An unchanged start is one query: no lock, no DDL, no write, for a role that may only read.

use diesel::connection::LoadConnection;
use migrator::{DatabaseState, Dialect, Migrator, Target};
use migrator_tests::Database;
use migrator_tests::servers::{Kind, Mariadb, Options, Postgres, Server};

use crate::dialects::{Subject, applies, history};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(is_one_query_however_many_migrations, needs_only_the_right_to_read, refuses_a_reader_with_work_to_do);

/// A table, then rows: fast enough for hundreds.
fn many(count: usize) -> Folder {
    let rows = (2..=count).map(|number| (format!("{number:03}_row"), format!("INSERT INTO t1 VALUES ({number})")));
    Folder::of(&[("001_t1".to_owned(), table(1))].into_iter().chain(rows).collect::<Vec<_>>())
}

fn is_one_query_however_many_migrations<S: Subject>() {
    for count in [10, 500] {
        let (database, set) = (S::fresh(), many(count).set());
        assert_eq!(applies::<S>(&database, &set).applied().len(), count);
        let mut conn = database.connect();
        let queries = watch::queries(&mut conn);
        let (migrator, events) = watch::events(Migrator::new(&set));
        let report = migrator.run(&mut conn).expect("run");
        let queries = queries.take();
        assert_eq!(queries.len(), 1, "{queries:#?}");
        assert!(queries[0].starts_with("SELECT "), "{queries:?}");
        assert_eq!((report.applied().len(), report.skipped()), (0, count));
        assert_eq!(events.take(), [format!("Unchanged {{ applied: {count} }}")]);
    }
}

fn needs_only_the_right_to_read<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    applies::<S>(&database, &set);
    let before = history(&database);
    let mut conn = S::reader(&database);
    let migrator = Migrator::new(&set);
    assert_eq!(migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);
    let status = migrator.status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((status.state(), status.applied()), (DatabaseState::UpToDate, 2));
    assert!(migrator.plan(&mut conn, Target::Latest).unwrap_or_else(|error| panic!("{error}")).is_empty());
    assert_eq!(history(&database), before);
}

fn refuses_a_reader_with_work_to_do<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    folder.write("03_t3/up.sql", table(3));
    let before = history(&database);
    let mut conn = S::reader(&database);
    let set = folder.set();
    let plan = Migrator::new(&set).plan(&mut conn, Target::Latest).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.steps().len(), 1);
    let error = Migrator::new(&set).run(&mut conn).expect_err("refused");
    assert!(matches!(error.code(), "read_only" | "permission_denied"), "{error:?}");
    assert!(!error.remedy().is_empty());
    assert_eq!(history(&database), before);
}

#[test]
fn postgres_sees_one_statement() {
    sees_one_statement(&Postgres::start(Options::default().log_statements()), &["LOG:  "]);
}

#[test]
fn mariadb_sees_one_statement() {
    // What is prepared is executed too; the client library cannot do both in one step.
    sees_one_statement(&Mariadb::start(Options::default().log_statements()), &["Query\t", "Execute\t"]);
}

/// Reads the server's own log of an unchanged start; `marks` begin what the server carried out.
fn sees_one_statement<K>(server: &Server<K>, marks: &[&str])
where
    K: Kind<Connection: LoadConnection<Backend: Dialect>>,
{
    let (database, set) = (server.fresh(), many(20).set());
    Migrator::new(&set).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let mut conn = database.connect();
    let length = server.statements().len();
    Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let log = server.statements()[length..].to_owned();
    let carried_out: Vec<&str> = log.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect();
    assert_eq!(carried_out.len(), 1, "{log}");
    assert!(carried_out[0].contains("SELECT") && carried_out[0].contains("__migrator_meta"), "{log}");
}
