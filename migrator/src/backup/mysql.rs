//! MySQL and MariaDB: a copy by `mariadb-dump` or `mysqldump`, brought back by the client program.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::mysql::{Mysql, MysqlConnection};

use super::making::refused;
use super::place::{Place, Server};
use super::program::{self, Program, numbers};
use super::restore::{Bringing, nobody_else, not_restored};
use super::secret::SecretFile;
use super::{Copied, Source, Tick};
use crate::dialect::{Cells, Dialect};
use crate::error::Error;
use crate::plan::Policy;

pub(super) const ENDING: &str = "sql";

/// The last line of a dump that was not cut off.
const LAST: &str = "-- Dump completed";

/// Copies the database with the server's own dump program, into an empty file: tables, views, routines, triggers, events.
///
/// The rows of InnoDB tables are those of one moment, at which this run holds the migration lock. What an application writes
/// after that moment is not in it. (MyISAM and Aria tables have no such moment.)
pub(super) fn copy(source: &Source<'_>, to: &Path, tick: &mut Tick<'_>) -> Result<Copied, Error> {
    let server = server(source.place)?;
    let mut conn = connect(server, server.text())?;
    let database = one(&mut conn, "SELECT CAST(DATABASE() AS CHAR CHARACTER SET utf8mb4)")?;
    if database.is_empty() {
        return Err(refused(format!("{server} names no database"), "write mysql://user@host/database"));
    }
    source.is_of(&mut conn, &database, server)?;
    let version = Version::of(&mut conn)?;
    // Only a dump that is told so has the past rows of such tables.
    let versioned = rows(
        &mut conn,
        "SELECT '1' FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'SYSTEM VERSIONED' LIMIT 1",
    )?;
    drop(conn);
    let dump = version.find("dump", source.programs)?;
    let (mut command, secret) = told(&dump, server, &version)?;
    command.args([
        "--single-transaction",
        "--quick",
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        "--comments",
    ]);
    command.args([
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G",
        "--add-drop-table",
    ]);
    if !versioned.is_empty() {
        command.arg("--dump-history");
    }
    if !version.is_mariadb {
        command.arg("--set-gtid-purged=OFF");
    }
    command.arg("--result-file").arg(to).arg("--").arg(&database);
    let mut secret = Some(secret);
    let mut grown = |size| {
        // It has connected, and needs no password any more.
        secret = secret.take().filter(|_| size == 0);
        tick(size, None)
    };
    program::run(command, Some(to), &mut grown)
        .map_err(|words| refused(format!("the dump program failed: {}", server.scrub(&words)), "see what it says"))?;
    Ok(Copied { server: version.text, tool: dump.version })
}

