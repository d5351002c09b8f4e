//! Databases for a host's own tests: each test's own, migrated and seeded, gone when it ends.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use migrator::{MigrationSet, Migrator, Seed, embed_migrations, testing::TestDatabase};
//!
//! static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
//! const SEEDS: &[Seed<SqliteConnection>] = &[];
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a test; for PostgreSQL and MySQL name a server: "postgres://me@localhost/postgres".
//! let database = TestDatabase::new("sqlite:", &Migrator::new(&MIGRATIONS), SEEDS)?;
//! let mut conn = database.connect()?;
//! # Ok(())
//! # }
//! ```
//!
//! | database | how | takes |
//! |---|---|---|
//! | SQLite | a file is migrated and seeded once for each test binary, and copied | less than a millisecond with 100 tables |
//! | PostgreSQL | a template database is, and cloned (`CREATE DATABASE … TEMPLATE`) | what copying its files takes: 0.2 s with 100 tables |
//! | MySQL, MariaDB | has no templates: each test's database is migrated and seeded | what that takes |
//!
//! What is migrated once belongs to one build of one test binary: with another build it is made anew, and that of
//! the one before is removed.

mod idempotent;
mod place;

use std::marker::PhantomData;

use diesel::connection::LoadConnection;
use migrator_source::checksum::{digest, hex};

use self::place::{Key, Place};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::migrator::Migrator;
use crate::seed::Seed;
use crate::url::Url;

pub use self::idempotent::assert_idempotent;

/// A database of one test's own. It is removed when the value is dropped.
pub struct TestDatabase<C> {
    url: Url,
    _place: Place,
    connection: PhantomData<fn() -> C>,
}

impl<C: LoadConnection<Backend: Dialect>> TestDatabase<C> {
    /// Makes a database that is migrated and seeded.
    ///
    /// `server` is the URL of a database on the server to make it on, of a role that may create databases. For SQLite it is a
    /// directory, `sqlite:` the system's temporary one.
    ///
    /// # Errors
    /// When the server does not answer or refuses, and as [`Migrator::run`] and [`Migrator::seed`].
    pub fn new(server: &str, migrator: &Migrator<C>, seeds: &[Seed<C>]) -> Result<Self, Error> {
        let server = Url::parse(server)?;
        let (url, place) = place::make::<C>(&server, &key(migrator, seeds)?, |url| {
            let mut conn = url.establish::<C>()?;
            migrator.run(&mut conn)?;
            if !seeds.is_empty() {
                migrator.seed(&mut conn, seeds)?;
            }
            Ok(())
        })?;
        Ok(Self { url, _place: place, connection: PhantomData })
    }

    /// The URL of the database. It holds the password of `server`.
    pub fn url(&self) -> &str {
        self.url.text()
    }

    /// Connects to the database.
    ///
    /// # Errors
    /// `connection_failed`.
    pub fn connect(&self) -> Result<C, Error> {
        self.url.establish()
    }
}

/// Which database can be copied for this test.
fn key<C>(migrator: &Migrator<C>, seeds: &[Seed<C>]) -> Result<Key, Error> {
    let unknown = |error| {
        Error::new("test_database", "the test binary cannot be told", "check the permissions of /proc")
            .with_source(error)
    };
    let binary = std::env::current_exe().map_err(unknown)?;
    let file = std::fs::metadata(&binary).map_err(unknown)?;
    let seeds: Vec<_> = seeds.iter().map(|seed| (seed.name, seed.version, seed.hash)).collect();
    let short = |text: String, bytes: usize| hex(&digest(text.as_bytes())[..bytes]);
    Ok(Key {
        binary: short(binary.display().to_string(), 4),
        build: short(format!("{:?} {}", file.modified().ok(), file.len()), 4),
        content: short(format!("{} {seeds:?}", migrator.identity()), 8),
    })
}
