//! What a database went through: the rows of the history, and what they add up to.

mod contradictions;
mod kind;
mod tally;

use std::collections::BTreeMap;

use migrator_source::layout::Layout;

pub(crate) use self::kind::RecordKind;
pub(crate) use self::tally::{Change, Tally};
use crate::migration::{Checksum, Way};
use crate::origin::Origin;

/// How an operator settled a failed migration, as the detail of its record.
pub(crate) const RESOLVED_APPLIED: &str = "applied";
pub(crate) const RESOLVED_ROLLED_BACK: &str = "rolled_back";
pub(crate) const RESOLVED_RESUME: &str = "resume_at";

/// The detail of an applied record that another tool's table is the source of, with the moment behind it when it tells one:
/// nobody knows which text ran.
const ADOPTED: &str = "adopted";
/// The same, where that table told which text ran.
const VERIFIED: &str = "verified";
/// The detail of a reverted record: the row in the other tool's table was gone.
pub(crate) const OUTSIDE: &str = "outside";
/// What the detail of a failed record begins with that another tool's table is the source of; its words follow.
const FAILED_OUTSIDE: &str = "outside: ";
/// How it was settled with the layout's own tool: it did not take.
pub(crate) const ROLLED_BACK_OUTSIDE: &str = "rolled_back outside";

/// One row of the history.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// 1, 2, 3 … without gaps; a rolled-back attempt leaves none.
    pub(crate) sequence: i64,
    /// `None` for a kind of a newer version of this crate.
    pub(crate) kind: Option<RecordKind>,
    pub(crate) version: String,
    pub(crate) name: String,
    /// Of the up script; for [`RecordKind::Statement`] of the script, up or down, up to and with that statement.
    pub(crate) checksum: Option<Checksum>,
    /// 1-based: the statement that took, or failed, or the first that is still to run.
    pub(crate) statement: Option<usize>,
    /// How many statements the script has. 0 where a migration of a foreign source failed half-way.
    pub(crate) statements: Option<usize>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) run_id: String,
    /// When the server had started, in seconds of its own clock, where a restart can leave a statement in doubt.
    pub(crate) started: Option<i64>,
    /// The database's words for [`RecordKind::Failed`], [`RecordKind::Interrupted`] and [`RecordKind::Kept`], the resolution for
    /// [`RecordKind::Resolved`], the reason for [`RecordKind::Accepted`], or that another tool did it. Where a statement follows: what
    /// the catalogue said before it.
    pub(crate) detail: Option<String>,
    /// The statement that follows, before which the catalogue is asked. Only in a record that is still to be written.
    pub(crate) asks: Option<String>,
    /// Binaries whose newest migration is older than this version cannot serve with this one applied.
    pub(crate) breaks_before: Option<String>,
    /// Who wrote it. Its writer says so, so it is empty in a record that is still to be written.
    pub(crate) origin: Origin,
    /// RFC 3339, UTC, by the database's clock. Empty in a record that is still to be written.
    pub(crate) recorded_at: String,
}

impl Record {
    /// A record for a migration, to be filled in; its writer numbers it.
    pub(crate) fn new(kind: RecordKind, version: &str, name: &str) -> Self {
        Self {
            sequence: 0,
            kind: Some(kind),
            version: version.to_owned(),
            name: name.to_owned(),
            checksum: None,
            statement: None,
            statements: None,
            duration_ms: None,
            run_id: String::new(),
            started: None,
            detail: None,
            asks: None,
            breaks_before: None,
            origin: Origin::default(),
            recorded_at: String::new(),
        }
    }

    /// Another tool applied it, at this moment as far as its table tells; whether that told which text ran.
    pub(crate) fn adopt(&mut self, at: Option<&str>, is_verified: bool) {
        let word = if is_verified { VERIFIED } else { ADOPTED };
        self.detail = Some(at.map_or_else(|| word.to_owned(), |at| format!("{word} {at}")));
    }

    /// What it says of its migration; `None` where it is about none, and for a kind that a newer version wrote.
    fn of_migration(&self) -> Option<RecordKind> {
        self.kind.filter(|kind| *kind != RecordKind::Marked)
    }

