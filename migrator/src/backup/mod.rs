//! Copies of a database: made before a run changes it, listed, verified, pruned, and brought back.
//!
//! ```no_run
//! # use diesel::prelude::*;
//! use migrator::backup::{Backup, Backups};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let migrations = migrator::MigrationSet::from_path("migrations")?;
//! # let mut conn = SqliteConnection::establish("app.db")?;
//! // A run that has something to apply makes a backup first, or does nothing.
//! let report = migrator::Migrator::new(&migrations).backup_before(Backup::to("backups")).run(&mut conn)?;
//! if let Some(backup) = report.backup() {
//!     println!("the state before is in {backup}");
//! }
//! // The newest five of each database, and nothing that is younger than a month.
//! Backups::in_folder("backups").prune(5, Some(std::time::Duration::from_secs(30 * 24 * 60 * 60)))?;
//! # Ok(())
//! # }
//! ```
//!
//! A backup counts when its manifest stands beside it: written last, synced, renamed. It is verified before that, so that what is
//! cut off, by a full disk or by `kill -9`, is never taken for one.
//!
//! | database | made by | holds |
//! |---|---|---|
//! | SQLite | `VACUUM INTO`, checked with `integrity_check` | the file as it was committed last, its WAL included; during a run nobody can write in between |
//! | PostgreSQL | `pg_dump` (custom format), not older than the server | one snapshot; roles and tablespaces are the server's and are not in it |
//! | MySQL, MariaDB | `mysqldump`, `mariadb-dump`, not older than the server | InnoDB's rows of one moment, views, routines, triggers, events; users are the server's |
//!
//! On a server the migration lock keeps every other run out, not the application: what it writes while the backup is made may be
//! missing from it.

// What is shared is shared by three; a build with all of them tells what nobody needs.
#![cfg_attr(
    not(all(feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "each database needs other parts of what is shared here")
)]

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
mod disabled;
mod folder;
mod making;
mod manifest;
#[cfg(feature = "mysql")]
mod mysql;
mod place;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod program;
mod restore;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod secret;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use diesel::connection::LoadConnection;
use migrator_source::layout::Layout;
use migrator_source::sql::SqlDialect;

use self::making::{Making, refused};
use self::place::{Place, Server};
use self::restore::Bringing;
use crate::dialect::{Dialect, Facts, LockKey, Look, refused as database_refused};
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::history::{self, Home};
use crate::lock::Wait;
use crate::record::{History, Standing as Past};

#[cfg(not(feature = "mysql"))]
use self::disabled as mysql;
#[cfg(not(feature = "postgres"))]
use self::disabled as postgres;
#[cfg(not(feature = "sqlite"))]
use self::disabled as sqlite;

pub use folder::{Backups, Listing};
pub use manifest::Manifest;
#[cfg(feature = "cli")]
pub(crate) use manifest::Size;
pub use restore::{Restore, Restored};

/// How a backup is made, and where it goes.
///
/// | option | default |
/// |---|---|
/// | [`url`](Self::url) | none: SQLite's file is known from the connection, a server's password is not |
/// | [`programs`](Self::programs) | the `PATH` |
#[derive(Clone)]
pub struct Backup {
    how: How,
    url: Option<Arc<str>>,
    programs: Option<PathBuf>,
}

#[derive(Clone)]
enum How {
    Copy(Spot),
    Call(Arc<Call>),
}

/// Where a copy goes.
#[derive(Debug, Clone)]
enum Spot {
    /// Under a name of its own: database, time, four random digits.
    Folder(PathBuf),
    File(PathBuf),
}

/// What a host gives to make a backup in its own way.
type Call = dyn Fn(&str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

impl Backup {
    /// A copy in this folder, which is made when it is not there: `<database>-<time>-<4 digits>.<sqlite|dump|sql>` and its
    /// manifest.
    pub fn to(folder: impl Into<PathBuf>) -> Self {
        Self::copy(Spot::Folder(folder.into()))
    }

    /// A copy as this file, which must not be there, and its manifest `<file>.manifest`.
    pub fn to_file(file: impl Into<PathBuf>) -> Self {
        Self::copy(Spot::File(file.into()))
    }

    fn copy(spot: Spot) -> Self {
        Self { how: How::Copy(spot), url: None, programs: None }
    }

    /// Whatever the host does: a branch, a snapshot. It is told the database's name, and returns a reference with which a person
    /// finds the backup. An error stops the run.
    pub fn by(
        call: impl Fn(&str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        Self { how: How::Call(Arc::new(call)), url: None, programs: None }
    }

    /// The URL of the database, for the programs that copy PostgreSQL, MySQL and MariaDB. It must lead to the very server and
    /// database of the connection, which is proved before anything is copied. Its password is given to them in a file that only
    /// this user can read; it is never on a command line, nor printed.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into().into());
        self
    }

    /// How long ago the newest copy of a database was made, by the manifests where this one would go; `None` when nobody knows.
    /// `file` is that of SQLite, for which no URL is asked.
    pub(crate) fn age(&self, file: Option<&str>) -> Option<Duration> {
        let How::Copy(spot) = &self.how else { return None };
        let database = file.or(self.url.as_deref())?;
        match spot {
            Spot::Folder(folder) => Backups::in_folder(folder).age(database).ok()?,
            Spot::File(file) => Manifest::whole(file).ok()?.age_of(database).ok()?,
        }
    }

    /// The folder of `pg_dump`, `pg_restore`, `mariadb-dump` or `mysqldump`. Default: the `PATH`.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }
}

/// Without the URL.
impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            How::Copy(spot) => f.debug_tuple("Backup").field(spot).finish_non_exhaustive(),
            How::Call(_) => f.debug_tuple("Backup").field(&"by the host").finish(),
        }
    }
}

