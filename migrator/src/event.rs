//! What a run tells while it runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics;
use crate::provider_state::ProviderState;
use crate::report::{Applied, Committed, Report, Reverted};
use crate::seed::SeedOutcome;

/// One transition of a run, for the hook that [`Migrator::on_event`](crate::Migrator::on_event) takes.
///
/// With feature `serde` it serialises to `{"event": "applied", …}`: its name in small letters, and its fields under their names;
/// times are in milliseconds, with `_ms` behind the name.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "event", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event<'a> {
    /// Nothing is pending; no lock was taken and nothing was written.
    Unchanged {
        /// How many migrations of the set are applied.
        applied: usize,
    },
    /// Another process holds the migration lock.
    Waiting {
        /// How often the lock was asked for.
        attempt: u32,
        /// Who holds it, in the database's words.
        holder: Option<&'a str>,
    },
    /// The lock is held.
    Locked {
        /// How long it took to get it.
        #[cfg_attr(feature = "serde", serde(rename = "waited_ms", serialize_with = "crate::report::milliseconds"))]
        waited: Duration,
    },
    /// What the run is going to do, decided under the lock.
    Planned {
        /// How many migrations will be applied or reverted.
        steps: usize,
    },
    /// A backup is being made, before the first change.
    BackupStarted {
        /// The database, without user and secrets.
        database: &'a str,
    },
    /// A backup grows; told about ten times a second.
    BackupProgress {
        /// How many bytes are written.
        bytes: u64,
        /// Of how many, about; `None` where nobody knows before the end.
        of: Option<u64>,
    },
    /// A backup is complete, checked, and on the disk.
    BackupFinished {
        /// Its file, or what the host calls it.
        reference: &'a str,
        /// Its size; `None` when the host made it.
        bytes: Option<u64>,
        /// How long it took.
        #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "crate::report::milliseconds"))]
        duration: Duration,
    },
    /// A backup is brought back; told at its begin, about ten times a second, and when all of it is read.
    RestoreProgress {
        /// How many bytes of the backup are read. MySQL and MariaDB read it twice.
        bytes: u64,
        /// Of how many.
        of: u64,
    },
    /// A migration starts.
    Started {
        /// Its version.
        version: &'a str,
        /// Its full name.
        name: &'a str,
        /// 1-based place in this run.
        step: usize,
        /// How many migrations the run applies.
        steps: usize,
    },
    /// Several migrations were sent in one message and run now (PostgreSQL and MySQL, when many are pending): on PostgreSQL each in a
    /// transaction of its own, in a database without tables all in one; on MySQL as each runs alone. [`Applied`](Event::Applied) follows
    /// for each that took, when all have run, or when a message to MySQL is older than a second; they have no event of their own before. After
    /// a failure those of PostgreSQL may be sent again; on MySQL [`Started`](Event::Started) tells of the one that it stopped in, which goes on
    /// from there.
    Together {
        /// The full name of the first.
        name: &'a str,
        /// How many they are.
        migrations: usize,
        /// 1-based place of the first in this run.
        step: usize,
        /// How many migrations the run applies.
        steps: usize,
    },
    /// A statement of the migration starts.
    Statement {
        /// 1-based number in its script.
        number: usize,
        /// How many statements the script has.
        of: usize,
    },
    /// A migration and its record are committed.
    Applied {
        /// Its version.
        version: &'a str,
        /// Its full name.
        name: &'a str,
        /// How long it took.
        #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "crate::report::milliseconds"))]
        duration: Duration,
    },
    /// The way down of a migration starts.
    Reverting {
        /// Its version.
        version: &'a str,
        /// Its full name.
        name: &'a str,
        /// 1-based place in this run.
        step: usize,
        /// How many migrations the run reverts and applies.
        steps: usize,
    },
    /// The way down of a migration and its record are committed.
    Reverted {
        /// Its version.
        version: &'a str,
        /// Its full name.
        name: &'a str,
        /// How long it took.
        #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "crate::report::milliseconds"))]
        duration: Duration,
    },
    /// A migration, or its way down, failed.
    Failed {
        /// Its version.
        version: &'a str,
        /// Its full name.
        name: &'a str,
        /// The error's message.
        error: &'a str,
    },
    /// The database asked to try a transaction again (a lock timeout, a deadlock, a serialization failure).
    Retrying {
        /// Which try comes next, from 2.
        attempt: u32,
        /// How long it pauses before.
        #[cfg_attr(feature = "serde", serde(rename = "pause_ms", serialize_with = "crate::report::milliseconds"))]
        pause: Duration,
        /// Why: `busy` (others hold what it needs) or `conflict` (a deadlock, a serialization failure).
        class: &'static str,
    },
    /// A [`DbProvider`](crate::DbProvider) is in another state.
    State {
        /// Where it was.
        from: &'a ProviderState,
        /// Where it is.
        to: &'a ProviderState,
    },
    /// The connection was lost, and the run asks for another one ([`Migrator::reconnect`](crate::Migrator::reconnect)).
    Reconnecting {
        /// The error's message.
        error: &'a str,
    },
    /// A seed starts.
    SeedStarted {
        /// Its name.
        name: &'a str,
        /// Which try it is, from 1, by all processes since it last succeeded or changed.
        attempt: u32,
    },
    /// A seed was tried, and what it did is committed or undone; or it was skipped.
    SeedEnded {
        /// Its name.
        name: &'a str,
        /// What became of it.
        outcome: &'a SeedOutcome,
    },
    /// A seed failed in a way that can pass.
    SeedRetrying {
        /// Its name.
        name: &'a str,
        /// Which try comes next, from 2.
        attempt: u32,
        /// How long it pauses before.
        #[cfg_attr(feature = "serde", serde(rename = "pause_ms", serialize_with = "crate::report::milliseconds"))]
        pause: Duration,
    },
    /// Something is worth a word.
    Warning {
        /// The whole sentence.
        message: &'a str,
    },
}

