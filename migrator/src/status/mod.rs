//! Facts: where each migration stands. Never writes.

mod problems;
mod recorded;

use std::fmt;

use crate::migration::{Checksum, MigrationSet};
use crate::record::{History, Past, Standing};
pub use problems::Problem;
use problems::serves;
pub(crate) use problems::{HALF_REVERTED, problems, revert_help, tampered};
pub use recorded::Recorded;
use recorded::recorded;

/// Where one migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum State {
    /// In the set and in the history, finished, checksum equal.
    Applied,
    /// Recorded as applied without being run.
    Baselined,
    /// In the set, not applied, newer than everything applied.
    Pending,
    /// In the set, not applied, older than something applied.
    OutOfOrder,
    /// Applied, but the checksum differs.
    Changed,
    /// Applied, not newer than the set's latest, not in the set.
    Missing,
    /// Applied and newer than the set's latest: the database is newer than the binary.
    Ahead,
    /// Partly applied or in doubt.
    Failed,
    /// Undone, or an operator said that it did not take; it will run again.
    RolledBack,
}

impl State {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Baselined => "baselined",
            Self::Pending => "pending",
            Self::OutOfOrder => "out_of_order",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Ahead => "ahead",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// Where a database stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DatabaseState {
    /// Every migration of the set is applied, and nothing else.
    UpToDate,
    /// A run would apply something.
    Pending,
    /// Everything is applied, and more: the database is newer than the binary, which can serve all the same. When a newer migration
    /// says that it cannot (`-- migrator: breaks-before VERSION`), the state is [`Blocked`](Self::Blocked).
    Ahead,
    /// Something is not as it should be; the problems say what, and whether a run is refused or goes on inside of a script.
    Blocked,
    /// There is no history yet.
    Uninitialized,
}

impl DatabaseState {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Pending => "pending",
            Self::Ahead => "ahead",
            Self::Blocked => "blocked",
            Self::Uninitialized => "uninitialized",
        }
    }
}

/// One row of a [`Status`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MigrationStatus {
    /// The sortable key at the front of the name.
    pub version: String,
    /// The full name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it was applied, RFC 3339 UTC by the database's clock.
    pub applied_at: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The set's checksum of the up script; the recorded one for a migration that is not in the set.
    pub checksum: Option<Checksum>,
    /// Whether it has a down script that can run.
    pub reversible: bool,
    /// Whether another tool applied it, so that nobody knows which text ran.
    pub unverified: bool,
    /// The database's words at the last attempt, while it is not applied.
    pub error: Option<String>,
    /// The record of the history that decides where it stands. `None` while it is in no record.
    pub recorded: Option<Recorded>,
}

/// Where a database stands against a set; it prints itself.
///
/// With feature `serde` it serialises to `{"dialect", "database", "state", "applied", "pending", "migrations": […],
/// "problems": […]}`.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Status {
    pub(crate) dialect: &'static str,
    pub(crate) database: String,
    pub(crate) state: DatabaseState,
    pub(crate) applied: usize,
    pub(crate) pending: usize,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) servable: bool,
    pub(crate) migrations: Vec<MigrationStatus>,
    pub(crate) problems: Vec<Problem>,
}

impl Status {
    /// Where the database stands as a whole.
    pub fn state(&self) -> DatabaseState {
        self.state
    }

    /// The database's name, or the file of a SQLite database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many migrations of the set are applied.
    pub fn applied(&self) -> usize {
        self.applied
    }

    /// How many migrations of the set are not applied.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Whether this binary can serve the database as it is, whatever a run would still do. This is what readiness goes by.
    ///
    /// It can when everything is applied, also when the database is ahead, or a newer binary is at work on it, unless a newer migration
    /// says that it [breaks](DatabaseState::Ahead) what is as old as this set (the problem `outdated`). With something pending it can
    /// when [`Migrator::serves_from`](crate::Migrator::serves_from) says so.
    pub fn is_servable(&self) -> bool {
        self.servable
    }

    /// Each migration of the set, and each applied one that is not in it, in order.
    pub fn migrations(&self) -> &[MigrationStatus] {
        &self.migrations
    }

