//! The verbs that only record: what a person knows of a database, and nothing is run.

use diesel::connection::LoadConnection;

use super::Migrator;
use super::verbs::run_id;
use crate::dialect::{Dialect, LockKey, Look, refused};
use crate::error::Error;
use crate::guard::Act;
use crate::history::{Rows, Writer};
use crate::lock::{self, Keep, check_writable};
use crate::plan::{self, Resolution};
use crate::record::{History, Record, RecordKind};
use crate::status;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Settles what only a person can know of a migration: that it took, that it did not, or where it goes on.
    ///
    /// It adds to the history and never erases, runs nothing, and needs the lock. `version` is a version, a full name, or a
    /// prefix that fits one. What makes statements run that may have taken ([`RolledBack`](Resolution::RolledBack),
    /// [`ResumeAt`](Resolution::ResumeAt)) can destroy, and is guarded: on production it wants [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// When the guard refuses it, when the migration is applied already, when it is not [failed](crate::State::Failed) and is
    /// declared rolled back or to be resumed, when it has no statement with that number, or when the lock is not to be had.
    pub fn resolve(&self, conn: &mut C, version: &str, resolution: Resolution) -> Result<(), Error> {
        let seen = self.read(conn)?;
        self.check_place(conn, &seen)?;
        if resolution != Resolution::Applied {
            self.guard(conn, &seen.facts, Act::Destroy("resolve"))?;
        }
        self.record(conn, |known| {
            let migration = plan::find(&self.set, version)?;
            let pasts = known.pasts(self.set.layout());
            let past = pasts.get(migration.canonical());
            let (detail, statement, checksum) = plan::settle(&migration, C::Backend::SQL, past, resolution)?;
            let record = Record::new(RecordKind::Resolved, migration.version(), migration.name());
            let breaks_before = plan::breaks_before(&migration, C::Backend::SQL);
            Ok(vec![Record { detail: Some(detail.to_owned()), statement, checksum, breaks_before, ..record }])
        })?;
        Ok(())
    }

    /// Takes an existing database over: records every migration up to a version as applied, without running it, and returns the names
    /// of those that were not recorded before.
    ///
    /// `version` is a version, a full name, or a prefix that fits one. Nobody looks whether the database really has what they make:
    /// that is what the caller says. The layout's own tool is told too (`__diesel_schema_migrations`, `_prisma_migrations`).
    ///
    /// # Errors
    /// `baseline_refused`, when the history says something else: it goes further than that, a migration is half done, was undone, has
    /// another text, or is not in the set. When the lock is not to be had.
    pub fn baseline(&self, conn: &mut C, version: &str) -> Result<Vec<String>, Error> {
        let recorded = self.record(conn, |known| plan::baseline(&self.set, known, version, C::Backend::SQL))?;
        Ok(recorded.into_iter().map(|record| record.name).collect())
    }

    /// Takes the present text of an applied migration for the right one: for an edit that changes nothing that runs. Returns the
    /// full name.
    ///
    /// The history keeps the old checksum, and the reason; when it was applied, and how long that took, stays as it was.
    /// [`MigrationSet::accept`](crate::MigrationSet::accept) is the same for the seal.
    ///
    /// # Errors
    /// `accept_refused`, when it is not applied, has the text that was applied, or no reason is given. When the lock is not to be had.
    pub fn accept(&self, conn: &mut C, version: &str, reason: &str) -> Result<String, Error> {
        let mut recorded =
            self.record(conn, |known| Ok(vec![plan::accept(&self.set, known, version, reason, C::Backend::SQL)?]))?;
        Ok(recorded.pop().map(|record| record.name).unwrap_or_default())
    }

    /// Adds to the history what is decided over it under the lock.
    fn record(
        &self,
        conn: &mut C,
        decide: impl FnOnce(&History) -> Result<Vec<Record>, Error>,
    ) -> Result<Vec<Record>, Error> {
        let seen = self.read_for_the_lock(conn)?;
        if C::Backend::is_system(&seen.facts) {
            return Err(Error::system_database(&seen.facts.database, &seen.facts.schema));
        }
        check_writable(&seen.facts, "there is an answer to record")?;
        let key = LockKey::new(&seen.facts, &seen.home);
        let _until_recorded = self.lock_file(conn, &seen, &key)?;
        lock::with_lock(conn, &key, &seen.facts, &self.wait, |conn, _| {
            let recorded = self.look(conn, Some(&seen), Look::Again).and_then(|mut seen| {
                let known = seen.known().unwrap_or_default();
                // A record more would move the meta row along, and what a hand did would no longer show.
                if let Some(problem) = status::tampered(&known, self.set.layout()) {
                    return Err(Error::new(problem.code, problem.message, problem.help));
                }
                let records = decide(&known)?;
                if records.is_empty() {
                    return Ok(records);
                }
                self.prepare(conn, &mut seen, self.environment)?;
                let (history, run_id, origin) = (seen.history.as_ref(), run_id(), self.origin());
                let (home, facts) = (&seen.home, &seen.facts);
                let mut writer = Writer::new::<C::Backend>(home, &self.set, history, &key, &run_id, &origin, facts)
                    .keeping(seen.ledger.as_ref(), &known);
                let writing = |error| refused::<C::Backend>("write the migration history", error);
                if let Some(environment) = seen.first_mark(self.environment) {
                    writer.mark(conn, Rows::Own, None, environment).map_err(writing)?;
                }
                let all: Vec<Record> = seen.turns.iter().chain(&records).cloned().collect();
                writer.adopt(conn, &all).map_err(writing)?;
                Ok(records)
            });
            (if recorded.is_ok() { Keep::All } else { Keep::Nothing }, recorded)
        })?
    }
}