    /// Whether another tool applied it, and when, as far as its table told.
    pub(crate) fn adopted(&self) -> Option<Option<&str>> {
        let detail = self.detail.as_deref().filter(|_| self.kind == Some(RecordKind::Applied))?;
        let at = detail.strip_prefix(ADOPTED).or_else(|| detail.strip_prefix(VERIFIED))?;
        Some(at.strip_prefix(' '))
    }

    /// Whether another tool applied it, and nobody knows which text ran.
    pub(crate) fn is_unverified(&self) -> bool {
        self.adopted().is_some() && self.detail.as_deref().is_some_and(|detail| detail.starts_with(ADOPTED))
    }

    /// It failed in another tool's hands, with these words of the database.
    pub(crate) fn fail_outside(&mut self, words: &str) {
        (self.statements, self.detail) = (Some(0), Some(format!("{FAILED_OUTSIDE}{words}")));
    }

    /// What the catalogue said before the statement that followed, where it was asked.
    pub(crate) fn before(&self) -> Option<&str> {
        let is_followed =
            matches!(self.kind, Some(RecordKind::Planned | RecordKind::Reverting | RecordKind::Statement));
        self.detail.as_deref().filter(|_| is_followed)
    }

    /// Whether another tool's table is the source of a failure.
    pub(crate) fn failed_outside(&self) -> bool {
        let is_so = |detail: &str| detail.starts_with(FAILED_OUTSIDE);
        self.kind == Some(RecordKind::Failed) && self.detail.as_deref().is_some_and(is_so)
    }

    /// Whether it failed where nobody could see how much of it took.
    pub(crate) fn is_unseen(&self) -> bool {
        matches!(self.kind, Some(RecordKind::Failed | RecordKind::Interrupted)) && self.statements == Some(0)
    }

    /// Whether the layout's own tool did what it says, so that its table says so already.
    pub(crate) fn is_outside(&self) -> bool {
        self.adopted().is_some()
            || self.failed_outside()
            || self.kind == Some(RecordKind::Reverted) && self.detail.as_deref() == Some(OUTSIDE)
            || self.kind == Some(RecordKind::Resolved) && self.detail.as_deref() == Some(ROLLED_BACK_OUTSIDE)
    }

    /// Whether the tool's table keeps its row as it is: a revert takes it away when it is done, and not when it begins.
    pub(crate) fn leaves_the_row(&self) -> bool {
        matches!(self.kind, Some(RecordKind::Reverting | RecordKind::Kept | RecordKind::Accepted))
    }
}

/// The one row of the meta table that belongs to a set.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) format: i64,
    /// Of what is applied; equal to the set's fingerprint when there is nothing to do.
    pub(crate) fingerprint: Option<Checksum>,
    /// The last record's number.
    pub(crate) sequence: i64,
    /// What the database is marked as.
    pub(crate) environment: Option<String>,
    /// Where it says that it lives.
    pub(crate) schema: Option<String>,
}

/// What a database went through.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// In the order of their numbers.
    pub(crate) records: Vec<Record>,
    /// `None` when the set has no row yet.
    pub(crate) meta: Option<Meta>,
    /// What the layout's own tool did since the last record, still to be recorded.
    pub(crate) turns: Vec<Record>,
}

/// Where one migration of the history stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Applied,
    Baselined,
    /// Undone, or declared not to have taken.
    RolledBack,
    /// It never took, or the database rolled it back whole.
    Pending,
    /// Some of its statements took.
    Partial(Partial),
}

impl Standing {
    /// Whether a run has nothing to do for it.
    pub(crate) fn is_applied(self) -> bool {
        matches!(self, Self::Applied | Self::Baselined)
    }

    /// Whether its revert stopped half-way.
    pub(crate) fn is_half_reverted(self) -> bool {
        matches!(self, Self::Partial(Partial { way: Way::Down, .. }))
    }

    /// Whether the layout's own tool takes it for applied: its row goes with the end of a revert.
    pub(crate) fn is_in_the_tools_table(self) -> bool {
        self.is_applied() || self.is_half_reverted()
    }

