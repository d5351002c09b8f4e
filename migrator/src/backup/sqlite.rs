//! SQLite: a copy by `VACUUM INTO`, brought back by a rename.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use diesel::connection::SimpleConnection;
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{Connection, QueryResult};

use super::making::{private, refused, sync_folder};
use super::place::{Place, full};
use super::restore::{Bringing, not_restored};
use super::{Copied, PAUSE, Source, Tick};
use crate::dialect::Dialect;
use crate::error::Error;
use crate::plan::Policy;

pub(super) const ENDING: &str = "sqlite";

/// How much is copied before it is told.
const SOME: u64 = 8 << 20;

/// Copies the database as it was committed last, WAL included, into an empty file.
///
/// It reads over a connection of its own. During a run the migrating connection holds SQLite's write lock (`BEGIN IMMEDIATE`)
/// and has written nothing, so that nobody changes the file before the run does.
pub(super) fn copy(source: &Source<'_>, to: &Path, tick: &mut Tick<'_>) -> Result<Copied, Error> {
    let mut conn = open(&path(source.place)?, "rw")?;
    let failed = |error| refused("the database cannot be copied", "see what SQLite says").with_database(error);
    let told = Sqlite::rows(
        &mut conn,
        "SELECT sqlite_version(), CAST((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM \
         pragma_freelist_count) AS TEXT), CAST((SELECT page_size FROM pragma_page_size) AS TEXT)",
    );
    let told = told.map_err(failed)?;
    let number = |at| told.first().and_then(|row| row.number::<u64>(at)).unwrap_or(0);
    let total = number(1) * number(2);
    let sql = format!("PRAGMA busy_timeout = 5000; VACUUM INTO {}", Sqlite::literal(text(to)?));
    let mut stopped = Ok(());
    let result = thread::scope(|scope| {
        let (sender, ended) = mpsc::channel();
        let work = scope.spawn(move || {
            let result = conn.batch_execute(&sql);
            let _nobody_waits = sender.send(());
            result
        });
        while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            let size = fs::metadata(to).map_or(0, |metadata| metadata.len());
            if stopped.is_ok() {
                // Nothing interrupts the statement; what is wrong is told behind it.
                stopped = tick(size, Some(total));
            }
        }
        work.join()
    });
    stopped?;
    result.unwrap_or(Err(diesel::result::Error::NotFound)).map_err(failed)?;
    let version = told.first().map_or("", |row| row.text(0));
    Ok(Copied { server: format!("SQLite {version}"), tool: "VACUUM INTO".to_owned() })
}

/// Reads all of a copy.
pub(super) fn check(file: &Path, _programs: Option<&Path>) -> Result<(), Error> {
    let damaged = |words: String| {
        let remedy = "take another backup; `migrator backups --verify` tells which are whole";
        let message = format!("{} is no database that SQLite can read: {words}", file.display());
        Error::new("backup_damaged", message, remedy)
    };
    // Nobody else writes it, and no file is made beside it.
    let mut conn = open(file, "ro&immutable=1")?;
    let rows = Sqlite::rows(&mut conn, "PRAGMA integrity_check(3)").map_err(|error| damaged(error.to_string()))?;
    let words: Vec<&str> = rows.iter().map(|row| row.text(0)).collect();
    if words == ["ok"] { Ok(()) } else { Err(damaged(words.join("; "))) }
}

/// Puts the copy in the database's place, under SQLite's own lock, by one rename.
pub(super) fn restore(bringing: &mut Bringing<'_>) -> Result<Vec<String>, Error> {
    let file = full(&path(bringing.place)?);
    let failed = |what: &str| {
        let message = format!("{what}; the database is what it was");
        move |error: io::Error| not_restored(message, "check the folder's permissions and room").with_source(error)
    };
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", file.display()));
    let exists = file.metadata().is_ok_and(|metadata| metadata.len() > 0);
    if !exists && let Some(left) = ["-wal", "-journal"].map(beside).into_iter().find(|path| path.exists()) {
        let message = format!("{} is left of a database that is gone, and would be read into this one", left.display());
        return Err(not_restored(message, "move that file away, then restore again"));
    }
    let mut warnings = Vec::new();
    let holders = holders(&file);
    if !holders.is_empty() {
        let who = format!("{} is open in {}", file.display(), holders.join(", "));
        if bringing.sessions != Policy::Allow {
            return Err(in_use(&who));
        }
        warnings.push(format!("{who}: what it writes from now on goes into a file that is gone; start it again"));
    }
    let mut held = match exists {
        true => Some(Held::take(&file)?),
        false => None,
    };
    if let Some(held) = &mut held {
        let standing = super::standing(&mut held.conn)?;
        (bringing.copy)(standing)?;
    }
    let new = Beside(beside("-migrator-restore"));
    copied(bringing, &new.0).map_err(failed("the copy cannot be written beside the database"))?;
    if let Ok(metadata) = file.metadata() {
        keep_owner(&metadata, &new.0).map_err(failed("the copy cannot be given to the database's owner"))?;
    }
    if held.as_ref().is_some_and(|held| held.wal) {
        open(&new.0, "rw")?.batch_execute("PRAGMA journal_mode = wal").map_err(|error| {
            not_restored("the copy cannot be switched to WAL", "see what SQLite says").with_database(error)
        })?;
    }
    File::open(&new.0).and_then(|file| file.sync_all()).map_err(failed("the copy cannot be synced"))?;
    if let Some(held) = &mut held {
        held.exclude(bringing.sessions)?;
    }
    fs::rename(&new.0, &file).map_err(failed("the copy cannot be renamed"))?;
    sync_folder(&file).map_err(|error| {
        not_restored("the restored database is in place, and may not outlast a power cut", "sync the disk")
            .with_source(error)
    })?;
    Ok(warnings)
}

