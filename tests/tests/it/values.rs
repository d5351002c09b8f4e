//! What a person would log or return, as JSON: the fields that the documentation names.

use std::sync::Mutex;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::SimpleConnection;
use migrator::backup::Backup;
use migrator::seed::Phase;
use migrator::{
    Config, DbProvider, Environment, Event, Migrator, ProviderState, Seed, SeedError, SeedOutcome, SeedResult,
    ServiceMode, Target,
};
use migrator_tests::{Database, sqlite};
use serde_json::{Value, json};

use crate::folder::{Folder, table};
use crate::seeds::TABLES;

fn fields(value: &impl serde::Serialize) -> Vec<String> {
    let value = serde_json::to_value(value).expect("it serialises");
    let mut names: Vec<String> = value.as_object().unwrap_or_else(|| panic!("{value}")).keys().cloned().collect();
    names.sort();
    names
}

#[track_caller]
fn assert_fields(value: &impl serde::Serialize, names: &str) {
    let mut expected: Vec<&str> = names.split(' ').collect();
    expected.sort_unstable();
    assert_eq!(fields(value), expected);
}

fn fine(conn: &mut SqliteConnection) -> SeedResult {
    conn.batch_execute("INSERT INTO log VALUES ('fine')")?;
    Ok(1)
}

fn broken(_: &mut SqliteConnection) -> SeedResult {
    Err(SeedError::new("the sky fell"))
}

#[test]
fn have_the_fields_that_are_documented() {
    let (database, folder) = (sqlite::fresh(), Folder::of(&[("01_tables", TABLES), ("02_t2", &table(2))]));
    let (set, mut conn) = (folder.set(), database.connect());
    let migrator = Migrator::new(&set);
    let plan = migrator.plan(&mut conn, Target::Latest).expect("a plan");
    assert_fields(&plan, "steps warnings skipped");
    assert_fields(&plan.steps()[0], "version name file statements transaction resume_at");
    let report = migrator.run(&mut conn).expect("a run");
    assert_fields(&report, "applied skipped warnings lock_wait_ms duration_ms run_id");
    assert_fields(&report.applied()[0], "version name duration_ms");
    let status = migrator.status(&mut conn).expect("a status");
    assert_fields(&status, "dialect database state applied pending migrations problems");
    assert_fields(
        &status.migrations()[0],
        "version name state applied_at duration_ms checksum reversible unverified error recorded",
    );
    let recorded = status.migrations()[0].recorded.as_ref().expect("it is applied");
    assert_fields(recorded, "event at statements by host application run_id");
    let seeds: &[Seed<SqliteConnection>] = &[
        Seed::new("fine", fine),
        Seed::new("broken", broken).critical(false),
        Seed::new("later", fine).phase(Phase::Background),
    ];
    let seeded = migrator.seed(&mut conn, seeds).expect("seeds");
    assert_fields(&seeded, "seeds next_due_ms duration_ms run_id");
    assert_fields(&seeded.seeds()[0], "name outcome rows reason error attempts next_in_ms critical phase duration_ms");
    let outcome = |name: &str| seeded.outcome(name).expect("an outcome");
    assert_eq!(json!(outcome("fine")), json!({"outcome": "applied", "rows": 1}));
    assert_fields(outcome("broken"), "outcome error attempts next_in_ms");
    assert_eq!(json!(outcome("later")), json!({"outcome": "skipped", "reason": "it runs in the background"}));
    assert_eq!(json!(SeedOutcome::Unchanged), json!({"outcome": "unchanged"}));
    let of_seeds = migrator.seed_status(&mut conn, seeds).expect("a status");
    assert_fields(&of_seeds[0], "name state mode phase critical attempts next_in_ms applied_at rows error");
    assert_fields(&migrator.health(&mut conn), "status output checks");
    let copies = tempfile::tempdir().expect("a folder");
    migrator.backup(&mut conn, &Backup::to(copies.path())).expect("a backup");
    let listing = migrator::backup::Backups::in_folder(copies.path()).list().expect("a list");
    assert_fields(&listing, "backups problems");
    assert_fields(
        &listing.backups[0],
        "file database dialect server tool created_at bytes sha256 head fingerprint migrator",
    );
    folder.write("03_broken/up.sql", "SELECT 1;\nSELECT * FROM nowhere");
    let error = Migrator::new(&folder.set()).run(&mut conn).expect_err("it fails");
    assert_fields(&error, "code message version file line column statement number words help report seeds");
    let told = json!(error);
    assert_eq!(
        (&told["code"], &told["version"], &told["line"], &told["number"]),
        (&json!("statement_failed"), &json!("03"), &json!(2), &json!(2))
    );
    assert_fields(error.place().expect("a place"), "file line column number statement");
}

#[test]
fn have_the_fields_that_are_documented_in_a_service() {
    let database = sqlite::fresh();
    let set = Box::leak(Box::new(Folder::of(&[("01_tables", TABLES), ("02_t2", &table(2))]).set()));
    let seeds = Box::leak(Box::new([Seed::new("fine", fine), Seed::new("broken", broken).critical(false)]));
    let provider = DbProvider::<SqliteConnection>::new(set).seeds(seeds);
    let events: &'static Mutex<Vec<Value>> = Box::leak(Box::default());
    let config = Config::new(database.url()).environment(Environment::Test);
    let report = provider
        .init(config.on_event(|event: Event<'_>| events.lock().expect("no panic").push(json!(event))))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_fields(&report, "state mode migrations seeds duration_ms");
    assert_eq!(json!(ServiceMode::WaitOnly), "wait-only");
    let events = events.lock().expect("no panic").clone();
    let of = |name: &str| {
        events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("{name}: {events:#?}"))
    };
    assert_fields(of("applied"), "event version name duration_ms");
    assert_fields(of("locked"), "event waited_ms");
    assert_fields(of("state"), "event from to");
    assert_fields(of("seed_ended"), "event name outcome");
    let migrating = events.iter().find(|event| event["to"]["state"] == "migrating").expect("it migrated");
    assert_fields(&migrating["to"], "state step steps name statement");
    assert_fields(&report.state, "state seeds ahead");
    assert_fields(&json!(report.state)["seeds"][0], "seed attempts critical standing");
    let second = Duration::from_secs(1);
    assert_eq!(
        json!(ProviderState::WaitingForDatabase { attempt: 2, next: second }),
        json!({"state": "waiting_for_database", "attempt": 2, "next_ms": 1000})
    );
    assert_eq!(
        json!(ProviderState::WaitingForLock { holder: None, since: second }),
        json!({"state": "waiting_for_lock", "holder": null, "since_ms": 1000})
    );
    let health = provider.health();
    assert_fields(&health.readiness(), "probe status code message retry_after_s");
    let report = health.report();
    assert_fields(&report.pool, "size in_use idle waiting");
    assert_fields(&report.schema, "state applied pending head fingerprint");
    assert_fields(&health.overview().expect("it is read"), "migrations seeds");
    assert_fields(&migrator::http::Snapshot::of(&health), "state health migrations run seeds error");
}
