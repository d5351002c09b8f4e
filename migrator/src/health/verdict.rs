//! What a probe is answered: pure functions of where the process stands and of what was read of the database.

use std::fmt;
use std::time::Duration;

use super::reading::{Footing, Migrations, Reading, Stand, Trouble};
use super::worker::Worker;
use crate::provider_state::{MissingSeed, ProviderState, SeedStanding};

/// What an orchestrator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Probe {
    /// Has it come up?
    Startup,
    /// Does a restart help?
    Liveness,
    /// Can it be given requests?
    Readiness,
}

/// How something is, in the words of `application/health+json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl Outcome {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    /// 200, or 503 for a fail.
    pub fn http_status(self) -> u16 {
        if self == Self::Fail { 503 } else { 200 }
    }
}

/// The answer to a probe; it prints itself. It never holds SQL text, a URL, a user or a host.
///
/// It is a function of the provider's state, of what was read of the database just now (at most a second ago), and of nothing
/// else:
///
/// | state | read of the database | startup | liveness | readiness | reason code | again after |
/// |---|---|---|---|---|---|---|
/// | not started | | 503 | 200 | 503 | `not_started` | 5 s |
/// | starting | | 503 | 200 | 503 | `starting` | 1 s |
/// | waiting for the database | | 503 | 200 | 503 | `waiting_for_database` | 1 s |
/// | waiting for the lock | | 503 | 200 | 503 | `waiting_for_lock` | 1 s |
/// | waiting for migrations | | 503 | 200 | 503 | `waiting_for_migrations` | 1 s |
/// | migrating | | 503 | 200 | 503 | `migrating` | 1 s |
/// | seeding | | 503 | 200 | 503 | `seeding` | 1 s |
/// | verifying | | 503 | 200 | 503 | `verifying` | 1 s |
/// | failed, can pass | | 503 | 200 | 503 | the error's | 5 s |
/// | failed | | 503 | 200 | 503 | the error's | 60 s |
/// | serves | up to date | 200 | 200 | 200 | `ready` | |
/// | serves | ahead | 200 | 200 | 200, warn | `ahead` | |
/// | serves | migrations pending that it can do without | 200 | 200 | 200, warn | `behind` | |
/// | serves | without a seed that is not critical | 200 | 200 | 200, warn | `degraded` | |
/// | serves | without a critical seed that is still to come | 200 | 200 | 503 | `seeds_missing` | 5 s |
/// | serves | without a critical seed that is given up | 200 | 200 | 503 | `seeds_missing` | 60 s |
/// | serves | migrations pending | 200 | 200 | 503 | `pending` | 5 s |
/// | serves | blocked | 200 | 200 | 503 | the problem's | 60 s |
/// | serves | nothing in time | 200 | 200 | 503 | `database_timeout` | 1 s |
/// | serves | no connection | 200 | 200 | 503 | `database_unavailable` | 1 s |
/// | serves | no connection, all are in use | 200 | 200 | 503 | `pool_exhausted` | 1 s |
/// | serves | the connection broke | 200 | 200 | 503 | `connection_lost` | 1 s |
/// | serves | refused | 200 | 200 | 503 | the error's | 60 s |
/// | only migrates, and is done | | 200 | 200 | 503 | `migrate_only` | 60 s |
/// | shut down, was ready | | 200 | 200 | 503 | `shut_down` | |
/// | shut down, never was ready | | 503 | 200 | 503 | `shut_down` | |
///
/// *Serves* are the states `ready`, `degraded` and `ahead`. Their difference is that of the moment at which an init ended; what was
/// read now says more. The error's code is one of those on the [crate's page](crate#errors); the problem's is `changed`, `missing`,
/// `out_of_order`, `failed`, `outdated`, `history_tampered`, or `ahead` where a policy refuses that.
///
/// The table's liveness is that of a process whose worker lives, or which needs none. Whatever the state, it is 503 with the code
/// `worker_died` or `worker_hung` otherwise; no restart repairs anything else here. What is unknown is never healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Verdict {
    /// What was asked.
    pub probe: Probe,
    /// How it is.
    pub status: Outcome,
    /// The reason: a stable code.
    pub code: &'static str,
    /// The reason for a person, in one line.
    pub message: String,
    /// After how many seconds asking again may help; `None` when it is well, or never will.
    #[cfg_attr(feature = "serde", serde(rename = "retry_after_s", serialize_with = "seconds"))]
    pub retry_after: Option<Duration>,
}

impl Verdict {
    fn new(probe: Probe, status: Outcome, code: &'static str, message: impl Into<String>, again: u64) -> Self {
        let retry_after = (again > 0).then(|| Duration::from_secs(again));
        Self { probe, status, code, message: message.into(), retry_after }
    }

    /// 200, or 503 for a fail.
    pub fn http_status(&self) -> u16 {
        self.status.http_status()
    }

