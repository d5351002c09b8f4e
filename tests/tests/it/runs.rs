//! `run`, `run_to`, `plan` and `status`: what they do, what they print, what they serialise to.

use migrator::{DatabaseState, Migrator, State, Target};
use migrator_tests::Database;
use serde_json::{Value, json};

use crate::dialects::{Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};

on_each_dialect!(
    runs_each_layout,
    stops_at_a_target,
    refuses_a_target_that_is_none_or_several,
    plan_and_status_of_a_new_database_write_nothing,
    plan_says_what_a_run_would_do,
    report_prints_and_serialises,
    status_serialises_as_the_contract_says,
    a_clone_of_a_migrator_is_the_same,
);

fn runs_each_layout<S: Subject>() {
    let prisma = Folder::of_files(&[
        ("20240101000000_first/migration.sql", &table(1)),
        ("20240102000000_second/migration.sql", &table(2)),
        ("migration_lock.toml", &format!("provider = \"{}\"\n", S::NAME.replace("postgres", "postgresql"))),
    ]);
    let flat = Folder::of_files(&[
        ("2_second.up.sql", &table(2)),
        ("10_tenth.up.sql", "INSERT INTO t2 VALUES (2)"),
        ("1_first.up.sql", &table(1)),
        ("1_first.down.sql", "DROP TABLE t1"),
    ]);
    for (folder, last) in [(Folder::of_tables(2), "02_t2"), (prisma, "20240102000000_second"), (flat, "10_tenth")] {
        let (database, set) = (S::fresh(), folder.set());
        let report = applies::<S>(&database, &set);
        assert_eq!(names(&report), set.iter().map(|migration| migration.name()).collect::<Vec<_>>());
        assert_eq!(names(&report).last(), Some(&last));
        assert_eq!(tables(&database), ["t1", "t2"]);
        let again = applies::<S>(&database, &set);
        assert_eq!((again.applied().len(), again.skipped()), (0, set.len()));
        assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
    }
}

fn stops_at_a_target<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(6));
    let (set, mut conn) = (folder.set(), database.connect());
    let migrator = Migrator::new(&set);
    let mut to = |target: Target| {
        let report = migrator.run_to(&mut conn, target).unwrap_or_else(|error| panic!("{error}"));
        (report.skipped(), names(&report).join(" "))
    };
    assert_eq!(to(Target::Steps(0)), (0, String::new()));
    assert_eq!(to(Target::Steps(1)), (0, "01_t1".into()));
    assert_eq!(to(Target::version("02")), (1, "02_t2".into()), "by version");
    assert_eq!(to(Target::version("03_t3")), (2, "03_t3".into()), "by full name");
    assert_eq!(to(Target::version("04_")), (3, "04_t4".into()), "by a prefix");
    assert_eq!(to(Target::version("02")), (4, String::new()), "what is behind is never undone");
    assert_eq!(to(Target::Steps(99)), (4, "05_t5 06_t6".into()));
    assert_eq!(to(Target::Latest), (6, String::new()));
}

fn refuses_a_target_that_is_none_or_several<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(3).set());
    let mut conn = database.connect();
    for (wanted, code, told) in [("0", "target_ambiguous", "01_t1, 02_t2, 03_t3"), ("04", "target_unknown", "04")] {
        let target = Target::version(wanted);
        let error = Migrator::new(&set).run_to(&mut conn, target.clone()).expect_err("refused");
        assert_eq!(error.code(), code);
        assert!(error.message().contains(told), "{error}");
        assert!(error.report().is_none(), "nothing was begun: {error}");
        assert_eq!(Migrator::new(&set).plan(&mut conn, target).expect_err("refused").code(), code);
    }
    assert!(tables(&database).is_empty());
}

fn plan_and_status_of_a_new_database_write_nothing<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(3).set());
    let mut conn = database.connect();
    let status = Migrator::new(&set).status(&mut conn).expect("status");
    assert_eq!((status.state(), status.applied(), status.pending()), (DatabaseState::Uninitialized, 0, 3));
    assert!(status.migrations().iter().all(|row| row.state == State::Pending));
    let plan = Migrator::new(&set).plan(&mut conn, Target::Latest).expect("plan");
    assert_eq!(plan.steps().len(), 3);
    // A table of ours would be in the way of this one.
    database.execute("CREATE TABLE __migrator_history (id INTEGER); CREATE TABLE __migrator_meta (id INTEGER)");
    assert!(tables(&database).is_empty());
}

