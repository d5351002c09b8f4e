//! A service on plain hyper that answers its orchestrator while its database is brought up to date.

use std::convert::Infallible;

use diesel::SqliteConnection;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use migrator::{Config, DbProvider, MigrationSet, embed_migrations};
use tokio::net::TcpListener;

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
static DB: DbProvider<SqliteConnection> = DbProvider::new(&MIGRATIONS);

async fn page(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(migrator::http::answer_async(&DB.health(), request.uri().path()).await)
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = hyper::server::conn::http1::Builder::new();
        let connection = connection.serve_connection(TokioIo::new(stream), service_fn(page));
        tokio::spawn(async {
            // A client that goes away is its own business.
            let _ended = connection.await;
        });
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::from_env()?;
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listener = runtime.block_on(TcpListener::bind(listen))?;
    println!("listening on {}", listener.local_addr()?);
    std::thread::spawn(|| match DB.init(config) {
        Ok(report) => println!("{report}"),
        Err(error) => eprintln!("error: {error}"),
    });
    runtime.block_on(serve(listener))?;
    DB.shutdown()?;
    Ok(())
}
