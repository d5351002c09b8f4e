//! PostgreSQL: a copy by `pg_dump`, brought back into a fresh database that takes the old one's name.

use std::path::Path;
use std::process::{Command, Stdio};

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::{Connection, QueryResult};

use super::making::refused;
use super::place::{Place, Server};
use super::program::{self, Program};
use super::restore::{Bringing, nobody_else, not_restored};
use super::secret::SecretFile;
use super::{Copied, PAUSE, Source, Tick};
use crate::dialect::{Cells, Dialect};
use crate::error::Error;
use crate::plan::Policy;

pub(super) const ENDING: &str = "dump";

/// How long `pg_dump` waits for a table that somebody holds exclusively, in milliseconds.
const LOCK_WAIT: u32 = 60_000;

/// Copies the database with `pg_dump`, in its custom format, into an empty file.
///
/// The copy is of one moment (`pg_dump` reads in one snapshot), at which this run holds the migration lock. What an application
/// writes after that moment is not in it.
pub(super) fn copy(source: &Source<'_>, to: &Path, tick: &mut Tick<'_>) -> Result<Copied, Error> {
    let server = server(source.place)?;
    let mut conn = connect(server, server.text())?;
    let (version, database) = (version(&mut conn)?, one(&mut conn, "SELECT current_database()::text")?);
    source.is_of(&mut conn, &database, server)?;
    drop(conn);
    let dump = find("pg_dump", source.programs, &version)?;
    let (mut command, mut password) = told(&dump, server, &database)?;
    command.args(["--format=custom", "--no-password"]).arg(format!("--lock-wait-timeout={LOCK_WAIT}"));
    command.arg("--file").arg(to);
    let mut grown = |size| {
        // It has connected, and needs no password any more.
        password = password.take().filter(|_| size == 0);
        tick(size, None)
    };
    program::run(command, Some(to), &mut grown)
        .map_err(|words| refused(format!("pg_dump failed: {}", server.scrub(&words)), "see what pg_dump says"))?;
    Ok(Copied { server: format!("PostgreSQL {}", version.text), tool: dump.version })
}

/// Reads the table of contents; whether the bytes are all there the digest tells.
pub(super) fn check(file: &Path, programs: Option<&Path>) -> Result<(), Error> {
    let list = Program::find(&["pg_restore"], programs, INSTALL)?;
    let mut command = list.command();
    command.arg("--list").arg(file).stdin(Stdio::null());
    program::run(command, None, &mut |_| Ok(())).map_err(|words| {
        let message = format!("{} is no dump that {} can read: {words}", file.display(), list.version);
        Error::new("backup_damaged", message, "take another backup, or use the pg_restore of a newer PostgreSQL")
    })
}

/// Restores into a fresh database and lets it change names with the old one, in one transaction.
///
/// So whatever the old one has that the dump has not is gone too, and a restore that fails changed nothing.
pub(super) fn restore(bringing: &mut Bringing<'_>) -> Result<Vec<String>, Error> {
    let server = server(bringing.place)?;
    let name = bringing.database()?;
    let mut maintenance = maintenance(server, &name)?;
    let exchange = Exchange::new(&name);
    let found = rows(
        &mut maintenance,
        &format!("SELECT oid::text FROM pg_catalog.pg_database WHERE datname = {}", literal(&name)),
    )?;
    let exists = !found.is_empty();
    let restore = find("pg_restore", bringing.programs, &version(&mut maintenance)?)?;
    exchange.nobody_in(&mut maintenance, bringing.sessions)?;
    if exists {
        let mut conn = connect(server, &server.url_of(&name, true))?;
        let standing = super::standing(&mut conn)?;
        drop(conn);
        (bringing.copy)(standing)?;
    }
    let like = match exists {
        true => one(&mut maintenance, &create_like(&name, &exchange.fresh))?,
        false => format!("CREATE DATABASE {} TEMPLATE template0", ident(&exchange.fresh)),
    };
    execute(&mut maintenance, &like, "make a fresh database for the restore; the role needs CREATEDB")?;
    let restored = fill(bringing, server, &restore, &exchange.fresh).and_then(|()| {
        let statements = if exists { rows(&mut maintenance, &settings(&name, &exchange.fresh))? } else { Vec::new() };
        for statement in &statements {
            execute(&mut maintenance, statement.text(0), "give the fresh database the settings of the old one")?;
        }
        exchange.names(&mut maintenance, exists, bringing.sessions)
    });
    if let Err(error) = restored {
        let drop_it = format!("DROP DATABASE IF EXISTS {}", ident(&exchange.fresh));
        let _the_first_error_counts = maintenance.batch_execute(&drop_it);
        return Err(error);
    }
    let mut warnings = vec!["the planner has no statistics of the restored tables yet: run ANALYZE".to_owned()];
    if exists && let Err(error) = maintenance.batch_execute(&format!("DROP DATABASE {}", ident(&exchange.old))) {
        warnings.push(format!("the replaced database is still there, as {}: {error}", exchange.old));
    }
    Ok(warnings)
}