    /// Whether the answer is yes, warnings included.
    pub fn is_positive(&self) -> bool {
        self.status != Outcome::Fail
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.status.name(), self.message, self.code)
    }
}

#[cfg(feature = "serde")]
fn seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.map(|time| time.as_secs()), serializer)
}

/// Whether it has come up.
pub(crate) fn startup(stand: &Stand) -> Verdict {
    match stand.was_ready {
        true => Verdict::new(Probe::Startup, Outcome::Pass, "ready", "it has come up", 0),
        false => of_state(Probe::Startup, &stand.state),
    }
}

/// Whether a restart would not help.
pub(crate) fn liveness(stand: &Stand) -> Verdict {
    let verdict = |status, code, message: &str| Verdict::new(Probe::Liveness, status, code, message, 0);
    match stand.worker {
        Worker::None | Worker::Alive => verdict(Outcome::Pass, "alive", "it lives"),
        Worker::Died => verdict(Outcome::Fail, "worker_died", "the worker for background seeds panicked"),
        Worker::Hung => verdict(Outcome::Fail, "worker_hung", "the worker for background seeds gives no sign of life"),
    }
}

/// Whether it can be given requests. `reading` is `None` when nothing was read in time.
pub(crate) fn readiness(stand: &Stand, reading: Option<&Reading>) -> Verdict {
    let probe = Probe::Readiness;
    if !stand.asks() {
        return of_state(probe, &stand.state);
    }
    let fails = |code, message: String, again| Verdict::new(probe, Outcome::Fail, code, message, again);
    let Some(reading) = reading else {
        return fails("database_timeout", "the database does not answer in time".to_owned(), 1);
    };
    match &reading.migrations {
        Err(trouble) => fails(trouble.code, unread(trouble).to_owned(), if trouble.passes { 1 } else { 60 }),
        Ok(Migrations { footing: Footing::Pending, pending, .. }) => {
            let what = crate::report::migrations(*pending);
            fails("pending", format!("the database is without {what} of this binary"), 5)
        }
        Ok(Migrations { footing: Footing::Blocked(trouble), .. }) => {
            fails(trouble.code, "the history and the set do not fit together".to_owned(), 60)
        }
        Ok(migrations) => serves(&reading.missing, migrations),
    }
}

/// The migrations are as they have to be; the seeds decide.
fn serves(missing: &[MissingSeed], migrations: &Migrations) -> Verdict {
    let verdict = |status, code, message: String, again| Verdict::new(Probe::Readiness, status, code, message, again);
    let without = |seeds: &[&MissingSeed]| {
        format!("without {}", crate::status::list(seeds.iter().map(|missing| missing.seed.as_str())))
    };
    let critical: Vec<&MissingSeed> = missing.iter().filter(|missing| missing.critical).collect();
    if !critical.is_empty() {
        let comes = critical.iter().all(|seed| matches!(seed.standing, SeedStanding::Pending | SeedStanding::Retrying));
        return verdict(Outcome::Fail, "seeds_missing", without(&critical), if comes { 5 } else { 60 });
    }
    if !missing.is_empty() {
        let missing: Vec<&MissingSeed> = missing.iter().collect();
        return verdict(Outcome::Warn, "degraded", without(&missing), 0);
    }
    match migrations.footing {
        Footing::Ahead => verdict(Outcome::Warn, "ahead", "the database is newer than this binary".to_owned(), 0),
        Footing::Behind => {
            let what = crate::report::migrations(migrations.pending);
            verdict(
                Outcome::Warn,
                "behind",
                format!("the database is without {what} that this binary can do without"),
                0,
            )
        }
        _ => verdict(Outcome::Pass, "ready", "the database is where this binary needs it".to_owned(), 0),
    }
}

/// What a state that does not serve says by itself.
fn of_state(probe: Probe, state: &ProviderState) -> Verdict {
    let fails = |code, message: String, again| Verdict::new(probe, Outcome::Fail, code, message, again);
    match state {
        ProviderState::NotStarted => fails(state.name(), "init was not called".to_owned(), 5),
        // The holder is named in the database's words: user, host and all.
        ProviderState::WaitingForLock { .. } => {
            fails(state.name(), "another process holds the migration lock".to_owned(), 1)
        }
        ProviderState::Failed { code, retryable, .. } => {
            fails(code, state.to_string(), if *retryable { 5 } else { 60 })
        }
        ProviderState::ShutDown => fails(state.name(), state.to_string(), 0),
        state if state.is_initialized() => {
            fails("migrate_only", "this process only migrates, and is done".to_owned(), 60)
        }
        state => fails(state.name(), state.to_string(), 1),
    }
}

/// Why nothing could be read, without what the database says.
fn unread(trouble: &Trouble) -> &'static str {
    match trouble.code {
        "pool_exhausted" => "every connection of the pool is in use",
        "database_unavailable" => "the database does not answer",
        _ => "the database does not let itself be read",
    }
}