/// Makes a backup while the migrating connection holds the lock. Returns the file, or what the host calls it.
pub(crate) fn make<C>(
    backup: &Backup,
    conn: &mut C,
    facts: &Facts,
    key: &LockKey,
    history: Option<&History>,
    wait: &Wait,
) -> Result<String, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let Wait { hook, interrupt, .. } = wait;
    let spot = match &backup.how {
        How::Copy(spot) => spot,
        How::Call(call) => return called(&**call, &facts.database, hook),
    };
    let place = match (&backup.url, C::Backend::SQL) {
        // What the connection has open, whatever a URL says.
        (_, SqlDialect::Sqlite) if facts.database == ":memory:" => {
            return Err(refused("a database in memory cannot be copied", "run without a backup"));
        }
        (_, SqlDialect::Sqlite) => Place::File(PathBuf::from(&facts.database)),
        (Some(url), _) => Place::parse(url)?,
        (None, dialect) => {
            let message = format!("the programs of {dialect} need a URL to make a backup, and none was given");
            return Err(refused(message, "give it with Backup::url"));
        }
    };
    let holder = C::Backend::holder(conn, key, facts);
    let migrating = Migrating { database: &facts.database, facts, key, holder };
    let source = Source {
        place: &place,
        programs: backup.programs.as_deref(),
        migrating: Some(migrating),
        standing: history.map(Standing::of).unwrap_or_default(),
    };
    // A connection that says nothing for long is cut by a firewall, or by `idle_session_timeout`, and with it goes the lock.
    let mut spoken = Instant::now();
    let mut awake = || {
        interrupt.check()?;
        if spoken.elapsed() > Duration::from_secs(1) {
            spoken = Instant::now();
            C::Backend::rows(conn, "SELECT '1'")
                .map_err(|error| database_refused::<C::Backend>("hold the lock", error))?;
        }
        Ok(())
    };
    let made = write(&source, spot, hook, &mut awake);
    // The program that copied was ended, here or by the same Ctrl-C, and what it says of that is not why.
    let manifest = made.map_err(|error| interrupt.check().err().unwrap_or(error))?;
    Ok(manifest.file.display().to_string())
}

fn called(call: &Call, database: &str, hook: &Hook) -> Result<String, Error> {
    let start = Instant::now();
    hook.emit(Event::BackupStarted { database });
    let reference = call(database).map_err(|error| {
        refused("the host's backup failed, and nothing was changed", "see what it says, then run again")
            .with_source(std::io::Error::other(error.to_string()))
    })?;
    hook.emit(Event::BackupFinished { reference: &reference, bytes: None, duration: start.elapsed() });
    Ok(reference)
}

/// What is copied.
struct Source<'a> {
    place: &'a Place,
    programs: Option<&'a Path>,
    /// The connection that holds the migration lock; `None` outside of every run.
    migrating: Option<Migrating<'a>>,
    standing: Standing,
}

struct Migrating<'a> {
    database: &'a str,
    facts: &'a Facts,
    key: &'a LockKey,
    /// Who the migrating connection says holds the lock: itself.
    holder: Option<String>,
}

impl Source<'_> {
    /// Proves that the URL leads to the database of the migrating connection: there, the same session holds the migration lock.
    fn is_of<C>(&self, conn: &mut C, database: &str, server: &Server) -> Result<(), Error>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let Some(migrating) = &self.migrating else { return Ok(()) };
        // What a role is told of another one's session differs; its number does not.
        let number = |holder: Option<String>| holder.and_then(|holder| Some(holder.split(',').next()?.to_owned()));
        let there = number(C::Backend::holder(conn, migrating.key, migrating.facts));
        if database == migrating.database && there.is_some() && there == number(migrating.holder.clone()) {
            return Ok(());
        }
        let message = format!("{server} is not the database that is migrated, {}", migrating.database);
        Err(refused(message, "give the URL of the connection that migrates to Backup::url"))
    }
}

