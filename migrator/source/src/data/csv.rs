//! CSV: a header with column names, then rows.

use super::{Cell, Row, Rows, fault};
use crate::fault::Fault;

pub(super) fn rows(path: &str, text: &str) -> Result<Rows, Fault> {
    // Lengths are checked here, for a better message.
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes());
    let mut found = Rows::default();
    for record in reader.records() {
        let record = record.map_err(|error| Fault::new("csv", path, error.to_string(), "correct the file"))?;
        let line = record.position().and_then(|place| usize::try_from(place.line()).ok()).unwrap_or(1);
        if found.columns.is_empty() {
            found.columns = record.iter().map(str::to_owned).collect();
            continue;
        }
        if record.len() != found.columns.len() {
            let cells = if record.len() == 1 { "1 cell".to_owned() } else { format!("{} cells", record.len()) };
            let message = format!("the row has {cells}, and the header {}", found.columns.len());
            let help = "a cell with a comma or a line break stands in double quotes; an empty cell still has its comma";
            return Err(fault("row_length", path, line, message, help));
        }
        let cell = |text: &str| if text.is_empty() { Cell::Null } else { Cell::Text(text.to_owned()) };
        found.rows.push(Row { line, cells: record.iter().map(cell).collect() });
    }
    if found.columns.is_empty() {
        return Err(fault("header_missing", path, 1, "the file is empty", "its first line names the columns"));
    }
    Ok(found)
}
