//! A panic in the host's hook, in a process that lives on: nothing stays held, nothing half-done stays.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use migrator::{Event, Migrator};
use migrator_tests::Database;

use crate::dialects::{Subject, applies};
use crate::folder::Folder;

on_each_dialect!(the_lock_is_free_and_the_connection_usable);

fn the_lock_is_free_and_the_connection_usable<S: Subject>() {
    let database = S::fresh();
    let folder = Folder::of_tables(3);
    let set = folder.set();
    // The connection stays open, as one of a pool does: only giving the lock back frees it.
    let mut conn = database.connect();
    let panicking = Migrator::new(&set)
        .on_event(|event| assert!(!matches!(event, Event::Started { step: 2, .. }), "the host's hook panics"));
    let panic = catch_unwind(AssertUnwindSafe(|| panicking.run(&mut conn)));
    assert!(panic.is_err());
    let another = Migrator::new(&set).lock_timeout(Duration::ZERO);
    another.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applies::<S>(&database, &set).applied().len(), 0);
    Migrator::new(&set).status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(database.row_counts().len(), 3);
}
