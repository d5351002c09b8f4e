//! Scripts that stopped half-way: what is in doubt, where they go on, and how a person settles them.

use migrator_source::sql::{Effect, Kind, Script, SqlDialect, Statement, effect};

use super::{Given, Policy, Resolution, script};
use crate::error::Error;
use crate::migration::{Checksum, Migration, MigrationSet, Way};
use crate::record::{
    History, Partial, Past, RESOLVED_APPLIED, RESOLVED_RESUME, RESOLVED_ROLLED_BACK, Record, Standing,
};
use crate::status;

/// A statement of which nobody knows whether it took.
pub(crate) struct Doubt {
    pub(crate) statement: String,
    /// What the catalogue said before it.
    pub(crate) before: Option<String>,
}

/// The statement of which nobody knows whether it took and the catalogue can be asked, if there is one: a run stops at it.
pub(crate) fn in_doubt(set: &MigrationSet, history: &History, given: Given) -> Result<Option<Doubt>, Error> {
    if history.records.is_empty() && history.turns.is_empty() {
        return Ok(None);
    }
    for entry in status::states(set, history).of_set {
        let Standing::Partial(partial @ Partial { in_doubt: true, .. }) = entry.standing else { continue };
        let migration = set.at(entry.position);
        let script = script(&migration, partial.way, given.dialect)?;
        if is_in_doubt(&script, partial, history, &migration, given) {
            let before = script.statements().iter().take(partial.done);
            // Here the name would mean another index than it meant in the script's session, or none.
            if before.filter(|statement| statement.kind == Kind::Session).any(|before| renames(before.text)) {
                return Ok(None);
            }
            let before = last(history, &migration).and_then(Record::before).map(str::to_owned);
            let statement = script.statements().get(partial.done);
            return Ok(statement.map(|statement| Doubt { statement: statement.text.to_owned(), before }));
        }
    }
    Ok(None)
}

/// Whether a statement of the session may change what an unqualified name means: through the path, or the role in it.
pub(crate) fn renames(statement: &str) -> bool {
    let words = statement.to_lowercase();
    ["search_path", "schema", "role", "authorization", "reset all", "discard all"]
        .iter()
        .any(|word| words.contains(word))
}

/// Whether the statement after the last recorded one may have taken.
///
/// A statement travels together with its outcome, so a killed client leaves no doubt. There are two ways to it: the
/// statement cannot share a message (CONCURRENTLY), or the server itself stopped between the two.
pub(super) fn is_in_doubt(
    script: &Script<'_>,
    partial: Partial,
    history: &History,
    migration: &Migration<'_>,
    given: Given,
) -> bool {
    match script.statements().get(partial.done).map(|statement| statement.kind) {
        None | Some(Kind::Session | Kind::Plain) => false,
        Some(Kind::Alone) => true,
        Some(Kind::Commits) => {
            let then = last(history, migration).and_then(|record| record.started);
            // The server's clock and its uptime are cut to seconds each.
            !matches!((then, given.started), (Some(then), Some(now)) if then.abs_diff(now) <= 1)
        }
    }
}

fn last<'a>(history: &'a History, migration: &Migration<'_>) -> Option<&'a Record> {
    history.records.iter().rev().find(|record| record.name == migration.name())
}

/// Whether a statement of the session keeps what it read, so that repeating it in another session gives something else:
/// `SET @id = LAST_INSERT_ID()`, `SELECT … INTO @x`.
fn reads_data(statement: &Statement<'_>, dialect: SqlDialect) -> bool {
    let words = statement.text.to_ascii_uppercase();
    let reads = ["SELECT", "LAST_INSERT_ID", "ROW_COUNT", "FOUND_ROWS"].iter().any(|word| words.contains(word));
    statement.kind == Kind::Session && dialect == SqlDialect::Mysql && reads
}

/// The statement (from 0) at which a script that stopped half-way goes on.
pub(super) fn resume(
    migration: &Migration<'_>,
    script: &Script<'_>,
    partial: Partial,
    doubt: Option<Option<bool>>,
    given: Given,
    warnings: &mut Vec<String>,
) -> Result<usize, Error> {
    let (version, number, file) = (migration.version(), partial.done + 1, migration.file(partial.way));
    let failed = |message: String, remedy: String| Error::new("failed", message, remedy).with_version(version);
    // What a person says of it when all of the script is done, and when nothing of it is.
    let [whole, nothing] = match partial.way {
        Way::Up => ["--applied", "--rolled-back"],
        Way::Down => ["--rolled-back", "--applied"],
    };
    if partial.done > 0 && prefix(migration.text(partial.way), script, partial.done) != partial.prefix {
        return Err(failed(
            format!("{file}: one of the first {} statements was edited after it had taken", partial.done),
            format!("put the text of those statements back, or say what is true: migrator resolve {nothing} {version}"),
        ));
    }
    let applied = &script.statements()[..partial.done.min(script.statements().len())];
    if let Some(at) = applied.iter().position(|statement| reads_data(statement, given.dialect)) {
        let message = format!("{file}: statement {} keeps data in its session, which is gone", at + 1);
        match given.policies.failed {
            Policy::Refuse => {
                let remedy = format!(
                    "do the rest of the script by hand, then migrator resolve {whole} {version}; or undo what took, then \
                     migrator resolve {nothing} {version}"
                );
                return Err(failed(message, remedy));
            }
            Policy::Warn => warnings.push(format!("{message}; it is run again")),
            Policy::Allow => {}
        }
    }
    if let Some(Some(took)) = doubt {
        return Ok(partial.done + usize::from(took));
    }
    if doubt.is_some() {
        let message = format!("{file}: statement {number} was started and nobody knows whether it took");
        match given.policies.failed {
            Policy::Refuse => {
                return Err(failed(
                    message,
                    format!(
                        "look at the database: if it took, migrator resolve --resume-at {version}:{}, else migrator resolve \
                         --resume-at {version}:{number}{}",
                        number + 1,
                        script.statements().get(partial.done).map_or("", remains)
                    ),
                ));
            }
            Policy::Warn => warnings.push(format!("{message}; it is run again")),
            Policy::Allow => {}
        }
    }
    Ok(partial.done)
}

