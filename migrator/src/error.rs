//! The one error of this crate.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use migrator_source::sql::{Position, position};

use crate::report::Report;
use crate::seed::SeedReport;

/// Why a verb could not do what it was asked to do.
///
/// It prints everything a person needs: the migration, the place and the statement, the database's own words, and the
/// next thing to do ([`remedy`](Error::remedy)). It never holds a database URL, and no bound value.
///
/// Callers branch on [`code`](Error::code) or on the predicates; a run that stopped half-way carries what it did
/// ([`report`](Error::report)). With feature `serde` it serialises to `{"code", "message", "version", "file", "line", "column", "statement",
/// "number", "words", "help", "report", "seeds"}`; what it does not have is `null`. A clone is the same error: whoever waited for an init gets its outcome.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: &'static str,
    message: String,
    version: Option<String>,
    place: Option<Place>,
    remedy: String,
    report: Option<Report>,
    seeds: Option<SeedReport>,
    /// The source's own words, with what a database says besides its message.
    words: Option<String>,
    /// Whose words they are.
    speaker: &'static str,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Where in a script something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Place {
    /// The script's path, as the migrations directory was named: `migrations/20240101000000_users/up.sql`.
    pub file: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// 1-based number of the statement in its script.
    pub number: usize,
    /// The statement, cut after 2,000 characters.
    pub statement: String,
    /// Where in the statement the database found what it names, in characters from its begin.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) spot: Option<usize>,
}

impl Place {
    pub(crate) fn new(file: String, script: &str, start: usize, number: usize, statement: &str) -> Self {
        let Position { line, column } = position(script, start);
        let statement = match statement.char_indices().nth(2000) {
            Some((end, _)) => format!("{}…", &statement[..end]),
            None => statement.to_owned(),
        };
        Self { file, line, column, number, statement, spot: None }
    }
}

