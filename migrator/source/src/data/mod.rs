//! Files with data: what a seed runs, or puts into a table.
//!
//! A fault is found where the file is read, which a macro does at compile time: nothing of a bad file is ever written.

#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "json")]
mod json;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::checksum;
use crate::fault::Fault;
use crate::layout::{self, File};
use crate::sql::{Position, SqlDialect, position};

/// What a file is written in; its ending says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Statements.
    Sql,
    /// A header with column names, and rows.
    Csv,
    /// An array of objects.
    Json,
}

impl Kind {
    /// By the ending; `None` for any other one.
    pub fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "sql" => Some(Self::Sql),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing: an empty cell of CSV, `null`.
    Null,
    /// A text, which the database reads as what its column is.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// `true` or `false`.
    Bool(bool),
    /// An object or an array, as it is written: for a column that holds JSON.
    Json(String),
}

impl Cell {
    #[cfg(feature = "json")]
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Json(_) => "an object or an array",
        }
    }
}

/// One row, with as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// In the order of the columns.
    pub cells: Vec<Cell>,
}

/// What a file puts into a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, in the order of the file.
    pub rows: Vec<Row>,
}

impl Rows {
    /// The places of the key's columns: those that are named, else the first column.
    ///
    /// # Errors
    /// When a column is not there, a key is NULL, or two rows have one key.
    pub fn key(&self, path: &str, key: &[&str]) -> Result<Vec<usize>, Fault> {
        let place = |name: &&str| {
            let found = self.columns.iter().position(|column| column == name);
            found.ok_or_else(|| {
                let message = format!("the key column `{name}` is no column of the file");
                fault("key_column", path, 1, message, format!("its columns are: {}", self.columns.join(", ")))
            })
        };
        let places: Vec<usize> =
            if key.is_empty() { vec![0] } else { key.iter().map(place).collect::<Result<_, _>>()? };
        let mut seen: HashMap<Vec<&Cell>, usize> = HashMap::new();
        for row in &self.rows {
            let values: Vec<&Cell> = places.iter().map(|at| &row.cells[*at]).collect();
            if values.contains(&&Cell::Null) {
                let help = "give it a value, or name the columns that tell rows apart: key = [\"…\"]";
                return Err(fault("key_null", path, row.line, "the row has no value in its key", help));
            }
            if let Some(first) = seen.insert(values, row.line) {
                let message = format!("the row has the same key as the one on line {first}");
                let help = "remove one of the two, or name the columns that tell rows apart: key = [\"…\"]";
                return Err(fault("key_twice", path, row.line, message, help));
            }
        }
        Ok(places)
    }
}

impl std::hash::Hash for Cell {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => {}
            Self::Text(text) | Self::Number(text) | Self::Json(text) => text.hash(state),
            Self::Bool(held) => held.hash(state),
        }
    }
}

/// The text of a file, and the digest of it in hexadecimal.
///
/// # Errors
/// When it is not UTF-8, or holds a NUL.
pub fn text(file: &File) -> Result<(Cow<'_, str>, String), Fault> {
    let text = layout::text(file).map_err(|fault| match std::str::from_utf8(&file.bytes) {
        Err(error) if fault.position.is_none() => {
            let before = String::from_utf8_lossy(&file.bytes[..error.valid_up_to()]).into_owned();
            Fault { position: Some(position(&before, before.len())), ..fault }
        }
        _ => fault,
    })?;
    let digest = checksum::hex(&checksum::digest(text.as_bytes()));
    Ok((text, digest))
}

/// Reads the rows of a CSV or JSON file.
///
/// # Errors
/// The first fault, with its line.
#[cfg_attr(
    not(any(feature = "csv", feature = "json")),
    expect(unused_variables, reason = "nothing is read without both")
)]
pub fn rows(kind: Kind, path: &str, text: &str) -> Result<Rows, Fault> {
    let rows = match kind {
        Kind::Sql => Rows::default(),
        #[cfg(feature = "csv")]
        Kind::Csv => csv::rows(path, text)?,
        #[cfg(feature = "json")]
        Kind::Json => json::rows(path, text)?,
        #[allow(unreachable_patterns, reason = "with both features each kind has its reader")]
        _ => {
            let feature = if kind == Kind::Csv { "csv" } else { "json" };
            let message = format!("reading this file takes the feature `{feature}` of migrator, which is off");
            let help = format!("migrator = {{ …, features = [\"{feature}\"] }}");
            return Err(Fault::new("feature_off", path, message, help));
        }
    };
    for (at, column) in rows.columns.iter().enumerate() {
        if column.is_empty() {
            let message = format!("column {} has no name", at + 1);
            return Err(fault("column_unnamed", path, 1, message, "name each column as the table does"));
        }
        if rows.columns[..at].contains(column) {
            let message = format!("the column `{column}` is there twice");
            return Err(fault("column_twice", path, 1, message, "remove one of the two"));
        }
    }
    Ok(rows)
}

/// The faults that a script has in *every* dialect that it may be written in.
///
/// # Errors
/// Those faults.
pub fn script(path: &str, text: &str, dialects: &[SqlDialect]) -> Result<(), Vec<Fault>> {
    layout::script(path, text, dialects, None).map(drop)
}

/// The name of a file without what orders it and without its ending: `seeds/010_roles.sql` is `roles`.
pub fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name = stem.trim_start_matches(|char: char| char.is_ascii_digit()).trim_start_matches(['_', '-']);
    if name.is_empty() { stem } else { name }
}

fn fault(code: &'static str, path: &str, line: usize, message: impl Into<String>, help: impl Into<String>) -> Fault {
    Fault { position: Some(Position { line, column: 1 }), ..Fault::new(code, path, message, help) }
}
