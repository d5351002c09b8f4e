//! The connection that a database URL names.

use std::process::ExitCode;

use diesel::connection::LoadConnection;

use crate::url::Url;
use crate::{Dialect, Error, SqlDialect};

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing is written; not even an empty SQLite file is made.
    Read,
    /// The database may be changed.
    Write,
}

/// Something to do on whatever connection the URL names.
pub(super) trait Verb {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error>;
}

/// Something to do with whatever kind of database the URL names, which connects by itself.
pub(super) trait Deed {
    fn call<C: LoadConnection<Backend: Dialect> + 'static>(self) -> Result<ExitCode, Error>;
}

impl Url {
    /// Does something with the kind of database that it names.
    pub(super) fn dispatch(&self, deed: impl Deed) -> Result<ExitCode, Error> {
        match self.dialect() {
            #[cfg(feature = "sqlite")]
            SqlDialect::Sqlite => deed.call::<diesel::SqliteConnection>(),
            #[cfg(feature = "postgres")]
            SqlDialect::Postgres => deed.call::<diesel::PgConnection>(),
            #[cfg(feature = "mysql")]
            SqlDialect::Mysql => deed.call::<diesel::MysqlConnection>(),
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            other => {
                let _ = deed;
                Err(not_built(other))
            }
        }
    }

    /// Connects, and does something on the connection.
    pub(super) fn connect(&self, purpose: Purpose, verb: impl Verb) -> Result<ExitCode, Error> {
        match self.dialect() {
            #[cfg(feature = "sqlite")]
            SqlDialect::Sqlite => {
                let is_file = !self.is_in_memory() && !self.text().starts_with("file:");
                let missing = is_file && !std::path::Path::new(self.text()).exists();
                if missing && purpose == Purpose::Read {
                    return verb.call(&mut Self::parse(":memory:")?.establish::<diesel::SqliteConnection>()?);
                }
                verb.call(&mut self.establish::<diesel::SqliteConnection>()?)
            }
            #[cfg(feature = "postgres")]
            SqlDialect::Postgres => verb.call(&mut self.establish::<diesel::PgConnection>()?),
            #[cfg(feature = "mysql")]
            SqlDialect::Mysql => verb.call(&mut self.establish::<diesel::MysqlConnection>()?),
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            other => {
                let _ = (purpose, verb);
                Err(not_built(other))
            }
        }
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn not_built(dialect: SqlDialect) -> Error {
    let message = format!("this build of migrator does not speak {dialect}");
    let features = "cargo build -p migrator --features cli,postgres,mysql --bin migrator";
    Error::new("dialect_not_built", message, features)
}
