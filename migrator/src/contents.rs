//! What the schema of a history holds, as a reset would drop it.

use std::collections::BTreeMap;
use std::fmt;

/// What a [reset](crate::Migrator::reset) drops, or dropped; it prints itself, by kinds and numbers.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub(crate) objects: Vec<Object>,
    /// What belongs to others and would go along, or break.
    pub(crate) outside: Vec<String>,
    /// What is in the schema and is left alone.
    pub(crate) stays: Vec<String>,
}

/// One thing that a reset drops.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// `table`, `view` …, in the database's own words.
    pub(crate) kind: String,
    /// As a person calls it.
    pub(crate) name: String,
    /// As a statement names it.
    pub(crate) ident: String,
    /// What drops it.
    pub(crate) sql: String,
    /// Of a table, where they could be counted.
    pub(crate) rows: Option<u64>,
}

impl Object {
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "a build without a database has no dialect")
    )]
    pub(crate) fn new(kind: &str, name: &str, ident: String, sql: String) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned(), ident, sql, rows: None }
    }
}

impl Contents {
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The names of what is there, each with its kind, in the order in which it is dropped.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.objects.iter().map(|object| (object.kind.as_str(), object.name.as_str()))
    }

    /// How many there are of each kind: `table`, `view`, `sequence` …
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for object in &self.objects {
            *counts.entry(object.kind.as_str()).or_default() += 1;
        }
        counts
    }

    /// How many rows the tables have, as far as they could be counted.
    pub fn rows(&self) -> u64 {
        self.objects.iter().filter_map(|object| object.rows).sum()
    }

    /// What is in the schema, and a reset leaves alone: PostgreSQL's extensions.
    pub fn stays(&self) -> &[String] {
        &self.stays
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (at, (kind, count)) in self.counts().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match (count, kind.strip_suffix('y')) {
                (1, _) => write!(f, "{comma}1 {kind}")?,
                (_, Some(stem)) => write!(f, "{comma}{count} {stem}ies")?,
                (_, None) if kind.ends_with('s') => write!(f, "{comma}{count} {kind}es")?,
                (_, None) => write!(f, "{comma}{count} {kind}s")?,
            }
        }
        match self.rows() {
            0 => f.write_str(", no row"),
            1 => f.write_str(", 1 row"),
            rows => write!(f, ", {rows} rows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_kinds_and_numbers() {
        let object = |kind: &str| Object::new(kind, "", String::new(), String::new());
        let mut contents = Contents::default();
        assert_eq!(contents.to_string(), "nothing");
        contents.objects = ["view", "table", "operator family", "table", "operator class"].map(object).to_vec();
        assert_eq!(contents.to_string(), "1 operator class, 1 operator family, 2 tables, 1 view, no row");
        contents.objects.extend(["operator class", "operator family"].map(object));
        contents.objects[1].rows = Some(1);
        assert_eq!(contents.to_string(), "2 operator classes, 2 operator families, 2 tables, 1 view, 1 row");
        contents.objects[3].rows = Some(4);
        assert_eq!((contents.rows(), contents.counts()["table"]), (5, 2));
    }
}
