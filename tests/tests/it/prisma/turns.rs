//! Turns that end well: what one of the two did is done for the other, edits and missing tables included.

use migrator::{DatabaseState, Migrator, Policy, State, Target};
use migrator_tests::Database;

use crate::dialects::{applies, names, run, status};
use crate::folder::{Folder, table};
use crate::watch;

use crate::prisma::{
    End, LEDGER, Prisma, add, details, folder, holds_together, ledger, name, prisma_runs, queries, row, sha256, states,
};

on_each_dialect!(
    what_prisma_applied_is_taken_over,
    prisma_finds_what_we_applied,
    each_takes_the_next_turn,
    an_edit_after_prisma_applied_it_shows,
    a_checkout_with_other_line_endings_is_no_edit,
    a_last_newline_is_no_edit,
    an_unchanged_start_sees_each_change_that_counts,
    our_tables_gone_are_made_again_from_prismas,
    prismas_table_gone_is_made_again_from_ours,
    prisma_at_the_same_moment_is_noticed,
    who_cannot_write_is_served_and_told,
    a_row_deleted_is_a_migration_undone,
    a_baseline_is_one_for_prisma_too,
    an_accepted_edit_is_one_for_prisma_too,
    a_named_set_leaves_the_table_alone,
    a_directory_of_another_layout_is_told_which,
);

fn drop_ours(database: &impl Database) {
    database.execute("DROP TABLE __migrator_history; DROP TABLE __migrator_meta");
}

fn what_prisma_applied_is_taken_over<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    prisma_runs::<S>(&database, 1..=3);
    let seen = status::<S>(&database, &folder.set());
    assert_eq!((seen.state(), seen.applied(), seen.pending()), (DatabaseState::UpToDate, 3, 0));
    assert!(seen.migrations().iter().all(|row| row.state == State::Applied && !row.unverified), "{seen}");
    let moments: Vec<_> = seen.migrations().iter().map(|row| row.applied_at.as_deref()).collect();
    assert_eq!(moments, [Some("2024-01-01T00:00:01.456Z"); 3], "what Prisma says, to the millisecond");
    assert!(!database.texts(S::TABLES).iter().any(|table| table.contains("migrator")), "nothing was written");

    let report = applies::<S>(&database, &folder.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 3));
    assert!(
        report.warnings()[0].contains("3 migrations adopted from _prisma_migrations, with the checksum"),
        "{report}"
    );
    let adopted = [1, 2, 3].map(|number| format!("applied {} verified", name(number)));
    assert_eq!((details(&database), ledger(&database)), (adopted.to_vec(), [1, 2, 3].map(name).to_vec()));
    assert_eq!(queries::<S>(&database, &folder), 1, "from now on it is an unchanged start");
    assert_eq!(status::<S>(&database, &folder.set()).problems().len(), 0);
}

