//! What a checkup of a database and its surroundings finds.

use std::fmt;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// It works, and somebody should know this. So is what could not be looked at.
    Warn,
    /// A run would be refused or fail, or could lose something.
    Fail,
}

impl Verdict {
    /// The word for it: `pass`, `warn`, `fail`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Check {
    /// What was looked at: `lock`, `privileges` …
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do next; empty when there is nothing to do.
    pub help: String,
}

impl Check {
    pub(crate) fn pass(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Pass, message: message.into(), help: String::new() }
    }

    pub(crate) fn warn(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, message: message.into(), help: help.into() }
    }

    pub(crate) fn fail(name: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, message: message.into(), help: help.into() }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<12}{}", self.verdict.name(), self.name, self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "\n      next: {}", self.help) }
    }
}

/// What a [checkup](crate::Migrator::doctor) found, check by check; it prints itself.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Checkup {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Checkup {
    /// The worst verdict of all.
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Pass)
    }

    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl fmt::Display for Checkup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.checks.iter().try_for_each(|check| writeln!(f, "{check}"))?;
        let count = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let [pass, warn, fail] = [Verdict::Pass, Verdict::Warn, Verdict::Fail].map(count);
        write!(f, "{pass} pass, {warn} warn, {fail} fail")
    }
}

/// A setting that says whether what is committed outlasts a crash.
#[derive(Debug, Clone)]
pub struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
    /// What it should be, and why, where it is not.
    pub(crate) wrong: Option<&'static str>,
}

impl Setting {
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "a build without a database has no dialect")
    )]
    pub(crate) fn new(name: &str, value: &str, wrong: Option<&'static str>) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), wrong }
    }
}
