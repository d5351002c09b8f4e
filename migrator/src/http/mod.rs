//! The pages for orchestrators and people, as an axum router and as plain responses for everything else.
//!
//! | path | answers | form |
//! |---|---|---|
//! | `/startupz` | 503 until the service has come up, then 200 | [`Verdict`] |
//! | `/livez` | 200; 503 when the worker for background seeds died or hangs. Asks no database | [`Verdict`] |
//! | `/readyz` | 200 when the service can be given requests, else 503 with the reason and `Retry-After` | [`Verdict`] |
//! | `/health` | everything; 503 when something fails | [`HealthReport`] |
//! | `/status` | the same as a page for people, which asks for itself again while something runs | HTML |
//! | `/status.json` | where each migration and each seed stands; always 200 | [`Snapshot`] |
//! | `/metrics` | Prometheus text (feature `metrics`) | |
//!
//! The first four are `application/health+json`. None of them is cached by anybody, writes, or waits longer than the
//! [bound](Health::bound) of the handle; none shows a secret, a URL or SQL text unless the host asks for
//! [details](Health::details). Mount them where only the orchestrator and whoever runs the service can reach them.
//!
//! With axum, at the root or nested anywhere:
//!
//! ```no_run
//! # use diesel::prelude::*;
//! # use migrator::{DbProvider, MigrationSet, embed_migrations};
//! # static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
//! # static DB: DbProvider<SqliteConnection> = DbProvider::new(&MIGRATIONS);
//! let app: axum::Router = axum::Router::new().merge(migrator::http::router(DB.health()));
//! ```
//!
//! With anything else, [`answer_async`] or [`answer`] is the whole of it.

mod page;
mod snapshot;

use axum::Router;
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

pub use self::snapshot::Snapshot;
use crate::health::{Details, Health, HealthReport, Schema, Verdict};
use crate::metrics;

/// The pages, by the last part of their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Startup,
    Liveness,
    Readiness,
    Health,
    /// For people.
    Status,
    /// The same for programs.
    Document,
    Metrics,
}

const PAGES: [(&str, Page); 7] = [
    ("/startupz", Page::Startup),
    ("/livez", Page::Liveness),
    ("/readyz", Page::Readiness),
    ("/health", Page::Health),
    ("/status", Page::Status),
    ("/status.json", Page::Document),
    ("/metrics", Page::Metrics),
];

const HEALTH: &str = "application/health+json";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page holds its style and its icon, and nothing else that a browser would load or run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The pages for axum. What waits for the database does so on threads of its own: none of the runtime's is blocked.
pub fn router<S: Clone + Send + Sync + 'static>(health: Health) -> Router<S> {
    PAGES.into_iter().fold(Router::new(), |router, (path, page)| {
        let health = health.clone();
        let handler = move || {
            let health = health.clone();
            async move { page.of_async(&health).await }
        };
        router.route(path, get(handler))
    })
}

/// The answer to a GET of a path, of which the last part counts; 404 where nothing is. It waits as long as the handle's
/// [bound](Health::bound) at most.
pub fn answer(health: &Health, path: &str) -> Response<String> {
    Page::at(path).map_or_else(nothing, |page| page.of(health))
}

/// As [`answer`], without blocking a thread, on every kind of runtime.
pub async fn answer_async(health: &Health, path: &str) -> Response<String> {
    match Page::at(path) {
        Some(page) => page.of_async(health).await,
        None => nothing(),
    }
}

impl Page {
    fn at(path: &str) -> Option<Self> {
        let last = path.rfind('/').map_or("", |at| &path[at..]);
        PAGES.into_iter().find(|(path, _)| *path == last).map(|(_, page)| page)
    }

    fn of(self, health: &Health) -> Response<String> {
        match self {
            Self::Startup => verdict(&health.startup()),
            Self::Liveness => verdict(&health.liveness()),
            Self::Readiness => verdict(&health.readiness()),
            Self::Health => report(health, health.report()),
            Self::Status => page(health, Snapshot::of(health)),
            Self::Document => document(health, Snapshot::of(health)),
            Self::Metrics => metrics(&health.report()),
        }
    }

    async fn of_async(self, health: &Health) -> Response<String> {
        match self {
            Self::Startup => verdict(&health.startup()),
            Self::Liveness => verdict(&health.liveness()),
            Self::Readiness => verdict(&health.readiness_async().await),
            Self::Health => report(health, health.report_async().await),
            Self::Status => page(health, Snapshot::of_async(health).await),
            Self::Document => document(health, Snapshot::of_async(health).await),
            Self::Metrics => metrics(&health.report_async().await),
        }
    }
}

fn verdict(verdict: &Verdict) -> Response<String> {
    let mut response = json(verdict.http_status(), HEALTH, verdict);
    if let Some(time) = verdict.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(time.as_secs()));
    }
    response
}

fn report(health: &Health, report: HealthReport) -> Response<String> {
    let report = if health.shows() == Details::Shown { report } else { report.without_details() };
    json(report.http_status(), HEALTH, &report)
}

fn document(health: &Health, snapshot: Snapshot) -> Response<String> {
    json(200, JSON, &told(health, snapshot))
}

fn page(health: &Health, snapshot: Snapshot) -> Response<String> {
    let page = match page::render(&told(health, snapshot), health.shows()) {
        Ok(page) => page,
        Err(error) => return unwritten(&error),
    };
    let mut response = plain(200, HTML, page);
    for (name, value) in
        [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What may be told of it.
fn told(health: &Health, snapshot: Snapshot) -> Snapshot {
    if health.shows() == Details::Shown { snapshot } else { snapshot.without_details() }
}

/// What was counted so far, with how it is now.
fn metrics(report: &HealthReport) -> Response<String> {
    report.state.iter().for_each(|state| metrics::standing(state, &report.missing_seeds));
    if let Some(Schema { applied, pending, state, .. }) = report.schema {
        metrics::migrations(applied, pending, state == "ahead");
    }
    report.pool.iter().for_each(|pool| metrics::pool(pool.in_use, pool.idle, pool.waiting));
    metrics::page().map_or_else(nothing, |text| plain(200, PROMETHEUS, text))
}

fn json(status: u16, form: &'static str, body: &impl Serialize) -> Response<String> {
    match serde_json::to_string(body) {
        Ok(text) => plain(status, form, text),
        Err(error) => unwritten(&error),
    }
}

fn unwritten(error: &dyn std::error::Error) -> Response<String> {
    plain(500, TEXT, format!("the answer cannot be written: {error}\n"))
}

fn nothing() -> Response<String> {
    plain(404, TEXT, "there is nothing here\n".to_owned())
}

fn plain(status: u16, form: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
