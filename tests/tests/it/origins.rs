//! Each record says who wrote it: the machine, the program, and who was connected.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use migrator::{MigrationSet, Migrator, Recorded, Resolution, State, Target, embed_migrations};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, status, tables};
use crate::folder::{Folder, table};

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");

on_each_dialect!(
    each_kind_of_record_says_who,
    many_at_once_say_who,
    what_another_tool_did_is_recorded_by_somebody,
    nobody_has_to_say_it,
    an_odd_name_is_taken_as_it_is,
    a_status_tells_it,
);

/// What `hostname` says.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the kernel knows").trim().to_owned()
}

/// Every pair of a host and an application in the history, and the kinds of its records.
fn said(database: &impl Database) -> (BTreeSet<String>, BTreeSet<String>) {
    let column = |sql: &str| database.texts(&format!("SELECT {sql} AS value FROM __migrator_history"));
    let who = "CONCAT(COALESCE(application, 'nobody'), ' on ', COALESCE(host, 'nowhere'))";
    (column(who).into_iter().collect(), column("event").into_iter().collect())
}

fn each_kind_of_record_says_who<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    let outside = |sql: &str| format!("-- migrator: no-transaction\n{sql}\n");
    folder.write("02_half/up.sql", outside("CREATE TABLE half (id INTEGER);\nSELECT broken;"));
    folder.write("02_half/down.sql", outside("SELECT broken;"));
    let migrator = || Migrator::new(&folder.set()).application("harbour 1.2.0");
    migrator().run(&mut database.connect()).expect_err("it stops half-way");
    migrator().resolve(&mut database.connect(), "02", Resolution::Applied).unwrap_or_else(|error| panic!("{error}"));
    migrator().revert(&mut database.connect(), Target::Steps(1)).expect_err("nothing of it takes");
    folder.write("02_half/down.sql", outside("DROP TABLE half;"));
    migrator().revert(&mut database.connect(), Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
    folder.write("01_t1/up.sql", format!("-- a word\n{}", table(1)));
    migrator().accept(&mut database.connect(), "01", "a comment").unwrap_or_else(|error| panic!("{error}"));
    folder.write("02_half/up.sql", "SELECT broken;");
    migrator().run(&mut database.connect()).expect_err("it is undone whole");
    folder.remove("02_half");
    folder.write("03_t3/up.sql", table(3));
    migrator().baseline(&mut database.connect(), "03").unwrap_or_else(|error| panic!("{error}"));

    let (who, kinds) = said(&database);
    assert_eq!(who, BTreeSet::from([format!("harbour 1.2.0 on {}", host())]));
    let all = ["accepted", "applied", "baselined", "failed", "kept", "planned", "resolved", "reverted", "reverting"];
    let all: BTreeSet<String> = all.into_iter().chain(["statement"]).map(str::to_owned).collect();
    assert_eq!(kinds, all);
}

fn many_at_once_say_who<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(12));
    let applied = Migrator::new(&folder.set()).application("harbour 1.2.0").run(&mut database.connect());
    assert_eq!(applied.unwrap_or_else(|error| panic!("{error}")).applied().len(), 12);
    assert_eq!(said(&database).0, BTreeSet::from([format!("harbour 1.2.0 on {}", host())]));
}

fn what_another_tool_did_is_recorded_by_somebody<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let theirs = "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL \
                  DEFAULT CURRENT_TIMESTAMP); INSERT INTO __diesel_schema_migrations (version) VALUES ('01');";
    database.connect().batch_execute(&format!("{theirs} {}", table(1))).expect("diesel was here");
    applies::<S>(&database, &folder.set());
    assert_eq!(said(&database).0.len(), 1);
    let seen = status::<S>(&database, &folder.set());
    let hosts: Vec<Option<&str>> = seen.migrations().iter().map(|row| row.recorded.as_ref()?.host.as_deref()).collect();
    assert_eq!(hosts, [Some(host().as_str()); 2], "who took it over, as who applied the other one");
    assert_eq!(tables(&database), ["t1", "t2"]);
}

/// The package that embedded the set, else the executable's name.
fn nobody_has_to_say_it<S: Subject>() {
    let embedded = S::fresh();
    applies::<S>(&embedded, &MIGRATIONS);
    let package = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&embedded).0, BTreeSet::from([format!("{package} on {}", host())]));
    let also = Migrator::new(&MIGRATIONS).code("20990101000000_code", |_: &mut S::Connection| Ok::<(), String>(()));
    also.run(&mut embedded.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said(&embedded).0, BTreeSet::from([format!("{package} on {}", host())]));

    let read = S::fresh();
    applies::<S>(&read, &Folder::of_tables(1).set());
    let executable = std::env::current_exe().expect("it runs");
    let executable = executable.file_stem().expect("it has a name").to_string_lossy();
    assert_eq!(said(&read).0, BTreeSet::from([format!("{executable} on {}", host())]));
}

fn an_odd_name_is_taken_as_it_is<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(6));
    folder.write("02_t2/up.sql", format!("-- migrator: no-transaction\n{}", table(2)));
    let name = r#"O'Hare \' "Größe" 🚢 %s $1 ; --"#;
    let stated = format!("{name}\u{0}{}", "é".repeat(300));
    let applied = Migrator::new(&folder.set()).application(&stated).run(&mut database.connect());
    assert_eq!(applied.unwrap_or_else(|error| panic!("{error}")).applied().len(), 6);
    let cut: String = format!("{name}?{}", "é".repeat(300)).chars().take(255).collect();
    let known: BTreeSet<String> =
        database.texts("SELECT application AS value FROM __migrator_history").into_iter().collect();
    assert_eq!(known, BTreeSet::from([cut]));
}

fn a_status_tells_it<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let migrator = || Migrator::new(&folder.set()).application("harbour 1.2.0");
    migrator().run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    folder.write("03_half/up.sql", "-- migrator: no-transaction\nCREATE TABLE half (id INTEGER);\nSELECT broken;");
    migrator().run(&mut database.connect()).expect_err("it stops half-way");
    folder.write("04_t4/up.sql", table(4));
    let seen = status::<S>(&database, &folder.set());
    let recorded: Vec<Option<&Recorded>> = seen.migrations().iter().map(|row| row.recorded.as_ref()).collect();
    assert_eq!(seen.migrations()[2].state, State::Failed);
    let [Some(first), Some(second), Some(half), None] = recorded[..] else { panic!("{recorded:?}") };
    assert_eq!([first.event, second.event, half.event], ["applied", "applied", "failed"]);
    assert_eq!((first.statements, &first.run_id), (Some(2), &second.run_id));
    assert_ne!(first.run_id, half.run_id);
    let who = database.texts("SELECT COALESCE(recorded_by, 'nobody') AS value FROM __migrator_history");
    assert_eq!(first.by.as_deref().unwrap_or("nobody"), who[0]);
    assert!(seen.to_string().contains(&format!("last record: {half}")), "{seen}");
    assert!(half.to_string().contains(&format!("by harbour 1.2.0 on {}", host())), "{half}");
    assert_eq!(seen.to_string().matches("last record").count(), 1, "what is as it should be is told in a line: {seen}");
}
