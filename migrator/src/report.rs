//! What a run did.

use std::fmt;
use std::time::Duration;

use crate::migration::Way;
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

/// One migration that a revert undid.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Reverted {
    /// The sortable key at the front of the name.
    pub version: String,
    /// The full name.
    pub name: String,
    /// How long it took, its record included, in milliseconds.
    pub duration_ms: u64,
}

/// How much of what a report names is committed, and told to the host.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Committed {
    pub(crate) applied: usize,
    pub(crate) reverted: usize,
}

/// What a run, a revert or a redo did, also when it stopped half-way; it prints itself.
///
/// With feature `serde` it serialises to `{"applied": […], "skipped", "warnings", "lock_wait_ms", "duration_ms", "run_id"}`,
/// `"reverted": […]` when something was, and `"backup"` when one was made.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Report {
    pub(crate) applied: Vec<Applied>,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub(crate) reverted: Vec<Reverted>,
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
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) committed: Committed,
    /// What a revert undoes, newest first, as it was decided under the lock: a second look must not undo more.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) chosen: Option<Vec<String>>,
    /// Which way the run was asked to go.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) way: Way,
    /// Whether one query proved that the database is exactly where the set is.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) proven: bool,
}

impl Report {
    /// What this run applied, in order.
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// What this run reverted, newest first; empty unless it was a revert or a redo.
    pub fn reverted(&self) -> &[Reverted] {
        &self.reverted
    }

    /// How many migrations of the set were applied before, and still are.
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

    /// Takes in what this run did without having been told so; how many migrations they are.
    pub(crate) fn recognise(&mut self, history: &History) -> usize {
        let before = self.applied.len() + self.reverted.len();
        let of_this_run =
            |record: &&Record| record.run_id == self.run_id && !self.run_id.is_empty() && !record.is_outside();
        let records: Vec<&Record> = history.records.iter().filter(of_this_run).collect();
        for record in records {
            let (version, name) = (record.version.clone(), record.name.clone());
            let duration_ms = record.duration_ms.unwrap_or(0);
            match record.kind {
                Some(RecordKind::Applied) if !self.applied.iter().any(|applied| applied.version == version) => {
                    self.applied.push(Applied { version, name, duration_ms });
                }
                Some(RecordKind::Reverted) if !self.reverted.iter().any(|reverted| reverted.version == version) => {
                    self.reverted.push(Reverted { version, name, duration_ms });
                }
                _ => {}
            }
        }
        self.applied.len() + self.reverted.len() - before
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
        let before = if self.way == Way::Up { "applied before" } else { "still applied" };
        match (self.reverted.len(), self.applied.len()) {
            (0, 0) if self.way == Way::Down => write!(f, "nothing reverted, {} {before}", migrations(self.skipped))?,
            (0, 0) => write!(f, "nothing pending, {} {before}", migrations(self.skipped))?,
            (reverted, applied) => {
                let reverted = (reverted > 0).then(|| format!("reverted {}", migrations(reverted)));
                let applied = (applied > 0).then(|| format!("applied {}", migrations(applied)));
                let done: Vec<String> = reverted.into_iter().chain(applied).collect();
                write!(f, "{} in {} ms", done.join(", "), self.duration.as_millis())?;
                if self.skipped > 0 {
                    write!(f, ", {} {before}", self.skipped)?;
                }
                if self.lock_wait.as_millis() > 0 {
                    write!(f, ", waited {} ms for the lock", self.lock_wait.as_millis())?;
                }
            }
        }
        for reverted in &self.reverted {
            write!(f, "\n  {}  reverted  {} ms", reverted.name, reverted.duration_ms)?;
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
