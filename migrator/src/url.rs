//! A database URL: which database it names, and how it is told without its secrets.

use std::fmt;

use diesel::{Connection, ConnectionError};
use migrator_source::sql::SqlDialect;

use crate::error::Error;

/// A database URL. It prints itself without its password and without its query.
///
/// It is read as the databases' own clients read it, which is not quite as the web does: libpq takes a list of hosts. What
/// could be read in two ways is refused, since one of them would print a part of a password.
#[derive(Clone)]
pub(crate) struct Url {
    dialect: SqlDialect,
    /// As the client library takes it.
    text: String,
    /// What may be printed.
    shown: String,
    /// What may not.
    secrets: Vec<String>,
}

impl Url {
    /// Tells the database by the scheme; what has no scheme is a path of SQLite.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "postgres" | "postgresql" => Self::of_server(SqlDialect::Postgres, text),
            "mysql" => Self::of_server(SqlDialect::Mysql, text),
            "mariadb" => Self::of_server(SqlDialect::Mysql, &text.replacen("mariadb", "mysql", 1)),
            "sqlite" => {
                let path = &text["sqlite:".len()..];
                Ok(Self::of_file(path.strip_prefix("//").unwrap_or(path)))
            }
            // A drive letter is no scheme.
            _ if scheme.len() <= 1 || scheme == "file" || !text.contains("://") => Ok(Self::of_file(text)),
            other => Err(Error::new(
                "unknown_scheme",
                format!("`{other}` is no scheme of a database URL"),
                "write sqlite:PATH, postgres://… or mysql://…",
            )),
        }
    }

    fn of_file(path: &str) -> Self {
        let name = path.split('?').next().unwrap_or("");
        // Somebody may have left out the scheme of a server's URL.
        let is_odd = path.split_once('@').is_some_and(|(before, _)| before.contains(':'));
        let shown = format!("sqlite:{}", if is_odd { "…" } else { name });
        Self { dialect: SqlDialect::Sqlite, text: path.to_owned(), shown, secrets: Vec::new() }
    }

    /// `scheme://[user[:password]@][host[:port]][,…][/database][?query]`
    fn of_server(dialect: SqlDialect, text: &str) -> Result<Self, Error> {
        let unclear = || {
            Error::new(
                "invalid_url",
                format!("the {dialect} URL cannot be read without doubt"),
                "write scheme://user:password@host:port/database, with @ : / ? # % in user and password as %40 %3A %2F %3F %23 %25",
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(unclear)?;
        // libpq looks for the first `@` before a `/`, the URL parser behind diesel's MySQL for the last before `/`, `?` or `#`.
        let split = match dialect {
            SqlDialect::Mysql => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                rest[..end].rfind('@')
            }
            _ => rest[..rest.find('/').unwrap_or(rest.len())].find('@'),
        };
        let (user, place) = split.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let is_host = |char: char| char.is_ascii_alphanumeric() || ".-_:,[]%~".contains(char);
        let is_port = |port: &str| port.chars().all(|char| char.is_ascii_digit()) || port.ends_with(']');
        let ports = || hosts.split(',').filter_map(|host| Some(host.rsplit_once(':')?.1));
        let clear = hosts.chars().all(is_host)
            && ports().all(is_port)
            && !database.contains(['@', '#'])
            && !query.contains('@')
            && (query.is_empty() || query.split('&').all(|pair| pair.contains('=')))
            && [user, hosts, database, query].into_iter().all(|part| decoded(part).is_some());
        if !clear {
            return Err(unclear());
        }
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        // A secret with a `&` or a `=` that should have been `%26` or `%3D` reaches into what follows it.
        let is_secret = |pair: &&str| ["pass", "secret", "token", "key"].iter().any(|word| pair.contains(word));
        let from_there = query.split('&').skip_while(|pair| !is_secret(pair)).enumerate();
        let parts = from_there.flat_map(|(at, pair)| pair.split('=').skip(usize::from(at == 0)));
        let mut secrets: Vec<String> = parts.map(str::to_owned).collect();
        secrets.push(password.to_owned());
        secrets.extend(secrets.clone().iter().filter_map(|secret| decoded(secret)));
        secrets.retain(|secret| !secret.is_empty());
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let who = match (name, password) {
            ("", "") => String::new(),
            (name, "") => format!("{name}@"),
            (name, _) => format!("{name}:***@"),
        };
        let shown = format!("{scheme}://{who}{place}");
        let is_asked = dialect == SqlDialect::Postgres && !hosts.is_empty() && !query.contains("keepalives");
        let text = if is_asked { with_keepalives(text) } else { text.to_owned() };
        Ok(Self { dialect, text, shown, secrets })
    }

    /// The database that it names.
    pub(crate) fn dialect(&self) -> SqlDialect {
        self.dialect
    }

    /// What a client library takes. It holds the secrets.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The name of the database, decoded, or the path of SQLite's file; empty when the URL names none.
    pub(crate) fn database(&self) -> String {
        let (place, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        if self.dialect == SqlDialect::Sqlite {
            return place.strip_prefix("file:").unwrap_or(place).to_owned();
        }
        // libpq lets the query have the last word.
        let named = query.split('&').find_map(|pair| pair.strip_prefix("dbname="));
        let begin = place.find("://").map_or(0, |at| at + 3);
        let path = || place[begin..].split_once('/').map_or("", |(_, name)| name);
        decoded(named.unwrap_or_else(path)).unwrap_or_default()
    }

    /// The URL of another database on the same server.
    pub(crate) fn with_database(&self, name: &str) -> Result<Self, Error> {
        let text = self.text.as_str();
        let (place, query) =
            text.split_once('?').map_or((text, String::new()), |(place, query)| (place, format!("?{query}")));
        let begin = place.find("://").map_or(0, |at| at + 3);
        let server = begin + place[begin..].find('/').unwrap_or(place.len() - begin);
        Self::parse(&format!("{}/{name}{query}", &place[..server]))
    }

    /// Whether each connection would open a database of its own, gone with it.
    pub(crate) fn is_in_memory(&self) -> bool {
        let (path, query) = self.text.split_once('?').unwrap_or((&self.text, ""));
        let of_file = path.strip_prefix("file:");
        self.dialect == SqlDialect::Sqlite
            && (matches!(of_file.unwrap_or(path), "" | ":memory:")
                || of_file.is_some() && query.split('&').any(|pair| matches!(pair, "mode=memory" | "vfs=memdb")))
    }

    /// Somebody else's words, without the secrets of this URL.
    pub(crate) fn scrub(&self, words: &str) -> String {
        self.secrets.iter().fold(words.to_owned(), |words, secret| words.replace(secret.as_str(), "***"))
    }

    /// Connects once.
    ///
    /// # Errors
    /// `connection_failed`, with the client's words.
    pub(crate) fn establish<C: Connection>(&self) -> Result<C, Error> {
        C::establish(&self.text).map_err(|error| {
            // libpq repeats what it cannot read.
            let words = ConnectionError::BadConnection(self.scrub(&error.to_string()));
            let message = format!("cannot connect to {self}");
            Error::new("connection_failed", message, "check that the database is up and that the URL is right")
                .with_source(words)
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Has libpq notice within a minute that a server is gone without a word; the system's own setting is two hours.
fn with_keepalives(url: &str) -> String {
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{url}{joint}keepalives_idle=30&keepalives_interval=10&keepalives_count=3")
}

/// `%41` is `A`; `None` when a `%` begins nothing.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let byte = match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            other => other,
        };
        bytes.push(byte);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