fn prisma_finds_what_we_applied<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(6));
    let crlf = table(7).replace('\n', "\r\n");
    add(&folder, 7, &crlf);
    applies::<S>(&database, &folder.set());
    let expected: Vec<String> = (1..=7).map(name).collect();
    assert_eq!(ledger(&database), expected);
    let column = |what: &str| database.texts(&format!("SELECT {what} AS value FROM {LEDGER} ORDER BY migration_name"));
    let mut checksums: Vec<String> = (1..=6).map(|number| sha256(table(number))).collect();
    checksums.push(sha256(&crlf));
    assert_eq!(column("checksum"), checksums, "of the bytes as they are in the file");
    assert_eq!(column("CONCAT(applied_steps_count, '')"), vec!["1"; 7]);
    assert!(column("id").iter().all(|id| id.len() == 36 && id.matches('-').count() == 4));
    assert_eq!(column("CASE WHEN finished_at >= started_at THEN 'yes' END"), vec!["yes"; 7]);

    let theirs = S::fresh();
    theirs.execute(S::CREATE);
    let columns = |database: &S::Database| database.texts(&S::COLUMNS.replace("{}", LEDGER));
    assert_eq!((columns(&database), columns(&database).len()), (columns(&theirs), 8));
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn each_takes_the_next_turn<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    prisma_runs::<S>(&database, [1]);
    add(&folder, 2, table(2));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    add(&folder, 3, table(3));
    prisma_runs::<S>(&database, [3]);
    add(&folder, 4, table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(4)]);
    assert_eq!(ledger(&database), [1, 2, 3, 4].map(name));
    let expected = [(1, " verified"), (2, ""), (3, " verified"), (4, "")];
    assert_eq!(details(&database), expected.map(|(number, word)| format!("applied {}{word}", name(number))));
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn an_edit_after_prisma_applied_it_shows<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1, 2]);
    add(&folder, 1, format!("{}-- and more", table(1)));
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"]);
    let error = run::<S>(&database, &folder.set()).expect_err("it is not what ran");
    assert_eq!((error.code(), error.version()), ("changed", Some(name(1).as_str())));
    let report = Migrator::new(&folder.set()).changed(Policy::Warn).run(&mut database.connect()).expect("run");
    assert_eq!(report.skipped(), 2);
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"], "what ran is recorded, and stays an edit");
    add(&folder, 1, table(1));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 2]);
    assert_eq!(applies::<S>(&database, &folder.set()).skipped(), 2);
    assert_eq!(queries::<S>(&database, &folder), 1, "that it is what ran is recorded");
    // Whoever corrects Prisma's row says what ran.
    add(&folder, 2, "-- another text");
    assert_eq!(states::<S>(&database, &folder), ["applied", "changed"]);
    let edited = sha256("-- another text");
    database.execute(&format!("UPDATE {LEDGER} SET checksum = '{edited}' WHERE migration_name = '{}'", name(2)));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 2]);
    applies::<S>(&database, &folder.set());
    assert_eq!(queries::<S>(&database, &folder), 1);
    holds_together::<S>(&database, &folder);
}

fn a_last_newline_is_no_edit<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1]);
    assert_eq!(applies::<S>(&database, &folder.set()).applied().len(), 1, "one is Prisma's, one is ours");
    let before = details(&database);
    for ending in ["", "\n", "\n\n", "\r\n"] {
        [1, 2].iter().for_each(|number| add(&folder, *number, format!("{}{ending}", table(*number).trim_end())));
        assert_eq!(states::<S>(&database, &folder), ["applied"; 2], "{ending:?}");
        assert_eq!((queries::<S>(&database, &folder), details(&database)), (1, before.clone()), "{ending:?}");
    }
}

fn a_checkout_with_other_line_endings_is_no_edit<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    let crlf = |number| table(number).replace('\n', "\r\n");
    database.execute(S::CREATE);
    [1, 2, 3].iter().for_each(|number| database.execute(&table(*number)));
    row::<S>(&database, 1, crlf(1), End::Finished);
    row::<S>(&database, 2, table(2), End::Finished);
    // It is adopted by an older binary, which cannot compare it.
    row::<S>(&database, 3, crlf(3), End::Finished);
    add(&folder, 2, crlf(2));
    let report = applies::<S>(&database, &folder.set());
    assert!(report.warnings().iter().any(|warning| warning.contains("newer than this binary")), "{report}");
    add(&folder, 3, table(3));
    assert_eq!(states::<S>(&database, &folder), ["applied"; 3]);
    applies::<S>(&database, &folder.set());
    assert_eq!(queries::<S>(&database, &folder), 1);
}

