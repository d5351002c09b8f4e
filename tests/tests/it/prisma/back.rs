//! The way back with Prisma's layout: what is undone is pending for Prisma too, however it was undone.

use migrator::{DatabaseState, Migrator, Report, Resolution, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, names, status, tables};
use crate::folder::{Folder, table};
use crate::prisma::{
    End, LEDGER, Prisma, add, details, folder, holds_together, ledger, name, prisma_runs, queries, row, sha256, states,
};

on_each_dialect!(
    what_is_reverted_is_pending_for_prisma,
    redo_takes_in_an_edit_for_prisma_too,
    until_its_end_the_row_stays,
    a_revert_that_did_not_take_leaves_the_row_as_it_was,
    what_prisma_applied_is_undone_and_prisma_applies_it_again,
    what_prisma_gave_up_before_stays_told,
    a_person_ends_a_half_done_revert,
    a_migration_in_rust_has_its_row_too,
    our_tables_gone_after_a_revert,
);

/// As [`folder`], each with its way down beside it.
fn reversible(count: usize) -> Folder {
    let folder = folder(count);
    (1..=count).for_each(|number| down(&folder, number, &format!("DROP TABLE t{number};\n")));
    folder
}

fn down(folder: &Folder, number: usize, text: &str) {
    folder.write(&format!("{}/down.sql", name(number)), text);
}

/// Outside of a transaction, so that each statement counts by itself.
fn stepwise(text: &str) -> String {
    format!("-- migrator: no-transaction\n{text}")
}

fn reverts<S: Subject>(database: &S::Database, folder: &Folder, steps: usize) -> Report {
    let reverted = Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(steps));
    reverted.unwrap_or_else(|error| panic!("{error}"))
}

/// What Prisma's engine would say of a migration: `migrate status` counts any row of it for a turn that was taken, `migrate deploy`
/// runs what has no row that is not rolled back, and both stop at a row that is neither finished nor rolled back.
fn prisma_says(database: &impl Database, number: usize) -> (&'static str, &'static str) {
    let count = |which: &str| {
        let sql = format!("SELECT id AS value FROM {LEDGER} WHERE migration_name = '{}'{which}", name(number));
        database.texts(&sql).len()
    };
    let live = count(" AND rolled_back_at IS NULL");
    if count(" AND rolled_back_at IS NULL AND finished_at IS NULL") > 0 {
        return ("failed", "refuses");
    }
    (if count("") > 0 { "up to date" } else { "pending" }, if live > 0 { "has it" } else { "runs it" })
}

const APPLIED: (&str, &str) = ("up to date", "has it");
const PENDING: (&str, &str) = ("pending", "runs it");

fn what_is_reverted_is_pending_for_prisma<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(3));
    applies::<S>(&database, &folder.set());
    assert_eq!(reverts::<S>(&database, &folder, 2).reverted().len(), 2);
    assert_eq!((ledger(&database), tables(&database)), (vec![name(1)], vec!["t1".to_owned()]));
    assert_eq!([1, 2, 3].map(|number| prisma_says(&database, number)), [APPLIED, PENDING, PENDING]);
    assert_eq!(states::<S>(&database, &folder), ["applied", "rolled_back", "rolled_back"]);
    holds_together_but_for_what_is_pending::<S>(&database, &folder);

    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2), name(3)]);
    assert_eq!([1, 2, 3].map(|number| prisma_says(&database, number)), [APPLIED; 3]);
    let checksums = database.texts(&format!("SELECT checksum AS value FROM {LEDGER} ORDER BY migration_name"));
    assert_eq!(checksums, [1, 2, 3].map(|number| sha256(table(number))));
    assert_eq!(queries::<S>(&database, &folder), 1);
    holds_together::<S>(&database, &folder);
}

/// Nothing but a pending migration is to be told.
fn holds_together_but_for_what_is_pending<S: Prisma>(database: &S::Database, folder: &Folder) {
    let set = folder.set();
    let found = Migrator::new(&set).verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((found.state(), found.problems().len()), (DatabaseState::Pending, 0), "{found}");
}

fn redo_takes_in_an_edit_for_prisma_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    let edited = format!("{}INSERT INTO t2 VALUES (2);\n", table(2));
    add(&folder, 2, &edited);
    let redone = Migrator::new(&folder.set()).redo(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((redone.reverted().len(), redone.applied().len()), (1, 1));
    let rows = format!("SELECT checksum AS value FROM {LEDGER} WHERE migration_name = '{}'", name(2));
    // A row more of it, rolled back with another checksum, has `prisma migrate dev` ask for a reset.
    assert_eq!((database.texts(&rows), database.row_counts()["t2"]), (vec![sha256(&edited)], 2));
    assert_eq!((prisma_says(&database, 2), queries::<S>(&database, &folder)), (APPLIED, 1));
    holds_together::<S>(&database, &folder);
}