    /// What is not as it should be.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dialect, database, applied, pending, .. } = self;
        write!(f, "{dialect} {database}: {}, {applied} applied, {pending} pending", self.state.name())?;
        let width = self.migrations.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        for row in &self.migrations {
            write!(f, "\n  {:<12}  {:<width$}", row.state.name(), row.name)?;
            if let Some(at) = &row.applied_at {
                write!(f, "  {at}")?;
            }
            if let Some(duration) = row.duration_ms {
                write!(f, "  {duration} ms")?;
            }
            if row.unverified {
                f.write_str("  applied by another tool, its text unverified")?;
            }
            if let Some(error) = row.error.as_deref().and_then(|error| error.lines().next()) {
                write!(f, "  last attempt: {error}")?;
            }
            if let Some(record) = row.told() {
                write!(f, "\n      last record: {record}")?;
            }
        }
        let problems = &mut self.problems.iter();
        problems.try_for_each(|problem| write!(f, "\n{}: {}\n  next: {}", problem.code, problem.message, problem.help))
    }
}

/// Where one migration of the set stands, for decisions.
pub(crate) struct Entry {
    pub(crate) position: usize,
    pub(crate) state: State,
    pub(crate) standing: Standing,
    /// Whether the history names it at all.
    pub(crate) retried: bool,
}

/// Where everything stands.
pub(crate) struct States<'a> {
    pub(crate) set: &'a MigrationSet,
    /// One for each migration of the set, in order.
    pub(crate) of_set: Vec<Entry>,
    /// What the history holds besides.
    pub(crate) others: Vec<(Past<'a>, State)>,
    pasts: std::collections::BTreeMap<&'a str, Past<'a>>,
}

impl<'a> States<'a> {
    /// Those of which a part is applied, in order.
    pub(crate) fn half_applied(&self) -> Vec<&Past<'a>> {
        self.partial().filter(|past| !past.standing.is_half_reverted()).collect()
    }

    /// Those whose revert stopped half-way, in order.
    pub(crate) fn half_reverted(&self) -> Vec<&Past<'a>> {
        self.partial().filter(|past| past.standing.is_half_reverted()).collect()
    }

    fn partial(&self) -> impl Iterator<Item = &Past<'a>> {
        let of_set = self.of_set.iter().filter(|entry| entry.state == State::Failed);
        let of_set = of_set.filter_map(|entry| self.pasts.get(self.set.at(entry.position).canonical()));
        of_set.chain(self.others.iter().filter(|(_, state)| *state == State::Failed).map(|(past, _)| past))
    }

    /// How many migrations of the set are applied.
    pub(crate) fn applied(&self) -> usize {
        self.of_set.iter().filter(|entry| entry.state.is_applied()).count()
    }
}