/// The host's hook; each event is one `tracing` event too.
#[derive(Clone, Default)]
pub(crate) struct Hook(pub(crate) Option<Arc<Listener>>);

/// What a host gives to be told each event.
pub(crate) type Listener = dyn Fn(Event<'_>) + Send + Sync;

impl Hook {
    pub(crate) fn emit(&self, event: Event<'_>) {
        metrics::event(&event);
        match event {
            Event::Warning { message } => tracing::warn!(target: "migrator", "{message}"),
            Event::Statement { number, of } => tracing::debug!(target: "migrator", number, of, "statement"),
            Event::BackupProgress { bytes, of } => tracing::debug!(target: "migrator", bytes, of, "backup"),
            Event::RestoreProgress { bytes, of } => tracing::debug!(target: "migrator", bytes, of, "restore"),
            Event::Failed { version, error, .. } => {
                tracing::error!(target: "migrator", version, error, "migration failed")
            }
            Event::Waiting { attempt, holder } => {
                tracing::info!(target: "migrator", attempt, holder, "waiting for the migration lock");
            }
            Event::State { from, to } => {
                tracing::info!(target: "migrator", from = from.name(), to = to.name(), "{to}");
            }
            Event::SeedEnded { name, outcome: outcome @ SeedOutcome::Failed { .. } } => {
                tracing::error!(target: "migrator", seed = name, %outcome, "seed failed");
            }
            event => tracing::info!(target: "migrator", ?event),
        }
        if let Some(hook) = &self.0 {
            hook(event);
        }
    }
}

impl Report {
    /// Tells the host about the migrations that are now committed.
    pub(crate) fn flush(&mut self, hook: &Hook) {
        // What a redo applies again, it reverted before.
        for Reverted { version, name, duration_ms } in &self.reverted[self.committed.reverted..] {
            hook.emit(Event::Reverted { version, name, duration: Duration::from_millis(*duration_ms) });
        }
        for Applied { version, name, duration_ms } in &self.applied[self.committed.applied..] {
            hook.emit(Event::Applied { version, name, duration: Duration::from_millis(*duration_ms) });
        }
        self.committed = Committed { applied: self.applied.len(), reverted: self.reverted.len() };
    }

    /// Forgets what was done and not committed; how much is left.
    pub(crate) fn forget(&mut self) -> usize {
        let Committed { applied, reverted } = self.committed;
        self.applied.truncate(applied);
        self.reverted.truncate(reverted);
        applied + reverted
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Hook" } else { "no hook" })
    }
}
