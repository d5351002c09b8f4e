//! What seeding did, and where each seed stands.

use std::fmt;
use std::time::Duration;

use super::{Mode, Phase};

/// What became of one seed.
///
/// With feature `serde` it serialises to `{"outcome", "rows", "reason", "error", "attempts", "next_in_ms"}`, without what it does not
/// have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "outcome", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SeedOutcome {
    /// It ran, and it is committed.
    Applied {
        /// How many rows it touched.
        rows: u64,
    },
    /// There was nothing to do.
    Unchanged,
    /// It did not run, and nobody knows whether what it promises holds. This is no success.
    Skipped(Skip),
    /// It failed, and nothing of the attempt is there (without a transaction: nobody knows).
    Failed {
        /// The error, in the words of the database or of the seed.
        error: String,
        /// How often it was tried since it last succeeded or changed, by all processes.
        attempts: u32,
        /// In how long it is tried again; `None` when nobody does so by himself: the error is permanent, or it was tried often
        /// enough.
        #[cfg_attr(feature = "serde", serde(rename = "next_in_ms", serialize_with = "optional_milliseconds"))]
        next_in: Option<Duration>,
    },
}

/// Why a seed did not run.
///
/// With feature `serde` it serialises to `{"reason"}`, the words that it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// It is for other environments than this one; `None` when nobody says which this one is.
    Environment(Option<String>),
    /// A seed that it depends on is not applied.
    DependsOn(String),
    /// It runs in the background.
    Background,
    /// It runs only when it is asked for by name.
    Manual,
    /// Another process runs it right now.
    Elsewhere,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(Some(name)) => write!(f, "it is not for the environment {name}"),
            Self::Environment(None) => {
                f.write_str("it is for some environments only, and nobody says which one this is (MIGRATOR_ENV)")
            }
            Self::DependsOn(name) => write!(f, "it depends on {name}, which is not applied"),
            Self::Background => f.write_str("it runs in the background"),
            Self::Manual => f.write_str("it runs only when it is asked for by name"),
            Self::Elsewhere => f.write_str("another process runs it right now"),
        }
    }
}

/// One seed of a [`SeedReport`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SeedRun {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: SeedOutcome,
    /// Whether a service cannot do without it.
    pub critical: bool,
    /// Whether a service waits for it.
    pub phase: Phase,
    /// How long its attempts took, pauses between them not counted.
    pub duration: Duration,
}

/// What seeding did, seed by seed in the order in which they ran; it prints itself.
///
/// With feature `serde` it serialises to `{"seeds": [{"name", "outcome", "rows", "reason", "error", "attempts", "next_in_ms",
/// "critical", "phase", "duration_ms"}], "next_due_ms", "duration_ms", "run_id"}`; what an outcome does not have is `null`.
#[derive(Debug, Clone, Default)]
pub struct SeedReport {
    pub(crate) seeds: Vec<SeedRun>,
    pub(crate) next_due: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) run_id: String,
}

impl SeedReport {
    /// Each seed of the list.
    pub fn seeds(&self) -> &[SeedRun] {
        &self.seeds
    }

    /// What became of the seed of this name.
    pub fn outcome(&self, name: &str) -> Option<&SeedOutcome> {
        self.seeds.iter().find(|seed| seed.name == name).map(|seed| &seed.outcome)
    }

    /// The seeds that failed.
    pub fn failed(&self) -> impl Iterator<Item = &SeedRun> {
        self.seeds.iter().filter(|seed| matches!(seed.outcome, SeedOutcome::Failed { .. }))
    }

    /// Whether every seed is applied or was there already. A failed one is no success, nor is a skipped one.
    pub fn is_successful(&self) -> bool {
        let held = |seed: &SeedRun| matches!(seed.outcome, SeedOutcome::Applied { .. } | SeedOutcome::Unchanged);
        self.seeds.iter().all(held)
    }

    /// In how long a background pass has something to try again; `None` when nothing is.
    pub fn next_due(&self) -> Option<Duration> {
        self.next_due
    }

    /// How long all of it took.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The name of this run in the ledger.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }
}