/// What the database is marked as, in any of its schemas; `None` when there is none.
pub(super) fn marks(place: &Place) -> Result<Option<Vec<String>>, Error> {
    let server = server(place)?;
    let name = server.database();
    let sql = format!("SELECT '1' FROM pg_catalog.pg_database WHERE datname = {}", literal(&name));
    if rows(&mut maintenance(server, &name)?, &sql)?.is_empty() {
        return Ok(None);
    }
    let mut conn = connect(server, &server.url_of(&name, true))?;
    let schemas = rows(
        &mut conn,
        "SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = \
         '__migrator_meta'",
    )?;
    let mut marks = Vec::new();
    for schema in &schemas {
        marks.extend(super::marks(&mut conn, Some(schema.text(0)))?);
    }
    Ok(Some(marks))
}

fn fill(bringing: &Bringing<'_>, server: &Server, restore: &Program, fresh: &str) -> Result<(), Error> {
    let (mut command, _password) = told(restore, server, fresh)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-password"]);
    bringing.feed(command).map_err(|words| {
        let message = format!("pg_restore failed, and the database is what it was: {}", server.scrub(&words));
        not_restored(message, "see what pg_restore says; roles and extensions must be there before")
    })
}

/// The names that the two databases have meanwhile.
struct Exchange {
    name: String,
    fresh: String,
    old: String,
}

impl Exchange {
    fn new(name: &str) -> Self {
        // A name has at most 63 bytes.
        let short: String = name.chars().take(24).filter(char::is_ascii).collect();
        let of = |what: &str| format!("{short}_migrator_{what}_{:08x}", fastrand::u32(..));
        Self { name: name.to_owned(), fresh: of("restore"), old: of("replaced") }
    }

    /// Refuses other sessions in the database, or ends them.
    fn nobody_in(&self, conn: &mut PgConnection, sessions: Policy) -> Result<(), Error> {
        // Of other roles' sessions a role without pg_read_all_stats is not told the type.
        let of = format!(
            "FROM pg_catalog.pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid() AND (backend_type = 'client backend' OR \
             backend_type IS NULL AND usesysid IS NOT NULL)",
            literal(&self.name)
        );
        let list = format!(
            "SELECT concat_ws(' ', 'backend', pid, 'user', usename, nullif(application_name, '')) {of} ORDER BY pid"
        );
        nobody_else(sessions, |ends| {
            if ends {
                execute(conn, &format!("SELECT pg_catalog.pg_terminate_backend(pid) {of}"), "end the other sessions")?;
            }
            Ok(rows(conn, &list)?.iter().map(|row| row.text(0).to_owned()).collect())
        })
    }

