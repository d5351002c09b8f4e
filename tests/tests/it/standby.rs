//! A hot standby of PostgreSQL: advisory locks are granted there, and exclude nobody on the primary.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use migrator::{Config, DatabaseState, Migrator, Target};
use migrator_tests::servers::{Options, Postgres};
use migrator_tests::{Database, wait};

use crate::dialects::{self, Subject, applies, names};
use crate::folder::{Folder, table};
use crate::provider::provider;

fn connect(server: &Postgres, database: &str) -> PgConnection {
    PgConnection::establish(&server.url(database)).unwrap_or_else(|error| panic!("{error}"))
}

fn value(conn: &mut PgConnection, expression: &str) -> String {
    dialects::Postgres::texts(conn, &format!("SELECT ({expression})::text AS value")).remove(0)
}

/// Waits until the standby has replayed all that the primary did so far.
fn catches_up(primary: &Postgres, standby: &Postgres) {
    let at = value(&mut primary.connect(), "pg_current_wal_lsn()");
    let there = format!("pg_last_wal_replay_lsn() >= '{at}'");
    wait::until("the standby", || (value(&mut standby.connect(), &there) == "true").then_some(()));
}

#[test]
fn is_read_and_never_written_to_until_it_is_the_primary() {
    // What is committed is in the log that the standby is sent, at once.
    let primary = Postgres::start(Options::default().set("synchronous_commit", "on"));
    let (database, folder) = (primary.fresh(), Folder::of_tables(2));
    applies::<dialects::Postgres>(&database, &folder.set());
    let standby = primary.standby();
    catches_up(&primary, &standby);
    let mut conn = connect(&standby, database.name());
    assert_eq!(value(&mut conn, "pg_is_in_recovery()"), "true");

    // Nothing is pending: the service starts, and is asked how it is.
    let set = folder.set();
    let report = Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.skipped(), report.warnings()), (2, &[][..]));
    assert_eq!(Migrator::new(&set).status(&mut conn).expect("status").state(), DatabaseState::UpToDate);
    assert_eq!(Migrator::new(&set).verify(&mut conn).expect("verify").problems().len(), 0);
    let service = provider::<PgConnection>(&set);
    service.init(Config::new(standby.url(database.name()))).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(service.health().readiness().code, "ready");
    service.shutdown().expect("shut down");

    folder.write("03_t3/up.sql", table(3));
    let set = folder.set();
    let status = Migrator::new(&set).status(&mut conn).expect("status");
    assert_eq!((status.state(), status.pending()), (DatabaseState::Pending, 1), "{status}");
    assert_eq!(Migrator::new(&set).plan(&mut conn, Target::Latest).expect("plan").steps().len(), 1);
    let error = Migrator::new(&set).run(&mut conn).expect_err("refused");
    assert_eq!(error.code(), "read_only", "{error}");
    assert!(error.message().contains("1 migration to apply") && error.message().contains("is a standby"), "{error}");
    assert!(error.remedy().contains("connect to the primary"), "{error}");
    assert_eq!(value(&mut conn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), "0", "no lock is left");
    let error = Migrator::new(&set).baseline(&mut conn, "03").expect_err("refused");
    assert_eq!(error.code(), "read_only", "{error}");

    // What the primary does is seen here; promoted, it is the primary.
    applies::<dialects::Postgres>(&database, &set);
    catches_up(&primary, &standby);
    assert_eq!(Migrator::new(&set).run(&mut conn).unwrap_or_else(|error| panic!("{error}")).skipped(), 3);
    drop(primary);
    conn.batch_execute("SELECT pg_promote()").expect("promote");
    folder.write("04_t4/up.sql", table(4));
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&report), ["04_t4"]);
}