/// Looks for the line that a dump ends with; whether the bytes before it are all there the digest tells.
pub(super) fn check(file: &Path, _programs: Option<&Path>) -> Result<(), Error> {
    let end = || -> std::io::Result<String> {
        let mut file = File::open(file)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(200)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match end() {
        Ok(end) if end.lines().any(|line| line.starts_with(LAST)) => Ok(()),
        Ok(_) => Err(Error::new(
            "backup_damaged",
            format!("{} is cut off: it does not end with `{LAST}`", file.display()),
            "take another backup",
        )),
        Err(error) => Err(Error::new("backup_damaged", format!("{} cannot be read", file.display()), "check the path")
            .with_source(error)),
    }
}

/// Proves in a database of its own that the dump loads, then replaces all that the database has.
///
/// DDL commits by itself here, so the second step is not atomic: what it leaves when it is cut off is neither. The copy of the
/// state before brings that back, and the error says so.
pub(super) fn restore(bringing: &mut Bringing<'_>) -> Result<Vec<String>, Error> {
    let server = server(bringing.place)?;
    let name = bringing.database()?;
    let mut conn = connect(server, &server.url_of("information_schema", true))?;
    let version = Version::of(&mut conn)?;
    let client = version.find("client", bringing.programs)?;
    let quoted = Mysql::literal(&name);
    let found = rows(
        &mut conn,
        &format!(
            "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {quoted}"
        ),
    )?;
    nobody_in(&mut conn, &quoted, bringing.sessions)?;
    if !found.is_empty() {
        let mut old = connect(server, &server.url_of(&name, true))?;
        let standing = super::standing(&mut old)?;
        drop(old);
        (bringing.copy)(standing)?;
    }
    let mut warnings: Vec<String> = unseen(&mut conn)?.into_iter().collect();
    let made =
        found.first().map(|row| format!(" CHARACTER SET {} COLLATE {}", row.text(0), row.text(1))).unwrap_or_default();
    let trial = format!(
        "{}_migrator_{:08x}",
        name.chars().filter(char::is_ascii).take(32).collect::<String>(),
        fastrand::u32(..)
    );
    let (create_trial, drop_trial) = (
        format!("CREATE DATABASE {}{made}", Mysql::ident(&trial)),
        format!("DROP DATABASE IF EXISTS {}", Mysql::ident(&trial)),
    );
    match conn.batch_execute(&create_trial) {
        Ok(()) => {
            let loads = fill(bringing, server, &version, &client, &trial);
            let dropped = conn.batch_execute(&drop_trial);
            loads.map_err(|words| {
                let message = format!("the dump does not load, and the database is what it was: {words}");
                not_restored(message, "see what the server says; definers of views and routines must exist")
            })?;
            if let Err(error) = dropped {
                warnings.push(format!("the database {trial}, in which the dump was tried, is still there: {error}"));
            }
        }
        Err(error) => warnings.push(format!("the dump was not tried in a database of its own first: {error}")),
    }
    nobody_in(&mut conn, &quoted, bringing.sessions)?;
    // A day is the server's own patience with somebody who holds a table.
    let anew = format!(
        "SET SESSION lock_wait_timeout = 30; DROP DATABASE IF EXISTS {0}; CREATE DATABASE {0}{made}",
        Mysql::ident(&name)
    );
    let replaced = conn.batch_execute(&anew).map_err(|error| crate::error::words(&error));
    replaced.and_then(|()| fill(bringing, server, &version, &client, &name)).map_err(|words| {
        let message = format!("the restore stopped half-way, and the database is not whole: {words}");
        not_restored(message, "restore the copy that was made first: `migrator backups` lists it")
    })?;
    Ok(warnings)
}

/// What the database is marked as; `None` when there is none.
pub(super) fn marks(place: &Place) -> Result<Option<Vec<String>>, Error> {
    let server = server(place)?;
    let name = server.database();
    let mut conn = connect(server, &server.url_of("information_schema", true))?;
    let sql = format!("SELECT '1' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}", Mysql::literal(&name));
    match rows(&mut conn, &sql)?.is_empty() {
        true => Ok(None),
        false => super::marks(&mut conn, Some(&name)).map(Some),
    }
}

fn fill(
    bringing: &Bringing<'_>,
    server: &Server,
    version: &Version,
    client: &Program,
    name: &str,
) -> Result<(), String> {
    let (mut command, _secret) = told(client, server, version).map_err(|error| error.to_string())?;
    command.args(["--batch", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"]).arg("--database").arg(name);
    bringing.feed(command).map_err(|words| server.scrub(&words))
}

/// Refuses other sessions in the database, or ends them. Without the privilege PROCESS a role sees only its own.
fn nobody_in(conn: &mut MysqlConnection, database: &str, sessions: Policy) -> Result<(), Error> {
    let sql = format!(
        "SELECT CAST(ID AS CHAR), USER FROM information_schema.PROCESSLIST WHERE DB = {database} AND ID <> CONNECTION_ID() ORDER BY ID"
    );
    nobody_else(sessions, |ends| {
        let found = rows(conn, &sql)?;
        for row in found.iter().filter(|_| ends) {
            let _gone_by_itself = conn.batch_execute(&format!("KILL {}", row.text(0)));
        }
        Ok(found.iter().map(|row| format!("connection {} user {}", row.text(0), row.text(1))).collect())
    })
}

/// A word about sessions that this role is not shown: nobody knows whether they use the database.
fn unseen(conn: &mut MysqlConnection) -> Result<Option<String>, Error> {
    let all = rows(conn, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")?;
    let shown = rows(
        conn,
        "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.PROCESSLIST WHERE COMMAND NOT IN ('Daemon', 'Slave_IO', 'Slave_SQL', \
         'Slave_worker', 'Binlog Dump')",
    )?;
    let number = |rows: &[Cells], at| rows.first().and_then(|row| row.number::<u64>(at)).unwrap_or(0);
    let hidden = number(&all, 1).saturating_sub(number(&shown, 0));
    Ok((hidden > 0).then(|| {
        format!(
            "the role lacks PROCESS: whether {hidden} other sessions of the server used the database was not to be seen"
        )
    }))
}

/// A server's version, and which of the two it is: their programs do not serve each other.
struct Version {
    is_mariadb: bool,
    numbers: Vec<u32>,
    text: String,
}

impl Version {
    fn of(conn: &mut MysqlConnection) -> Result<Self, Error> {
        let version = one(conn, "SELECT CAST(VERSION() AS CHAR CHARACTER SET utf8mb4)")?;
        let is_mariadb = version.contains("MariaDB");
        let name = if is_mariadb { "MariaDB" } else { "MySQL" };
        Ok(Self { is_mariadb, numbers: numbers(&version).unwrap_or_default(), text: format!("{name} {version}") })
    }

    /// The program of the same maker, not older than the server.
    fn find(&self, what: &str, folder: Option<&Path>) -> Result<Program, Error> {
        let names: &[&str] = match (what, self.is_mariadb) {
            ("dump", true) => &["mariadb-dump", "mysqldump"],
            ("dump", false) => &["mysqldump"],
            (_, true) => &["mariadb", "mysql"],
            (_, false) => &["mysql"],
        };
        let series: Vec<String> = self.numbers.iter().take(2).map(u32::to_string).collect();
        let (maker, package) = if self.is_mariadb { ("MariaDB", "mariadb-client") } else { ("MySQL", "mysql-client") };
        let install = format!(
            "install the client programs of {maker} {} (Debian: {package}) and put them first on the PATH, or name their folder",
            series.join(".")
        );
        let program = Program::find(names, folder, &install)?;
        if program.version.contains("MariaDB") != self.is_mariadb {
            let message = format!("`{}` is not made for the server, {}", program.version, self.text);
            return Err(Error::new("program", message, install));
        }
        // `mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, …`, `mariadb-dump from 11.4.2-MariaDB, …`, `mysqldump  Ver 8.0.36 for …`
        let told = ["Distrib ", " from ", "Ver "].iter().find_map(|marker| program.numbers(marker)).unwrap_or_default();
        if told.iter().take(2).lt(self.numbers.iter().take(2)) {
            let message = format!("`{}` is older than the server, {}", program.version, self.text);
            return Err(Error::new("program", message, install));
        }
        Ok(program)
    }
}

/// A program with the server to go to, all of it in a file that only this user can read.
fn told(program: &Program, server: &Server, version: &Version) -> Result<(Command, SecretFile), Error> {
    let (host, port) = server.host();
    let mut lines = vec![("user", Some(server.user())), ("password", server.password.clone()), ("port", port)];
    lines.push(("host", Some(host).filter(|host| !host.is_empty())));
    let mut flags = Vec::new();
    for (key, value) in server.options() {
        match (key.as_str(), value.to_lowercase().as_str()) {
            ("unix_socket", _) => lines.push(("socket", Some(value))),
            ("ssl_ca", _) => lines.push(("ssl-ca", Some(value))),
            ("ssl_cert", _) => lines.push(("ssl-cert", Some(value))),
            ("ssl_key", _) => lines.push(("ssl-key", Some(value))),
            ("ssl_mode", _) if !version.is_mariadb => lines.push(("ssl-mode", Some(value))),
            ("ssl_mode", "disabled") => flags.push("skip-ssl"),
            ("ssl_mode", "required") => flags.push("ssl"),
            ("ssl_mode", "verify_ca" | "verify_identity") => flags.extend(["ssl", "ssl-verify-server-cert"]),
            _ => {}
        }
    }
    let mut text = String::from("[client]\n");
    for (name, value) in lines.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
        text.push_str(&format!("{name}=\"{value}\"\n"));
    }
    flags.iter().for_each(|flag| text.push_str(&format!("{flag}\n")));
    let secret = SecretFile::new(&text).map_err(|error| {
        refused("the password cannot be given to the program", "make room in TMPDIR").with_source(error)
    })?;
    let mut command = program.command();
    // The first argument, and the only file that is read.
    command.arg(format!("--defaults-file={}", secret.path().display())).env_remove("MYSQL_PWD").stdin(Stdio::null());
    Ok((command, secret))
}

fn server(place: &Place) -> Result<&Server, Error> {
    match place {
        Place::Server(server) if server.dialect() == Mysql::SQL => Ok(server),
        other => Err(refused(
            format!("{other} is no MySQL or MariaDB database"),
            "give the URL of the database that is migrated",
        )),
    }
}

fn connect(server: &Server, url: &str) -> Result<MysqlConnection, Error> {
    MysqlConnection::establish(url).map_err(|error| {
        let remedy = "check that the database is up and that the URL of the backup is right";
        let words = std::io::Error::other(server.scrub(&error.to_string()));
        Error::new("connection_failed", format!("cannot connect to {server}"), remedy).with_source(words)
    })
}

fn rows(conn: &mut MysqlConnection, sql: &str) -> Result<Vec<Cells>, Error> {
    Mysql::rows(conn, sql).map_err(|error| {
        Error::new("database", "the server does not tell what it is", "see what it says").with_database(error)
    })
}

fn one(conn: &mut MysqlConnection, sql: &str) -> Result<String, Error> {
    Ok(rows(conn, sql)?.first().map(|row| row.text(0).to_owned()).unwrap_or_default())
}
