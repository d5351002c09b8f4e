//! Declares the migrations of a directory final.

use std::fs;
use std::path::Path;

use migrator_source::fault::Fault;
use migrator_source::layout::{self, Folder, Options, Sealed};
use migrator_source::seal::{FILE, Seal};

use crate::error::Error;
use crate::migration::{MigrationSet, folder_error};
use crate::{Layout, SqlDialect};

impl MigrationSet {
    /// Seals the migrations of a directory that are still drafts, and returns their names.
    ///
    /// The seal is `migrations.seal` in that directory, to be committed. From then on the macro and
    /// [`from_path`](Self::from_path) refuse a sealed migration that was edited, deleted, renamed or reordered, and a new one in
    /// front of it. What is not given is detected; the dialect has to be known when the first migration is sealed.
    ///
    /// # Errors
    /// When the directory has a fault, something sealed is not what it was, or the file cannot be written.
    pub fn seal(
        dir: impl AsRef<Path>,
        layout: Option<Layout>,
        dialect: Option<SqlDialect>,
    ) -> Result<Vec<String>, Error> {
        let dir = dir.as_ref();
        let folder = read(dir, layout, dialect)?;
        let Some(dialect) = folder.dialect else {
            let remedy = "say it once, with --dialect sqlite, postgres or mysql; the seal remembers it";
            return Err(Error::new(
                "dialect_unknown",
                "nothing says which dialect the migrations are written in",
                remedy,
            ));
        };
        let mut seal = folder.seal.unwrap_or_default();
        let added = seal.add(&folder.entries, dialect).map_err(|faults| faulty(dir, &faults))?;
        write(dir, &seal)?;
        Ok(added)
    }

    /// Takes the present text of one sealed migration for the right one: for an edit that changes nothing that runs. The seal
    /// keeps the checksum of the old text and the reason.
    ///
    /// `version` is a version, a full name, or a prefix that fits one. Returns the full name. A database that carries the
    /// old text is reported as `changed` until the edit is [accepted](crate::Migrator::accept) there too.
    ///
    /// # Errors
    /// When no reason is given, when the migration is not sealed or was not edited, or the file cannot be written.
    pub fn accept(dir: impl AsRef<Path>, version: &str, reason: &str) -> Result<String, Error> {
        let dir = dir.as_ref();
        let (folder, position) = found(dir, version)?;
        let entry = &folder.entries[position];
        let mut seal = folder.seal.unwrap_or_default();
        seal.accept(entry, reason).map_err(|fault| faulty(dir, &[fault]))?;
        write(dir, &seal)?;
        Ok(entry.name.clone())
    }

    /// Whether the seal of a directory has the text that a migration has now; `None` when that is not sealed.
    #[cfg(feature = "cli")]
    pub(crate) fn is_sealed_as_it_is(dir: &Path, version: &str) -> Result<(String, Option<bool>), Error> {
        let (folder, position) = found(dir, version)?;
        let entry = &folder.entries[position];
        Ok((entry.name.clone(), folder.seal.and_then(|seal| seal.seals(entry))))
    }
}

/// A directory, and the position of the migration that is meant.
fn found(dir: &Path, version: &str) -> Result<(Folder, usize), Error> {
    let folder = read(dir, None, None)?;
    let set = MigrationSet::of_folder(&folder, &dir.display().to_string())?;
    let position = crate::plan::find(&set, version)?.position();
    Ok((folder, position))
}

fn read(dir: &Path, layout: Option<Layout>, dialect: Option<SqlDialect>) -> Result<Folder, Error> {
    let files = layout::files(dir).map_err(|fault| faulty(dir, &[fault]))?;
    let options = Options { layout, dialect, sealed: Sealed::Unchecked, ..Options::default() };
    layout::read(&files, options).map_err(|faults| faulty(dir, &faults))
}

fn faulty(dir: &Path, faults: &[Fault]) -> Error {
    folder_error(&dir.display().to_string(), faults)
}

/// Writes the seal at once or not at all.
fn write(dir: &Path, seal: &Seal) -> Result<(), Error> {
    let (path, new) = (dir.join(FILE), dir.join(".migrations.seal.new"));
    let written = fs::write(&new, seal.to_string()).and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| {
        let _nothing_is_lost = fs::remove_file(&new);
        let message = format!("{} cannot be written", path.display());
        Error::new("folder", message, "check the permissions of the directory").with_source(error)
    })
}