/// What was applied when a backup was made.
#[derive(Debug, Default)]
struct Standing {
    head: Option<String>,
    fingerprint: Option<String>,
}

impl Standing {
    fn of(history: &History) -> Self {
        // Only the grouping by version depends on the layout, not which record is the last.
        let pasts = history.pasts(Layout::Diesel);
        let applied = pasts.values().filter(|past| matches!(past.standing, Past::Applied | Past::Baselined));
        Self {
            head: applied.max_by_key(|past| past.record.sequence).map(|past| past.record.version.clone()),
            fingerprint: history.meta.as_ref().and_then(|meta| meta.fingerprint).map(|sum| sum.to_string()),
        }
    }
}

/// What was applied to the database of this connection; nothing where its history is not whole.
fn standing<C: LoadConnection<Backend: Dialect>>(conn: &mut C) -> Result<Standing, Error> {
    let facts = C::Backend::facts(conn, None, Look::First)
        .map_err(|error| database_refused::<C::Backend>("tell what it is", error))?;
    let home = Home { schema: facts.schema.clone(), set_name: String::new() };
    let history = history::load(conn, &facts, &home);
    Ok(history.ok().flatten().as_ref().map(Standing::of).unwrap_or_default())
}

/// What made a copy.
struct Copied {
    server: String,
    tool: String,
}

/// How often the size of what is written is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Is told how many bytes are written, of how many where that is known.
type Tick<'a> = dyn FnMut(u64, Option<u64>) -> Result<(), Error> + 'a;

/// Copies, checks, and gives the copy its name.
fn write(
    source: &Source<'_>,
    spot: &Spot,
    hook: &Hook,
    awake: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<Manifest, Error> {
    let (start, database, dialect) = (Instant::now(), source.place.to_string(), source.place.dialect());
    let created_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let (ending, copy): (_, fn(&_, &_, &mut _) -> _) = match dialect {
        SqlDialect::Sqlite => (sqlite::ENDING, sqlite::copy),
        SqlDialect::Postgres => (postgres::ENDING, postgres::copy),
        SqlDialect::Mysql => (mysql::ENDING, mysql::copy),
    };
    let making = Making::begin(spot, &source.place.stem(), ending)?;
    hook.emit(Event::BackupStarted { database: &database });
    let copied = copy(source, &making.partial, &mut |bytes, of| {
        hook.emit(Event::BackupProgress { bytes, of });
        awake()
    })?;
    let mut manifest = Manifest {
        file: making.partial.clone(),
        database,
        dialect,
        server: copied.server,
        tool: copied.tool,
        created_at,
        bytes: 0,
        sha256: String::new(),
        head: source.standing.head.clone(),
        fingerprint: source.standing.fingerprint.clone(),
        migrator: env!("CARGO_PKG_VERSION").to_owned(),
    };
    check_readable(&manifest, source.programs)?;
    manifest = making.finish(manifest)?;
    let (reference, bytes) = (manifest.file.display().to_string(), Some(manifest.bytes));
    hook.emit(Event::BackupFinished { reference: &reference, bytes, duration: start.elapsed() });
    Ok(manifest)
}

/// Whether its database can read a backup.
fn check_readable(manifest: &Manifest, programs: Option<&Path>) -> Result<(), Error> {
    match manifest.dialect {
        SqlDialect::Sqlite => sqlite::check(&manifest.file, programs),
        SqlDialect::Postgres => postgres::check(&manifest.file, programs),
        SqlDialect::Mysql => mysql::check(&manifest.file, programs),
    }
}

fn restore_of(dialect: SqlDialect, bringing: &mut Bringing<'_>) -> Result<Vec<String>, Error> {
    match dialect {
        SqlDialect::Sqlite => sqlite::restore(bringing),
        SqlDialect::Postgres => postgres::restore(bringing),
        SqlDialect::Mysql => mysql::restore(bringing),
    }
}

/// What a database is marked as; `None` when it is not there.
fn marks_of(place: &Place) -> Result<Option<Vec<String>>, Error> {
    match place.dialect() {
        SqlDialect::Sqlite => sqlite::marks(place),
        SqlDialect::Postgres => postgres::marks(place),
        SqlDialect::Mysql => mysql::marks(place),
    }
}

/// What the history in this schema, or in the connection's own, is marked as.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn marks<C: LoadConnection<Backend: Dialect>>(conn: &mut C, schema: Option<&str>) -> Result<Vec<String>, Error> {
    let facts = C::Backend::facts(conn, schema, Look::First)
        .map_err(|error| database_refused::<C::Backend>("tell what it is", error))?;
    history::marks(conn, &facts)
}
