//! What a database, or a process, is for.

use std::fmt;
use std::str::FromStr;

/// What a database, or a process, is for. The later in the order, the more there is to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Environment {
    /// A developer's own.
    Development,
    /// An automated test's.
    Test,
    /// The one before production.
    Staging,
    /// The one that counts.
    Production,
}

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 4] = [Self::Development, Self::Test, Self::Staging, Self::Production];

    /// The word for it, as in `MIGRATOR_ENV`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Environment {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|environment| environment.name() == name);
        found.ok_or_else(|| format!("`{name}` is no environment: it is development, test, staging or production"))
    }
}
