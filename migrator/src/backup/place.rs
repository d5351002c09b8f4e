//! Where a database is: a file, or a server of which its own programs are told without a secret on their command line.

use std::fmt;
use std::path::{Path, PathBuf};

use migrator_source::sql::SqlDialect;

use crate::error::Error;
use crate::url::{self, Url};

/// Where a database is.
pub(super) enum Place {
    /// SQLite's file.
    File(PathBuf),
    Server(Server),
}

/// The parts of a server's URL.
pub(super) struct Server {
    url: Url,
    user: String,
    pub(super) password: Option<String>,
    /// `host:port`; a list of them on PostgreSQL.
    hosts: String,
    database: String,
    query: String,
}

impl Place {
    /// Reads a database URL: `sqlite:PATH`, `file:PATH`, a path, `postgres://…`, `mysql://…`.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url)?;
        Ok(match url.dialect() {
            SqlDialect::Sqlite => Self::File(file(url.text())),
            _ => Self::Server(Server::of(url)),
        })
    }

    pub(super) fn dialect(&self) -> SqlDialect {
        match self {
            Self::File(_) => SqlDialect::Sqlite,
            Self::Server(server) => server.dialect(),
        }
    }

    /// What the database is called: the path of a file, or the server's name for it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => full(path).display().to_string(),
            Self::Server(server) => server.database(),
        }
    }

    /// What a file that is made of the database begins with.
    pub(super) fn stem(&self) -> String {
        let name = match self {
            Self::File(path) => path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            Self::Server(server) => server.database(),
        };
        let plain = |char: char| if char.is_ascii_alphanumeric() || "-_.".contains(char) { char } else { '_' };
        let name: String = name.chars().map(plain).take(80).collect();
        // A name with a point in front is hidden, and one with a dash is an option to some program.
        let name = name.trim_start_matches(['.', '-']);
        if name.is_empty() { "database".to_owned() } else { name.to_owned() }
    }
}

/// Without user, password and options: the path of the file, or scheme, hosts and name.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "sqlite:{}", full(path).display()),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = |name: &str| self.options().find(|(key, _)| key == name).map(|(_, value)| value);
        let hosts = match option("host").or_else(|| option("unix_socket")) {
            Some(host) if self.hosts.is_empty() || self.hosts == "localhost" => host,
            _ => self.hosts.clone(),
        };
        let port = option("port").map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{hosts}{port}/{}", self.dialect(), self.database)
    }
}

impl Server {
    /// `scheme://[user[:password]@][host[:port]][,…][/database][?query]`
    fn of(url: Url) -> Self {
        let text = url.text();
        let (_, rest) = text.split_once("://").unwrap_or(("", text));
        let end = rest.find('/').unwrap_or(rest.len());
        let (user, place) =
            rest[..end].rsplit_once('@').map_or(("", rest), |(user, _)| (user, &rest[user.len() + 1..]));
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
        let (user, password) = user.split_once(':').map_or((user, None), |(user, password)| (user, Some(password)));
        Self {
            user: user.to_owned(),
            password: password.filter(|password| !password.is_empty()).map(decoded),
            hosts: hosts.to_owned(),
            database: database.to_owned(),
            query: query.to_owned(),
            url,
        }
    }

