//! Whether an edit of an applied migration becomes the text of record: a pure decision.

use migrator_source::sql::SqlDialect;

use super::{breaks_before, find};
use crate::error::Error;
use crate::migration::MigrationSet;
use crate::record::{History, Record, RecordKind};
use crate::status::{self, State};

/// The record that accepts the text that a migration has now.
///
/// # Errors
/// When it is unknown, is not applied, has the text that was applied, or no reason is given.
pub(crate) fn accept(
    set: &MigrationSet,
    history: &History,
    wanted: &str,
    reason: &str,
    dialect: SqlDialect,
) -> Result<Record, Error> {
    let migration = find(set, wanted)?;
    let (version, name) = (migration.version(), migration.name());
    let refuse =
        |message: String, remedy: &str| Err(Error::new("accept_refused", message, remedy).with_version(version));
    let state = status::states(set, history).of_set.get(migration.position()).map(|entry| entry.state);
    match state {
        Some(State::Changed) => {}
        Some(State::Applied | State::Baselined) => {
            return refuse(
                format!("{name} has the text of record: there is nothing to accept"),
                "nothing is to be done",
            );
        }
        _ => {
            let remedy = "nothing is to be done: its text becomes the text of record when it is applied";
            return refuse(format!("{name} is not applied in this database"), remedy);
        }
    }
    let reason: Vec<&str> = reason.split_whitespace().collect();
    if reason.is_empty() {
        return refuse("no reason is given for the edit".to_owned(), "say why, in a few words");
    }
    Ok(Record {
        checksum: migration.recorded(),
        breaks_before: breaks_before(&migration, dialect),
        detail: Some(reason.join(" ")),
        ..Record::new(RecordKind::Accepted, version, name)
    })
}
