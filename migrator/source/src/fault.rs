//! What is wrong with a folder, and what is worth a word.

use std::fmt;

use crate::sql::Position;

/// One thing in a folder that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable name of the kind of fault, for example `duplicate_version`.
    pub code: &'static str,
    /// The file or folder, relative to the migrations directory; empty for the directory itself.
    pub path: String,
    /// Where in the file, when it is a place in a file.
    pub position: Option<Position>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Fault {
    /// A fault of a whole file or folder.
    pub fn new(code: &'static str, path: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, path: path.to_owned(), position: None, message: message.into(), help: help.into() }
    }

    /// The place as `dir/path:line:column`, with `dir` as the reader knows the directory.
    pub fn place(&self, dir: &str) -> String {
        let mut place = match (dir, self.path.as_str()) {
            (dir, "") => dir.to_owned(),
            ("", path) => path.to_owned(),
            (dir, path) => format!("{}/{path}", dir.trim_end_matches('/')),
        };
        if let Some(Position { line, column }) = self.position {
            place.push_str(&format!(":{line}:{column}"));
        }
        place
    }
}

/// One kind of thing in a folder that is worth a word, however often it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable name of the kind, for example `stray`.
    pub code: &'static str,
    /// The whole sentence, with the count and the first name.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Collects names under one kind of warning; says nothing when there are none.
#[derive(Debug, Default)]
pub(crate) struct Counted(Vec<String>);

impl Counted {
    pub(crate) fn push(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// `"{count} {what}, the first is {name}: {so}"`.
    pub(crate) fn warning(self, code: &'static str, one: &str, many: &str, so: &str) -> Option<Warning> {
        let first = self.0.first()?;
        let message = match self.0.len() {
            1 => format!("{one}: {first}; {so}"),
            n => format!("{n} {many}, first {first}; {so}"),
        };
        Some(Warning { code, message })
    }
}