    /// The options of the query, decoded.
    pub(super) fn options(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(key, value)| (decoded(key), decoded(value)))
    }

    /// The database, decoded; empty when the URL names none.
    pub(super) fn database(&self) -> String {
        let option = self.options().find(|(key, _)| key == "dbname").map(|(_, name)| name);
        option.unwrap_or_else(|| decoded(&self.database))
    }

    /// The user, decoded; empty when the URL names none.
    pub(super) fn user(&self) -> String {
        decoded(&self.user)
    }

    /// The one host and its port, decoded.
    pub(super) fn host(&self) -> (String, Option<String>) {
        let host = |host: &str| decoded(host.trim_start_matches('[').trim_end_matches(']'));
        match self.hosts.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (host(name), Some(port.to_owned())),
            _ => (host(&self.hosts), None),
        }
    }

    /// The password of the URL or of its query.
    pub(super) fn secret(&self) -> Option<String> {
        self.options().find(|(key, _)| key == "password").map(|(_, value)| value).or_else(|| self.password.clone())
    }

    /// The same server, another database. It holds the secrets, unless they are left out.
    pub(super) fn url_of(&self, database: &str, secrets: bool) -> String {
        let authority = match (&self.user, secrets.then(|| self.password.as_deref().map(encoded)).flatten()) {
            (user, None) if user.is_empty() => String::new(),
            (user, None) => format!("{user}@"),
            (user, Some(password)) => format!("{user}:{password}@"),
        };
        let is_kept = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or("");
            key != "dbname" && (secrets || !matches!(key, "password" | "sslpassword"))
        };
        let query: Vec<&str> = self.query.split('&').filter(|pair| !pair.is_empty()).filter(is_kept).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let scheme = if self.dialect() == SqlDialect::Postgres { "postgres" } else { "mysql" };
        format!("{scheme}://{authority}{}/{}{query}", self.hosts, encoded(database))
    }

    /// Somebody else's words, without the secrets of the URL.
    pub(super) fn scrub(&self, words: &str) -> String {
        self.url.scrub(words)
    }

    pub(super) fn dialect(&self) -> SqlDialect {
        self.url.dialect()
    }

    /// The URL itself, as a client library takes it. It holds the secrets.
    pub(super) fn text(&self) -> &str {
        self.url.text()
    }
}

/// The path that a SQLite URL names, without its scheme.
fn file(path: &str) -> PathBuf {
    match path.strip_prefix("file:") {
        Some(path) => {
            let path = path.split(['?', '#']).next().unwrap_or("");
            decoded(path.strip_prefix("//").unwrap_or(path)).into()
        }
        None => path.into(),
    }
}

/// A path from the root, also of a file that is not there yet.
pub(super) fn full(path: &Path) -> PathBuf {
    if let Ok(full) = path.canonicalize() {
        return full;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// What a part of a URL says; as it stands where it says nothing in percents.
fn decoded(text: &str) -> String {
    url::decoded(text).unwrap_or_else(|| text.to_owned())
}

/// What may stand in any part of a URL.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        match Place::parse(url) {
            Ok(Place::Server(server)) => server,
            _ => panic!("{url} names a server"),
        }
    }

    #[test]
    fn a_server_is_told_without_its_secrets() {
        let all = server(
            "postgres://me:p%40ss%2Fword@[::1]:5432/app%20one?sslmode=require&password=x&sslpassword=y&keepalives=0",
        );
        assert_eq!(all.to_string(), "postgres://[::1]:5432/app%20one");
        assert_eq!(all.url_of("other db", false), "postgres://me@[::1]:5432/other%20db?sslmode=require&keepalives=0");
        assert_eq!(
            all.url_of("other", true),
            "postgres://me:p%40ss%2Fword@[::1]:5432/other?sslmode=require&password=x&sslpassword=y&keepalives=0"
        );
        assert_eq!(all.host(), ("::1".into(), Some("5432".into())));
        assert_eq!(all.scrub("no p@ss/word or p%40ss%2Fword here"), "no *** or *** here");
        let socket = server("postgres:///app?host=/run/pg&port=5433&user=me");
        assert_eq!((socket.to_string().as_str(), socket.secret()), ("postgres:///run/pg:5433/app", None));
        let socket = server("mariadb://root@localhost/app?unix_socket=/run/my");
        assert_eq!(socket.to_string(), "mysql:///run/my/app");
        assert_eq!(socket.text(), "mysql://root@localhost/app?unix_socket=/run/my");
        assert!(Place::parse("mysql://a:b?c@h/d").is_err(), "what can be read in two ways is refused");
    }

    #[test]
    fn each_form_of_a_file_is_its_path() {
        for url in ["/srv/a b.db", "sqlite:/srv/a b.db", "sqlite:///srv/a b.db", "file:/srv/a%20b.db?mode=rw"] {
            let place = Place::parse(url).expect("a place");
            assert!(matches!(&place, Place::File(path) if path == Path::new("/srv/a b.db")), "{url} is {place}");
            assert_eq!(place.stem(), "a_b");
        }
        assert!(Place::parse("oracle://db").is_err());
    }
}
