//! What a run did.

use std::fmt;
use std::time::Duration;

use crate::record::{History, Record, RecordKind};

/// One migration that a run applied.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Applied {
    /// The sortable key at the front of the name.
    pub version: String,
    /// The full name.
    pub name: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// What a run did, also when it stopped half-way; it prints itself.
///
/// With feature `serde` it serialises to `{"applied": […], "skipped", "warnings", "lock_wait_ms", "duration_ms", "run_id"}`, and
/// `"backup"` when one was made.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    pub(crate) applied: Vec<Applied>,
    pub(crate) skipped: usize,
    pub(crate) warnings: Vec<String>,
    #[cfg_attr(feature = "serde", serde(rename = "lock_wait_ms", serialize_with = "milliseconds"))]
    pub(crate) lock_wait: Duration,
    #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "milliseconds"))]
    pub(crate) duration: Duration,
    pub(crate) run_id: String,
    /// The backup that was made before the first change.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub(crate) backup: Option<String>,
    /// How many of the applied ones are committed, and told to the host.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) committed: usize,
    /// Whether one query proved that the database is exactly where the set is.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) proven: bool,
}

impl Report {
    /// What this run applied, in order.
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// How many migrations of the set were applied before.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// What was worth a word: policies that warn, a database that is ahead.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How long it waited for the migration lock. Zero when nothing was pending: then no lock is taken.
    pub fn lock_wait(&self) -> Duration {
        self.lock_wait
    }

    /// How long the whole run took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Takes in what this run applied without having been told so; how many they are.
    pub(crate) fn recognise(&mut self, history: &History) -> usize {
        let before = self.applied.len();
        let of_this_run = |record: &&Record| {
            record.run_id == self.run_id && record.kind == Some(RecordKind::Applied) && !self.run_id.is_empty()
        };
        for record in history.records.iter().filter(of_this_run) {
            if !self.applied.iter().any(|applied| applied.version == record.version) {
                self.applied.push(Applied {
                    version: record.version.clone(),
                    name: record.name.clone(),
                    duration_ms: record.duration_ms.unwrap_or(0),
                });
            }
        }
        self.applied.len() - before
    }

    /// The backup that was made before the first change: its file, or what the host calls it. `None` when none was asked for, or
    /// nothing was pending.
    pub fn backup(&self) -> Option<&str> {
        self.backup.as_deref()
    }

    /// The run's name in the history; empty when nothing was pending.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.applied.len() {
            0 => write!(f, "nothing pending, {} applied before", migrations(self.skipped))?,
            count => {
                write!(f, "applied {} in {} ms", migrations(count), self.duration.as_millis())?;
                if self.skipped > 0 {
                    write!(f, ", {} applied before", self.skipped)?;
                }
                if self.lock_wait.as_millis() > 0 {
                    write!(f, ", waited {} ms for the lock", self.lock_wait.as_millis())?;
                }
            }
        }
        for applied in &self.applied {
            write!(f, "\n  {}  {} ms", applied.name, applied.duration_ms)?;
        }
        if let Some(backup) = &self.backup {
            write!(f, "\n  the state before is in {backup}")?;
        }
        self.warnings.iter().try_for_each(|warning| write!(f, "\n  warning: {warning}"))
    }
}

/// `1 migration`, `2 migrations`.
pub(crate) fn migrations(count: usize) -> String {
    format!("{count} migration{}", if count == 1 { "" } else { "s" })
}

#[cfg(feature = "serde")]
pub(crate) fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
