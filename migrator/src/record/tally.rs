//! What is applied, and the fingerprint over it, as records are added.

use migrator_source::checksum::Fingerprint;
use migrator_source::layout::Layout;

use super::{RESOLVED_APPLIED, RESOLVED_ROLLED_BACK, Record, RecordKind};
use crate::migration::Checksum;

/// What one record changes in what is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// This version (canonical) is applied now, with this text.
    Applied(String, Checksum),
    /// This version is not applied any more.
    Undone(String),
}

impl Change {
    pub(crate) fn of(record: &Record, layout: Layout) -> Self {
        let version = layout.canonical(&record.version).to_owned();
        match (record.kind, record.detail.as_deref()) {
            (Some(RecordKind::Applied | RecordKind::Baselined | RecordKind::Kept | RecordKind::Accepted), _)
            | (Some(RecordKind::Resolved), Some(RESOLVED_APPLIED)) => {
                Self::Applied(version, record.checksum.unwrap_or(Checksum::UNKNOWN))
            }
            (Some(RecordKind::Reverting | RecordKind::Reverted), _)
            | (Some(RecordKind::Resolved), Some(RESOLVED_ROLLED_BACK)) => Self::Undone(version),
            _ => Self::Nothing,
        }
    }
}

/// What is applied, in the set's order.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) layout: Layout,
    /// Version (canonical) and checksum.
    applied: Vec<(String, Checksum)>,
    running: Fingerprint,
}

impl Tally {
    pub(crate) fn new(layout: Layout, applied: Vec<(String, Checksum)>) -> Self {
        let mut tally = Self { layout, applied, running: Fingerprint::default() };
        tally.rehash();
        tally
    }

    /// The fingerprint of what is applied.
    pub(crate) fn fingerprint(&self) -> Checksum {
        Checksum(self.running.sum())
    }

    /// What the fingerprint will be after a change.
    pub(crate) fn fingerprint_with(&self, change: &Change) -> Checksum {
        match change {
            Change::Nothing => self.fingerprint(),
            Change::Applied(version, checksum) if self.is_newest(version) => {
                let mut running = self.running.clone();
                running.push(version, &checksum.0);
                Checksum(running.sum())
            }
            change => {
                let mut after = self.clone();
                after.take(change.clone());
                after.fingerprint()
            }
        }
    }

    pub(crate) fn take(&mut self, change: Change) {
        match change {
            Change::Nothing => return,
            Change::Applied(version, checksum) if self.is_newest(&version) => {
                self.running.push(&version, &checksum.0);
                self.applied.push((version, checksum));
                return;
            }
            Change::Applied(version, checksum) => {
                self.remove(&version);
                let at = self.applied.partition_point(|(other, _)| self.layout.order(other, &version).is_lt());
                self.applied.insert(at, (version, checksum));
            }
            Change::Undone(version) => self.remove(&version),
        }
        self.rehash();
    }

    fn remove(&mut self, version: &str) {
        self.applied.retain(|(other, _)| self.layout.order(other, version).is_ne());
    }

    fn rehash(&mut self) {
        self.running = Fingerprint::default();
        for (version, checksum) in &self.applied {
            self.running.push(version, &checksum.0);
        }
    }

    /// As this tally, as far as what is added is newer than everything.
    pub(crate) fn ahead(&self) -> Self {
        let newest = self.applied.last().cloned().into_iter().collect();
        Self { layout: self.layout, applied: newest, running: self.running.clone() }
    }

    /// Whether a version is applied.
    pub(crate) fn holds(&self, version: &str) -> bool {
        let is_it = |(other, _): &(String, Checksum)| self.layout.order(other, version).is_eq();
        !self.is_newest(version) && self.applied.iter().any(is_it)
    }

    /// Whether a version is behind all that is applied.
    pub(crate) fn is_newest(&self, version: &str) -> bool {
        self.applied.last().is_none_or(|(last, _)| self.layout.order(last, version).is_lt())
    }
}
