//! Bringing a backup back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::manifest::Manifest;
use super::place::Place;
use super::{Source, Spot, Standing, marks_of, restore_of, write};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Hook, Listener};
use crate::guard::{self, Act, Facing};
use crate::plan::Policy;

/// Brings a backup back: options first, then [`into`](Self::into).
///
/// It replaces everything that the database holds. Before it does, it verifies the backup, refuses a database that is in use,
/// and makes a backup of the present state beside the one that is restored.
///
/// | database | how, and what a restore that is cut off leaves |
/// |---|---|
/// | SQLite | one rename, under SQLite's own lock: the old state or the new one |
/// | PostgreSQL | `pg_restore` into a fresh database, which changes names with the old one in one transaction: the old state or the new one, and perhaps a database called `…_migrator_…`. The role must own the database and have `CREATEDB` |
/// | MySQL, MariaDB | the dump is tried in a database of its own; then the database is dropped, made and loaded, which no transaction holds together: a database that is not whole, and the copy that was made first |
///
/// ```no_run
/// # fn main() -> Result<(), migrator::Error> {
/// let restored = migrator::backup::Restore::of("backups/app-20260102T030405Z-1a2b.sqlite").into("sqlite:app.db")?;
/// println!("{restored}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a restore does nothing before `into`"]
#[derive(Debug)]
pub struct Restore {
    file: PathBuf,
    programs: Option<PathBuf>,
    sessions: Policy,
    other: Policy,
    environment: Option<Environment>,
    confirmed: Option<String>,
    hook: Hook,
}

impl Restore {
    /// Restores this file, which must have its manifest beside it.
    pub fn of(file: impl Into<PathBuf>) -> Self {
        let hook = Hook::default();
        let (programs, environment, confirmed) = (None, None, None);
        let (sessions, other) = (Policy::Refuse, Policy::Refuse);
        Self { file: file.into(), programs, sessions, other, environment, confirmed, hook }
    }

    /// The folder of `pg_restore`, `mariadb` and the programs that make the copy. Default: the `PATH`.
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// What to do when others are connected. Default: refuse. With [`Policy::Allow`] they are disconnected, and what they wrote
    /// since the copy is lost; on SQLite, where nobody can be disconnected, they go on in a file that is gone (and in WAL mode it
    /// is refused all the same). [`Policy::Warn`] is [`Policy::Refuse`].
    pub fn while_connected(mut self, policy: Policy) -> Self {
        self.sessions = policy;
        self
    }

    /// What to do when the backup is of another database than the one that it is restored into. Default: refuse.
    /// [`Policy::Warn`] allows it and says so.
    pub fn other_database(mut self, policy: Policy) -> Self {
        self.other = policy;
        self
    }

    /// What this process takes the database for. One that is marked as something else is not replaced. Default: nothing.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// The database's name, typed back: on production a restore wants it. For SQLite it is the name of the file. Default: none.
    pub fn confirm(mut self, database: impl Into<String>) -> Self {
        self.confirmed = Some(database.into());
        self
    }

    /// Is told about the copy that is made first.
    pub fn on_event(mut self, hook: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        let hook: std::sync::Arc<Listener> = std::sync::Arc::new(hook);
        self.hook = Hook(Some(hook));
        self
    }

    /// Restores into the database that this URL names. It need not be there yet.
    ///
    /// # Errors
    /// `environment_mismatch` and `not_confirmed` when the database that is replaced is marked as something else, or is production
    /// and its name was not typed back; `backup_damaged` when the backup is not what its manifest says; `restore_refused` when the database is in use, or another
    /// one; `backup_failed` when the present state could not be copied; `program` when a program is missing or too old;
    /// `restore_failed` when the database refuses, which says whether anything was changed.
    pub fn into(self, url: &str) -> Result<Restored, Error> {
        let place = Place::parse(url)?;
        let manifest = Manifest::of(&self.file)?;
        let (from, to) = (&manifest.database, place.to_string());
        if manifest.dialect != place.dialect() {
            let message =
                format!("{} is a backup of {}, and {to} is {}", self.file.display(), manifest.dialect, place.dialect());
            return Err(Error::new("restore_refused", message, "name a database of the same kind"));
        }
        let mut warnings = Vec::new();
        if *from != to {
            let message = format!("the backup is of {from}, and it is restored into {to}");
            if self.other == Policy::Refuse {
                let remedy = "check both; then restore with --other-database (Restore::other_database)";
                return Err(Error::new("restore_refused", message, remedy));
            }
            warnings.push(message);
        }
        let before = self.guard(&place)?;
        let programs = self.programs.as_deref();
        manifest.verify(programs)?;
        let mut copy = None;
        let spot = Spot::Folder(manifest.folder());
        let mut make = |standing: Standing| {
            let source = Source { place: &place, programs, migrating: None, standing };
            copy = Some(write(&source, &spot, &self.hook, &mut || Ok(()))?);
            Ok(())
        };
        let told = |bytes| self.hook.emit(Event::RestoreProgress { bytes, of: manifest.bytes });
        let (sessions, of, copying) = (self.sessions, &manifest, &mut make);
        let mut bringing = Bringing { manifest: of, place: &place, programs, sessions, copy: copying, told: &told };
        tracing::info!(target: "migrator", file = %manifest.file.display(), into = %to, "restoring");
        let told = restore_of(manifest.dialect, &mut bringing).map_err(|error| match &copy {
            Some(Manifest { file, .. }) if error.code() == "restore_failed" => {
                let remedy = format!("{}; the state before is in {}", error.remedy(), file.display());
                error.with_remedy(remedy)
            }
            _ => error,
        });
        warnings.extend(told?);
        let expected = before.or(self.environment.map(|mine| mine.name().to_owned()));
        warnings.extend(another_mark(&place, expected.as_deref(), *from != to));
        Ok(Restored { backup: manifest, copy, into: to, warnings })
    }
}

