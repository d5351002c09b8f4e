//! A database URL, and the connection that it names.

use std::fmt;
use std::process::ExitCode;

use diesel::Connection;
use diesel::connection::LoadConnection;

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

/// A database URL. It prints itself without its password and without its query.
pub(super) struct Url {
    dialect: SqlDialect,
    text: String,
}

impl Url {
    /// Tells the database by the scheme; what has no scheme is a path of SQLite.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let of = |dialect, text: &str| Ok(Self { dialect, text: text.to_owned() });
        match scheme {
            "postgres" | "postgresql" => of(SqlDialect::Postgres, text),
            "mysql" => of(SqlDialect::Mysql, text),
            "mariadb" => of(SqlDialect::Mysql, &text.replacen("mariadb", "mysql", 1)),
            "sqlite" => {
                let path = &text["sqlite:".len()..];
                of(SqlDialect::Sqlite, path.strip_prefix("//").unwrap_or(path))
            }
            // A drive letter is no scheme.
            _ if scheme.len() <= 1 || scheme == "file" || !text.contains("://") => of(SqlDialect::Sqlite, text),
            other => Err(Error::new(
                "unknown_scheme",
                format!("`{other}` is no scheme of a database URL"),
                "write sqlite:PATH, postgres://… or mysql://…",
            )),
        }
    }

    /// The database that it names.
    pub(super) fn dialect(&self) -> SqlDialect {
        self.dialect
    }

    /// As diesel takes it, with its secrets.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Connects, and does something on the connection.
    pub(super) fn connect(&self, purpose: Purpose, verb: impl Verb) -> Result<ExitCode, Error> {
        match self.dialect {
            #[cfg(feature = "sqlite")]
            SqlDialect::Sqlite => {
                let is_file = self.text != ":memory:" && !self.text.starts_with("file:");
                let missing = is_file && !std::path::Path::new(&self.text).exists();
                let path = if missing && purpose == Purpose::Read { ":memory:" } else { &self.text };
                verb.call(&mut self.establish::<diesel::SqliteConnection>(path)?)
            }
            #[cfg(feature = "postgres")]
            SqlDialect::Postgres => verb.call(&mut self.establish::<diesel::PgConnection>(&self.text)?),
            #[cfg(feature = "mysql")]
            SqlDialect::Mysql => verb.call(&mut self.establish::<diesel::MysqlConnection>(&self.text)?),
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            other => {
                let _ = (purpose, verb);
                let message = format!("this build of migrator does not speak {other}");
                let features = "cargo build -p migrator --features cli,postgres,mysql --bin migrator";
                Err(Error::new("dialect_not_built", message, features))
            }
        }
    }

    fn establish<C: Connection>(&self, text: &str) -> Result<C, Error> {
        C::establish(text).map_err(|error| {
            // libpq and libmariadb do not repeat a password; nothing but their words is shown, and the URL without it.
            let message = format!("cannot connect to {self}");
            Error::new("connection_failed", message, "check that the database is up and that the URL is right")
                .with_source(error)
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dialect == SqlDialect::Sqlite {
            return write!(f, "sqlite:{}", self.text.split('?').next().unwrap_or(""));
        }
        let Ok(mut url) = url::Url::parse(&self.text) else {
            return write!(f, "{}://…", self.dialect);
        };
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return write!(f, "{}://…", self.dialect);
        }
        // `?password=…` and `?sslpassword=…` are as secret as the one before the `@`.
        url.set_query(None);
        f.write_str(url.as_str())
    }
}