    /// Both get their new names, or none.
    fn names(&self, conn: &mut PgConnection, exists: bool, sessions: Policy) -> Result<(), Error> {
        let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {};", ident(from), ident(to));
        let away = if exists { rename(&self.name, &self.old) } else { String::new() };
        let sql = format!("BEGIN; {away} {} COMMIT", rename(&self.fresh, &self.name));
        let mut tries = 0;
        loop {
            self.nobody_in(conn, sessions)?;
            let Err(error) = conn.batch_execute(&sql) else { return Ok(()) };
            let _ended = conn.batch_execute("ROLLBACK");
            tries += 1;
            // A pool connects again at once; and a session that was ended takes a moment to go.
            if sessions != Policy::Allow || tries == 20 {
                let remedy = "stop the service, then restore again; the role must own the database and have CREATEDB";
                return Err(not_restored("the databases could not change names, and nothing was changed", remedy)
                    .with_database(error));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// A statement that makes an empty database like another one. To name `pg_default` needs a privilege that an owner lacks.
fn create_like(name: &str, fresh: &str) -> String {
    format!(
        "SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L CONNECTION LIMIT %s', \
         {}, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, d.datconnlimit) || CASE \
         t.spcname WHEN 'pg_default' THEN '' ELSE format(' TABLESPACE %I', t.spcname) END || CASE to_jsonb(d) ->> \
         'datlocprovider' WHEN 'i' THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', coalesce(to_jsonb(d) ->> 'datlocale', \
         to_jsonb(d) ->> 'daticulocale')) WHEN 'b' THEN format(' LOCALE_PROVIDER builtin BUILTIN_LOCALE %L', to_jsonb(d) ->> \
         'datlocale') ELSE '' END FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE \
         d.datname = {}",
        literal(fresh),
        literal(name)
    )
}

/// Statements that give a database what belongs to another one and is in no dump of it: settings, privileges, its comment.
fn settings(name: &str, fresh: &str) -> String {
    let (name, fresh) = (literal(name), literal(fresh));
    let lists = "('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries')";
    let value = format!(
        "CASE WHEN split_part(c, '=', 1) IN {lists} THEN substr(c, strpos(c, '=') + 1) ELSE quote_literal(substr(c, strpos(c, '=') + 1)) END"
    );
    format!(
        "SELECT CASE s.setrole WHEN 0 THEN format('ALTER DATABASE %I', {fresh}) ELSE format('ALTER ROLE %I IN DATABASE %I', \
         pg_get_userbyid(s.setrole), {fresh}) END || format(' SET %I TO %s', split_part(c, '=', 1), {value}) FROM \
         pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase CROSS JOIN unnest(s.setconfig) c \
         WHERE d.datname = {name} UNION ALL SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {fresh}) FROM \
         pg_catalog.pg_database WHERE datname = {name} AND datacl IS NOT NULL UNION ALL SELECT format('GRANT %s ON DATABASE %I TO \
         %s%s', a.privilege_type, {fresh}, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
         CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM pg_catalog.pg_database d CROSS JOIN \
         aclexplode(d.datacl) a WHERE d.datname = {name} UNION ALL SELECT format('COMMENT ON DATABASE %I IS %L', {fresh}, \
         shobj_description(oid, 'pg_database')) FROM pg_catalog.pg_database WHERE datname = {name} AND shobj_description(oid, \
         'pg_database') IS NOT NULL"
    )
}

const INSTALL: &str = "install PostgreSQL's client programs (Debian: postgresql-client), or name their folder";

/// A server's version.
struct Version {
    major: u32,
    text: String,
}

fn version(conn: &mut PgConnection) -> Result<Version, Error> {
    let number = one(conn, "SELECT current_setting('server_version_num')")?;
    let text = one(conn, "SELECT current_setting('server_version')")?;
    Ok(Version { major: number.parse::<u32>().unwrap_or(0) / 10_000, text })
}

/// A program that is not older than the server: an older `pg_dump` refuses, an older `pg_restore` may leave things out.
fn find(name: &str, folder: Option<&Path>, server: &Version) -> Result<Program, Error> {
    let install = format!(
        "install the client programs of PostgreSQL {0} (Debian: postgresql-client-{0}) and put them first on the PATH, or name \
         their folder",
        server.major
    );
    let program = Program::find(&[name], folder, &install)?;
    let major = program.numbers("(PostgreSQL)").and_then(|numbers| numbers.first().copied()).unwrap_or(0);
    if major < server.major {
        let message = format!("`{}` is older than the server, PostgreSQL {}", program.version, server.text);
        return Err(Error::new("program", message, install));
    }
    Ok(program)
}

/// A program with the database to go to: all but the password as a URL, the password in a file.
fn told(program: &Program, server: &Server, database: &str) -> Result<(Command, Option<SecretFile>), Error> {
    if server.options().any(|(key, _)| key == "sslpassword") {
        let remedy = "use a key without a passphrase that only this user can read";
        return Err(refused("the URL has an sslpassword, which no program of PostgreSQL takes from a file", remedy));
    }
    let mut command = program.command();
    command.arg(format!("--dbname={}", server.url_of(database, false))).stdin(Stdio::null());
    let Some(password) = server.secret() else { return Ok((command, None)) };
    if password.contains(['\n', '\r']) {
        return Err(refused("the password has a line end in it, which a password file cannot hold", "change it"));
    }
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    let secret = SecretFile::new(&format!("*:*:*:*:{escaped}\n")).map_err(|error| {
        refused("the password cannot be given to the program", "make room in TMPDIR").with_source(error)
    })?;
    command.env("PGPASSFILE", secret.path()).env_remove("PGPASSWORD");
    Ok((command, Some(secret)))
}

fn server(place: &Place) -> Result<&Server, Error> {
    match place {
        Place::Server(server) if server.dialect() == Pg::SQL => Ok(server),
        other => {
            Err(refused(format!("{other} is no PostgreSQL database"), "give the URL of the database that is migrated"))
        }
    }
}

fn connect(server: &Server, url: &str) -> Result<PgConnection, Error> {
    PgConnection::establish(url).map_err(|error| {
        let remedy = "check that the database is up and that the URL of the backup is right";
        let words = std::io::Error::other(server.scrub(&error.to_string()));
        Error::new("connection_failed", format!("cannot connect to {server}"), remedy).with_source(words)
    })
}

/// A connection to a database that is not the one that is replaced.
fn maintenance(server: &Server, replaced: &str) -> Result<PgConnection, Error> {
    let second = || connect(server, &server.url_of("template1", true));
    if replaced == "postgres" {
        return second();
    }
    connect(server, &server.url_of("postgres", true)).or_else(|error| second().map_err(|_| error))
}

fn rows(conn: &mut PgConnection, sql: &str) -> Result<Vec<Cells>, Error> {
    Pg::rows(conn, sql).map_err(|error| asked(error, "tell what it is"))
}

fn one(conn: &mut PgConnection, sql: &str) -> Result<String, Error> {
    Ok(rows(conn, sql)?.first().map(|row| row.text(0).to_owned()).unwrap_or_default())
}

fn execute(conn: &mut PgConnection, sql: &str, what: &str) -> Result<(), Error> {
    let result: QueryResult<()> = conn.batch_execute(sql);
    result.map_err(|error| asked(error, what))
}

fn asked(error: diesel::result::Error, what: &str) -> Error {
    let message = format!("the server refused to {what}; the database is what it was");
    Error::new("restore_failed", message, "see what the server says").with_database(error)
}

fn literal(text: &str) -> String {
    Pg::literal(text)
}

fn ident(name: &str) -> String {
    Pg::ident(name)
}
