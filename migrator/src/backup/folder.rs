//! A folder of backups: what is in it, whether it is whole, and what can go.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use migrator_source::checksum::{digest_of, hex};

use super::check_readable;
use super::making::sync_folder;
use super::manifest::Manifest;
use super::place::Place;
use crate::error::Error;

/// A folder of backups. Of one that is not there nothing is listed.
#[derive(Debug, Clone)]
pub struct Backups {
    folder: PathBuf,
    programs: Option<PathBuf>,
}

/// What is in a folder of backups.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Listing {
    /// The backups that have a manifest and the size that it says, the oldest first.
    pub backups: Vec<Manifest>,
    /// A sentence for each manifest whose backup is not there, or is not as it should be.
    pub problems: Vec<String>,
}

impl Backups {
    /// The backups in this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), programs: None }
    }

    /// The folder of `pg_restore`, with which a dump of PostgreSQL is verified. Default: the `PATH`.
    #[must_use]
    pub fn programs(mut self, folder: impl Into<PathBuf>) -> Self {
        self.programs = Some(folder.into());
        self
    }

    /// What is there, by manifests and sizes. Nothing is read whole; [`verify`](Self::verify) does that.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing { backups: Vec::new(), problems: Vec::new() };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(listing),
            entries => entries.map_err(|error| {
                let message = format!("the folder {} cannot be read", self.folder.display());
                Error::new("backup_failed", message, "check its permissions").with_source(error)
            })?,
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let Some(file) = name.strip_suffix(".manifest") else { continue };
            match Manifest::whole(self.folder.join(file)) {
                Ok(manifest) => listing.backups.push(manifest),
                Err(error) => listing.problems.push(error.message().to_owned()),
            }
        }
        listing.backups.sort_by(|a, b| (&a.created_at, &a.file).cmp(&(&b.created_at, &b.file)));
        listing.problems.sort();
        Ok(listing)
    }

    /// The newest backup of the database that this URL names, by manifests and sizes.
    ///
    /// # Errors
    /// As [`list`](Self::list), and when the URL cannot be read.
    pub fn newest(&self, database_url: &str) -> Result<Option<Manifest>, Error> {
        newest(self.list()?.backups, database_url)
    }

    /// How old the newest backup of the database that this URL names is; `None` when there is none. Cheap enough for a probe.
    ///
    /// # Errors
    /// As [`newest`](Self::newest).
    pub fn age(&self, database_url: &str) -> Result<Option<Duration>, Error> {
        Ok(self.newest(database_url)?.and_then(|manifest| manifest.age()))
    }

    /// Reads each backup whole: its digest, and whether its database can read it.
    ///
    /// # Errors
    /// As [`list`](Self::list); what is wrong with a backup is among the [problems](Listing::problems).
    pub fn verify(&self) -> Result<Listing, Error> {
        let mut listing = self.list()?;
        let mut problems = Vec::new();
        listing.backups.retain(|manifest| match manifest.verify(self.programs.as_deref()) {
            Ok(()) => true,
            Err(error) => {
                problems.push(match error.database_words() {
                    Some(words) => format!("{}: {words}", error.message()),
                    None => error.message().to_owned(),
                });
                false
            }
        });
        listing.problems.extend(problems);
        Ok(listing)
    }

    /// Deletes the backups of each database but the newest `keep` (at least one), and of the others only those that are older
    /// than `older_than`. Returns what was deleted.
    ///
    /// Before anything of a database is deleted, its newest backups are verified until one is whole, and that one stays whatever
    /// the numbers say; where none is whole, nothing is deleted. A file without a manifest of this crate is never touched.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not be deleted.
    pub fn prune(&self, keep: usize, older_than: Option<Duration>) -> Result<Vec<Manifest>, Error> {
        let mut of_each: Vec<Vec<Manifest>> = Vec::new();
        for manifest in self.list()?.backups.into_iter().rev() {
            let same = |group: &&mut Vec<Manifest>| {
                (group[0].dialect, &group[0].database) == (manifest.dialect, &manifest.database)
            };
            match of_each.iter_mut().find(same) {
                Some(group) => group.push(manifest),
                None => of_each.push(vec![manifest]),
            }
        }
        let is_old = |manifest: &Manifest| match older_than {
            None => true,
            // A time that cannot be read is of no age that allows anything.
            Some(limit) => manifest.age().is_some_and(|age| age > limit),
        };
        let mut deleted = Vec::new();
        for group in of_each.into_iter().filter(|group| group.iter().skip(keep.max(1)).any(is_old)) {
            let Some(whole) = group.iter().position(|manifest| manifest.verify(self.programs.as_deref()).is_ok())
            else {
                continue;
            };
            for (at, manifest) in group.into_iter().enumerate().skip(keep.max(1)) {
                if at != whole && is_old(&manifest) {
                    delete(&manifest.file)?;
                    deleted.push(manifest);
                }
            }
        }
        Ok(deleted)
    }
}

