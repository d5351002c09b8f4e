//! What a record tells a person: what happened, when, and who says so.

use std::fmt;

use super::{MigrationStatus, State};
use crate::record::{Record, RecordKind};

/// One record of the history, as far as it tells who wrote it.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Recorded {
    /// What happened, in the word of the history: `applied`, `failed`, `reverted`, `baselined`, `resolved` …;
    /// empty for an event that a newer version of this crate wrote.
    pub event: &'static str,
    /// When, RFC 3339 UTC by the database's clock.
    pub at: String,
    /// How many statements the script has, where that was recorded.
    pub statements: Option<usize>,
    /// Who was connected, as the database calls them. SQLite knows nobody.
    pub by: Option<String>,
    /// The machine. Unknown for what an older version of this crate recorded, as is the application.
    pub host: Option<String>,
    /// The program and its version ([`Migrator::application`](crate::Migrator::application)).
    pub application: Option<String>,
    /// Of the run, the same in all its records.
    pub run_id: String,
}

/// What a record of the history tells. What was done with another tool is not recorded yet, or told by who took it over.
pub(super) fn recorded(record: &Record) -> Option<Recorded> {
    let origin = &record.origin;
    (record.sequence > 0).then(|| Recorded {
        event: record.kind.map_or("", RecordKind::name),
        at: record.recorded_at.clone(),
        statements: record.statements.filter(|statements| *statements > 0),
        by: origin.user.clone(),
        host: origin.host.clone(),
        application: origin.application.clone(),
        run_id: record.run_id.clone(),
    })
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.event, self.at)?;
        let named = [("by", &self.application), ("on", &self.host), ("as", &self.by)];
        let mut comma = ",";
        for (before, word) in named {
            if let Some(word) = word {
                write!(f, "{comma} {before} {word}")?;
                comma = "";
            }
        }
        Ok(())
    }
}

impl MigrationStatus {
    /// The record to tell of, where a person will ask who did that.
    pub(crate) fn told(&self) -> Option<&Recorded> {
        let is_as_it_should_be = matches!(self.state, State::Applied | State::Baselined);
        self.recorded.as_ref().filter(|_| !is_as_it_should_be)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Origin;

    #[test]
    fn who_is_named_as_far_as_it_is_known() {
        let text = |user: Option<&str>, host: Option<&str>, application: Option<&str>| {
            let [user, host, application] = [user, host, application].map(|word| word.map(str::to_owned));
            let record = Record::new(RecordKind::Failed, "1", "1_a");
            let origin = Origin { user, host, application };
            let record = Record { sequence: 3, origin, recorded_at: "2026-01-02T03:04:05.678Z".into(), ..record };
            recorded(&record).map(|record| record.to_string()).unwrap_or_default()
        };
        assert_eq!(
            text(Some("app"), Some("web-1"), Some("notes 1.2.0")),
            "failed, 2026-01-02T03:04:05.678Z, by notes 1.2.0 on web-1 as app"
        );
        assert_eq!(text(None, Some("web-1"), None), "failed, 2026-01-02T03:04:05.678Z, on web-1");
        assert_eq!(text(None, None, None), "failed, 2026-01-02T03:04:05.678Z", "of an older format");
    }
}