fn until_its_end_the_row_stays<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    down(&folder, 2, &stepwise("DELETE FROM t2;\nDELETE FROM nowhere;\nDROP TABLE t2;\n"));
    let rows = || database.texts(&format!("SELECT CONCAT(id, ' ', checksum) AS value FROM {LEDGER} ORDER BY 1"));
    let before = rows();
    let revert = || Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1));
    revert().expect_err("it stops half-way");
    assert_eq!((rows(), prisma_says(&database, 2)), (before, APPLIED), "nothing is to be run before it is settled");
    assert_eq!(states::<S>(&database, &folder), ["applied", "failed"]);
    down(&folder, 2, &stepwise("DELETE FROM t2;\nDELETE FROM t1;\nDROP TABLE t2;\n"));
    revert().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((ledger(&database), prisma_says(&database, 2)), (vec![name(1)], PENDING));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!((prisma_says(&database, 2), queries::<S>(&database, &folder)), (APPLIED, 1));
}

fn a_revert_that_did_not_take_leaves_the_row_as_it_was<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    let columns = "CONCAT(id, checksum, started_at, finished_at, applied_steps_count, COALESCE(logs, '-'))";
    let rows = || database.texts(&format!("SELECT {columns} AS value FROM {LEDGER} ORDER BY migration_name"));
    let before = rows();
    for text in ["DELETE FROM nowhere;\n".to_owned(), stepwise("DELETE FROM nowhere;\nDROP TABLE t2;\n")] {
        down(&folder, 2, &text);
        let refused = Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1));
        refused.expect_err("there is no such table");
        assert_eq!((rows(), prisma_says(&database, 2)), (before.clone(), APPLIED), "{text}");
        assert_eq!((states::<S>(&database, &folder), queries::<S>(&database, &folder)), (vec!["applied"; 2], 1));
    }
}

fn what_prisma_applied_is_undone_and_prisma_applies_it_again<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    prisma_runs::<S>(&database, [1, 2]);
    assert_eq!(reverts::<S>(&database, &folder, 1).reverted().len(), 1, "also in the turn that takes it over");
    assert_eq!((ledger(&database), prisma_says(&database, 2)), (vec![name(1)], PENDING));
    prisma_runs::<S>(&database, [2]);
    assert_eq!(states::<S>(&database, &folder), ["applied"; 2]);
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 0);
    assert_eq!(queries::<S>(&database, &folder), 1);
    let told: Vec<String> = details(&database).into_iter().filter(|row| row.contains(&name(2))).collect();
    let told =
        told.iter().map(|row| row.replace(&format!(" {}", name(2)), "")).filter(|row| !row.starts_with("reverting"));
    assert_eq!(told.collect::<Vec<_>>(), ["applied verified", "reverted", "applied verified"]);
    holds_together::<S>(&database, &folder);
}

fn what_prisma_gave_up_before_stays_told<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    prisma_runs::<S>(&database, [1]);
    row::<S>(&database, 2, "an earlier text", End::RolledBack);
    applies::<S>(&database, &folder.set());
    reverts::<S>(&database, &folder, 1);
    let rolled_back = format!("{} rolled back", name(2));
    assert_eq!(ledger(&database), [name(1), rolled_back], "it is Prisma's own row");
    assert_eq!(prisma_says(&database, 2).1, "runs it");
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!((prisma_says(&database, 2), queries::<S>(&database, &folder)), (APPLIED, 1));
}

fn a_person_ends_a_half_done_revert<S: Prisma>() {
    for (resolution, expected) in [(Resolution::RolledBack, PENDING), (Resolution::Applied, APPLIED)] {
        let (database, folder) = (S::fresh(), reversible(2));
        applies::<S>(&database, &folder.set());
        down(&folder, 2, &stepwise("DELETE FROM t2;\nDELETE FROM nowhere;\n"));
        let reverted = Migrator::new(&folder.set()).revert(&mut database.connect(), Target::Steps(1));
        reverted.expect_err("it stops half-way");
        let settled = Migrator::new(&folder.set()).resolve(&mut database.connect(), &name(2), resolution);
        settled.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(prisma_says(&database, 2), expected, "{resolution:?}");
        assert_eq!(status::<S>(&database, &folder.set()).pending(), usize::from(expected == PENDING), "{resolution:?}");
        if expected == APPLIED {
            assert_eq!(queries::<S>(&database, &folder), 1);
        }
    }
}

fn a_migration_in_rust_has_its_row_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    let nothing = |_: &mut S::Connection| Ok::<(), String>(());
    let set = folder.set();
    let migrator = || Migrator::new(&set).reversible_code(&name(2), nothing, nothing);
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(prisma_says(&database, 2), APPLIED);
    migrator().revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((ledger(&database), prisma_says(&database, 2)), (vec![name(1)], PENDING));
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(prisma_says(&database, 2), APPLIED);
}

fn our_tables_gone_after_a_revert<S: Prisma>() {
    let (database, folder) = (S::fresh(), reversible(2));
    applies::<S>(&database, &folder.set());
    reverts::<S>(&database, &folder, 1);
    database.execute("DROP TABLE __migrator_history; DROP TABLE __migrator_meta");
    assert_eq!(states::<S>(&database, &folder), ["applied", "pending"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), ([1, 2].map(name).to_vec(), 1));
}
