//! Test support: private, throw-away database servers and fresh databases.
//!
//! ```no_run
//! use migrator_tests::{Database, servers};
//!
//! let database = servers::postgres().fresh();
//! database.execute("CREATE TABLE harbour (name text)");
//! assert_eq!(database.row_counts()["harbour"], 0);
//! ```
//!
//! Nothing here is a mock and nothing depends on a server that somebody started: [`servers`] starts its own, once per
//! test process or for one test, and [`sqlite`] makes a file. Whatever ends the test process, `kill -9` included, also
//! ends its servers and removes their folders. A server binary that is not there is a panic which names
//! `scripts/test`, never a skipped test.

mod database;
pub mod dump;
pub mod proxy;
pub mod servers;
pub mod sqlite;
pub mod wait;

pub use database::Database;
