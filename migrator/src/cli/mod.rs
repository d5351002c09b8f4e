//! The command line: the tool `migrator`, and the same commands inside of a host's program. The only module that prints or exits.
//!
//! A host adds [`Db`] to its own commands, and answers it over what it embeds, as `myapp db status`:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use clap::Parser;
//! use diesel::SqliteConnection;
//! use migrator::{MigrationSet, Seed, cli, embed_migrations};
//!
//! static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
//! const SEEDS: &[Seed<SqliteConnection>] = &[];
//!
//! #[derive(Parser)]
//! enum App {
//!     /// Serve.
//!     Serve,
//!     /// Migrate, seed and look after the database.
//!     Db(cli::Db),
//! }
//!
//! fn main() -> ExitCode {
//!     match cli::parse::<App>() {
//!         App::Serve => ExitCode::SUCCESS,
//!         App::Db(db) => cli::Embedded::new(&MIGRATIONS).seeds(SEEDS).answer(&db),
//!     }
//! }
//! ```

mod accept;
mod ask;
mod at_work;
mod backups;
mod baseline;
mod command;
mod deploy_check;
mod doctor;
mod embedded;
mod error;
mod fold;
mod folder;
mod global;
mod health;
mod host;
mod index;
mod mark;
mod narrow;
mod output;
mod parse;
mod plan;
mod prisma;
mod progress;
mod reset;
mod resolve;
mod revert;
mod run;
mod seed;
mod setup;
mod signals;
mod standalone;
mod status;
mod verify;
mod wait;

pub use self::embedded::{Db, Embedded};
pub use self::parse::parse;
pub use self::standalone::main;

/// The exit code when something is pending, or not as it should be.
const FINDINGS: u8 = 2;