    /// Whether the outcome of a statement was never recorded.
    pub(crate) fn is_in_doubt(self) -> bool {
        matches!(self, Self::Partial(Partial { in_doubt: true, .. }))
    }
}

/// How far a script that cannot be rolled back came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partial {
    /// Which of its scripts it is.
    pub(crate) way: Way,
    /// How many statements surely took.
    pub(crate) done: usize,
    /// Of the script up to and with the last of them.
    pub(crate) prefix: Option<Checksum>,
    /// Whether the next statement may have taken: its outcome was never recorded.
    pub(crate) in_doubt: bool,
}

/// What the history says of one version.
#[derive(Debug, Clone)]
pub(crate) struct Past<'a> {
    /// The last record that decided the standing.
    pub(crate) record: &'a Record,
    pub(crate) standing: Standing,
    /// The digest of the text that counts as applied, also while its revert is half done.
    pub(crate) text: Option<Checksum>,
    /// The version before which it breaks binaries, from the moment at which it is about to be applied.
    pub(crate) breaks_before: Option<&'a str>,
    /// What made it applied, until it is undone.
    applied: Option<&'a Record>,
    /// The last attempt's error, while it is not applied.
    pub(crate) error: Option<&'a str>,
}

impl History {
    /// What the records add up to, for each version in its canonical form.
    pub(crate) fn pasts(&self, layout: Layout) -> BTreeMap<&str, Past<'_>> {
        pasts(self.records.iter().chain(&self.turns), layout)
    }

    /// The same without what is still to be recorded.
    pub(crate) fn recorded(&self, layout: Layout) -> BTreeMap<&str, Past<'_>> {
        pasts(self.records.iter(), layout)
    }

    /// Whether a version failed where nobody could see how much of it took.
    pub(crate) fn is_unseen(&self, layout: Layout, version: &str) -> bool {
        self.pasts(layout).get(layout.canonical(version)).is_some_and(Past::is_unseen)
    }

    /// The fingerprint of what is recorded as applied, in the set's order.
    pub(crate) fn fingerprint(&self, layout: Layout) -> Checksum {
        Tally::new(layout, self.applied(layout)).fingerprint()
    }

    /// Version (canonical) and checksum of what is recorded as applied, in the set's order.
    pub(crate) fn applied(&self, layout: Layout) -> Vec<(String, Checksum)> {
        let mut applied: Vec<(String, Checksum)> = self
            .recorded(layout)
            .into_iter()
            .filter(|(_, past)| past.standing.is_applied())
            .map(|(version, past)| (version.to_owned(), past.text.unwrap_or(Checksum::UNKNOWN)))
            .collect();
        applied.sort_by(|(a, _), (b, _)| layout.order(a, b));
        applied
    }

    /// The versions (canonical) that the table of the layout's own tool has to hold.
    pub(crate) fn in_the_tools_table(&self, layout: Layout) -> Vec<String> {
        let recorded = self.recorded(layout).into_iter();
        let standing = recorded.filter(|(_, past)| past.standing.is_in_the_tools_table());
        standing.map(|(version, _)| version.to_owned()).collect()
    }

    /// What in the history was not written by this crate; `None` when it is whole.
    ///
    /// Every write adds the next number and moves the meta row with it, in one transaction. So a row
    /// that was added or deleted by hand shows, and a version or checksum of what is applied.
    pub(crate) fn tampered(&self, layout: Layout) -> Option<String> {
        for (at, record) in self.records.iter().enumerate() {
            let expected = i64::try_from(at).ok()? + 1;
            if record.sequence != expected {
                return Some(match record.sequence > expected {
                    true => format!("row {expected} is gone from the history"),
                    false => format!("the history has two rows with number {}", record.sequence),
                });
            }
        }
        let rows = i64::try_from(self.records.len()).ok()?;
        match &self.meta {
            None if rows > 0 => Some("the history has rows, and the meta row is gone".to_owned()),
            Some(meta) if meta.sequence != rows => {
                Some(format!("the history has {rows} rows, and {} were written", meta.sequence))
            }
            // What a newer version's record says, only that version knows.
            Some(_) if self.records.iter().any(|record| record.kind.is_none()) => None,
            Some(meta) if meta.fingerprint != Some(self.fingerprint(layout)) => {
                Some("a version or checksum in the history is not the one that was written".to_owned())
            }
            _ => None,
        }
    }
}

