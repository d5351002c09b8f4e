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
    /// As a statement names it.
    pub(crate) name: String,
    pub(crate) sql: String,
    /// Of a table, where they could be counted.
    pub(crate) rows: Option<u64>,
}

impl Object {
    pub(crate) fn new(kind: &str, name: String, sql: String) -> Self {
        Self { kind: kind.to_owned(), name, sql, rows: None }
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
            let plural = match count {
                1 => "",
                _ if kind.ends_with('s') || kind.ends_with("class") => "es",
                _ => "s",
            };
            write!(f, "{comma}{count} {kind}{plural}")?;
        }
        match self.rows() {
            0 => f.write_str(", no row"),
            1 => f.write_str(", 1 row"),
            rows => write!(f, ", {rows} rows"),
        }
    }
}
