//! What is known of a database and of the process that works with it, when a probe is answered.

use std::time::Duration;

use crate::error::Error;
use crate::migration::{Checksum, MigrationSet};
use crate::plan::Plan;
use crate::provider_state::{MissingSeed, ProviderState};
use crate::status::{DatabaseState, Status};

use super::worker::Worker;

/// Where the process stands. Nobody is asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    pub(crate) state: ProviderState,
    /// How often the state changed.
    pub(crate) epoch: u64,
    /// Whether it was ready once.
    pub(crate) was_ready: bool,
    pub(crate) worker: Worker,
    /// `None` where there is no pool, or not yet.
    pub(crate) pool: Option<Pool>,
}

impl Stand {
    /// Whether the database has to be asked: until then the state says it all.
    pub(crate) fn asks(&self) -> bool {
        self.state.is_initialized() && self.pool.is_some()
    }
}

/// How many connections a pool has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Pool {
    /// How many it may have.
    pub size: u32,
    /// How many are given out; one of them may be that of a probe.
    pub in_use: u32,
    /// How many are open and wait to be asked for.
    pub idle: u32,
    /// How many callers of [`DbProvider::get`](crate::DbProvider::get) wait for one right now.
    pub waiting: u32,
}

/// What was read of a database, now.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// How long the first query took; `None` when none was answered.
    pub(crate) latency: Option<Duration>,
    pub(crate) migrations: Result<Migrations, Trouble>,
    /// The seeds that the service lacks.
    pub(crate) missing: Vec<MissingSeed>,
}

impl Reading {
    /// Nothing could be read.
    pub(crate) fn trouble(trouble: impl Into<Trouble>) -> Self {
        Self { latency: None, migrations: Err(trouble.into()), missing: Vec::new() }
    }
}

/// Where the migrations stand.
#[derive(Debug, Clone)]
pub(crate) struct Migrations {
    pub(crate) footing: Footing,
    pub(crate) applied: usize,
    pub(crate) pending: usize,
    /// The version that was applied last.
    pub(crate) head: Option<String>,
    /// Of the set.
    pub(crate) fingerprint: Checksum,
}

impl Migrations {
    /// Those of a database that is exactly where the set is.
    pub(crate) fn up_to_date(set: &MigrationSet) -> Self {
        let head = set.len().checked_sub(1).map(|last| set.at(last).version().to_owned());
        Self { footing: Footing::UpToDate, applied: set.len(), pending: 0, head, fingerprint: set.fingerprint() }
    }
}

/// What a database is to a binary of a set: whether it can be worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Footing {
    /// It has the set, and nothing else.
    UpToDate,
    /// It has the set, and more.
    Ahead,
    /// A run would apply something, and the binary can do without it.
    Behind,
    /// A run would apply something.
    Pending,
    /// A run is refused.
    Blocked(Trouble),
}

/// Why something is not as it should be, without the database's words unless somebody wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    pub(crate) remedy: String,
    /// What happened, with names that the database gives things.
    pub(crate) words: String,
    /// Whether trying again can help while nothing is changed by hand.
    pub(crate) passes: bool,
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        let mut words = error.message().to_owned();
        if let Some(theirs) = error.database_words() {
            words.push_str(&format!(": {theirs}"));
        }
        Self { code: error.code(), remedy: error.remedy().to_owned(), words, passes: error.is_transient() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// Decides whether a binary can work with a database, by its status and, unless that is as it should be, by what a run would do: a
/// policy may allow, or refuse, what a status only tells. This is the one place where that is decided for the probes.
pub(crate) fn migrations(
    fingerprint: Checksum,
    status: &Status,
    plan: impl FnOnce() -> Result<Plan, Error>,
) -> Migrations {
    let is_ahead = status.problems().iter().any(|problem| problem.code == "ahead");
    let footing = match status.state() {
        DatabaseState::UpToDate => Footing::UpToDate,
        _ => match plan() {
            Ok(plan) if !plan.is_empty() => {
                if status.is_servable() {
                    Footing::Behind
                } else {
                    Footing::Pending
                }
            }
            Ok(_) if is_ahead => Footing::Ahead,
            Ok(_) => Footing::UpToDate,
            // A newer binary stopped half-way: nothing is applied before it goes on, and this one serves. Where it stopped beyond the
            // set, nothing of the set is missing.
            Err(error) if error.code() == "failed" && status.is_servable() => {
                if status.pending() > 0 {
                    Footing::Behind
                } else {
                    Footing::Ahead
                }
            }
            Err(error) => Footing::Blocked(error.into()),
        },
    };
    let applied = status.migrations().iter().rfind(|row| row.applied_at.is_some());
    let head = applied.map(|row| row.version.clone());
    Migrations { footing, applied: status.applied(), pending: status.pending(), head, fingerprint }
}