/// Joins the set and the history.
pub(crate) fn states<'a>(set: &'a MigrationSet, history: &'a History) -> States<'a> {
    let layout = set.layout();
    let pasts = history.pasts(layout);
    let taken = |standing| matches!(standing, Standing::Applied | Standing::Baselined | Standing::Partial(_));
    let newest = pasts
        .iter()
        .filter(|(_, past)| matches!(past.standing, Standing::Applied | Standing::Baselined))
        .map(|(version, _)| *version)
        .max_by(|a, b| layout.order(a, b));
    let of_set: Vec<Entry> = set
        .iter()
        .map(|migration| {
            let past = pasts.get(migration.canonical());
            let standing = past.map_or(Standing::Pending, |past| past.standing);
            let older = newest.is_some_and(|newest| layout.order(migration.version(), newest).is_lt());
            let state = match standing {
                Standing::Applied | Standing::Baselined
                    if differ(past.and_then(|past| past.text), migration.recorded()) =>
                {
                    State::Changed
                }
                Standing::Applied => State::Applied,
                Standing::Baselined => State::Baselined,
                Standing::Partial(_) => State::Failed,
                Standing::RolledBack => State::RolledBack,
                Standing::Pending if older => State::OutOfOrder,
                Standing::Pending => State::Pending,
            };
            Entry { position: migration.position(), state, standing, retried: past.is_some() }
        })
        .collect();
    let latest = set.len().checked_sub(1).map(|at| set.at(at));
    let known: std::collections::HashSet<&str> = set.iter().map(|migration| migration.canonical()).collect();
    let mut others: Vec<(Past<'_>, State)> = pasts
        .iter()
        .filter(|(version, past)| !known.contains(**version) && taken(past.standing))
        .map(|(version, past)| {
            let newer = latest.is_none_or(|latest| layout.order(version, latest.version()).is_gt());
            let state = match past.standing {
                Standing::Partial(_) => State::Failed,
                _ if newer => State::Ahead,
                _ => State::Missing,
            };
            (past.clone(), state)
        })
        .collect();
    others.sort_by(|(a, _), (b, _)| layout.order(&a.record.version, &b.record.version));
    States { set, of_set, others, pasts }
}

/// Whether two digests are known and not the same.
fn differ(recorded: Option<Checksum>, known: Option<Checksum>) -> bool {
    recorded.is_some() && known.is_some() && recorded != known
}

/// The status of a database that has a history, or of one that has none yet. `serves_from` is the position of the migration from
/// which on the binary can serve.
pub(crate) fn status(
    set: &MigrationSet,
    history: Option<&History>,
    dialect: &'static str,
    database: String,
    serves_from: Option<usize>,
) -> Status {
    let nothing = History::default();
    let states = states(set, history.unwrap_or(&nothing));
    let problems = problems(&states, history.unwrap_or(&nothing), set.layout());
    let mut migrations: Vec<MigrationStatus> = states.of_set.iter().map(|entry| row(&states, entry)).collect();
    for (past, state) in &states.others {
        let at = migrations.partition_point(|row| set.layout().order(&row.version, &past.record.version).is_lt());
        migrations.insert(
            at,
            MigrationStatus {
                version: past.record.version.clone(),
                name: past.record.name.clone(),
                state: *state,
                applied_at: applied_at(past),
                duration_ms: past.record.duration_ms,
                checksum: past.text,
                reversible: false,
                unverified: past.record.is_unverified(),
                error: past.error.map(str::to_owned),
                recorded: recorded(past.record),
            },
        );
    }
    let applied = states.applied();
    let pending = set.len() - applied;
    let state = match () {
        () if history.is_none() => DatabaseState::Uninitialized,
        () if problems.iter().any(|problem| problem.code != State::Ahead.name()) => DatabaseState::Blocked,
        () if pending > 0 => DatabaseState::Pending,
        () if !problems.is_empty() => DatabaseState::Ahead,
        () => DatabaseState::UpToDate,
    };
    // Where nothing says otherwise, all of the set has to be there.
    let needed = serves_from.map_or(set.len(), |position| position + 1);
    let is_there = states.of_set.iter().take(needed).all(|entry| entry.state.is_applied());
    let servable = history.is_some() && is_there && serves(&states, &problems);
    Status { dialect, database, state, applied, pending, servable, migrations, problems }
}

fn row(states: &States<'_>, entry: &Entry) -> MigrationStatus {
    let migration = states.set.at(entry.position);
    let any = states.pasts.get(migration.canonical());
    let past = any.filter(|_| entry.state.is_applied());
    MigrationStatus {
        version: migration.version().to_owned(),
        name: migration.name().to_owned(),
        state: entry.state,
        applied_at: past.and_then(applied_at),
        duration_ms: past.and_then(|past| past.record.duration_ms),
        checksum: migration.recorded(),
        reversible: migration.is_reversible(),
        unverified: past.is_some_and(|past| past.record.is_unverified()),
        error: any.and_then(|past| past.error).map(str::to_owned),
        recorded: any.and_then(|past| recorded(past.record)),
    }
}

/// When it was applied: what another tool's table told for what that tool did.
fn applied_at(past: &Past<'_>) -> Option<String> {
    let at = past.record.adopted().unwrap_or(Some(&past.record.recorded_at));
    at.map(str::to_owned)
}

/// The first five names, and how many more there are.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown} and {} more", names.len() - 5) } else { shown }
}
