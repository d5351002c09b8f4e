//! What a process does with its database.

use std::fmt;
use std::str::FromStr;

/// What a process does with its database at its start: one binary, four roles (`MIGRATOR_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum ServiceMode {
    /// Migrates, seeds, and serves. The default.
    #[default]
    MigrateAndServe,
    /// Migrates, seeds, and is done: an init container, or a job. It has no pool.
    MigrateOnly,
    /// Waits until the database has at least the migrations of this binary, then serves. It never writes.
    WaitOnly,
    /// Serves when nothing is pending, and fails otherwise. It never writes, and does not wait.
    CheckOnly,
}

impl ServiceMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::MigrateAndServe, Self::MigrateOnly, Self::WaitOnly, Self::CheckOnly];

    /// The word for it, as in `MIGRATOR_MODE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MigrateAndServe => "migrate-and-serve",
            Self::MigrateOnly => "migrate-only",
            Self::WaitOnly => "wait-only",
            Self::CheckOnly => "check-only",
        }
    }

    /// Whether it changes the database.
    pub(crate) fn migrates(self) -> bool {
        matches!(self, Self::MigrateAndServe | Self::MigrateOnly)
    }

    /// Whether it has a pool in the end.
    pub(crate) fn serves(self) -> bool {
        self != Self::MigrateOnly
    }
}

impl fmt::Display for ServiceMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ServiceMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.ok_or_else(|| {
            format!("`{name}` is no mode: it is migrate-and-serve, migrate-only, wait-only or check-only")
        })
    }
}