fn pasts<'a>(records: impl Iterator<Item = &'a Record>, layout: Layout) -> BTreeMap<&'a str, Past<'a>> {
    let mut pasts: BTreeMap<&str, Past<'_>> = BTreeMap::new();
    for record in records {
        let Some(kind) = record.of_migration() else { continue };
        let past = pasts.entry(layout.canonical(&record.version)).or_insert_with(|| Past::new(record));
        past.take(record, kind);
    }
    pasts
}

impl<'a> Past<'a> {
    /// Before its first record is taken in.
    fn new(record: &'a Record) -> Self {
        Self { record, standing: Standing::Pending, text: None, breaks_before: None, applied: None, error: None }
    }

    /// Whether nobody saw how much of it took.
    pub(crate) fn is_unseen(&self) -> bool {
        self.record.is_unseen()
    }

    fn take(&mut self, record: &'a Record, kind: RecordKind) {
        // Which of the scripts a record is about, the records before it say.
        let (way, done, prefix) = match self.standing {
            Standing::Partial(Partial { way, done, prefix, .. }) => (way, done, prefix),
            Standing::Applied | Standing::Baselined => (Way::Down, 0, None),
            Standing::RolledBack | Standing::Pending => (Way::Up, 0, None),
        };
        let partial = |done, prefix, in_doubt| Standing::Partial(Partial { way, done, prefix, in_doubt });
        let standing = match kind {
            // A resumed attempt is planned again; what took before stays.
            RecordKind::Planned | RecordKind::Reverting => partial(done, prefix, true),
            RecordKind::Statement => partial(record.statement.unwrap_or(0), record.checksum, true),
            // Nobody could see how much of it took.
            RecordKind::Failed | RecordKind::Interrupted if record.statements == Some(0) => partial(0, None, true),
            RecordKind::Failed | RecordKind::Interrupted => match self.standing {
                Standing::Partial(_) if done == 0 && way == Way::Up => Standing::Pending,
                Standing::Partial(_) => partial(done, prefix, false),
                unchanged => unchanged,
            },
            RecordKind::Applied => Standing::Applied,
            RecordKind::Baselined => Standing::Baselined,
            RecordKind::Kept => self.before_the_revert(),
            RecordKind::Accepted | RecordKind::Marked => self.standing,
            RecordKind::Reverted if record.is_outside() => Standing::Pending,
            RecordKind::Reverted => Standing::RolledBack,
            RecordKind::Resolved => match record.detail.as_deref() {
                Some(RESOLVED_APPLIED) if way == Way::Down => self.before_the_revert(),
                Some(RESOLVED_APPLIED) => Standing::Applied,
                Some(RESOLVED_RESUME) => {
                    partial(record.statement.unwrap_or(1).saturating_sub(1), record.checksum, false)
                }
                _ => Standing::RolledBack,
            },
        };
        self.standing = standing;
        self.record = record;
        let ended_badly = matches!(kind, RecordKind::Failed | RecordKind::Interrupted);
        self.error = ended_badly.then_some(record.detail.as_deref()).flatten();
        match kind {
            RecordKind::Accepted => self.text = record.checksum,
            _ if standing.is_applied() && (self.applied.is_none() || kind == RecordKind::Applied) => {
                (self.applied, self.text) = (Some(record), record.checksum);
            }
            _ if !standing.is_in_the_tools_table() => (self.applied, self.text) = (None, None),
            _ => {}
        }
        if standing.is_applied() {
            self.record = self.applied.unwrap_or(record);
        }
        match standing {
            Standing::Pending | Standing::RolledBack => self.breaks_before = None,
            _ => self.breaks_before = record.breaks_before.as_deref().or(self.breaks_before),
        }
    }

    /// How it was applied, when its revert did not take.
    fn before_the_revert(&self) -> Standing {
        match self.applied {
            Some(Record { kind: Some(RecordKind::Baselined), .. }) => Standing::Baselined,
            _ => Standing::Applied,
        }
    }
}
