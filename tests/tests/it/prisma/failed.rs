//! Turns that fail, in Prisma or in a run of ours: who settles them, and what the other is told.

use migrator::{DatabaseState, Migrator, Resolution, Target};
use migrator_tests::Database;

use crate::dialects::{applies, names, run, status, tables};
use crate::folder::table;

use crate::prisma::{
    End, LEDGER, Prisma, add, details, folder, holds_together, ledger, name, prisma_runs, queries, row, states,
};

on_each_dialect!(
    what_failed_in_prisma_waits_for_a_person,
    what_failed_in_prisma_and_was_done_by_hand,
    what_prisma_resolved_is_resolved,
    what_was_rolled_back_runs_again,
    several_rows_of_one_migration_are_one_story,
    a_failure_that_is_undone_leaves_no_row,
    a_failure_half_way_is_one_for_prisma_too,
);

fn what_failed_in_prisma_waits_for_a_person<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, table(2), End::Failed);
    assert_eq!(states::<S>(&database, &folder), ["applied", "failed"]);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!(seen.state(), DatabaseState::Blocked);
    assert_eq!(seen.migrations()[1].error.as_deref(), Some("outside: no such table: nowhere"), "{seen}");
    assert!(seen.problems()[0].help.contains(&format!("resolve --rolled-back {}", name(2))), "{seen}");
    let error = run::<S>(&database, &folder.set()).expect_err("nobody knows how much took");
    assert_eq!((error.code(), error.version()), ("failed", Some(name(2).as_str())), "{error}");
    assert!(error.message().contains("no such table: nowhere") && error.remedy().contains("resolve"), "{error}");
    assert_eq!(tables(&database), ["t1"]);

    let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), &name(2), Resolution::RolledBack);
    settled.unwrap_or_else(|error| panic!("{error}"));
    let rolled_back = format!("{} rolled back", name(2));
    assert_eq!(ledger(&database), [name(1), rolled_back.clone()]);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back"]);
    let set = folder.set();
    Migrator::new(&set)
        .run_to(&mut database.connect(), Target::version(name(1)))
        .unwrap_or_else(|error| panic!("{error}"));
    holds_together::<S>(&database, &folder);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), (vec![name(1), name(2), rolled_back], 1));
    let told = details(&database);
    assert_eq!(
        told[1..],
        ["failed 2_ outside:", "resolved 2_ rolled_back", "applied 2_"].map(|row| row.replace("2_", &name(2)))
    );
}

fn what_failed_in_prisma_and_was_done_by_hand<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, table(2), End::Failed);
    database.execute(&table(2));
    let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), &name(2), Resolution::Applied);
    settled.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ledger(&database), [name(1), name(2), format!("{} rolled back", name(2))]);
    let steps = format!(
        "SELECT CONCAT(applied_steps_count, logs) AS value FROM {LEDGER} WHERE finished_at IS NOT NULL AND logs = ''"
    );
    assert_eq!(database.texts(&steps), ["0"], "as Prisma's own resolve leaves it");
    assert_eq!((queries::<S>(&database, &folder), tables(&database).len()), (1, 2));
}

/// `prisma migrate resolve`, both ways, of what our history says is failed.
fn what_prisma_resolved_is_resolved<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(4));
    prisma_runs::<S>(&database, [1]);
    [2, 3].iter().for_each(|number| row::<S>(&database, *number, table(*number), End::Failed));
    // Up to what is applied, so that all of it is recorded.
    Migrator::new(&folder.set()).run_to(&mut database.connect(), Target::version(name(1))).expect("adopt");
    let failed = [2, 3].map(|number| format!("failed {} outside:", name(number)));
    assert_eq!(details(&database)[1..], failed);
    let [began, ended] = S::MOMENTS;
    database.execute(&format!("UPDATE {LEDGER} SET rolled_back_at = {ended} WHERE finished_at IS NULL"));
    database.execute(&table(3));
    row::<S>(&database, 3, table(3), End::Finished);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back", "applied", "pending"]);
    let error = run::<S>(&database, &folder.set());
    // One that is rolled back and older than one that is applied is what it was for Prisma too: to be run again.
    let report = error.unwrap_or_else(|error| panic!("{error}, since {began}"));
    assert_eq!(names(&report), [name(2), name(4)]);
    assert!(report.warnings().iter().any(|warning| warning.contains("rolled back outside")), "{report}");
    assert_eq!(details(&database)[3], format!("resolved {} rolled_back", name(2)));
    assert_eq!((queries::<S>(&database, &folder), tables(&database).len()), (1, 4));
}