fn plan_says_what_a_run_would_do<S: Subject>() {
    let folder = Folder::of_tables(2);
    folder.write("03_only_rows/up.sql", "INSERT INTO t1 VALUES (7); INSERT INTO t2 VALUES (7);");
    let (database, set) = (S::fresh(), folder.set());
    let mut conn = database.connect();
    let migrator = Migrator::new(&set);
    migrator.run_to(&mut conn, Target::Steps(1)).expect("run");
    let before = history(&database);
    let plan = migrator.plan(&mut conn, Target::Latest).expect("plan");
    assert_eq!(history(&database), before, "a plan writes nothing");
    let outside = if S::UNDOES_DDL { "" } else { ", without a transaction" };
    let text = format!(
        "would apply 2 migrations, 1 applied before\n  02_t2  2 statements{outside}\n  03_only_rows  2 statements"
    );
    assert_eq!(plan.to_string(), text);
    let step = &serde_json::to_value(&plan).expect("JSON")["steps"][1];
    assert_eq!((&step["version"], &step["statements"], &step["transaction"]), (&json!("03"), &json!(2), &json!(true)));
    assert!(step["file"].as_str().is_some_and(|file| file.ends_with("/03_only_rows/up.sql")), "{step}");
    migrator.run(&mut conn).expect("run");
    let nothing = migrator.plan(&mut conn, Target::Latest).expect("plan");
    assert_eq!(
        (nothing.is_empty(), nothing.to_string().as_str()),
        (true, "nothing pending, 3 migrations applied before")
    );
}

fn report_prints_and_serialises<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let report = applies::<S>(&database, &set);
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("applied 2 migrations in ") && lines[0].contains(" ms"), "{report}");
    assert!(lines[1].starts_with("  01_t1  ") && lines[1].ends_with(" ms"), "{report}");
    assert_eq!(report.run_id().len(), 32);
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(keys(&json), "applied duration_ms lock_wait_ms run_id skipped warnings");
    let first = &json["applied"][0];
    assert_eq!((&first["version"], &first["name"]), (&json!("01"), &json!("01_t1")));
    assert!(first["duration_ms"].is_u64() && first.as_object().is_some_and(|first| first.len() == 3), "{first}");
    assert_eq!(json["skipped"], 0);

    let again = run::<S>(&database, &set).expect("run");
    assert_eq!(again.to_string(), "nothing pending, 2 migrations applied before");
    assert_eq!((again.run_id(), again.lock_wait().is_zero()), ("", true));
}

/// The keys of an object, sorted: in which order they come depends on a feature of serde_json.
fn keys(object: &Value) -> String {
    let mut keys: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(" ")
}

fn status_serialises_as_the_contract_says<S: Subject>() {
    let folder = Folder::of_tables(2);
    folder.write("01_t1/down.sql", "DROP TABLE t1;");
    let (database, set) = (S::fresh(), folder.set());
    Migrator::new(&set).run_to(&mut database.connect(), Target::Steps(1)).expect("run");
    let json = serde_json::to_value(status::<S>(&database, &set)).expect("JSON");
    assert_eq!(keys(&json), "applied database dialect migrations pending problems state");
    assert_eq!((&json["dialect"], &json["state"]), (&json!(S::NAME), &json!("pending")));
    assert!(json["database"].as_str().is_some_and(|name| database.name().ends_with(name)), "{json}");
    assert_eq!((&json["applied"], &json["pending"], &json["problems"]), (&json!(1), &json!(1), &json!([])));
    let (first, second) = (&json["migrations"][0], &json["migrations"][1]);
    for key in ["version", "name", "state", "applied_at", "duration_ms", "checksum", "reversible"] {
        assert!(first.get(key).is_some() && second.get(key).is_some(), "no {key}: {json}");
    }
    assert_eq!((&first["state"], &second["state"]), (&json!("applied"), &json!("pending")));
    assert_eq!((&first["reversible"], &second["reversible"]), (&json!(true), &json!(false)));
    assert_eq!((&second["applied_at"], &second["duration_ms"]), (&Value::Null, &Value::Null));
    let at = first["applied_at"].as_str().expect("a time");
    let shape: String = at.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "RFC 3339, UTC");
    assert_eq!(first["checksum"].as_str().map(str::len), Some(64));
    assert_eq!(*first["checksum"].as_str().expect("text"), set.get(0).expect("one").checksum().to_string());
}

fn a_clone_of_a_migrator_is_the_same<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let migrator = Migrator::<S::Connection>::new(&set).set_name("billing");
    migrator.clone().run(&mut database.connect()).expect("run");
    assert_eq!(database.texts("SELECT DISTINCT set_name AS value FROM __migrator_history"), ["billing"]);
}
