//! Where a service stands between its start and its end: one state, and the moves between them, as pure functions.

use std::fmt;
use std::time::Duration;

/// Where a [`DbProvider`](crate::DbProvider) stands.
///
/// Each change is one [`Event::State`](crate::Event::State) and one `tracing` event.
///
/// With feature `serde` it serialises to `{"state": "migrating", …}`: its [name](Self::name), and its fields under their names;
/// times are in milliseconds, `next_ms` and `since_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case", tag = "state"))]
#[non_exhaustive]
pub enum ProviderState {
    /// `init` was not called yet.
    NotStarted,
    /// `init` began, the database answered, or the migration lock is held.
    Starting,
    /// The database does not answer.
    WaitingForDatabase {
        /// How often it was tried.
        attempt: u32,
        /// How long until the next try.
        #[cfg_attr(feature = "serde", serde(rename = "next_ms", serialize_with = "crate::report::milliseconds"))]
        next: Duration,
    },
    /// Another process holds the migration lock.
    WaitingForLock {
        /// Who, in the database's words.
        holder: Option<String>,
        /// When the wait began, counted from the start of the init.
        #[cfg_attr(feature = "serde", serde(rename = "since_ms", serialize_with = "crate::report::milliseconds"))]
        since: Duration,
    },
    /// [`ServiceMode::WaitOnly`](crate::ServiceMode::WaitOnly): another process has yet to migrate.
    WaitingForMigrations {
        /// How many migrations of this binary the database does not have.
        pending: usize,
        /// When the wait began, counted from the start of the init.
        #[cfg_attr(feature = "serde", serde(rename = "since_ms", serialize_with = "crate::report::milliseconds"))]
        since: Duration,
    },
    /// A migration runs.
    Migrating {
        /// 1-based place in this run.
        step: usize,
        /// How many migrations the run applies.
        steps: usize,
        /// Its full name.
        name: String,
        /// The 1-based number of the statement that runs; 0 before the first.
        statement: usize,
    },
    /// A seed that the service waits for runs.
    Seeding {
        /// Its name.
        seed: String,
        /// Which try, from 1.
        attempt: u32,
    },
    /// What was done is looked at.
    Verifying,
    /// The service can work.
    Ready,
    /// The service can work, and something that is not critical is missing.
    Degraded {
        /// The seeds that are not there, and why.
        seeds: Vec<MissingSeed>,
        /// Whether the database is newer than this binary, besides.
        ahead: bool,
    },
    /// The service can work, and the database is newer than this binary, as in a rolling deploy.
    Ahead,
    /// `init` failed. It can be called again.
    Failed {
        /// In which part.
        stage: Stage,
        /// The error's code.
        code: &'static str,
        /// What to do next.
        remedy: String,
        /// Whether trying again can help while nothing is changed by hand.
        retryable: bool,
    },
    /// `shutdown` was called. This is the end.
    ShutDown,
}

/// The parts of an init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Stage {
    /// The configuration is read.
    Configure,
    /// The database is connected to.
    Connect,
    /// Migrations are applied, waited for, or looked for.
    Migrate,
    /// Seeds run.
    Seed,
    /// The outcome is looked at, and the pool is filled.
    Verify,
}

/// A seed whose promise does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MissingSeed {
    /// Its name.
    pub seed: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether the service cannot do without it, and is known to need it.
    pub critical: bool,
    /// What happens next.
    pub standing: SeedStanding,
}

/// What happens next to a seed whose promise does not hold.
///
/// With feature `serde` it serialises to its [name](Self::name), or to `{"skipped": "the reason"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SeedStanding {
    /// It was not tried yet.
    Pending,
    /// It failed, and is tried again in the background.
    Retrying,
    /// It failed, and nothing happens until the next start or [`retry_seeding`](crate::DbProvider::retry_seeding): its tries are used up, or its
    /// failure is permanent.
    Exhausted,
    /// It was not run, for this reason. That is no success.
    Skipped(String),
}

impl SeedStanding {
    /// The word for it in text and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Exhausted => "exhausted",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// What can happen to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    Begin,
    DatabaseIsDown { attempt: u32, next: Duration },
    Connected,
    LockIsHeld { holder: Option<String>, at: Duration },
    Locked,
    MigrationsAreMissing { pending: usize, at: Duration },
    Migrate { step: usize, steps: usize, name: String },
    Statement { number: usize },
    Seed { seed: String, attempt: u32 },
    Verify,
    Serve { ahead: bool, seeds: Vec<MissingSeed> },
    Fail { stage: Stage, code: &'static str, remedy: String, retryable: bool },
    ShutDown,
}

impl ProviderState {
    /// Every [name](Self::name).
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only the figures name them all"))]
    pub(crate) const NAMES: [&str; 13] = [
        "not_started",
        "starting",
        "waiting_for_database",
        "waiting_for_lock",
        "waiting_for_migrations",
        "migrating",
        "seeding",
        "verifying",
        "ready",
        "degraded",
        "ahead",
        "failed",
        "shut_down",
    ];