/// Copies the backup to a file, and tells how far it is.
fn copied(bringing: &Bringing<'_>, to: &Path) -> io::Result<()> {
    let from = File::open(&bringing.manifest.file)?;
    let (mut told, mut bytes) = (Instant::now(), 0);
    (bringing.told)(bytes);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private(&mut options);
    let mut to = options.open(to)?;
    loop {
        let some = io::copy(&mut (&from).take(SOME), &mut to)?;
        bytes += some;
        if some == 0 || told.elapsed() > PAUSE {
            told = Instant::now();
            (bringing.told)(bytes);
        }
        if some == 0 {
            return Ok(());
        }
    }
}

/// What the database is marked as; `None` when there is none.
pub(super) fn marks(place: &Place) -> Result<Option<Vec<String>>, Error> {
    let file = full(&path(place)?);
    match file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        true => super::marks(&mut open(&file, "rw")?, None).map(Some),
        false => Ok(None),
    }
}

/// The database that is replaced, under its write lock.
struct Held {
    conn: SqliteConnection,
    wal: bool,
    /// What tells whether somebody else wrote.
    version: String,
    file: PathBuf,
}

impl Held {
    fn take(file: &Path) -> Result<Self, Error> {
        let mut conn = open(file, "rw")?;
        let mut begin = || -> QueryResult<(bool, String)> {
            let mode = Sqlite::rows(&mut conn, "PRAGMA journal_mode")?;
            // The lock itself: nobody writes while the copy of the present state is made.
            conn.batch_execute("PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE")?;
            let version = data_version(&mut conn)?;
            Ok((mode.first().is_some_and(|row| row.text(0) == "wal"), version))
        };
        let (wal, version) = begin().map_err(|error| busy(file, error))?;
        Ok(Self { conn, wal, version, file: file.to_owned() })
    }

    /// Leaves no reader, no WAL and no journal, and lets nobody in until this value is gone.
    ///
    /// A WAL that stood beside the renamed file would be read into it. Switching it off also proves that no other connection has
    /// the database open. Between the two locks somebody could write; the data version tells.
    fn exclude(&mut self, sessions: Policy) -> Result<(), Error> {
        let mut exclude = || -> QueryResult<Option<String>> {
            self.conn.batch_execute("ROLLBACK")?;
            if self.wal {
                self.conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
                let mode = Sqlite::rows(&mut self.conn, "PRAGMA journal_mode = delete")?;
                if mode.first().is_none_or(|row| row.text(0) != "delete") {
                    return Ok(None);
                }
            }
            self.conn.batch_execute("BEGIN EXCLUSIVE")?;
            data_version(&mut self.conn).map(Some)
        };
        let Some(version) = exclude().map_err(|error| busy(&self.file, error))? else {
            return Err(in_use(&format!("another connection has {} open", self.file.display())));
        };
        if version != self.version && sessions != Policy::Allow {
            return Err(in_use(&format!("somebody wrote to {} meanwhile", self.file.display())));
        }
        Ok(())
    }
}

fn data_version(conn: &mut SqliteConnection) -> QueryResult<String> {
    let rows = Sqlite::rows(conn, "PRAGMA data_version")?;
    Ok(rows.first().map(|row| row.text(0).to_owned()).unwrap_or_default())
}

/// A file that goes away unless it was renamed.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _renamed = fs::remove_file(&self.0);
    }
}

/// Not even when it is asked for: what another connection has open in WAL mode would be read into the new file.
fn busy(file: &Path, error: diesel::result::Error) -> Error {
    in_use(&format!("{} cannot be had alone", file.display()))
        .with_remedy("stop everything that has the database open, then restore again")
        .with_database(error)
}

fn in_use(who: &str) -> Error {
    let remedy = "stop the service, then restore again (--while-connected restores all the same)";
    Error::new("restore_refused", format!("the database is in use: {who}"), remedy)
}

fn path(place: &Place) -> Result<PathBuf, Error> {
    match place {
        Place::File(path) => Ok(path.clone()),
        Place::Server(server) => {
            Err(refused(format!("{server} is no file"), "give the URL of the database that is migrated"))
        }
    }
}

fn text(path: &Path) -> Result<&str, Error> {
    path.to_str().ok_or_else(|| refused(format!("{} is not UTF-8", path.display()), "move it to a path that is"))
}

/// Opens a file that is there.
fn open(path: &Path, mode: &str) -> Result<SqliteConnection, Error> {
    let escaped = text(path)?.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    SqliteConnection::establish(&format!("file:{escaped}?mode={mode}"))
        .map_err(|error| refused(format!("{} cannot be opened", path.display()), "check the path").with_source(error))
}

/// The same owner, group and mode as the database had, or its service could not open it.
#[cfg(unix)]
fn keep_owner(of: &fs::Metadata, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    let is = file.metadata()?;
    if (is.uid(), is.gid()) != (of.uid(), of.gid()) {
        chown(file, Some(of.uid()), Some(of.gid()))?;
    }
    fs::set_permissions(file, of.permissions())
}

#[cfg(not(unix))]
fn keep_owner(of: &fs::Metadata, file: &Path) -> io::Result<()> {
    fs::set_permissions(file, of.permissions())
}

/// The processes that have the file open, this one included, as far as they may be looked at.
///
/// In rollback mode a connection that does nothing holds no lock, and SQLite cannot tell that it is there.
#[cfg(target_os = "linux")]
fn holders(file: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holds = |folder: &Path| {
        let open = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path == file)
    };
    let numbered = processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    numbered
        .filter(|(_, folder)| holds(folder))
        .map(|(pid, folder)| {
            let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
            format!("process {pid} ({})", name.trim())
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn holders(_file: &Path) -> Vec<String> {
    Vec::new()
}
