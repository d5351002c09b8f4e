//! A service that brings the whole command line of its database along:
//!
//! ```text
//! cargo run -p notes -- db run         # notes.db, or DATABASE_URL
//! cargo run -p notes -- db seed
//! cargo run -p notes -- db status
//! cargo run -p notes -- list
//! ```

use std::process::ExitCode;

use clap::Parser;
use diesel::prelude::*;
use migrator::{MigrationSet, Seed, SeedResult, cli, embed_migrations, seed};

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");

const SEEDS: &[Seed<SqliteConnection>] = &[WELCOME, SAMPLES];

diesel::table! {
    /// The notes.
    note (id) {
        /// Its key.
        id -> Integer,
        /// What it says.
        text -> Text,
    }
}

/// The first note of everybody.
#[seed(mode = once)]
fn welcome(conn: &mut SqliteConnection) -> SeedResult {
    add(conn, "Welcome")
}

/// Only for who asks for it: `notes db seed samples`.
#[seed(mode = manual, depends_on = [WELCOME])]
fn samples(conn: &mut SqliteConnection) -> SeedResult {
    Ok(add(conn, "Milk, bread, butter")? + add(conn, "Call the harbour master")?)
}

fn add(conn: &mut SqliteConnection, text: &str) -> SeedResult {
    Ok(diesel::insert_into(note::table).values(note::text.eq(text)).execute(conn)? as u64)
}

/// Keeps notes.
#[derive(Parser)]
enum Notes {
    /// List the notes.
    List,
    /// Migrate, seed and look after the database.
    Db(cli::Db),
}

fn main() -> ExitCode {
    match cli::parse::<Notes>() {
        Notes::List => list(),
        Notes::Db(db) => cli::Embedded::new(&MIGRATIONS).seeds(SEEDS).default_url("notes.db").answer(&db),
    }
}

fn list() -> ExitCode {
    let url = std::env::var("DATABASE_URL").unwrap_or_else(|_| "notes.db".to_owned());
    let notes = SqliteConnection::establish(url.trim_start_matches("sqlite:"))
        .map_err(|error| error.to_string())
        .and_then(|mut conn| note::table.select(note::text).load(&mut conn).map_err(|error| error.to_string()));
    match notes {
        Ok(notes) => {
            notes.iter().for_each(|note: &String| println!("{note}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}; `notes db run` makes the database");
            ExitCode::FAILURE
        }
    }
}
