//! The verb `backup`, and the backup before a run.

use diesel::connection::LoadConnection;

use super::Migrator;
use super::job::Job;
use crate::backup::{self, Backup};
use crate::dialect::{Dialect, LockKey, Look};
use crate::error::Error;
use crate::lock::{self, Keep};
use crate::record::History;
use crate::report::Report;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Makes a backup now, under the migration lock, so that no run is in it half-way. Returns its file, or what the host calls it.
    ///
    /// It changes nothing in the database.
    ///
    /// # Errors
    /// When the lock is not to be had, `interrupted` when it is, or as [`backup_before`](Self::backup_before).
    pub fn backup(&self, conn: &mut C, backup: &Backup) -> Result<String, Error> {
        let seen = self.read_for_the_lock(conn)?;
        let key = LockKey::new(&seen.facts, &seen.home);
        let _until_made = self.lock_file(conn, &seen, &key)?;
        lock::with_lock(conn, &key, &seen.facts, &self.wait, |conn, _| {
            let now = self.look(conn, Some(&seen), Look::Again);
            let made =
                now.and_then(|now| backup::make(backup, conn, &now.facts, &key, now.known().as_ref(), &self.wait));
            (Keep::Nothing, made)
        })?
    }
}

impl<C: LoadConnection<Backend: Dialect>> Job<'_, C> {
    /// Makes the backup that was asked for, once in a run. Nothing was changed before, and nothing is when it fails.
    pub(super) fn back_up(&self, conn: &mut C, history: Option<&History>, report: &mut Report) -> Result<(), Error> {
        let Some(backup) = self.migrator.backup.as_ref().filter(|_| report.backup.is_none()) else { return Ok(()) };
        report.backup = Some(backup::make(backup, conn, &self.seen.facts, self.key, history, &self.migrator.wait)?);
        Ok(())
    }
}