fn an_unchanged_start_sees_each_change_that_counts<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    applies::<S>(&database, &folder.set());
    let of = |number| format!("WHERE migration_name = '{}'", name(number));
    let last = of(3);
    let [_, moment] = S::MOMENTS;
    let ways = [
        (
            format!("UPDATE {LEDGER} SET rolled_back_at = {moment} {last}"),
            format!("UPDATE {LEDGER} SET rolled_back_at = NULL {last}"),
        ),
        (
            format!("UPDATE {LEDGER} SET finished_at = NULL {last}"),
            format!("UPDATE {LEDGER} SET finished_at = {moment} {last}"),
        ),
        (
            format!("UPDATE {LEDGER} SET checksum = '{}' {last}", sha256("another")),
            format!("UPDATE {LEDGER} SET checksum = '{}' {last}", sha256(table(3))),
        ),
        (
            format!("UPDATE {LEDGER} SET migration_name = '{}' {last}", name(9)),
            format!("UPDATE {LEDGER} SET migration_name = '{}' {}", name(3), of(9)),
        ),
    ];
    for (there, back) in ways {
        database.execute(&there);
        let mut conn = database.connect();
        let queries_of = watch::queries(&mut conn);
        let _whatever_it_says = Migrator::new(&folder.set()).run_to(&mut conn, Target::Latest);
        assert!(queries_of.take().len() > 1, "{there}");
        database.execute(&back);
        database.execute("DROP TABLE IF EXISTS t3");
        database.execute(&table(3));
        drop_ours(&database);
        database.execute(&format!("DELETE FROM {LEDGER} WHERE rolled_back_at IS NOT NULL"));
        assert_eq!(states::<S>(&database, &folder), ["applied"; 3], "{back}");
        applies::<S>(&database, &folder.set());
        assert_eq!(queries::<S>(&database, &folder), 1, "{back}");
    }
    row::<S>(&database, 9, "unknown", End::Failed);
    assert!(queries::<S>(&database, &folder) > 1);
    database.execute(&format!("DELETE FROM {LEDGER} {}", of(9)));
    assert_eq!(queries::<S>(&database, &folder), 1);
    row::<S>(&database, 2, "it was rolled back", End::RolledBack);
    assert_eq!(queries::<S>(&database, &folder), 1, "it changes nothing");
    database.execute(&format!("DELETE FROM {LEDGER} {} AND finished_at IS NOT NULL", of(3)));
    assert_eq!(states::<S>(&database, &folder), ["applied", "applied", "pending"]);
}

/// `prisma db push` and `prisma migrate reset` drop what is not in Prisma's schema.
fn our_tables_gone_are_made_again_from_prismas<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    applies::<S>(&database, &folder.set());
    drop_ours(&database);
    assert_eq!(status::<S>(&database, &folder.set()).state(), DatabaseState::UpToDate);
    let report = applies::<S>(&database, &folder.set());
    assert_eq!((report.applied().len(), report.skipped()), (0, 3), "never from zero");
    assert_eq!((ledger(&database).len(), queries::<S>(&database, &folder)), (3, 1));
    // Also by a run that has work to do.
    drop_ours(&database);
    add(&folder, 4, table(4));
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(4)]);
}

fn prismas_table_gone_is_made_again_from_ours<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    add(&folder, 3, format!("{}INSERT INTO nowhere VALUES (1);\n", table(3)));
    run::<S>(&database, &folder.set()).expect_err("there is no such table");
    let before = ledger(&database);
    database.execute(&format!("DROP TABLE {LEDGER}"));
    let report = Migrator::new(&folder.set()).run_to(&mut database.connect(), Target::version(name(2))).expect("run");
    assert!(report.warnings()[0].contains("was made again from our history"), "{report}");
    assert_eq!(ledger(&database), before);
    let checksums = database.texts(&format!("SELECT checksum AS value FROM {LEDGER} ORDER BY migration_name"));
    assert_eq!(checksums[..2], [1, 2].map(|number| sha256(table(number))));
}