impl Place {
    /// With the spot in the statement, where the database tells it.
    pub(crate) fn pointed(mut self, error: &diesel::result::Error) -> Self {
        if let diesel::result::Error::DatabaseError(_, information) = error {
            let position = information.statement_position().and_then(|position| usize::try_from(position - 1).ok());
            self.spot = position.filter(|spot| *spot < self.statement.chars().count());
        }
        self
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

impl Error {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            version: None,
            place: None,
            remedy: remedy.into(),
            report: None,
            seeds: None,
            words: None,
            speaker: "database",
            source: None,
        }))
    }

    pub(crate) fn open_transaction() -> Self {
        let message = "a transaction is open on the connection, and a migration must decide by itself what it commits";
        Self::new(
            "open_transaction",
            message,
            "commit or roll back first (with autocommit off every query begins one), or give it a connection of its own",
        )
    }

    pub(crate) fn system_database(database: &str, schema: &str) -> Self {
        let message = format!("{schema} of {database} is the server's own, and nothing is migrated in it");
        Self::new("system_database", message, "name the application's database in the URL, or its schema")
    }

    /// Says first what it is about: the variable that is wrong.
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// The same cause and words, with what they come to here.
    pub(crate) fn into_another(mut self, code: &'static str, message: String, remedy: String) -> Self {
        (self.0.code, self.0.message, self.0.remedy) = (code, message, remedy);
        self
    }

    pub(crate) fn with_version(mut self, version: &str) -> Self {
        self.0.version = Some(version.to_owned());
        self
    }

    pub(crate) fn with_place(mut self, place: Place) -> Self {
        self.0.place = Some(place);
        self
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = remedy.into();
        self
    }

    pub(crate) fn with_report(mut self, report: Report) -> Self {
        self.0.report = Some(report);
        self
    }

    pub(crate) fn with_seeds(mut self, seeds: SeedReport) -> Self {
        self.0.seeds = Some(seeds);
        self
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.words = Some(source.to_string());
        self.0.source = Some(Arc::new(source));
        self
    }

    pub(crate) fn with_boxed(mut self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.0.words = Some(source.to_string());
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_words(mut self, speaker: &'static str, words: String) -> Self {
        (self.0.speaker, self.0.words) = (speaker, Some(words));
        self
    }

    pub(crate) fn with_database(mut self, source: diesel::result::Error) -> Self {
        self.0.words = Some(words(&source));
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The stable name of the kind of error, for example `statement_failed` or `lock_timeout`. The crate's page lists them.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What happened, in one line.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The version of the migration that it is about.
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// Where in a script it happened.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// What to do next: a command to type, or what to change.
    pub fn remedy(&self) -> &str {
        &self.0.remedy
    }

    /// What the run did before it stopped. `None` when it stopped before it could change anything.
    pub fn report(&self) -> Option<&Report> {
        self.0.report.as_ref()
    }

    /// What seeding did, where a critical seed failed.
    pub fn seed_report(&self) -> Option<&SeedReport> {
        self.0.seeds.as_ref()
    }

    /// The database's own words, or those of a seed that failed.
    pub fn database_words(&self) -> Option<&str> {
        self.0.words.as_deref()
    }

    /// Whose words these are: `database`, or `seed`.
    #[cfg(feature = "cli")]
    pub(crate) fn speaker(&self) -> &'static str {
        self.0.speaker
    }

    /// Another process held the migration lock for longer than the lock timeout. Trying again later can help.
    pub fn is_lock_timeout(&self) -> bool {
        self.0.code == "lock_timeout"
    }

    /// Trying again can help though nothing is changed by hand: the database was away, or others held what was needed.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.0.code,
            "lock_timeout"
                | "lock_lost"
                | "connection_lost"
                | "database_unavailable"
                | "pool_timeout"
                | "pool_exhausted"
                | "pending"
                | "seeds_missing"
                | "initializing"
        )
    }

    /// The provider was shut down ([`DbProvider::shutdown`](crate::DbProvider::shutdown)).
    pub fn is_shut_down(&self) -> bool {
        self.0.code == "shut_down"
    }

    /// Every connection of the pool was in use for too long, or none could be made.
    pub fn is_pool_timeout(&self) -> bool {
        self.0.code == "pool_timeout"
    }

    /// A statement of a migration failed; the [`place`](Error::place) says which.
    pub fn is_statement_failed(&self) -> bool {
        self.0.code == "statement_failed"
    }

    /// The history and the set do not fit together (changed, missing, out of order, in doubt …) and the policies refuse it.
    pub fn is_blocked(&self) -> bool {
        matches!(
            self.0.code,
            "changed" | "missing" | "out_of_order" | "ahead" | "outdated" | "failed" | "history_tampered"
        )
    }

    /// A critical seed failed; the [`seed_report`](Error::seed_report) has the others.
    pub fn is_seed_failed(&self) -> bool {
        self.0.code == "seed_failed"
    }

    /// The migrations directory itself has a fault.
    pub fn is_folder_fault(&self) -> bool {
        self.0.code == "folder"
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.write_str(&inner.message)?;
        if let Some(place) = &inner.place {
            write!(f, "\n  --> {}:{}:{}, statement {}", place.file, place.line, place.column, place.number)?;
            let lines: Vec<&str> = place.statement.lines().collect();
            let width = (place.line + lines.len().min(SNIPPET)).to_string().len();
            for (at, line) in lines.iter().take(SNIPPET).enumerate() {
                // The first line stands where it stands in its file, so that the caret points at it.
                let indent = if at == 0 { " ".repeat(place.column - 1) } else { String::new() };
                write!(f, "\n{:>width$} | {indent}{line}", place.line + at)?;
                if at == 0 {
                    write!(f, "\n{:>width$} | {indent}^", "")?;
                }
            }
            if lines.len() > SNIPPET {
                write!(f, "\n{:>width$} | … {} more lines", "", lines.len() - SNIPPET)?;
            }
        }
        if let Some(words) = &inner.words {
            write!(f, "\n{}: {}", inner.speaker, words.trim_end())?;
        }
        if !inner.remedy.is_empty() {
            write!(f, "\nnext: {}", inner.remedy)?;
        }
        match &inner.report {
            Some(report) if !report.applied().is_empty() || !report.reverted().is_empty() => {
                write!(f, "\nbefore that: {report}")?
            }
            Some(report) => {
                report.backup().iter().try_for_each(|backup| write!(f, "\nthe state before is in {backup}"))?;
            }
            None => {}
        }
        Ok(())
    }
}

/// The database's message, its detail and its hint.
pub(crate) fn words(error: &diesel::result::Error) -> String {
    let mut words = error.to_string();
    if let diesel::result::Error::DatabaseError(_, information) = error {
        for (word, text) in [("detail", information.details()), ("hint", information.hint())] {
            if let Some(text) = text {
                words.push_str(&format!("\n{word}: {text}"));
            }
        }
    }
    words
}

/// How many lines of a statement an error prints.
const SNIPPET: usize = 6;

/// As it displays: `fn main() -> Result<(), migrator::Error>` prints an error this way.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.0.code)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let (inner, place) = (&self.0, self.place());
        let mut error = serializer.serialize_struct("Error", 12)?;
        error.serialize_field("code", inner.code)?;
        error.serialize_field("message", &inner.message)?;
        error.serialize_field("version", &inner.version)?;
        error.serialize_field("file", &place.map(|place| &place.file))?;
        error.serialize_field("line", &place.map(|place| place.line))?;
        error.serialize_field("column", &place.map(|place| place.column))?;
        error.serialize_field("statement", &place.map(|place| &place.statement))?;
        error.serialize_field("number", &place.map(|place| place.number))?;
        error.serialize_field("words", &inner.words)?;
        error.serialize_field("help", &inner.remedy)?;
        error.serialize_field("report", &inner.report)?;
        error.serialize_field("seeds", &inner.seeds)?;
        error.end()
    }
}
