//! A service that knows who may do what. Its database may be empty, old, or not up yet when it starts:
//!
//! ```text
//! cargo run -p accounts                                        # accounts.db, or DATABASE_URL
//! DATABASE_URL=postgres://app@localhost/app cargo run -p accounts --no-default-features --features postgres
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
const DEFAULT_URL: Option<&str> = if cfg!(feature = "postgres") { None } else { Some("accounts.db") };

fn main() -> ExitCode {
    service::main()
}
