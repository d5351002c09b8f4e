//! An unchanged start allocates nothing for each migration. A binary of its own: its allocator counts for the whole process.

use std::alloc::System;

use migrator::{MigrationSet, Migrator};
use migrator_tests::{Database, sqlite};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often an unchanged start allocates.
fn of_an_unchanged_start(count: usize) -> usize {
    let folder = tempfile::tempdir().expect("make a folder");
    for number in 1..=count {
        let one = folder.path().join(format!("{number:04}_t"));
        std::fs::create_dir(&one).expect("make a folder");
        std::fs::write(one.join("up.sql"), format!("CREATE TABLE t{number} (a INTEGER);")).expect("write a script");
    }
    let set = MigrationSet::from_path(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    let database = sqlite::fresh();
    let mut conn = database.connect();
    let migrator = Migrator::new(&set);
    assert_eq!(migrator.run(&mut conn).expect("run").applied().len(), count);
    // The first of its kind on a connection may fill a cache.
    migrator.run(&mut conn).expect("run");
    let region = Region::new(COUNTING);
    let report = migrator.run(&mut conn).expect("run");
    let allocations = region.change().allocations;
    assert_eq!(report.skipped(), count);
    allocations
}

#[test]
fn an_unchanged_start_allocates_nothing_for_each_migration() {
    let [few, many] = [5, 300].map(of_an_unchanged_start);
    assert_eq!(few, many);
    assert!(few > 0, "the allocator counts");
}
