//! How the page says things: colours, headlines, times.

use std::time::{Duration, SystemTime};

use crate::health::{HealthReport, Outcome};
use crate::provider_state::ProviderState;

/// How something is, as a colour. Beside each there is a word that says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    /// It is being worked on.
    Busy,
    Warn,
    Bad,
    /// Neither good nor bad.
    Calm,
}

impl Tone {
    /// The name of its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Calm => "calm",
        }
    }

    /// The colour of the icon in the browser's tab, on light and on dark.
    pub(super) fn colour(self) -> &'static str {
        match self {
            Self::Good => "2a9d5c",
            Self::Busy => "3b82e6",
            Self::Warn => "d99a1c",
            Self::Bad => "e0483e",
            Self::Calm => "8a929c",
        }
    }

    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Good,
            Outcome::Warn => Self::Warn,
            Outcome::Fail => Self::Bad,
        }
    }
}

/// The colour of the whole page.
pub(super) fn tone(report: &HealthReport) -> Tone {
    match &report.state {
        Some(state) if state.is_in_flight() => Tone::Busy,
        Some(ProviderState::NotStarted | ProviderState::ShutDown) => Tone::Calm,
        _ => Tone::of(report.status),
    }
}

/// The state in a word or two.
pub(super) fn headline(report: &HealthReport) -> &'static str {
    match &report.state {
        Some(ProviderState::NotStarted) => "Not started",
        Some(ProviderState::Starting) => "Starting",
        Some(ProviderState::WaitingForDatabase { .. }) => "Waiting for the database",
        Some(ProviderState::WaitingForLock { .. }) => "Waiting for the lock",
        Some(ProviderState::WaitingForMigrations { .. }) => "Waiting for migrations",
        Some(ProviderState::Migrating { .. }) => "Migrating",
        Some(ProviderState::Seeding { .. }) => "Seeding",
        Some(ProviderState::Verifying) => "Verifying",
        Some(ProviderState::Failed { .. }) => "Failed",
        Some(ProviderState::ShutDown) => "Shut down",
        // A state that serves has a worker, and only a restart brings that back.
        _ if !report.liveness.is_positive() && report.readiness.is_positive() => "Ready, and needs a restart",
        _ if !report.liveness.is_positive() => "Not ready, and needs a restart",
        _ => match (report.readiness.status, report.readiness.code) {
            (Outcome::Pass, _) => "Ready",
            (Outcome::Warn, "ahead") => "Ready, and ahead",
            (Outcome::Warn, _) => "Ready, and degraded",
            (Outcome::Fail, "pending") => "Not ready: migrations are pending",
            (Outcome::Fail, "seeds_missing") => "Not ready: a seed is missing",
            (Outcome::Fail, "migrate_only") => "Done",
            (Outcome::Fail, "pool_exhausted") => "Not ready: the pool is used up",
            (Outcome::Fail, "database_timeout" | "database_unavailable" | "connection_lost") => {
                "Not ready: the database does not answer"
            }
            (Outcome::Fail, _) => "Not ready",
        },
    }
}

/// Why, as a sentence.
pub(super) fn message(report: &HealthReport) -> String {
    let text = match &report.state {
        Some(ProviderState::Migrating { name, statement: 0, .. }) => format!("{name} begins"),
        Some(ProviderState::Migrating { name, statement, .. }) => format!("statement {statement} of {name}"),
        Some(ProviderState::Seeding { seed, attempt }) => format!("{seed}, try {attempt}"),
        _ if !report.liveness.is_positive() => report.liveness.message.clone(),
        _ => report.readiness.message.clone(),
    };
    sentence(&text)
}

/// With a capital at its beginning.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A word of the code as a word for people.
pub(super) fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

/// A moment, to the second, in UTC.
pub(super) fn instant(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// A moment as people read it: `2026-11-21 15:40:12`.
pub(super) fn readable(at: &str) -> String {
    let seconds = at.split('.').next().unwrap_or(at);
    seconds.trim_end_matches('Z').replacen('T', " ", 1)
}

/// How long something took, in three digits or so.
pub(super) fn took(ms: u64) -> String {
    match ms {
        0 => "< 1 ms".to_owned(),
        1..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        _ => coarse(Duration::from_millis(ms)),
    }
}

/// A longer time in its two greatest units, rounded down.
pub(super) fn coarse(time: Duration) -> String {
    let whole = Duration::from_secs(time.as_secs());
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let table = [
            (0, "< 1 ms"),
            (7, "7 ms"),
            (999, "999 ms"),
            (1000, "1.00 s"),
            (1234, "1.23 s"),
            (59_999, "59.99 s"),
            (125_000, "2m 5s"),
            (90_061_000, "1day 1h"),
        ];
        for (ms, text) in table {
            assert_eq!(took(ms), text);
        }
        assert_eq!(readable("2026-11-21T15:40:12.345Z"), "2026-11-21 15:40:12");
        assert_eq!(readable("2026-11-21T15:40:12Z"), "2026-11-21 15:40:12");
    }
}
