//! A guest book that answers from its first moment on, and has its database migrated meanwhile:
//!
//! ```text
//! cargo run -p axum-service                                    # guests.db, or DATABASE_URL; LISTEN = 127.0.0.1:8080
//! DATABASE_URL=postgres://app@localhost/app cargo run -p axum-service --no-default-features --features postgres
//! curl -i localhost:8080/readyz                                # for the orchestrator; /status in a browser is for people
//! curl -d 'It was nice.' localhost:8080/messages
//! ```

mod service;

use std::process::ExitCode;

use migrator::{MigrationSet, embed_migrations};

#[cfg(feature = "postgres")]
type Connection = diesel::PgConnection;
#[cfg(feature = "postgres")]
static MIGRATIONS: MigrationSet = embed_migrations!("migrations/postgres", dialect = "postgres");

#[cfg(not(feature = "postgres"))]
type Connection = diesel::SqliteConnection;
#[cfg(not(feature = "postgres"))]
static MIGRATIONS: MigrationSet = embed_migrations!("migrations/sqlite", dialect = "sqlite");

/// Where the database is when nobody says so.
const DEFAULT_URL: Option<&str> = if cfg!(feature = "postgres") { None } else { Some("guests.db") };

fn main() -> ExitCode {
    service::main()
}
