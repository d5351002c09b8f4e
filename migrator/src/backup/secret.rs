//! A file that only this user can read, for a password that must not stand on a command line.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::making::private;

/// A file in the folder for temporary files, removed when this value goes away.
#[derive(Debug)]
pub(super) struct SecretFile(PathBuf);

impl SecretFile {
    pub(super) fn new(text: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("migrator-{:032x}", fastrand::u128(..)));
        let mut options = OpenOptions::new();
        // Never one that somebody else put there.
        options.write(true).create_new(true);
        private(&mut options);
        let mut file = options.open(&path)?;
        let secret = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(secret)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _gone_before = fs::remove_file(&self.0);
    }
}