impl fmt::Display for SeedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied { rows } => write!(f, "applied, {rows} row{}", if *rows == 1 { "" } else { "s" }),
            Self::Unchanged => f.write_str("unchanged"),
            Self::Skipped(skip) => write!(f, "skipped: {skip}"),
            Self::Failed { error, attempts, next_in } => {
                let tries = if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
                write!(f, "failed after {tries}")?;
                if let Some(next) = next_in {
                    write!(f, ", tried again in {} ms", next.as_millis())?;
                }
                write!(f, ": {error}")
            }
        }
    }
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |held: fn(&SeedOutcome) -> bool| self.seeds.iter().filter(|seed| held(&seed.outcome)).count();
        let applied = count(|outcome| matches!(outcome, SeedOutcome::Applied { .. }));
        let unchanged = count(|outcome| matches!(outcome, SeedOutcome::Unchanged));
        let skipped = count(|outcome| matches!(outcome, SeedOutcome::Skipped(_)));
        let failed = count(|outcome| matches!(outcome, SeedOutcome::Failed { .. }));
        let parts = [(applied, "applied"), (unchanged, "unchanged"), (skipped, "skipped"), (failed, "failed")];
        let told: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        let told = if told.is_empty() { "none".to_owned() } else { told.join(", ") };
        write!(f, "seeds: {told}, in {} ms", self.duration.as_millis())?;
        let told = self.seeds.iter().filter(|seed| seed.outcome != SeedOutcome::Unchanged);
        told.into_iter().try_for_each(|seed| write!(f, "\n  {}  {}", seed.name, seed.outcome))
    }
}

/// Where a seed stands, by the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SeedState {
    /// This version of it is applied, or was found to hold.
    Applied,
    /// It has not run yet, or another version of it has.
    Pending,
    /// It failed, and is tried again.
    Retrying,
    /// It failed, and trying again does not help.
    Failed,
    /// It failed so often that nobody tries it again by himself.
    Exhausted,
    /// It is not for this environment, or runs only when asked for by name.
    Skipped,
}

impl SeedState {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Skipped => "skipped",
        }
    }
}

/// What the ledger says of one seed.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SeedStatus {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: SeedState,
    /// When it runs.
    pub mode: Mode,
    /// Whether a service waits for it.
    pub phase: Phase,
    /// Whether a service cannot do without it.
    pub critical: bool,
    /// How often it was tried since it last succeeded or changed, by all processes.
    pub attempts: u32,
    /// In how long it is tried again, for [`SeedState::Retrying`]; zero when it is due.
    #[cfg_attr(feature = "serde", serde(rename = "next_in_ms", serialize_with = "optional_milliseconds"))]
    pub next_in: Option<Duration>,
    /// When it was last applied, RFC 3339 UTC by the database's clock.
    pub applied_at: Option<String>,
    /// How many rows it touched then.
    pub rows: Option<u64>,
    /// The last error, without values; why it is skipped.
    pub error: Option<String>,
}

#[cfg(feature = "serde")]
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(feature = "serde")]
fn optional_milliseconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&duration.map(millis), serializer)
}

#[cfg(feature = "serde")]
impl serde::Serialize for Skip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut skip = serializer.serialize_struct("Skip", 1)?;
        skip.serialize_field("reason", &self.to_string())?;
        skip.end()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SeedRun {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let (mut rows, mut reason, mut failed) = (None, None, (None, None, None));
        let word = match &self.outcome {
            SeedOutcome::Applied { rows: touched } => {
                rows = Some(touched);
                "applied"
            }
            SeedOutcome::Unchanged => "unchanged",
            SeedOutcome::Skipped(skip) => {
                reason = Some(skip.to_string());
                "skipped"
            }
            SeedOutcome::Failed { error, attempts, next_in } => {
                failed = (Some(error), Some(attempts), next_in.map(millis));
                "failed"
            }
        };
        let mut seed = serializer.serialize_struct("SeedRun", 10)?;
        seed.serialize_field("name", &self.name)?;
        seed.serialize_field("outcome", word)?;
        seed.serialize_field("rows", &rows)?;
        seed.serialize_field("reason", &reason)?;
        seed.serialize_field("error", &failed.0)?;
        seed.serialize_field("attempts", &failed.1)?;
        seed.serialize_field("next_in_ms", &failed.2)?;
        seed.serialize_field("critical", &self.critical)?;
        seed.serialize_field("phase", &self.phase)?;
        seed.serialize_field("duration_ms", &millis(self.duration))?;
        seed.end()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for SeedReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut report = serializer.serialize_struct("SeedReport", 4)?;
        report.serialize_field("seeds", &self.seeds)?;
        report.serialize_field("next_due_ms", &self.next_due.map(millis))?;
        report.serialize_field("duration_ms", &millis(self.duration))?;
        report.serialize_field("run_id", &self.run_id)?;
        report.end()
    }
}