/// The last of these, the oldest first, that is of the database that this URL names.
fn newest(backups: Vec<Manifest>, database_url: &str) -> Result<Option<Manifest>, Error> {
    let database = Place::parse(database_url)?.to_string();
    Ok(backups.into_iter().rfind(|manifest| manifest.database == database))
}

/// The manifest goes first: what is left when it stops in between is no backup any more.
fn delete(file: &Path) -> Result<(), Error> {
    let gone =
        fs::remove_file(Manifest::path(file)).and_then(|()| fs::remove_file(file)).and_then(|()| sync_folder(file));
    gone.map_err(|error| {
        let message = format!("{} cannot be deleted", file.display());
        Error::new("backup_failed", message, "check the folder's permissions").with_source(error)
    })
}

impl Manifest {
    /// How long ago it was made, by this machine's clock; no time at all when that is in the future. `None` when the manifest's time
    /// cannot be read.
    pub fn age(&self) -> Option<Duration> {
        let made = humantime::parse_rfc3339(&self.created_at).ok()?;
        Some(SystemTime::now().duration_since(made).unwrap_or_default())
    }

    /// That of a backup, if it has the size that its manifest says.
    pub(super) fn whole(file: impl AsRef<Path>) -> Result<Self, Error> {
        let manifest = Self::of(file)?;
        manifest.has_its_size()?;
        Ok(manifest)
    }

    /// Its age, if it is of the database that this URL names.
    pub(super) fn age_of(self, database_url: &str) -> Result<Option<Duration>, Error> {
        Ok(newest(vec![self], database_url)?.and_then(|manifest| manifest.age()))
    }

    /// The folder of the backup.
    pub(super) fn folder(&self) -> PathBuf {
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).to_owned()
    }

    /// Whether the backup is what this manifest says: size, digest, and readable by its database (SQLite's `integrity_check`,
    /// `pg_restore --list`, the last line of a dump of MySQL). `programs` is the folder of `pg_restore`; else the `PATH`.
    ///
    /// # Errors
    /// `backup_damaged`, with what is wrong; `program` when `pg_restore` is not there.
    pub fn verify(&self, programs: Option<&Path>) -> Result<(), Error> {
        self.has_its_size()?;
        let sum = File::open(&self.file).and_then(|mut file| digest_of(&mut file));
        let sum = sum.map_err(|error| self.damaged("cannot be read").with_source(error))?;
        if hex(&sum) != self.sha256 {
            return Err(self.damaged("is not what was written: its digest is another one"));
        }
        check_readable(self, programs)
    }

    fn has_its_size(&self) -> Result<(), Error> {
        match fs::metadata(&self.file) {
            Ok(metadata) if metadata.len() == self.bytes => Ok(()),
            Ok(metadata) => {
                Err(self.damaged(&format!("has {} bytes, and {} were written", metadata.len(), self.bytes)))
            }
            Err(error) => Err(self.damaged(&format!("is not there: {error}"))),
        }
    }

    fn damaged(&self, what: &str) -> Error {
        let remedy = "use another backup; `migrator backups --verify` tells which are whole";
        Error::new("backup_damaged", format!("{} {what}", self.file.display()), remedy)
    }
}