    /// The word for it in text, JSON and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Starting => "starting",
            Self::WaitingForDatabase { .. } => "waiting_for_database",
            Self::WaitingForLock { .. } => "waiting_for_lock",
            Self::WaitingForMigrations { .. } => "waiting_for_migrations",
            Self::Migrating { .. } => "migrating",
            Self::Seeding { .. } => "seeding",
            Self::Verifying => "verifying",
            Self::Ready => "ready",
            Self::Degraded { .. } => "degraded",
            Self::Ahead => "ahead",
            Self::Failed { .. } => "failed",
            Self::ShutDown => "shut_down",
        }
    }

    /// Whether an init succeeded, and nothing ended it since.
    pub fn is_initialized(&self) -> bool {
        matches!(self, Self::Ready | Self::Degraded { .. } | Self::Ahead)
    }

    /// Whether an init runs.
    pub fn is_in_flight(&self) -> bool {
        !self.is_initialized() && !matches!(self, Self::NotStarted | Self::Failed { .. } | Self::ShutDown)
    }

    /// Whether a seed is going to be tried again by itself.
    pub fn is_retrying_seeding(&self) -> bool {
        matches!(self, Self::Degraded { seeds, .. } if seeds.iter().any(|seed| seed.standing == SeedStanding::Retrying))
    }

    /// Where a move leads. `None` when it changes nothing, or is none of this state.
    pub(crate) fn after(&self, step: Move) -> Option<Self> {
        let next = match (self, step) {
            (Self::ShutDown, _) => return None,
            (_, Move::ShutDown) => Self::ShutDown,
            (Self::NotStarted | Self::Failed { .. }, Move::Begin) => Self::Starting,
            (Self::NotStarted | Self::Failed { .. }, _) | (_, Move::Begin) => return None,
            (state, Move::Serve { ahead, seeds }) if *state == Self::Verifying || state.is_initialized() => {
                match (seeds.is_empty(), ahead) {
                    (false, ahead) => Self::Degraded { seeds, ahead },
                    (true, true) => Self::Ahead,
                    (true, false) => Self::Ready,
                }
            }
            (state, step) if state.is_in_flight() => state.in_flight(step)?,
            _ => return None,
        };
        (next != *self).then_some(next)
    }

    /// The moves of an init that runs. A lost connection can take it back from everywhere.
    fn in_flight(&self, step: Move) -> Option<Self> {
        Some(match step {
            Move::DatabaseIsDown { attempt, next } => Self::WaitingForDatabase { attempt, next },
            Move::Connected => Self::Starting,
            Move::LockIsHeld { holder, at } => {
                let since = if let Self::WaitingForLock { since, .. } = self { *since } else { at };
                Self::WaitingForLock { holder, since }
            }
            // A backup follows, a plan, a seed: the wait is over.
            Move::Locked if matches!(self, Self::WaitingForLock { .. }) => Self::Starting,
            Move::MigrationsAreMissing { pending, at } => {
                let since = if let Self::WaitingForMigrations { since, .. } = self { *since } else { at };
                Self::WaitingForMigrations { pending, since }
            }
            Move::Migrate { step, steps, name } => Self::Migrating { step, steps, name, statement: 0 },
            Move::Statement { number } => match self {
                Self::Migrating { step, steps, name, .. } => {
                    Self::Migrating { step: *step, steps: *steps, name: name.clone(), statement: number }
                }
                _ => return None,
            },
            Move::Seed { seed, attempt } => Self::Seeding { seed, attempt },
            Move::Verify => Self::Verifying,
            Move::Fail { stage, code, remedy, retryable } => Self::Failed { stage, code, remedy, retryable },
            Move::Begin | Move::Locked | Move::Serve { .. } | Move::ShutDown => return None,
        })
    }
}

impl Stage {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Connect => "connect",
            Self::Migrate => "migrate",
            Self::Seed => "seed",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for ProviderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForDatabase { attempt, next } => {
                write!(f, "waiting for the database, attempt {attempt}, next in {} ms", next.as_millis())
            }
            Self::WaitingForLock { holder: Some(holder), .. } => write!(f, "waiting for the lock, held by {holder}"),
            Self::WaitingForLock { holder: None, .. } => f.write_str("waiting for the lock"),
            Self::WaitingForMigrations { pending, .. } => write!(f, "waiting for migrations, {pending} pending"),
            Self::Migrating { step, steps, name, statement } => {
                write!(f, "migrating, {step} of {steps}, {name}, statement {statement}")
            }
            Self::Seeding { seed, attempt } => write!(f, "seeding {seed}, attempt {attempt}"),
            Self::Degraded { seeds, .. } => {
                let names: Vec<&str> = seeds.iter().map(|missing| missing.seed.as_str()).collect();
                write!(f, "degraded, without {}", names.join(", "))
            }
            Self::Failed { stage, code, .. } => write!(f, "failed to {}: {code}", stage.name()),
            other => f.write_str(&other.name().replace('_', " ")),
        }
    }
}