fn what_was_rolled_back_runs_again<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, "another text, which failed", End::RolledBack);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(ledger(&database), [name(1), name(2), format!("{} rolled back", name(2))]);
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn several_rows_of_one_migration_are_one_story<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    database.execute(S::CREATE);
    [End::RolledBack, End::RolledBack].iter().for_each(|end| row::<S>(&database, 1, "text", *end));
    prisma_runs::<S>(&database, [1]);
    assert_eq!(states::<S>(&database, &folder), ["applied"]);
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 1);
    assert_eq!(details(&database), [format!("applied {} verified", name(1))]);
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn a_failure_that_is_undone_leaves_no_row<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    add(&folder, 2, "INSERT INTO t1 VALUES (2);\nINSERT INTO nowhere VALUES (1);\n");
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    assert_eq!((ledger(&database), database.row_counts()["t1"]), (vec![name(1)], 1), "Prisma may try it");
    // Also where the first statement that cannot be undone did not take.
    add(&folder, 2, "CREATE TABLE t1 (id INTEGER);\nCREATE TABLE t2 (id INTEGER);\n");
    run::<S>(&database, &folder.set()).expect_err("it is there");
    assert_eq!((ledger(&database), states::<S>(&database, &folder)), (vec![name(1)], vec!["applied", "pending"]));
    add(&folder, 2, table(2));
    applies::<S>(&database, &folder.set());
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), ([1, 2].map(name).to_vec(), 1));
}

/// Where DDL commits by itself.
fn a_failure_half_way_is_one_for_prisma_too<S: Prisma>() {
    if S::UNDOES_DDL {
        return;
    }
    let (database, folder) = (S::fresh(), folder(1));
    let failing = |last: &str| {
        format!("CREATE TABLE a (id INTEGER);\nCREATE TABLE b (id INTEGER);\nINSERT INTO {last} VALUES (1);\n")
    };
    add(&folder, 2, failing("nowhere"));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    assert_eq!(
        ledger(&database),
        [name(1), format!("{} failed", name(2))],
        "Prisma applies nothing before it is settled"
    );
    let logs = || {
        database
            .texts(&format!("SELECT COALESCE(logs, '') AS value FROM {LEDGER} WHERE migration_name = '{}'", name(2)))
    };
    assert!(logs()[0].contains("nowhere"), "{:?}", logs());
    // It goes on where it stopped, in the same row.
    add(&folder, 2, failing("b"));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(
        (ledger(&database), logs(), database.row_counts()["b"]),
        ([1, 2].map(name).to_vec(), vec![String::new()], 1)
    );
    assert_eq!(queries::<S>(&database, &folder), 1);

    // Or Prisma's operator says that it was undone.
    add(&folder, 3, failing("nowhere").replace("TABLE a", "TABLE c").replace("TABLE b", "TABLE d"));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let [_, moment] = S::MOMENTS;
    database.execute(&format!("UPDATE {LEDGER} SET rolled_back_at = {moment} WHERE finished_at IS NULL"));
    database.execute("DROP TABLE c; DROP TABLE d");
    assert_eq!(states::<S>(&database, &folder), ["applied", "applied", "rolled_back"]);
    add(&folder, 3, table(3));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(3)]);
    assert_eq!(ledger(&database).len(), 4);
}
