//! The example `axum-service` as a process, asked over HTTP: what an orchestrator sees from its start to its end.

mod client;
mod load;

use std::fs;
use std::net::SocketAddr;

use diesel::connection::SimpleConnection;
use migrator::{MigrationSet, Migrator};
use migrator_tests::{Database, servers, sqlite, wait};
use serde_json::Value;

use self::client::{Answer, Client};
use crate::accounts::process::Service;

const SQLITE: &str = env!("CARGO_BIN_EXE_axum-service-sqlite");
const POSTGRES: &str = env!("CARGO_BIN_EXE_axum-service-postgres");

/// Starts it on a free port; where it listens.
fn start(words: &[&str], url: &str) -> (Service, SocketAddr) {
    with(words, url, "migrate-and-serve")
}

fn with(words: &[&str], url: &str, mode: &str) -> (Service, SocketAddr) {
    let mut service = Service::of(words, url, &[("LISTEN", "127.0.0.1:0"), ("MIGRATOR_MODE", mode)]);
    let line = service.until("listening on ");
    let address = line.trim_start_matches("listening on ").parse().expect("an address");
    (service, address)
}

fn get(address: SocketAddr, path: &str) -> Answer {
    Client::to(address).get(path)
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    body["code"].as_str().unwrap_or_default().to_owned()
}

/// While the last migration cannot go on: it lives, is not ready, says how far it is, and answers nothing else.
fn assert_migrating(address: SocketAddr, steps: u64) {
    let last = format!("migrating, {steps} of {steps}, 20260902090000");
    let readiness = wait::until("the last migration", || {
        Some(get(address, "/readyz")).filter(|answer| code(answer) == "migrating" && answer.body.contains(&last))
    });
    assert_eq!((readiness.status, readiness.header("retry-after")), (503, Some("1")), "{readiness:?}");
    assert_eq!((get(address, "/livez").status, get(address, "/startupz").status), (200, 503));
    assert_eq!((get(address, "/health").status, get(address, "/messages").status), (503, 503));
    let page = get(address, "/status");
    assert!(page.status == 200 && page.body.contains("Migrating") && page.body.contains("refresh"), "{page:?}");
}

fn assert_ready(address: SocketAddr) {
    wait::until("readiness", || (get(address, "/readyz").status == 200).then_some(()));
    assert_eq!((get(address, "/livez").status, get(address, "/startupz").status), (200, 200));
    assert_eq!(Client::to(address).post("/messages", "It was nice.").status, 201);
    assert_eq!(get(address, "/messages").body, "It was nice. (somebody)\n");
    assert!(get(address, "/status").body.contains("Ready"));
    assert!(get(address, "/metrics").body.contains("migrator_migrations_applied 2"));
}

#[test]
fn on_postgres_it_serves_while_it_migrates() {
    let database = servers::postgres().fresh();
    let mut holder = held(&database);
    let (service, address) = start(&[POSTGRES], database.url());
    assert_migrating(address, 1);
    holder.batch_execute("COMMIT").expect("let it go on");
    assert_ready(address);
    let (ended, said) = service.terminate();
    assert!(ended, "{said:#?}");
}

#[test]
fn a_job_migrates_and_ends_and_its_followers_wait_for_it() {
    let database = servers::postgres().fresh();
    let (follower, address) = with(&[POSTGRES], database.url(), "wait-only");
    let waits = |answer: &Answer| code(answer) == "waiting_for_migrations";
    wait::until("it to wait", || Some(get(address, "/readyz")).filter(waits));
    assert!(get(address, "/status").body.contains("Waiting for migrations"));
    assert!(database.tables().is_empty(), "it only looks");
    let (ended, said) = Service::of(&[POSTGRES], database.url(), &[("MIGRATOR_MODE", "migrate-only")]).end();
    assert!(ended && said.iter().any(|line| line.starts_with("applied 2 migrations")), "{said:#?}");
    assert_ready(address);
    assert!(follower.terminate().0);
}

#[test]
fn a_job_that_is_told_to_end_ends_its_statement_and_records_it() {
    let database = servers::postgres().fresh();
    let mut holder = held(&database);
    let job = Service::of(&[POSTGRES], database.url(), &[("MIGRATOR_MODE", "migrate-only")]);
    let waiting = "SELECT count(*)::text AS value FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'relation'";
    wait::until("the statement that waits", || (database.texts(waiting) == ["1"]).then_some(()));
    let (ended, said) = job.terminate();
    assert!(!ended && said.last().is_some_and(|status| status.contains("exit status: 1")), "{said:#?}");
    assert_eq!(database.texts(waiting), ["0"], "nobody waits for it any more");
    let recorded = "SELECT count(*)::text AS value FROM __migrator_history h WHERE h::text LIKE '%interrupted%'";
    assert_eq!(database.texts(recorded), ["1"], "{said:#?}");
    holder.batch_execute("COMMIT").expect("let it go on");
    let (ended, said) = Service::of(&[POSTGRES], database.url(), &[("MIGRATOR_MODE", "migrate-only")]).end();
    assert!(ended, "the next one goes on: {said:#?}");
}

