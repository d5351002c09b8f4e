//! Migrations directories, made for one test.

use std::fs;
use std::path::Path;

use migrator::MigrationSet;
use tempfile::TempDir;

/// A migrations directory that goes away with this value.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A directory with these files.
    pub(crate) fn of_files(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("make a folder"));
        files.iter().for_each(|(path, text)| folder.write(path, text));
        folder
    }

    /// The diesel layout: names, each with its up script.
    pub(crate) fn of<N: AsRef<str>, T: AsRef<str>>(migrations: &[(N, T)]) -> Self {
        let folder = Self::of_files(&[]);
        for (name, up) in migrations {
            folder.write(&format!("{}/up.sql", name.as_ref()), up.as_ref());
        }
        folder
    }

    /// So many migrations, `01_t1` and so on, each of which makes a table and a row.
    pub(crate) fn of_tables(count: usize) -> Self {
        let make = |number| (format!("{number:02}_t{number}"), table(number));
        Self::of(&(1..=count).map(make).collect::<Vec<_>>())
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make a folder");
        fs::write(path, text).expect("write a file");
    }

    /// Takes a migration of the diesel layout away.
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_dir_all(self.path().join(name)).expect("remove a folder");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What the directory holds now.
    pub(crate) fn set(&self) -> MigrationSet {
        MigrationSet::from_path(self.path()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A script that makes table `tN` with one row.
pub(crate) fn table(number: usize) -> String {
    format!("CREATE TABLE t{number} (id INTEGER PRIMARY KEY);\nINSERT INTO t{number} VALUES (1);\n")
}
