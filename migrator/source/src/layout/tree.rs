//! The files of a migrations directory, however they came: from the disk or as a list of path and bytes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::fault::Fault;
use crate::seal;

/// One file, with its path relative to the migrations directory and `/` between the parts.
#[derive(Debug, Clone)]
pub struct File {
    /// For example `20240101000000_users/up.sql`.
    pub path: String,
    /// The content; empty for a file that no layout reads.
    pub bytes: Vec<u8>,
}

impl File {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

/// Reads a migrations directory from the disk; symbolic links are followed.
///
/// Only the contents of `.sql` and `.toml` files and of the seal are read, and only two levels deep; the names of the third level tell that
/// the directory above was named. A hidden link to nothing is passed over: an editor locks an open file with one.
///
/// # Errors
/// When the directory is missing or something in it cannot be read, or a name is not UTF-8.
pub fn files(dir: &Path) -> Result<Vec<File>, Fault> {
    let mut found = Vec::new();
    walk(dir, "", 1, &mut found)?;
    found.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(dir: &Path, below: &str, level: usize, found: &mut Vec<File>) -> Result<(), Fault> {
    for item in std::fs::read_dir(dir).map_err(|error| unreadable(below, &error))? {
        let item = item.map_err(|error| unreadable(below, &error))?;
        let Ok(name) = item.file_name().into_string() else {
            let shown = item.file_name().to_string_lossy().into_owned();
            return Err(Fault::new("name_not_utf8", &shown, "the name is not valid UTF-8", "rename it"));
        };
        let hidden = name.starts_with('.');
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let mut kind = item.file_type().map_err(|error| unreadable(&path, &error))?;
        // Only a link has to be asked what it leads to: the others told as the directory was listed.
        if kind.is_symlink() {
            kind = match std::fs::metadata(item.path()) {
                Err(_) if hidden => continue,
                target => target.map_err(|error| unreadable(&path, &error))?.file_type(),
            };
        }
        if kind.is_file() {
            let read =
                path == seal::FILE || level <= 2 && [".sql", ".toml"].iter().any(|ending| path.ends_with(ending));
            let bytes =
                if read { std::fs::read(item.path()).map_err(|error| unreadable(&path, &error))? } else { Vec::new() };
            found.push(File { path, bytes });
        } else if kind.is_dir() && level <= 2 && !hidden {
            walk(&item.path(), &path, level + 1, found)?;
        }
    }
    Ok(())
}

/// Why `path` cannot be read; the empty path is the directory itself.
fn unreadable(path: &str, error: &io::Error) -> Fault {
    let cannot = format!("cannot be read: {error}");
    let (code, message, help) = match (error.kind(), path) {
        (io::ErrorKind::NotFound, "") => (
            "directory_missing",
            "cannot be read: there is no such directory".to_owned(),
            "create it with the first migration in it, or name the directory that holds them",
        ),
        (io::ErrorKind::NotADirectory, "") => (
            "not_a_directory",
            "cannot be read: it is a file".to_owned(),
            "name the directory that holds the migrations",
        ),
        (io::ErrorKind::NotFound, _) => {
            ("unreadable", cannot, "the link leads to nothing: remove it, or mend what it names")
        }
        _ => ("unreadable", cannot, "check the permissions of the file"),
    };
    Fault::new(code, path, message, help)
}

/// The files, sorted into those of the directory itself and those of each sub-folder.
pub(super) struct Tree<'a> {
    pub(super) loose: Vec<&'a File>,
    pub(super) folders: BTreeMap<&'a str, Vec<&'a File>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(files: &'a [File]) -> Self {
        let mut tree = Tree { loose: Vec::new(), folders: BTreeMap::new() };
        for file in files {
            match file.path.split_once('/') {
                None => tree.loose.push(file),
                // An editor's or a version control system's own folder.
                Some((folder, _)) if folder.starts_with('.') => {}
                Some((folder, _)) => tree.folders.entry(folder).or_default().push(file),
            }
        }
        tree
    }

    /// Whether the directory has a file at exactly this path.
    pub(super) fn has(&self, path: &str) -> bool {
        match path.split_once('/') {
            None => self.loose.iter().any(|file| file.path == path),
            Some((folder, _)) => self.folder_file(folder, path).is_some(),
        }
    }

    fn folder_file(&self, folder: &str, path: &str) -> Option<&'a File> {
        self.folders.get(folder)?.iter().copied().find(|file| file.path == path)
    }

    /// Whether any sub-folder holds a file of this name.
    pub(super) fn any_folder_has(&self, name: &str) -> bool {
        self.folders.values().flatten().any(|file| is_named(file, name))
    }
}

/// Whether a file of a sub-folder has this name (and is not deeper).
pub(super) fn is_named(file: &File, name: &str) -> bool {
    file.path.split_once('/').is_some_and(|(_, rest)| rest == name)
}

/// Whether a sub-folder holds a script itself (and not only a folder with one).
pub(super) fn has_scripts(files: &[&File]) -> bool {
    let script = |file: &&File| {
        file.path.split_once('/').is_some_and(|(_, name)| !name.contains('/') && name.to_lowercase().ends_with(".sql"))
    };
    files.iter().any(script)
}
