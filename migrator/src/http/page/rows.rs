//! The migrations and seeds as rows of tables: what needs a hand first, the newest of the others, the rest folded.

use super::chart::Bar;
use super::words::{Tone, coarse, ms, readable, took};
use crate::health::{HealthReport, Progress, StepProgress, StepState};
use crate::seed::{SeedState, SeedStatus};
use crate::status::{MigrationStatus, State};

/// A table of migrations, of which the first rows are shown at once.
pub(super) struct Group<'a> {
    pub(super) title: &'static str,
    pub(super) shown: Vec<MigrationRow<'a>>,
    pub(super) folded: Vec<MigrationRow<'a>>,
}

pub(super) struct MigrationRow<'a> {
    pub(super) tone: Tone,
    pub(super) word: &'static str,
    pub(super) name: &'a str,
    /// RFC 3339, and as people read it.
    pub(super) at: Option<(&'a str, String)>,
    pub(super) took: Option<String>,
    pub(super) note: Option<&'a str>,
    /// The record to tell of.
    pub(super) record: Option<String>,
}

pub(super) struct SeedRow<'a> {
    pub(super) tone: Tone,
    pub(super) word: &'static str,
    pub(super) name: &'a str,
    pub(super) critical: bool,
    pub(super) attempts: u32,
    /// When it is tried again.
    pub(super) next: Option<String>,
    pub(super) note: Option<&'a str>,
}

/// How many rows of a group are seen at once.
const SHOWN: usize = 12;

impl<'a> Group<'a> {
    fn new(title: &'static str, mut rows: Vec<MigrationRow<'a>>) -> Self {
        // A fold that hides two rows is longer than they are.
        let folded = if rows.len() > SHOWN + 3 { rows.split_off(SHOWN) } else { Vec::new() };
        Self { title, shown: rows, folded }
    }

    pub(super) fn len(&self) -> usize {
        self.shown.len() + self.folded.len()
    }
}

/// What needs a hand, what a run would apply, and what is applied, the newest first.
pub(super) fn groups(rows: &[MigrationStatus]) -> Vec<Group<'_>> {
    let those = |of: fn(State) -> bool| rows.iter().filter(move |row| of(row.state)).map(row);
    let is_pending = |state| matches!(state, State::Pending | State::RolledBack);
    let is_applied = |state| matches!(state, State::Applied | State::Baselined | State::Ahead);
    let is_problem = |state| matches!(state, State::Failed | State::Changed | State::Missing | State::OutOfOrder);
    let groups = [
        Group::new("Problems", those(is_problem).collect()),
        Group::new("Pending, in the order of a run", those(is_pending).collect()),
        Group::new("Applied, the newest first", those(is_applied).rev().collect()),
    ];
    groups.into_iter().filter(|group| group.len() > 0).collect()
}

fn tone(state: State) -> Tone {
    match state {
        State::Applied | State::Baselined => Tone::Good,
        State::Pending | State::RolledBack => Tone::Calm,
        State::Ahead => Tone::Warn,
        State::OutOfOrder | State::Changed | State::Missing | State::Failed => Tone::Bad,
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::OutOfOrder => "out of order",
        State::RolledBack => "rolled back",
        state => state.name(),
    }
}

fn row(row: &MigrationStatus) -> MigrationRow<'_> {
    let unverified = row.unverified.then_some("applied by another tool, its text unverified");
    MigrationRow {
        tone: tone(row.state),
        word: word(row.state),
        name: &row.name,
        at: row.applied_at.as_deref().map(|at| (at, readable(at))),
        took: row.duration_ms.map(took),
        note: row.error.as_deref().or(unverified),
        record: row.told().map(|record| format!("last record: {record}")),
    }
}

pub(super) fn bar(row: &MigrationStatus) -> Bar<'_> {
    Bar { name: &row.name, word: word(row.state), tone: tone(row.state), ms: row.duration_ms }
}

fn tone_of_step(state: StepState) -> Tone {
    match state {
        StepState::Running => Tone::Busy,
        StepState::Ran => Tone::Calm,
        StepState::Applied => Tone::Good,
        StepState::Failed => Tone::Bad,
        StepState::Unfinished => Tone::Warn,
    }
}

pub(super) fn bar_of_step(step: &StepProgress) -> Bar<'_> {
    Bar { name: &step.name, word: step.state.name(), tone: tone_of_step(step.state), ms: Some(ms(step.duration)) }
}

/// What a run did so far, the newest first: that is where it is, or where it stopped.
pub(super) fn of_run(progress: &Progress) -> Group<'_> {
    let rows = progress.migrations.iter().rev().map(row_of_step);
    Group::new("What the start of this process did, the newest first", rows.collect())
}

fn row_of_step(step: &StepProgress) -> MigrationRow<'_> {
    let note = match step.state {
        StepState::Ran => Some("not committed yet"),
        StepState::Unfinished => Some("the run ended before it was committed"),
        _ => step.error.as_deref(),
    };
    MigrationRow {
        tone: tone_of_step(step.state),
        word: step.state.name(),
        name: &step.name,
        at: None,
        took: Some(took(ms(step.duration))),
        note,
        record: None,
    }
}

/// Each seed by the ledger; where that cannot be read, those that are known to be missing.
pub(super) fn seeds<'a>(seeds: &'a [SeedStatus], report: &'a HealthReport) -> Vec<SeedRow<'a>> {
    if !seeds.is_empty() {
        return seeds.iter().map(seed).collect();
    }
    let missing = report.missing_seeds.iter().map(|missing| SeedRow {
        tone: if missing.critical { Tone::Bad } else { Tone::Warn },
        word: missing.standing.name(),
        name: &missing.seed,
        critical: missing.critical,
        attempts: missing.attempts,
        next: None,
        note: None,
    });
    missing.collect()
}

fn seed(seed: &SeedStatus) -> SeedRow<'_> {
    let tone = match seed.state {
        SeedState::Applied => Tone::Good,
        SeedState::Pending | SeedState::Skipped => Tone::Calm,
        SeedState::Retrying => Tone::Warn,
        SeedState::Failed | SeedState::Exhausted => Tone::Bad,
    };
    let next = match (seed.state, seed.next_in) {
        (SeedState::Retrying, Some(next)) if next.as_secs() == 0 => Some("again now".to_owned()),
        (SeedState::Retrying, Some(next)) => Some(format!("again in {}", coarse(next))),
        (SeedState::Failed | SeedState::Exhausted, _) => Some("not again by itself".to_owned()),
        _ => None,
    };
    SeedRow {
        tone,
        word: seed.state.name(),
        name: &seed.name,
        critical: seed.critical,
        attempts: seed.attempts,
        next,
        note: seed.error.as_deref(),
    }
}