impl Restore {
    /// Refuses to replace a database that is marked as something else, or is production. Returns what it is marked as.
    fn guard(&self, place: &Place) -> Result<Option<String>, Error> {
        // One that is not there is nobody's.
        let Some(marks) = marks_of(place)? else { return Ok(None) };
        let (database, marked) = (place.name(), guard::strictest(&marks));
        let (declared, confirmed) = (self.environment, self.confirmed.as_deref());
        guard::allow(Act::Destroy("restore"), Facing { database: &database, declared, marked, confirmed })?;
        Ok(marked.map(str::to_owned))
    }
}

/// A word about the mark, which came with the backup, where it is not what was expected.
fn another_mark(place: &Place, expected: Option<&str>, is_another: bool) -> Option<String> {
    let marks = marks_of(place).ok().flatten()?;
    match (guard::strictest(&marks), expected) {
        (marked, expected) if marked == expected => None,
        (Some(marked), Some(expected)) => Some(format!(
            "it is marked {marked} now, as the backup is; `migrator mark {expected}` says again what it is for"
        )),
        (Some(marked), None) => is_another
            .then(|| format!("it is marked {marked} now, as the backup is; `migrator mark ENV` says what it is for")),
        (None, expected) => expected
            .map(|expected| format!("it is not marked any more; `migrator mark {expected}` says again what it is for")),
    }
}

/// What a restore did; it prints itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Restored {
    /// What was restored.
    pub backup: Manifest,
    /// The backup of the state before; `None` when there was no database.
    pub copy: Option<Manifest>,
    /// The database that it was restored into, without user and secrets.
    pub into: String,
    /// What was worth a word.
    pub warnings: Vec<String>,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restored {} into {}", self.backup.file.display(), self.into)?;
        if let Some(copy) = &self.copy {
            write!(f, "\n  the state before is in {}", copy.file.display())?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\n  warning: {warning}"))
    }
}

/// What a database needs to bring a backup back.
pub(super) struct Bringing<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) place: &'a Place,
    pub(super) programs: Option<&'a Path>,
    pub(super) sessions: Policy,
    /// Makes the copy of the present state, when nobody can change it any more as far as the database allows.
    pub(super) copy: &'a mut dyn FnMut(Standing) -> Result<(), Error>,
    /// Is told how many bytes of the backup are read.
    pub(super) told: &'a dyn Fn(u64),
}

impl Bringing<'_> {
    /// Runs a program that reads the backup from its standard input, and tells how far it is.
    ///
    /// # Errors
    /// With its complaints when it fails.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(super) fn feed(&self, mut command: std::process::Command) -> Result<(), String> {
        use std::io::Seek;
        let words = |error: std::io::Error| error.to_string();
        let mut backup = std::fs::File::open(&self.manifest.file).map_err(words)?;
        // Both ends have one position in the file.
        command.stdin(backup.try_clone().map_err(words)?);
        // Ctrl-C goes to everybody of a group, and would end the program half-way through the load.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        (self.told)(0);
        super::program::run(command, None, &mut |_| {
            let read = backup.stream_position().unwrap_or(0).min(self.manifest.bytes);
            // It is told that it begins.
            if read > 0 {
                (self.told)(read);
            }
            Ok(())
        })?;
        (self.told)(self.manifest.bytes);
        Ok(())
    }

    /// The name of the server's database, which need not be there yet.
    pub(super) fn database(&self) -> Result<String, Error> {
        match self.place {
            Place::Server(server) if !server.database().is_empty() => Ok(server.database()),
            other => {
                let message = format!("{other} names no database");
                Err(Error::new("restore_refused", message, "write scheme://user@host/database"))
            }
        }
    }
}

/// The database refused, and nothing, or not all, was restored.
pub(super) fn not_restored(message: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new("restore_failed", message, remedy)
}

/// Refuses other sessions in the database, or ends them.
pub(super) fn nobody_else(
    sessions: Policy,
    mut others: impl FnMut(bool) -> Result<Vec<String>, Error>,
) -> Result<(), Error> {
    let is_allowed = sessions == Policy::Allow;
    let mut who = others(is_allowed)?;
    // A client that has just ended is in the list for another moment, and so is one that was told to end.
    for _ in 0..20 {
        if who.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
        who = others(is_allowed)?;
    }
    if who.is_empty() || is_allowed {
        return Ok(());
    }
    let message = format!("the database is in use: {}", crate::status::list(who.iter().map(String::as_str)));
    let remedy = "stop the service, then restore again (--while-connected disconnects them)";
    Err(Error::new("restore_refused", message, remedy))
}
