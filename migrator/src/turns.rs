//! What another tool did since our last record, as its table says: for the layout's own tool that table decides what is applied.

use std::collections::HashMap;

use crate::migration::{Checksum, Migration, MigrationSet};
use crate::record::{History, OUTSIDE, Past, ROLLED_BACK_OUTSIDE, Record, RecordKind, Standing};
use crate::report::migrations;
use crate::status::list;

/// What the tool's table says of one migration.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) version: String,
    /// When it was applied, RFC 3339, as far as the table tells.
    pub(crate) at: Option<String>,
    pub(crate) says: Says,
}

/// Where a tool's table says that a migration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    Applied(Ran),
    /// Nobody knows how much of it took; with the database's words.
    Failed(String),
    RolledBack,
}

/// Which text a tool's table says that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It does not tell.
    Unknown,
    /// The set's, by the tool's own checksum.
    OfTheSet,
    /// Another one, or that of a migration which the set does not know.
    Other(Checksum),
}

/// The records that make the history say what the tool's table says.
///
/// A row that is gone was reverted outside. A row more is adopted, with the checksum of what ran as far as the table tells, else with
/// that of the set, which nobody has compared; without one while the set does not know the version, and once more when it does.
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
    let there: HashMap<&str, &Says> = rows.iter().map(|row| (layout.canonical(&row.version), &row.says)).collect();
    let is_applied = |version: &str| matches!(there.get(version), Some(Says::Applied(_)));
    let gone = recorded.iter().filter_map(|(version, past)| {
        let record = |kind, detail| detailed(Record::new(kind, &past.record.version, &past.record.name), detail);
        match past.standing {
            standing if standing.is_in_the_tools_table() => {
                (!is_applied(version)).then(|| record(RecordKind::Reverted, OUTSIDE))
            }
            // Only that table said that it failed.
            Standing::Partial(_) if past.record.failed_outside() && !there.contains_key(version) => {
                Some(record(RecordKind::Resolved, ROLLED_BACK_OUTSIDE))
            }
            _ => None,
        }
    });
    let mut turns: Vec<Record> = gone.collect();
    turns.sort_by(|a, b| layout.order(&b.version, &a.version));
    let reverted = turns.len();
    turns.extend(rows.iter().filter_map(|row| turn(set, row, recorded.get(layout.canonical(&row.version)), &breaks)));
    turns[reverted..].sort_by(|a, b| layout.order(&a.version, &b.version));
    turns
}

/// The record of one row, unless the history says the same.
fn turn(
    set: &MigrationSet,
    row: &Row,
    past: Option<&Past<'_>>,
    breaks: &impl Fn(&Migration<'_>) -> Option<String>,
) -> Option<Record> {
    let known = set.of_version(&row.version);
    let record = |kind| Record::new(kind, &row.version, known.map_or(row.version.as_str(), |known| known.name()));
    // One whose revert is half done keeps its row until the end of it.
    let in_table = past.filter(|past| past.standing.is_in_the_tools_table());
    let is_partial = in_table.is_none() && past.is_some_and(|past| matches!(past.standing, Standing::Partial(_)));
    match &row.says {
        Says::Applied(_) if past.is_some_and(|past| past.standing.is_half_reverted()) => None,
        Says::Applied(ran) => {
            let of_set = known.and_then(|migration| migration.recorded());
            let checksum = adopted(*ran, of_set, in_table.map(|past| past.text))?;
            let mut record = record(RecordKind::Applied);
            record.checksum = checksum;
            record.breaks_before = known.as_ref().and_then(breaks);
            record.adopt(row.at.as_deref(), *ran != Ran::Unknown);
            Some(record)
        }
        Says::Failed(_) if is_partial => None,
        Says::Failed(words) => {
            let mut record = record(RecordKind::Failed);
            record.fail_outside(words);
            Some(record)
        }
        Says::RolledBack if past.is_some() && !is_partial => None,
        Says::RolledBack => Some(detailed(record(RecordKind::Resolved), ROLLED_BACK_OUTSIDE)),
    }
}

/// A record with a detail.
fn detailed(record: Record, detail: &str) -> Record {
    Record { detail: Some(detail.to_owned()), ..record }
}

/// The checksum that an applied row is to be recorded with; `None` where what is recorded says as much. `before` is the recorded one,
/// where the migration is recorded as applied.
///
/// A tool's checksum of another text can be compared with no other checksum. So where the recorded text is not the set's either, it
/// may be that text, and the edit shows as it did.
fn adopted(ran: Ran, of_set: Option<Checksum>, before: Option<Option<Checksum>>) -> Option<Option<Checksum>> {
    let Some(before) = before else {
        return Some(match ran {
            Ran::Unknown | Ran::OfTheSet => of_set,
            Ran::Other(other) => Some(other),
        });
    };
    match ran {
        Ran::Unknown if before.is_none() && of_set.is_some() => Some(of_set),
        Ran::OfTheSet if before != of_set => Some(of_set),
        Ran::Other(other) if before.is_none() || before == of_set && before != Some(other) => Some(Some(other)),
        _ => None,
    }
}

/// What they are, in words: `recorded` says whether they are in the history now.
pub(crate) fn told(turns: &[Record], tool: &str, recorded: bool) -> Vec<String> {
    let named = |which: &dyn Fn(&Record) -> bool, what: &str| -> Option<String> {
        let names: Vec<&str> = turns.iter().filter(|turn| which(turn)).map(|turn| turn.name.as_str()).collect();
        (!names.is_empty()).then(|| format!("{} {what}: {}", migrations(names.len()), list(names.into_iter())))
    };
    let verb = if recorded { "adopted" } else { "to adopt" };
    let told = [
        named(&|turn| turn.kind == Some(RecordKind::Reverted), &format!("reverted outside, the row in {tool} is gone")),
        named(&|turn| turn.is_unverified(), &format!("{verb} from {tool}, which does not tell which text ran")),
        named(
            &|turn| turn.adopted().is_some() && !turn.is_unverified(),
            &format!("{verb} from {tool}, with the checksum of what ran"),
        ),
        named(&|turn| turn.failed_outside(), &format!("failed outside, as {tool} says")),
        named(&|turn| turn.kind == Some(RecordKind::Resolved), &format!("rolled back outside, as {tool} says")),
    ];
    told.into_iter().flatten().collect()
}
