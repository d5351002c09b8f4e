//! What the layout's own tool did since our last record: its table decides what is applied.

use std::collections::{HashMap, HashSet};

use crate::migration::{Migration, MigrationSet};
use crate::record::{History, OUTSIDE, Past, Record, RecordKind, Standing};
use crate::report::migrations;
use crate::status::list;

/// One row of the tool's table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) version: String,
    /// When it was applied, RFC 3339, as far as the table tells.
    pub(crate) at: Option<String>,
}

/// The records that make the history say what the tool's table says.
///
/// A row that is gone was reverted outside. A row more is adopted, with the checksum of the set, which nobody has compared with
/// what ran; without one while the set does not know the version, and once more when it does.
///
/// `breaks` tells before which version a migration of the set breaks binaries.
pub(crate) fn turns(
    set: &MigrationSet,
    history: &History,
    rows: &[Row],
    breaks: impl Fn(&Migration<'_>) -> Option<String>,
) -> Vec<Record> {
    let layout = set.layout();
    let recorded = history.recorded(layout);
    let there: HashSet<&str> = rows.iter().map(|row| layout.canonical(&row.version)).collect();
    let known: HashMap<&str, Migration<'_>> = set.iter().map(|migration| (migration.canonical(), migration)).collect();
    let mut turns = Vec::new();
    let gone = |version: &str, standing: Standing| standing.is_in_the_tools_table() && !there.contains(version);
    for (_, past) in recorded.iter().filter(|(version, past)| gone(version, past.standing)) {
        let mut record = Record::new(RecordKind::Reverted, &past.record.version, &past.record.name);
        record.detail = Some(OUTSIDE.to_owned());
        turns.push(record);
    }
    turns.sort_by(|a, b| layout.order(&b.version, &a.version));
    let reverted = turns.len();
    for row in rows {
        let known = known.get(layout.canonical(&row.version));
        let checksum = known.and_then(|migration| migration.recorded());
        let past = recorded.get(layout.canonical(&row.version)).filter(|past| past.standing.is_in_the_tools_table());
        // One whose revert is half done keeps its row until the end of it.
        let is_known = |past: &Past<'_>| past.standing.is_half_reverted() || past.text.is_some() || checksum.is_none();
        if past.is_some_and(is_known) {
            continue;
        }
        let name = known.map_or(row.version.as_str(), |migration| migration.name());
        let mut record = Record::new(RecordKind::Applied, &row.version, name);
        record.checksum = checksum;
        record.breaks_before = known.and_then(&breaks);
        record.adopt(row.at.as_deref());
        turns.push(record);
    }
    turns[reverted..].sort_by(|a, b| layout.order(&a.version, &b.version));
    turns
}

/// What they are, in words: `recorded` says whether they are in the history now.
pub(crate) fn told(turns: &[Record], tool: &str, recorded: bool) -> Vec<String> {
    let names = |adopted: bool| -> Vec<&str> {
        let turns = turns.iter().filter(|turn| turn.adopted().is_some() == adopted);
        turns.map(|turn| turn.name.as_str()).collect()
    };
    let (adopted, reverted) = (names(true), names(false));
    let mut told = Vec::new();
    if !reverted.is_empty() {
        let (count, names) = (migrations(reverted.len()), list(reverted.into_iter()));
        told.push(format!("{count} reverted outside, the row in {tool} is gone: {names}"));
    }
    if !adopted.is_empty() {
        let (count, names) = (migrations(adopted.len()), list(adopted.into_iter()));
        let verb = if recorded { "adopted" } else { "to adopt" };
        told.push(format!("{count} {verb} from {tool}, which does not tell which text ran: {names}"));
    }
    told
}
