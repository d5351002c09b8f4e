//! The same over HTTP: forms, headers, and what is never told.

use std::time::Duration;

use diesel::SqliteConnection;
use migrator::health::Details;
use migrator::http::{answer, answer_async};
use migrator::{Config, Event, MigrationSet, ProviderState};
use migrator_tests::{Database, sqlite};
use serde_json::{Value, json};

use crate::dialects::Subject;
use crate::folder::{Folder, table};
use crate::health::becomes;
use crate::provider::{Gate, provider};

on_each_dialect!(the_report_is_health_json, a_failed_migration_is_told_without_its_words,);

fn get(health: &migrator::health::Health, path: &str) -> (u16, Value) {
    let response = answer(health, path);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let form = if path.ends_with("/status.json") { "application/json" } else { "application/health+json" };
    assert_eq!(response.headers()["content-type"], form, "{path}");
    let body = serde_json::from_str(response.body()).unwrap_or_else(|error| panic!("{error}: {}", response.body()));
    (response.status().as_u16(), body)
}

fn the_report_is_health_json<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health().service_id("harbour").release_id("2026.11").version("3");
    let (status, body) = get(&health, "/health");
    assert_eq!(status, 200);
    assert_eq!(
        (&body["status"], &body["serviceId"], &body["releaseId"], &body["version"]),
        (&json!("pass"), &json!("harbour"), &json!("2026.11"), &json!("3"))
    );
    let checks = body["checks"].as_object().expect("checks");
    let names: Vec<&str> = checks.keys().map(String::as_str).collect();
    let mut expected = [
        "provider:state",
        "provider:worker",
        "database:latency",
        "migrations:state",
        "migrations:pending",
        "seeds:state",
        "pool:connections",
    ];
    expected.sort_unstable();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for (name, check) in checks {
        let check = &check.as_array().expect("a list")[0];
        assert!(check["status"] == "pass" && check["componentType"].is_string(), "{name}: {check}");
        let time = check["time"].as_str().expect("a time");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    let first = |name: &str| &checks[name][0];
    assert!(first("database:latency")["observedValue"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(first("database:latency")["observedUnit"], "ms");
    let migrations = first("migrations:state");
    assert_eq!(
        (&migrations["observedValue"], &migrations["applied"], &migrations["head"]),
        (&json!("up_to_date"), &json!(2), &json!("02"))
    );
    assert_eq!(first("migrations:pending")["observedValue"], 0);
    let (_, body) = get(&health, "/any/where/status.json");
    assert_eq!((&body["state"]["state"], &body["error"]), (&json!("ready"), &Value::Null));
    assert_eq!(body["migrations"]["migrations"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["migrations"]["database"], "", "which database it is, is a detail");
    let who = |body: &Value| {
        let record = &body["migrations"]["migrations"][1]["recorded"];
        [&record["event"], &record["application"], &record["host"]].map(Value::is_string)
    };
    assert_eq!(who(&body), [true, true, false], "and so is from where it was migrated: {body}");
    let (_, body) = get(&health.details(Details::Shown), "/status.json");
    assert_ne!(body["migrations"]["database"], "");
    assert_eq!(who(&body), [true; 3], "{body}");
}

fn a_failed_migration_is_told_without_its_words<S: Subject>() {
    let database = S::fresh();
    let script = "INSERT INTO secret_table VALUES ('secret_value')";
    let set = Folder::of(&[("01_t1", table(1).as_str()), ("02_broken", script)]).set();
    let provider = provider::<S::Connection>(&set);
    provider.init(Config::new(database.url())).expect_err("it fails");
    let health = provider.health();
    for (path, expected) in
        [("/livez", 200), ("/startupz", 503), ("/readyz", 503), ("/health", 503), ("/status.json", 200)]
    {
        let (status, body) = get(&health, path);
        assert_eq!(status, expected, "{path}: {body}");
        assert!(!body.to_string().contains("secret"), "{path}: {body}");
        assert!(path == "/livez" || body.to_string().contains("statement_failed"), "{path}: {body}");
    }
    let (_, body) = get(&health, "/status.json");
    let last = body["run"]["migrations"].as_array().and_then(|all| all.last()).expect("it began with some");
    assert_eq!(
        (&last["name"], &last["state"], &last["error"], &body["run"]["steps"]),
        (&json!("02_broken"), &json!("failed"), &Value::Null, &json!(2))
    );
    let (_, body) = get(&health, "/health");
    assert_eq!(
        body["checks"]["migrations:state"][0]["error"],
        json!({"code": "statement_failed", "remedy": null, "words": null})
    );
    let (_, body) = get(&health.details(Details::Shown), "/health");
    assert!(body["checks"]["migrations:state"][0]["error"]["remedy"].is_string(), "{body}");
}

#[test]
fn a_probe_says_why_and_when_to_ask_again() {
    let database = sqlite::fresh();
    let provider = provider::<SqliteConnection>(&Folder::of_tables(2).set());
    let health = provider.health();
    let response = answer(&health, "/readyz");
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(
        serde_json::from_str::<Value>(response.body()).expect("JSON"),
        json!({"probe": "readiness", "status": "fail", "code": "not_started", "message": "init was not called", "retry_after_s": 5})
    );
    assert_eq!(answer(&health, "/elsewhere").status(), 404);
    let (reached, go) = (Gate::default(), Gate::default());
    let (mine, theirs) = (reached.clone(), go.clone());
    let config = Config::new(database.url()).on_event(move |event| {
        if let Event::State { to: ProviderState::Migrating { step: 2, .. }, .. } = event {
            mine.open();
            theirs.pass();
        }
    });
    std::thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        reached.pass();
        let state = &get(&health, "/health").1["checks"]["provider:state"][0];
        assert_eq!(
            (&state["observedValue"], &state["step"], &state["steps"]),
            (&json!("migrating"), &json!(2), &json!(2))
        );
        assert_eq!((&state["reason"], &state["migration"]), (&json!("migrating"), &json!("02_t2")));
        go.open();
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    let response = answer(&health, "/readyz");
    assert!(response.status() == 200 && !response.headers().contains_key("retry-after"));
}

/// On a runtime of one thread, which a database that does not answer must not hold up.
#[tokio::test]
async fn the_router_blocks_no_thread_of_the_runtime() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let database = sqlite::fresh();
    let provider = provider::<SqliteConnection>(&set());
    let health = provider.health().bound(Duration::from_millis(300));
    let app: axum::Router = axum::Router::new().nest("/internal", migrator::http::router(health.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serve = tokio::spawn(async move { axum::serve(listener, app).await });
    let get = move |path: &'static str| async move {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        text
    };
    assert!(get("/internal/startupz").await.starts_with("HTTP/1.1 503"));
    provider.init(Config::new(database.url()).pool_size(1)).unwrap_or_else(|error| panic!("{error}"));
    becomes(&health, "ready");
    assert!(get("/internal/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(get("/internal/nothing").await.starts_with("HTTP/1.1 404"));
    let held = provider.get().expect("the only connection");
    provider.health();
    // While one probe waits for a connection, others are answered.
    let waits = tokio::spawn(get("/internal/readyz"));
    assert!(get("/internal/livez").await.starts_with("HTTP/1.1 200"));
    drop(waits.await.expect("no panic"));
    loop {
        let response = get("/internal/readyz").await;
        if response.starts_with("HTTP/1.1 503") {
            assert!(response.contains("pool_exhausted") && response.contains("retry-after: 1"), "{response}");
            break;
        }
    }
    drop(held);
    while !get("/internal/health").await.starts_with("HTTP/1.1 200") {}
    assert_eq!(answer_async(&health, "/health").await.status(), 200);
    serve.abort();
}

fn set() -> MigrationSet {
    Folder::of_tables(1).set()
}
