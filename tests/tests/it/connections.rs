//! Connections of every kind, and several at once.

use std::thread;

use diesel::Connection;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection};
use migrator::{DatabaseState, MigrationSet, Migrator};
use migrator_tests::Database;

use crate::dialects::{Subject, names, run, status, tables};
use crate::folder::Folder;
use crate::watch;

on_each_dialect!(
    a_pooled_connection,
    a_connection_is_good_after_every_kind_of_run,
    starters_at_once_apply_each_migration_once,
    a_waiter_is_told_who_holds_the_lock,
    timeouts_may_be_of_any_length,
);

fn a_pooled_connection<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let manager = ConnectionManager::<S::Connection>::new(database.url());
    let pool = Pool::builder().max_size(1).build(manager).expect("a pool");
    type Pooled<S> = PooledConnection<ConnectionManager<<S as Subject>::Connection>>;
    let migrator = |set: &MigrationSet| Migrator::<Pooled<S>>::new(set);
    let set = folder.set();
    assert_eq!(
        migrator(&set).run(&mut pool.get().expect("one")).unwrap_or_else(|error| panic!("{error}")).applied().len(),
        2
    );
    assert_eq!(migrator(&set).run(&mut pool.get().expect("one")).expect("run").skipped(), 2);
    folder.write("03_fails/up.sql", "INSERT INTO nowhere VALUES (1);");
    let set = folder.set();
    migrator(&set).run(&mut pool.get().expect("one")).expect_err("it fails");
    let seen = migrator(&set).status(&mut pool.get().expect("one")).expect("status");
    assert_eq!(seen.state(), DatabaseState::Pending);
}

fn a_connection_is_good_after_every_kind_of_run<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let mut conn = database.connect();
    let mut use_it = || {
        conn.transaction::<(), diesel::result::Error, _>(|conn| {
            diesel::connection::SimpleConnection::batch_execute(conn, "SELECT 1")?;
            Ok(())
        })
        .expect("a transaction");
        Migrator::new(&folder.set()).run(&mut conn).map(|report| report.applied().len())
    };
    assert_eq!(use_it().expect("run"), 2);
    assert_eq!(use_it().expect("run"), 0);
    folder.write("03_fails/up.sql", "INSERT INTO nowhere VALUES (1);");
    use_it().expect_err("it fails");
    folder.write("03_fails/up.sql", "-- migrator: no-transaction\nSELECT 1;\nINSERT INTO nowhere VALUES (1);");
    use_it().expect_err("it fails");
    folder.write("03_fails/up.sql", "-- migrator: no-transaction\nSELECT 1;\nSELECT 1;");
    assert_eq!(use_it().expect("run"), 1);
    folder.write("01_t1/up.sql", "SELECT 1;");
    use_it().expect_err("refused");
    folder.remove("01_t1");
    use_it().expect_err("refused");
}

fn starters_at_once_apply_each_migration_once<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(5).set());
    // SQLite's file is made before, so that nobody finds it half made.
    drop(database.connect());
    let start = || run::<S>(&database, &set).map(|report| (report.applied().len(), report.skipped()));
    let mut ends: Vec<(usize, usize)> = thread::scope(|scope| {
        let starters: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        starters
            .into_iter()
            .map(|starter| starter.join().expect("no panic").unwrap_or_else(|error| panic!("{error}")))
            .collect()
    });
    ends.sort_unstable();
    assert_eq!(ends, [vec![(0, 5); 7], vec![(5, 0)]].concat());
    assert_eq!(tables(&database).len(), 5);
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
}

/// A second starter meets the first in the middle of its work.
fn a_waiter_is_told_who_holds_the_lock<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let mut second = database.connect();
    let refused = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (told, database_url) = (std::sync::Arc::clone(&refused), database.url().to_owned());
    let of_second = set.clone();
    let first = Migrator::new(&set).on_event(move |event| {
        if matches!(event, migrator::Event::Started { version: "02", .. }) {
            let mut second = S::Connection::establish(&database_url).expect("connect");
            let migrator = Migrator::new(&of_second).lock_timeout(std::time::Duration::from_millis(30));
            *told.lock().expect("one at a time") = migrator.run(&mut second).err();
        }
    });
    assert_eq!(first.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}")).applied().len(), 2);
    let error = refused.lock().expect("one at a time").take().expect("the second was refused");
    assert!(error.is_lock_timeout() && error.report().is_none(), "{error:?}");
    let holder = match S::NAME {
        "sqlite" => "process ",
        "postgres" => "backend ",
        _ => "connection ",
    };
    assert!(error.message().contains(holder), "{error}");
    let (after, events) = watch::events(Migrator::new(&set));
    assert!(names(&after.run(&mut second).expect("run")).is_empty());
    assert_eq!(events.take(), ["Unchanged { applied: 2 }"]);
}

fn timeouts_may_be_of_any_length<S: Subject>() {
    use std::time::Duration;

    for timeout in [Duration::ZERO, Duration::from_micros(1), Duration::MAX] {
        let (database, set) = (S::fresh(), Folder::of_tables(1).set());
        let migrator = Migrator::new(&set).lock_timeout(timeout).statement_lock_timeout(timeout);
        let mut conn = database.connect();
        assert_eq!(migrator.run(&mut conn).unwrap_or_else(|error| panic!("{timeout:?}: {error}")).applied().len(), 1);
        migrator.status(&mut conn).unwrap_or_else(|error| panic!("{timeout:?}: {error}"));
    }
}
