//! The service: it listens, migrates in the background, and ends at SIGTERM. After a migration that failed it goes on: the
//! orchestrator gives it no requests and does not restart it for nothing, and `/status` shows what to do.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use diesel::prelude::*;
use migrator::{Config, DbProvider, ProviderState, ServiceMode};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use super::{Connection, DEFAULT_URL, MIGRATIONS};

diesel::table! {
    message (id) {
        id -> Integer,
        text -> Text,
        author -> Text,
    }
}

/// After which pause a start that failed is tried again, where that can help.
const AGAIN: Duration = Duration::from_secs(5);

static DB: DbProvider<Connection> = DbProvider::new(&MIGRATIONS);

pub(super) fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let config = config()?;
    if std::env::var("MIGRATOR_MODE").is_ok_and(|mode| mode == ServiceMode::MigrateOnly.name()) {
        // An init container, or a job: it is over when it has migrated, or is told to end. Then the statement that runs is ended.
        tokio::spawn(async {
            end().await;
            if let Err(error) = DB.shutdown_async().await {
                eprintln!("{error}");
            }
        });
        println!("{}", DB.init_async(config).await?);
        return Ok(());
    }
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::spawn(boot(config));
    let app = Router::new()
        .route("/messages", get(messages).post(add))
        .merge(migrator::http::router(DB.health().service_id("guest book").version(env!("CARGO_PKG_VERSION"))));
    axum::serve(listener, app).with_graceful_shutdown(end()).await?;
    Ok(DB.shutdown_async().await?)
}

fn config() -> Result<Config<Connection>, migrator::Error> {
    let or_default = |name: &str| DEFAULT_URL.filter(|_| name == "DATABASE_URL").map(str::to_owned);
    Config::from_vars(|name| std::env::var(name).ok().or_else(|| or_default(name)))
}

/// Boots the database, once more after what can pass: a lock that another release held for too long, migrations that did not come.
async fn boot(mut config: Config<Connection>) {
    loop {
        match DB.init_async(config).await {
            Ok(report) => return println!("{report}\nready"),
            Err(error) => eprintln!("not ready: {error}"),
        }
        let ProviderState::Failed { retryable: true, .. } = DB.state() else { return };
        tokio::time::sleep(AGAIN).await;
        let Ok(next) = self::config() else { return };
        config = next;
    }
}

async fn messages() -> Result<String, StatusCode> {
    let rows: Vec<(String, String)> =
        on_database(|conn| message::table.select((message::text, message::author)).order(message::id).load(conn))
            .await?;
    Ok(rows.iter().map(|(text, author)| format!("{text} ({author})\n")).collect())
}

async fn add(text: String) -> Result<StatusCode, StatusCode> {
    on_database(move |conn| diesel::insert_into(message::table).values(message::text.eq(text)).execute(conn)).await?;
    Ok(StatusCode::CREATED)
}

/// Runs queries where blocking is allowed; 503 while there is no database to run them on.
async fn on_database<T, W>(work: W) -> Result<T, StatusCode>
where
    T: Send + 'static,
    W: FnOnce(&mut Connection) -> QueryResult<T> + Send + 'static,
{
    let mut conn = DB.get_async().await.map_err(|_why| StatusCode::SERVICE_UNAVAILABLE)?;
    let worked = spawn_blocking(move || work(&mut conn)).await.map_err(|_panic| StatusCode::INTERNAL_SERVER_ERROR)?;
    worked.map_err(|error| {
        eprintln!("{error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

/// Waits for Ctrl-C, and for what an orchestrator sends.
async fn end() {
    let ctrl_c = async {
        // Where nobody can press it, nobody does.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = ctrl_c => {}
                _ = term.recv() => {}
            }
            return;
        }
    }
    ctrl_c.await;
}