/// The last word on a migration, when it is that it failed where nobody could see how much of it took: in another tool's hands, or
/// as code.
pub(super) fn unseen<'a>(history: &'a History, migration: &Migration<'_>) -> Option<&'a Record> {
    let mut records = history.turns.iter().rev().chain(history.records.iter().rev());
    records.find(|record| record.name == migration.name()).filter(|record| record.is_unseen())
}

/// Decides about a migration that was started and has no outcome that anybody could see: nobody knows how much of it took.
pub(super) fn unknown(
    migration: &Migration<'_>,
    way: Way,
    unseen: Option<&Record>,
    policy: Policy,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let (name, version) = (migration.name(), migration.version());
    let (what, whole, nothing) = match way {
        Way::Up => ("", "Resolution::Applied (migrator resolve --applied)", "Resolution::RolledBack (--rolled-back)"),
        Way::Down => (
            "the revert of ",
            "Resolution::RolledBack (migrator resolve --rolled-back)",
            "Resolution::Applied (--applied)",
        ),
    };
    let message = match unseen.filter(|failed| failed.failed_outside()) {
        None => format!("{what}{name} was started outside of a transaction, and nobody knows how much of it took"),
        Some(failed) => {
            let words = failed.detail.as_deref().and_then(|words| words.lines().next()).unwrap_or_default();
            format!("{name} failed in another tool's hands, and nobody knows how much of it took; {words}")
        }
    };
    match policy {
        Policy::Refuse => {
            let remedy = format!(
                "look at the database; do the rest by hand, then resolve {version} as {whole}, or undo what took, then {nothing}"
            );
            Err(Error::new("failed", message, remedy).with_version(version))
        }
        Policy::Warn => {
            warnings.push(format!("{message}; it is run again"));
            Ok(())
        }
        Policy::Allow => Ok(()),
    }
}

/// Whether a statement, when it fails, leaves something half-made behind: on PostgreSQL an index that is INVALID.
///
/// Tried again, it fails since the index is there; with IF NOT EXISTS it would silently keep it.
pub(crate) fn leaves_remains(statement: &Statement<'_>) -> bool {
    statement.kind == Kind::Alone && statement.text.to_ascii_uppercase().contains("CONCURRENTLY")
}

/// What a person has to do about it, behind a remedy: where the catalogue does not tell which index it is.
pub(crate) fn remains(statement: &Statement<'_>) -> &'static str {
    match leaves_remains(statement) && effect(statement.text) == Effect::Unknown {
        true => "; first DROP INDEX what CONCURRENTLY left INVALID (\\d of the table shows it)",
        false => "",
    }
}

/// What a resolution is recorded as: detail, statement, checksum.
///
/// # Errors
/// When it does not fit where the migration stands.
pub(crate) fn settle(
    migration: &Migration<'_>,
    dialect: SqlDialect,
    past: Option<&Past<'_>>,
    resolution: Resolution,
) -> Result<(&'static str, Option<usize>, Option<Checksum>), Error> {
    let (name, version) = (migration.name(), migration.version());
    let refuse = |message: String| {
        let remedy = "migrator status shows where each migration stands";
        Err(Error::new("resolve_refused", message, remedy).with_version(version))
    };
    let half_way = match past.map(|past| past.standing) {
        Some(Standing::Partial(partial)) => Some(partial.way),
        _ => None,
    };
    match (resolution, half_way) {
        _ if past.is_some_and(|past| past.standing.is_applied()) => refuse(format!("{name} is applied")),
        // What stands is what was applied, whatever the script says by now.
        (Resolution::Applied, Some(Way::Down)) => Ok((RESOLVED_APPLIED, None, past.and_then(|past| past.text))),
        (Resolution::Applied, _) => Ok((RESOLVED_APPLIED, None, migration.recorded())),
        (_, None) => refuse(format!("{name} has not failed: there is nothing to settle")),
        (Resolution::RolledBack, Some(_)) => Ok((RESOLVED_ROLLED_BACK, None, None)),
        (Resolution::ResumeAt(number), Some(way)) => {
            let script = script(migration, way, dialect)?;
            let count = script.statements().len();
            if number == 0 || number > count {
                return refuse(format!("{name} has {count} statements, and {number} is none of them"));
            }
            Ok((RESOLVED_RESUME, Some(number), prefix(migration.text(way), &script, number - 1)))
        }
    }
}

/// The checksum of a script up to and with its statement number `done`.
pub(crate) fn prefix(text: &str, script: &Script<'_>, done: usize) -> Option<Checksum> {
    let last = script.statements().get(done.checked_sub(1)?)?;
    Some(Checksum::of(&text[..last.start + last.text.len()]))
}