/// As if Prisma had recorded it between our look at the table and the end of the script.
fn prisma_at_the_same_moment_is_noticed<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    applies::<S>(&database, &folder.set());
    let insert = format!(
        "INSERT INTO {LEDGER} (id, checksum, migration_name, finished_at) VALUES ('theirs', 'x', '{}', started_at)",
        name(2)
    );
    let [_, moment] = S::MOMENTS;
    add(&folder, 2, format!("INSERT INTO t1 VALUES (2);\n{};\n", insert.replace("started_at", moment)));
    let error = run::<S>(&database, &folder.set()).expect_err("the row is there");
    assert!(error.to_string().contains("_t2") && !error.remedy().is_empty(), "{error}");
    assert_eq!((ledger(&database), database.row_counts()["t1"]), (vec![name(1)], 1), "all of it was undone");
}

fn who_cannot_write_is_served_and_told<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    prisma_runs::<S>(&database, [1, 2]);
    let mut conn = S::reader(&database);
    let report = Migrator::new(&folder.set()).run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.applied().len(), report.skipped(), report.run_id()), (0, 2, ""));
    assert!(report.warnings()[0].contains("2 migrations to adopt"), "{report}");
}

fn a_row_deleted_is_a_migration_undone<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    database.execute(&format!("DELETE FROM {LEDGER} WHERE migration_name = '{}'; DROP TABLE t2", name(2)));
    assert_eq!(states::<S>(&database, &folder), ["applied", "pending"]);
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(2)]);
    assert_eq!(details(&database)[2..], [format!("reverted {} outside", name(2)), format!("applied {}", name(2))]);
    // An empty table beside tables that stand is not believed.
    database.execute(&format!("DELETE FROM {LEDGER}"));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("t1 and t2 stand").code(), "not_empty");
}

fn a_baseline_is_one_for_prisma_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(3));
    [1, 2].iter().for_each(|number| database.execute(&table(*number)));
    Migrator::new(&folder.set()).baseline(&mut database.connect(), &name(2)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ledger(&database), [1, 2].map(name));
    let steps = database.texts(&format!("SELECT CONCAT(applied_steps_count, logs) AS value FROM {LEDGER}"));
    assert_eq!(steps, ["0", "0"], "as Prisma's own resolve leaves them");
    assert_eq!(names(&applies::<S>(&database, &folder.set())), [name(3)]);
    assert_eq!((ledger(&database), queries::<S>(&database, &folder)), ([1, 2, 3].map(name).to_vec(), 1));
}

fn an_accepted_edit_is_one_for_prisma_too<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(2));
    applies::<S>(&database, &folder.set());
    let edited = format!("-- and more\n{}", table(1));
    add(&folder, 1, &edited);
    assert_eq!(states::<S>(&database, &folder), ["changed", "applied"]);
    let accepted = Migrator::new(&folder.set()).accept(&mut database.connect(), &name(1), "a comment more");
    accepted.unwrap_or_else(|error| panic!("{error}"));
    let checksums = database.texts(&format!("SELECT checksum AS value FROM {LEDGER} ORDER BY migration_name"));
    assert_eq!(checksums, [sha256(&edited), sha256(table(2))]);
    assert_eq!((states::<S>(&database, &folder), queries::<S>(&database, &folder)), (vec!["applied"; 2], 1));
}

fn a_named_set_leaves_the_table_alone<S: Prisma>() {
    let (database, folder) = (S::fresh(), folder(1));
    Migrator::new(&folder.set())
        .set_name("second")
        .run(&mut database.connect())
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(!database.texts(S::TABLES).iter().any(|table| table == LEDGER), "Prisma knows one set only");
}

fn a_directory_of_another_layout_is_told_which<S: Prisma>() {
    let database = S::fresh();
    prisma_runs::<S>(&database, [1]);
    let error = run::<S>(&database, &Folder::of_tables(1).set()).expect_err("it is Prisma's");
    assert_eq!(error.code(), "foreign_history", "{error}");
    assert!(error.remedy().contains("layout prisma"), "{error}");
}
