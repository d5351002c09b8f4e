//! Whether what is recorded holds together, by hand made so that it does not.

use diesel_migrations::MigrationHarness;
use migrator::{Config, DatabaseState, Migrator, Resolution, Status, Target};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, run};
use crate::folder::{Folder, table};
use crate::provider::provider;

on_each_dialect!(
    a_long_life_is_found_to_hold_together,
    what_is_not_up_to_date_is_told,
    records_that_contradict_are_named,
    the_meta_row_is_looked_at,
    the_tool_s_table_is_compared,
    the_ledger_of_seeds_is_looked_at,
    it_reads_only,
    what_the_one_query_of_a_start_does_not_see,
    what_nobody_sees,
);

fn verify<S: Subject>(database: &S::Database, folder: &Folder) -> Status {
    Migrator::new(&folder.set()).verify(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"))
}

fn codes(status: &Status) -> Vec<&str> {
    status.problems().iter().map(|problem| problem.code).collect()
}

/// Migrations `01_t1` and so on, applied, with their ways down; each is one statement.
fn three<S: Subject>() -> (S::Database, Folder) {
    let (database, folder) = (S::fresh(), Folder::of_tables(3));
    (1..=3).for_each(|number| {
        folder.write(&format!("0{number}_t{number}/up.sql"), format!("CREATE TABLE t{number} (id INTEGER);"));
        folder.write(&format!("0{number}_t{number}/down.sql"), format!("DROP TABLE t{number};"));
    });
    applies::<S>(&database, &folder.set());
    (database, folder)
}

/// Everything that this crate itself writes.
fn a_long_life_is_found_to_hold_together<S: Subject>() {
    let (database, folder) = three::<S>();
    let migrator = || Migrator::new(&folder.set());
    let mut conn = database.connect();
    migrator().revert(&mut conn, Target::Steps(2)).unwrap_or_else(|error| panic!("{error}"));
    migrator().run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    migrator().redo(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    folder.write("03_t3/down.sql", "-- migrator: no-transaction\nDELETE FROM t3;\nDROP TABLE nowhere;\nDROP TABLE t3;");
    migrator().revert(&mut conn, Target::Steps(1)).expect_err("no such table");
    migrator().resolve(&mut conn, "03", Resolution::ResumeAt(3)).unwrap_or_else(|error| panic!("{error}"));
    migrator().revert(&mut conn, Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    folder.write("03_t3/down.sql", "DROP TABLE nowhere;");
    migrator().run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    migrator().revert(&mut conn, Target::Steps(1)).expect_err("no such table");
    folder.write("02_t2/up.sql", "CREATE TABLE t2 (id INTEGER); -- edited");
    migrator().accept(&mut conn, "02", "a comment").unwrap_or_else(|error| panic!("{error}"));
    folder.write(
        "04_half/up.sql",
        "-- migrator: no-transaction\nCREATE TABLE half (a INTEGER);\nINSERT INTO nowhere VALUES (1);",
    );
    migrator().run(&mut conn).expect_err("no such table");
    migrator().resolve(&mut conn, "04", Resolution::RolledBack).unwrap_or_else(|error| panic!("{error}"));
    migrator().resolve(&mut conn, "04", Resolution::Applied).unwrap_or_else(|error| panic!("{error}"));
    folder.write("05_t5/up.sql", table(5));
    migrator().baseline(&mut conn, "05").unwrap_or_else(|error| panic!("{error}"));
    let found = verify::<S>(&database, &folder);
    assert_eq!((found.state(), codes(&found)), (DatabaseState::UpToDate, Vec::<&str>::new()), "{found}");
}

fn what_is_not_up_to_date_is_told<S: Subject>() {
    let (database, folder) = three::<S>();
    folder.write("04_t4/up.sql", table(4));
    assert_eq!(verify::<S>(&database, &folder).state(), DatabaseState::Pending);
    database.execute("DELETE FROM __migrator_history WHERE sequence = 1");
    let found = verify::<S>(&database, &folder);
    assert_eq!((found.state(), codes(&found)[0]), (DatabaseState::Blocked, "history_tampered"), "{found}");
    assert_eq!(
        Migrator::<S::Connection>::new(&folder.set()).verify(&mut S::fresh().connect()).expect("verify").state(),
        DatabaseState::Uninitialized
    );
}

/// The numbers and the fingerprint are right in each of these.
fn records_that_contradict_are_named<S: Subject>() {
    // MariaDB records a script of DDL by its intent too.
    let next = if S::UNDOES_DDL { 4 } else { 7 };
    let cases = [
        ("event = 'reverted'", "it is not applied"),
        ("event = 'statement'", "nothing says that it was started"),
        ("event = 'accepted'", "it is not applied"),
        ("event = 'applied', version = '01', checksum = (SELECT sum FROM first_one)", "it is applied since row"),
    ];
    for (damage, told) in cases {
        let (database, folder) = three::<S>();
        // One attempt more, which nothing contradicts.
        database.execute(&format!(
            "CREATE TABLE first_one AS SELECT checksum AS sum FROM __migrator_history WHERE event = 'applied' AND version = '01';
             CREATE TABLE more AS SELECT * FROM __migrator_history WHERE sequence = {next} - 1;
             UPDATE more SET sequence = {next}, version = '00', event = 'failed', checksum = NULL;
             INSERT INTO __migrator_history SELECT * FROM more; DROP TABLE more;
             UPDATE __migrator_meta SET sequence = {next};"
        ));
        assert_eq!(codes(&verify::<S>(&database, &folder)), Vec::<&str>::new());
        database.execute(&format!("UPDATE __migrator_history SET {damage} WHERE sequence = {next}"));
        let found = verify::<S>(&database, &folder);
        let problem = found.problems().iter().find(|problem| problem.code == "history_contradicts");
        let message = &problem.unwrap_or_else(|| panic!("{damage}: {found}")).message;
        assert!(message.contains(told) && message.contains(&format!("row {next}")), "{damage}: {found}");
        assert_eq!(found.state(), DatabaseState::Blocked);
    }
}

fn the_meta_row_is_looked_at<S: Subject>() {
    let (database, folder) = three::<S>();
    database.execute("UPDATE __migrator_meta SET environment = 'prod'");
    let found = verify::<S>(&database, &folder);
    assert!(codes(&found) == ["environment_unknown"] && found.problems()[0].message.contains("`prod`"), "{found}");
    let column = format!(
        "UPDATE __migrator_meta SET environment = NULL, {} = 'elsewhere'",
        if S::NAME == "mysql" { "`schema`" } else { "\"schema\"" }
    );
    database.execute(&column);
    let found = verify::<S>(&database, &folder);
    assert!(codes(&found) == ["moved"] && found.problems()[0].message.contains("elsewhere"), "{found}");
}

fn the_tool_s_table_is_compared<S: Subject>() {
    let (database, folder) = three::<S>();
    let set = folder.set();
    database.connect().revert_last_migration(&set).unwrap_or_else(|error| panic!("{error}"));
    database.connect().run_pending_migrations(&set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(codes(&verify::<S>(&database, &folder)), Vec::<&str>::new(), "what nobody saw did not happen");
    database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '03'");
    let found = verify::<S>(&database, &folder);
    assert!(codes(&found).contains(&"out_of_step") && found.state() == DatabaseState::Blocked, "{found}");
    assert!(found.to_string().contains("reverted outside") && found.to_string().contains("03_t3"), "{found}");
    database.execute("DROP TABLE __diesel_schema_migrations");
    let found = verify::<S>(&database, &folder);
    assert_eq!(codes(&found), ["out_of_step"], "{found}");
    run::<S>(&database, &set).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(codes(&verify::<S>(&database, &folder)), Vec::<&str>::new(), "as it says");
}

fn the_ledger_of_seeds_is_looked_at<S: Subject>() {
    let (database, folder) = three::<S>();
    let seeds = Folder::of_files(&[
        ("010_one.sql", "INSERT INTO t1 VALUES (1);"),
        ("020_two.sql", "INSERT INTO t1 VALUES (2);"),
    ]);
    let seeds = migrator::Seed::from_path(seeds.path()).unwrap_or_else(|error| panic!("{error}"));
    Migrator::new(&folder.set()).seed(&mut database.connect(), &seeds).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(codes(&verify::<S>(&database, &folder)), Vec::<&str>::new());
    database.execute("UPDATE __migrator_seeds SET applied_at = NULL WHERE name = 'one'; UPDATE __migrator_seeds SET outcome = 'failed' WHERE name = 'two'");
    let found = verify::<S>(&database, &folder);
    assert_eq!((codes(&found), found.state()), (vec!["seeds_contradict"; 2], DatabaseState::Blocked), "{found}");
    let told = found.to_string();
    assert!(
        told.contains("seed one: it is recorded as applied, without a moment") && told.contains("seed two: "),
        "{found}"
    );
}

fn it_reads_only<S: Subject>() {
    let (database, folder) = three::<S>();
    let found =
        Migrator::new(&folder.set()).verify(&mut S::reader(&database)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((found.state(), found.problems().len()), (DatabaseState::UpToDate, 0));
}

/// A row that is gone changes no fingerprint: the service starts and is ready, as DESIGN.md says. Whoever reads the history finds it,
/// and nothing is written any more.
fn what_the_one_query_of_a_start_does_not_see<S: Subject>() {
    let (database, folder) = three::<S>();
    folder.write("04_t4/up.sql", "INSERT INTO nowhere VALUES (1);");
    run::<S>(&database, &folder.set()).expect_err("no such table");
    folder.remove("04_t4");
    database.execute("DELETE FROM __migrator_history WHERE event = 'failed'");
    let set = folder.set();
    assert_eq!(run::<S>(&database, &set).unwrap_or_else(|error| panic!("{error}")).skipped(), 3);
    let service = provider::<S::Connection>(&set);
    service.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(service.health().readiness().code, "ready");
    let mut conn = database.connect();
    let status = Migrator::new(&set).status(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    for found in [status, verify::<S>(&database, &folder)] {
        assert_eq!((found.state(), codes(&found)[0]), (DatabaseState::Blocked, "history_tampered"), "{found}");
        assert!(found.problems()[0].help.contains("from a backup"), "{found}");
    }
    folder.write("04_t4/up.sql", table(4));
    assert_eq!(run::<S>(&database, &folder.set()).expect_err("refused").code(), "history_tampered");
    let blocked = provider::<S::Connection>(&folder.set());
    assert_eq!(blocked.init(Config::new(database.url())).expect_err("refused").code(), "history_tampered");
    assert_eq!(blocked.health().readiness().http_status(), 503);
}

/// There is no chain of digests through the history, and no document promises one.
fn what_nobody_sees<S: Subject>() {
    let (database, folder) = three::<S>();
    database.execute(
        "UPDATE __migrator_history SET detail = 'nothing', duration_ms = 0, run_id = 'mine' WHERE sequence = 2",
    );
    let set = folder.set();
    let status = Migrator::new(&set).status(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    for found in [status, verify::<S>(&database, &folder)] {
        assert_eq!((found.state(), codes(&found)), (DatabaseState::UpToDate, Vec::<&str>::new()), "{found}");
    }
    folder.write("04_t4/up.sql", table(4));
    assert_eq!(run::<S>(&database, &folder.set()).unwrap_or_else(|error| panic!("{error}")).applied().len(), 1);
}
