//! The example `axum-service` on SQLite: one build of the tests has the service once for each database.

#[path = "../../../examples/axum-service/src/service.rs"]
mod service;

use std::process::ExitCode;

use migrator::{MigrationSet, embed_migrations};

type Connection = diesel::SqliteConnection;
static MIGRATIONS: MigrationSet = embed_migrations!("../examples/axum-service/migrations/sqlite", dialect = "sqlite");
const DEFAULT_URL: Option<&str> = None;

fn main() -> ExitCode {
    service::main()
}
