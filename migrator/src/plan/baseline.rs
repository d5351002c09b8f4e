//! Which migrations a baseline records as applied without running them: a pure decision.

use migrator_source::sql::SqlDialect;

use super::{breaks_before, find};
use crate::error::Error;
use crate::migration::MigrationSet;
use crate::record::{History, Record, RecordKind};
use crate::status::{self, Entry, State, list};

/// The records of a baseline up to a version: of each migration up to there that is not applied.
///
/// # Errors
/// When the version is unknown, or the history says something else than that all of it is there: it goes further, a migration is half
/// done, was undone, has another text, or is not in the set.
pub(crate) fn baseline(
    set: &MigrationSet,
    history: &History,
    wanted: &str,
    dialect: SqlDialect,
) -> Result<Vec<Record>, Error> {
    let last = find(set, wanted)?;
    let states = status::states(set, history);
    let refuse = |version: &str, message: String, remedy: String| {
        Err(Error::new("baseline_refused", message, remedy).with_version(version))
    };
    let half: Vec<_> = states.half_applied().into_iter().chain(states.half_reverted()).collect();
    if let Some(first) = half.first() {
        let (version, names) = (&first.record.version, list(half.iter().map(|past| past.record.name.as_str())));
        let remedy = format!("settle it first: migrator resolve --applied {version} | --rolled-back {version}");
        return refuse(version, format!("half done, so nobody knows what is there: {names}"), remedy);
    }
    let newer = |version: &str| set.layout().order(version, last.version()).is_gt();
    let of_set = states.of_set.iter().filter(|entry| entry.state.is_applied()).map(|entry| set.at(entry.position));
    let further: Vec<(&str, &str)> = of_set.map(|migration| (migration.version(), migration.name())).collect();
    let others = states.others.iter().map(|(past, _)| (past.record.version.as_str(), past.record.name.as_str()));
    let further: Vec<(&str, &str)> = further.into_iter().chain(others).filter(|(version, _)| newer(version)).collect();
    if let Some((version, _)) = further.first() {
        let names = list(further.iter().map(|(_, name)| *name));
        let remedy =
            "the database is past that: migrator status shows where it stands, and migrator run goes on from there";
        return refuse(version, format!("newer than {}, and applied: {names}", last.name()), remedy.to_owned());
    }
    if let Some((past, _)) = states.others.first() {
        let names = list(states.others.iter().map(|(past, _)| past.record.name.as_str()));
        let remedy = "put the migration back, or take the set that has it";
        return refuse(&past.record.version, format!("applied, and not in this set: {names}"), remedy.to_owned());
    }
    let up_to = || states.of_set.iter().take(last.position() + 1);
    for (state, what, help) in CONTRADICTIONS {
        let found: Vec<&Entry> = up_to().filter(|entry| entry.state == state).collect();
        if let Some(first) = found.first() {
            let names = list(found.iter().map(|entry| set.at(entry.position).name()));
            let version = set.at(first.position).version();
            return refuse(version, format!("{what}: {names}"), help.replace("{version}", version));
        }
    }
    let missing = up_to().filter(|entry| !entry.state.is_applied()).map(|entry| set.at(entry.position));
    let record = |migration: crate::migration::Migration<'_>| Record {
        checksum: migration.recorded(),
        breaks_before: breaks_before(&migration, dialect),
        ..Record::new(RecordKind::Baselined, migration.version(), migration.name())
    };
    Ok(missing.map(record).collect())
}

/// State, what it means for a baseline, and what to do next.
const CONTRADICTIONS: [(State, &str, &str); 2] = [
    (
        State::RolledBack,
        "undone in this database, as its history says",
        "when it is there all the same, say so: migrator resolve --applied {version}; else let migrator run apply it",
    ),
    (
        State::Changed,
        "applied with another text",
        "put the old text back; or, when the edit changes nothing that runs: migrator accept {version} --reason \"…\"",
    ),
];
