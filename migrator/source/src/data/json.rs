//! JSON: an array of objects that all have the same keys, which are the columns.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Cell, Row, Rows, fault};
use crate::fault::Fault;
use crate::sql::{Position, position};

/// An object as it is written: its keys in their order, and also one that is there twice.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Entries).map(Self)
    }
}

pub(super) fn rows(path: &str, text: &str) -> Result<Rows, Fault> {
    let syntax = |error: serde_json::Error| {
        let position = Some(Position { line: error.line().max(1), column: error.column().max(1) });
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or("").to_owned();
        Fault {
            position, ..Fault::new("json", path, message, "the file is an array of objects: [{\"column\": …}, …]")
        }
    };
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(syntax)?;
    let mut found = Rows::default();
    let mut kinds: Vec<Option<(&'static str, usize)>> = Vec::new();
    for object in raw {
        // A raw value is a part of the text that it was read from.
        let line = position(text, object.get().as_ptr() as usize - text.as_ptr() as usize).line;
        let Object(entries) = serde_json::from_str(object.get()).map_err(|_| {
            let message = format!("a row is an object, and this is {}", cell(object).kind());
            fault("row_kind", path, line, message, "write it as {\"column\": value, …}")
        })?;
        if found.columns.is_empty() {
            found.columns = entries.iter().map(|(name, _)| name.clone()).collect();
            kinds = vec![None; found.columns.len()];
        }
        let row = row(path, line, &found.columns, &entries)?;
        for ((kind, cell), column) in kinds.iter_mut().zip(&row.cells).zip(&found.columns) {
            match (*kind, cell) {
                (_, Cell::Null) => {}
                (None, cell) => *kind = Some((cell.kind(), line)),
                (Some((known, _)), cell) if known == cell.kind() => {}
                (Some((known, first)), cell) => {
                    let message = format!("`{column}` is {} here, and {known} on line {first}", cell.kind());
                    return Err(fault(
                        "cell_kind",
                        path,
                        line,
                        message,
                        "write each value of a column in the same way",
                    ));
                }
            }
        }
        found.rows.push(row);
    }
    if found.columns.is_empty() {
        return Err(fault(
            "header_missing",
            path,
            1,
            "the file has no row with a column",
            "its objects' keys are the columns",
        ));
    }
    Ok(found)
}

fn row(path: &str, line: usize, columns: &[String], entries: &[(String, &RawValue)]) -> Result<Row, Fault> {
    let mut cells = vec![None; columns.len()];
    for (name, value) in entries {
        let Some(at) = columns.iter().position(|column| column == name) else {
            let message = format!("the row has the column `{name}`, which the first row has not");
            return Err(fault(
                "row_columns",
                path,
                line,
                message,
                "all rows have the same columns; write null for nothing",
            ));
        };
        let cell = cell(value);
        if matches!(&cell, Cell::Text(text) if text.contains('\0')) {
            let message = format!("`{name}` holds a NUL character, which no database client carries");
            return Err(fault("nul", path, line, message, "remove it"));
        }
        if cells[at].replace(cell).is_some() {
            let message = format!("the row has the column `{name}` twice");
            return Err(fault("column_twice", path, line, message, "remove one of the two"));
        }
    }
    let cells = cells.into_iter().zip(columns).map(|(cell, column)| {
        cell.ok_or_else(|| {
            let message = format!("the row lacks the column `{column}`");
            fault("row_columns", path, line, message, "all rows have the same columns; write null for nothing")
        })
    });
    Ok(Row { line, cells: cells.collect::<Result<_, _>>()? })
}

fn cell(value: &RawValue) -> Cell {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'n') => Cell::Null,
        Some(b't') => Cell::Bool(true),
        Some(b'f') => Cell::Bool(false),
        Some(b'"') => Cell::Text(serde_json::from_str(text).unwrap_or_default()),
        Some(b'{' | b'[') => Cell::Json(text.to_owned()),
        _ => Cell::Number(text.to_owned()),
    }
}