/// A database of the release before, whose table somebody keeps from being changed.
fn held(database: &servers::FreshDatabase<diesel::pg::Pg>) -> diesel::PgConnection {
    let mut holder = database.connect();
    first_release("postgres", &mut holder);
    holder.batch_execute("BEGIN; LOCK TABLE message IN ACCESS SHARE MODE").expect("hold the table");
    holder
}

fn first_release<C>(folder: &str, conn: &mut C)
where
    C: diesel::connection::LoadConnection<Backend: migrator::Dialect>,
{
    let set = MigrationSet::from_path(format!("../examples/axum-service/migrations/{folder}")).expect("it is sound");
    Migrator::new(&set).run_to(conn, migrator::Target::Steps(1)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn on_sqlite_it_serves_while_it_migrates() {
    let database = sqlite::fresh();
    // A disk that takes its time for what it has to keep. The service is the child and not strace: it ends with the test.
    let slow = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e"];
    let slow = [&slow[..], &["inject=fdatasync,fsync:delay_enter=1000000", SQLITE]].concat();
    let (_service, address) = start(&slow, database.url());
    assert_migrating(address, 2);
    assert_ready(address);
}

#[test]
fn on_sqlite_it_ends_when_it_is_told_to() {
    let database = sqlite::fresh();
    let (service, address) = start(&[SQLITE], database.url());
    assert_ready(address);
    let (ended, said) = service.terminate();
    assert!(ended, "{said:#?}");
}

#[test]
fn after_a_failed_migration_on_sqlite_it_lives_and_is_not_ready() {
    let database = sqlite::fresh();
    first_release("sqlite", &mut database.connect());
    lives_and_is_not_ready(&database, SQLITE);
}

#[test]
fn after_a_failed_migration_on_postgres_it_lives_and_is_not_ready() {
    let database = servers::postgres().fresh();
    first_release("postgres", &mut database.connect());
    lives_and_is_not_ready(&database, POSTGRES);
}

fn lives_and_is_not_ready(database: &impl Database, program: &str) {
    // Somebody was faster, by hand.
    database.execute("ALTER TABLE message ADD COLUMN author text");
    let (mut service, address) = start(&[program], database.url());
    service.until("not ready: ");
    let readiness = get(address, "/readyz");
    assert_eq!((readiness.status, code(&readiness).as_str()), (503, "statement_failed"), "{readiness:?}");
    assert_eq!((get(address, "/livez").status, get(address, "/startupz").status), (200, 503));
    assert_eq!(get(address, "/messages").status, 503);
    let page = get(address, "/status");
    assert!(page.body.contains("Failed") && page.body.contains("migrator run"), "{page:?}");
    let (ended, said) = service.terminate();
    assert!(ended, "it lived until it was told to end: {said:#?}");
}

/// What the recipes for Kubernetes name is there: pages, variables, modes.
#[test]
fn the_recipes_name_what_there_is() {
    let database = sqlite::fresh();
    let (_service, address) = start(&[SQLITE], database.url());
    let (mut pages, mut variables) = (0, 0);
    let readme = fs::read_to_string("../README.md").expect("it is there");
    let folder = fs::read_dir("../examples/axum-service/kubernetes").expect("it is there").flatten();
    for recipe in folder.map(|item| fs::read_to_string(item.path()).expect("text")) {
        for path in recipe.split("path: ").skip(1).filter_map(|rest| rest.split(',').next()) {
            assert_ne!(get(address, path).status, 404, "{path}");
            pages += 1;
        }
        for rest in recipe.split("name: MIGRATOR_").skip(1) {
            let (name, value) = rest.split_once(", value: ").expect("with a value");
            assert!(readme.contains(&format!("`MIGRATOR_{name}`")), "{name}");
            let value = value.split('}').next().expect("it ends");
            assert!(name != "MODE" || value.parse::<migrator::ServiceMode>().is_ok(), "{value}");
            variables += 1;
        }
    }
    assert!(pages >= 6 && variables >= 10, "{pages} pages, {variables} variables");
}
