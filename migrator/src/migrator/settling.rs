//! The verbs that only record: what a person knows of a database, and nothing is run.

use diesel::connection::LoadConnection;

use super::Migrator;
use super::seen::Seen;
use super::verbs::run_id;
use crate::dialect::{Dialect, LockKey, refused};
use crate::error::Error;
use crate::history::Writer;
use crate::lock::{self, Keep, check_writable};
use crate::plan::{self, Resolution};
use crate::record::RecordKind;
use crate::status;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Settles what only a person can know of a migration: that it took, that it did not, or where it goes on.
    ///
    /// It adds to the history and never erases, runs nothing, and needs the lock. `version` is a version, a full name, or a
    /// prefix that fits one.
    ///
    /// # Errors
    /// When the migration is applied already, when it is not [failed](crate::State::Failed) and is declared rolled back or to be
    /// resumed, when it has no statement with that number, or when the lock is not to be had.
    pub fn resolve(&self, conn: &mut C, version: &str, resolution: Resolution) -> Result<(), Error> {
        let seen = self.read_for_the_lock(conn)?;
        self.check_place(conn, &seen)?;
        check_writable(&seen.facts, "there is an answer to record")?;
        let key = LockKey::new(&seen.facts, &seen.home);
        let _until_settled = self.lock_file(conn, &seen, &key)?;
        lock::with_lock(conn, &key, &seen.facts, &self.wait, |conn, _| {
            let settled = self.settle(conn, &seen, &key, version, resolution);
            (if settled.is_ok() { Keep::All } else { Keep::Nothing }, settled)
        })?
    }

    fn settle(
        &self,
        conn: &mut C,
        before: &Seen,
        key: &LockKey,
        version: &str,
        resolution: Resolution,
    ) -> Result<(), Error> {
        let mut seen = self.look(conn, Some(before))?;
        let known = seen.known().unwrap_or_default();
        // A record more would move the meta row along, and what a hand did would no longer show.
        if let Some(problem) = status::tampered(&known, self.set.layout()) {
            return Err(Error::new(problem.code, problem.message, problem.help));
        }
        let migration = plan::find(&self.set, version)?;
        let pasts = known.pasts(self.set.layout());
        let past = pasts.get(migration.canonical());
        let (detail, statement, checksum) = plan::settle(&migration, C::Backend::SQL, past, resolution)?;
        let writing = |error| refused::<C::Backend>("write the migration history", error);
        self.prepare(conn, &mut seen, None)?;
        let (history, run_id) = (seen.history.as_ref(), run_id());
        let mut writer = Writer::new::<C::Backend>(&seen.home, &self.set, history, key, &run_id, &seen.facts)
            .keeping(seen.ledger.as_ref());
        if !seen.turns.is_empty() {
            writer.adopt(conn, &seen.turns).map_err(writing)?;
        }
        let mut record = writer.record(RecordKind::Resolved, migration.version(), migration.name());
        (record.detail, record.statement, record.checksum) = (Some(detail.to_owned()), statement, checksum);
        writer.write(conn, &record).map_err(writing)
    }
}
