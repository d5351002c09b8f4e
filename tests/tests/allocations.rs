//! An unchanged start allocates nothing for each migration, and applying one little. A binary of its own: its allocator counts for
//! the whole process.

use std::alloc::System;

use migrator::{MigrationSet, Migrator};
use migrator_tests::{Database, sqlite};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often the first run allocates, which applies all, and how often an unchanged start after it.
fn of_two_starts(count: usize) -> [usize; 2] {
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
    let region = Region::new(COUNTING);
    assert_eq!(migrator.run(&mut conn).expect("run").applied().len(), count);
    let first = region.change().allocations;
    // The first of its kind on a connection may fill a cache.
    migrator.run(&mut conn).expect("run");
    let region = Region::new(COUNTING);
    let report = migrator.run(&mut conn).expect("run");
    let allocations = region.change().allocations;
    assert_eq!(report.skipped(), count);
    [first, allocations]
}

/// The allocator counts for the whole process, so that both are one test.
#[test]
fn starts_allocate_little_for_each_migration() {
    let [few, many] = [5, 300].map(of_two_starts);
    let each = (many[0] - few[0]) as f64 / 295.0;
    assert!(each <= 37.0, "{each} for a migration that is applied");
    assert_eq!(few[1], many[1], "an unchanged start");
    assert!(few[1] > 0, "the allocator counts");
}
