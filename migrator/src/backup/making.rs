//! A backup while it is made: under a name that nobody takes for a finished one, and gone when it fails.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use migrator_source::checksum::{digest_of, hex};

use super::Spot;
use super::manifest::Manifest;
use crate::error::Error;

/// What the names of unfinished files begin with, and end with.
const UNFINISHED: &str = ".migrator-";
const DATA: &str = ".partial";
const MANIFEST: &str = ".partial-manifest";

/// A backup that is being made. Dropped before it is finished, it leaves nothing behind.
///
/// Two files: the data, and what becomes the manifest, made first, removed last, and locked for as long as this process lives.
/// So a later backup tells what a killed process left behind from what another process is writing right now.
pub(super) struct Making {
    /// Where the backup will be.
    pub(super) file: PathBuf,
    /// Where it is written.
    pub(super) partial: PathBuf,
    manifest: PathBuf,
    lock: File,
    finished: bool,
}

impl Making {
    pub(super) fn begin(spot: &Spot, stem: &str, ending: &str) -> Result<Self, Error> {
        let (folder, name) = match spot {
            Spot::Folder(folder) => {
                let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(['-', ':'], "");
                (folder.clone(), format!("{stem}-{now}-{:04x}.{ending}", fastrand::u16(..)))
            }
            Spot::File(file) => {
                let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
                (folder.unwrap_or(Path::new(".")).to_owned(), name.unwrap_or_else(|| "backup".to_owned()))
            }
        };
        let failed =
            |what: String| move |error: io::Error| refused(what, "check the folder's permissions").with_source(error);
        fs::create_dir_all(&folder).map_err(failed(format!("the folder {} cannot be made", folder.display())))?;
        let folder = folder.canonicalize().map_err(failed(format!("{} cannot be found", folder.display())))?;
        let file = folder.join(&name);
        if file.exists() || Manifest::path(&file).exists() {
            return Err(refused(format!("{} is there already", file.display()), "name another file, or move it away"));
        }
        take_away_leftovers(&folder);
        let [partial, manifest] = [DATA, MANIFEST].map(|ending| folder.join(format!("{UNFINISHED}{name}{ending}")));
        let open = |path: &Path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            private(&mut options);
            options.open(path).map_err(failed(format!("{} cannot be written", path.display())))
        };
        let lock = open(&manifest)?;
        let making = Self { file, partial, manifest, lock, finished: false };
        // Where the file system knows no locks, leftovers stay until somebody takes them away.
        let _unsupported = making.lock.try_lock();
        // What a program finds there it fills, and the mode stays: everything that the database holds is for its owner only.
        drop(open(&making.partial)?);
        Ok(making)
    }

    /// Gives the copy its name, when its manifest, filled in here, is on the disk. From then on it counts.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> Result<Manifest, Error> {
        let mut publish = || -> io::Result<()> {
            let mut data = File::open(&self.partial)?;
            (manifest.bytes, manifest.sha256) = (data.metadata()?.len(), hex(&digest_of(&mut data)?));
            // Neither `VACUUM INTO` nor mariadb-dump waits for the disk.
            data.sync_all()?;
            manifest.file.clone_from(&self.file);
            self.lock.write_all(manifest.text().as_bytes())?;
            self.lock.sync_all()?;
            fs::rename(&self.partial, &self.file)?;
            fs::rename(&self.manifest, Manifest::path(&self.file))?;
            sync_folder(&self.file)
        };
        publish().map_err(|error| {
            // Only where the manifest could not be renamed: without it nobody would know what the file is.
            let _never_there = fs::remove_file(&self.file);
            refused(format!("{} cannot be finished", self.file.display()), "make room, then run again")
                .with_source(error)
        })?;
        self.finished = true;
        Ok(manifest)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if !self.finished {
            remove(&self.partial, &self.manifest);
        }
    }
}

/// Removes an unfinished backup, as far as it is there: the data, what SQLite has beside a file that it writes, the manifest.
fn remove(partial: &Path, manifest: &Path) {
    for ending in ["", "-journal", "-wal", "-shm"] {
        let mut file = partial.to_owned().into_os_string();
        file.push(ending);
        let _never_there = fs::remove_file(file);
    }
    let _never_there = fs::remove_file(manifest);
}

/// Waits until a folder's entries are on the disk.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    // Windows has no such thing.
    if cfg!(unix)
        && let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty())
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Removes what a killed process left half-written, so that a service that is killed at each start does not fill the disk.
/// One that lacked only the last rename is whole, and gets it.
fn take_away_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| name.starts_with(UNFINISHED)) {
        let Some(stem) = name.strip_suffix(MANIFEST) else { continue };
        let manifest = folder.join(&name);
        let Ok(lock) = OpenOptions::new().write(true).open(&manifest) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        let (partial, file) = (folder.join(format!("{stem}{DATA}")), folder.join(&stem[UNFINISHED.len()..]));
        if !partial.exists() && file.exists() && !Manifest::path(&file).exists() {
            let _next_time = fs::rename(&manifest, Manifest::path(&file));
            continue;
        }
        remove(&partial, &manifest);
    }
}

/// A backup that could not be made.
pub(super) fn refused(what: impl Into<String>, remedy: &str) -> Error {
    Error::new("backup_failed", what, remedy)
}

/// Makes a file that is created readable and writable for its owner only. (On Windows the folder's own rules hold.)
#[cfg(unix)]
pub(super) fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
pub(super) fn private(_options: &mut OpenOptions) {}
