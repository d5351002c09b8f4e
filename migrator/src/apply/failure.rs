//! Why a migration failed: classified, recorded, and said with the next thing to do.

use diesel::connection::LoadConnection;
use diesel::result::Error as DatabaseError;
use migrator_source::sql::Script;

use super::{Run, spot};
use crate::dialect::{Class, Dialect, class, refused};
use crate::error::{Error, Place, words};
use crate::event::Event;
use crate::interrupt;
use crate::lock;
use crate::migration::{Migration, Way};
use crate::plan::{Step, leaves_remains, remains};
use crate::record::RecordKind;
use crate::session::send;
use crate::source::Words;

/// Why a migration failed.
pub(super) enum Failure {
    /// The statement at this place in the script.
    Statement(usize, DatabaseError),
    /// The intent could not be written: nothing was started.
    Intent(DatabaseError),
    /// What is done around the script: begin, restore, record, commit.
    Around(DatabaseError),
    /// The statement took, and its outcome could not be recorded: it must not run again.
    Unrecorded(DatabaseError),
    /// Every statement took, and rows are left without their parents.
    ForeignKeys(String),
    /// Every statement took, and the history is not what was written.
    Harmed(String),
    /// A migration of a foreign source; whether all of it was undone.
    Opaque(Words, Class, Undone),
}

/// How much of a failed migration of a foreign source is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    All,
    NobodyKnows,
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Around(error)
    }
}

impl Failure {
    pub(super) fn class<C: LoadConnection<Backend: Dialect>>(&self) -> Class {
        match self {
            Self::Statement(_, error) | Self::Intent(error) | Self::Around(error) | Self::Unrecorded(error) => {
                class::<C::Backend>(error)
            }
            Self::ForeignKeys(_) | Self::Harmed(_) => Class::Permanent,
            Self::Opaque(_, class, _) => *class,
        }
    }

    /// Whether nothing of a script took that failed at this step: not so when an earlier try is in doubt, or the statement leaves something
    /// behind, as a `DROP INDEX CONCURRENTLY` that was cancelled leaves an index that nobody may use.
    fn kept_all(&self, step: &Step, script: &Script<'_>) -> bool {
        match self {
            Self::Opaque(_, _, undone) => *undone == Undone::All,
            Self::Unrecorded(_) => false,
            Self::Statement(0, _) if step.resume_at.is_none() && !step.transaction => {
                !step.retried && !script.statements().first().is_some_and(leaves_remains)
            }
            _ => step.transaction && step.resume_at.is_none(),
        }
    }

    /// Whether trying again can help and repeats nothing that took.
    pub(super) fn can_be_tried_again<C: LoadConnection<Backend: Dialect>>(&self) -> bool {
        !matches!(self, Self::Intent(_) | Self::Unrecorded(_) | Self::Opaque(_, _, Undone::NobodyKnows))
            && self.class::<C>().is_transient()
    }
}

/// Records that a migration failed, and says so.
pub(super) fn failed<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    step: &Step,
    migration: &Migration<'_>,
    script: &Script<'_>,
    failure: Failure,
) -> Error
where
    C: LoadConnection<Backend: Dialect>,
{
    let class = failure.class::<C>();
    let (version, name) = (migration.version(), migration.name());
    if class != Class::Connection
        && let Some(lost) = lock::lost(conn, run.key)
    {
        return lost.with_version(version);
    }
    if matches!(failure, Failure::Intent(_) | Failure::Around(_) | Failure::Unrecorded(_))
        && class == Class::Permanent
        && run.writer.is_gone(conn)
    {
        return took_the_history(name, "its tables are gone").with_version(version);
    }
    let interrupted = run.wait.interrupt.is_stopped() && class == Class::Permanent;
    let remedy = match failure {
        _ if interrupted => interrupt::REMEDY,
        Failure::ForeignKeys(_) => {
            "correct the script so that each row it leaves has its parent, then run again; a table renamed in a rebuild takes the \
             references to it along, unless the session has PRAGMA legacy_alter_table = ON"
        }
        Failure::Harmed(_) => "take that out of the script, then run again: only migrator writes to its tables",
        _ => class.remedy(),
    };
    let remedy = format!("{remedy}{}", held_by(conn, script, &failure, class));
    let (what, remedy) = match step.way {
        Way::Up => ("migration ", remedy),
        Way::Down => ("the revert of migration ", remedy.replace("run again", "revert again")),
    };
    let code = match (&failure, class) {
        _ if interrupted => "interrupted",
        (Failure::ForeignKeys(_), _) => "foreign_key_violation",
        (Failure::Harmed(_), _) => "history_tampered",
        (Failure::Statement(..) | Failure::Opaque(..), _) => class.code().unwrap_or("statement_failed"),
        (Failure::Intent(_) | Failure::Around(_) | Failure::Unrecorded(_), _) => class.code().unwrap_or("database"),
    };
    let took = matches!(failure, Failure::Unrecorded(_));
    // Code that was to be undone whole, and committed by itself: only now is it known that its revert is half done.
    let began_unseen =
        step.way == Way::Down && step.transaction && matches!(failure, Failure::Opaque(_, _, Undone::NobodyKnows));
    let kind = if interrupted { RecordKind::Interrupted } else { RecordKind::Failed };
    let mut record = run.writer.record(kind, version, name);
    if step.way == Way::Down && failure.kept_all(step, script) {
        (record.kind, record.checksum) = (Some(RecordKind::Kept), step.text);
    }
    record.statements = match &failure {
        Failure::Opaque(_, _, Undone::NobodyKnows) => Some(0),
        _ => Some(script.statements().len()).filter(|count| *count > 0),
    };
    let (error, words) = match failure {
        Failure::Statement(at, error) => {
            record.statement = Some(at + 1);
            let statement = &script.statements()[at];
            let error = spot::in_front(statement.text, error);
            let remedy = format!("{remedy}{}", remains(statement));
            let place =
                Place::new(step.file.clone(), migration.text(step.way), statement.start, at + 1, statement.text);
            let (place, words) = (place.pointed(&error), words(&error));
            let failed = Error::new(code, format!("{what}{name} failed"), remedy);
            (failed.with_place(place).with_database(error), words)
        }
        Failure::Intent(error) | Failure::Around(error) | Failure::Unrecorded(error) => {
            let words = words(&error);
            let message = format!("{what}{name} could not be recorded or committed");
            (Error::new(code, message, remedy).with_database(error), words)
        }
        Failure::Opaque(error, _, undone) => {
            let remedy = match undone {
                Undone::All => remedy,
                Undone::NobodyKnows => {
                    let [whole, nothing] = match step.way {
                        Way::Up => ["applied", "rolled back"],
                        Way::Down => ["rolled back", "applied"],
                    };
                    format!(
                        "nobody knows how much of it took: do the rest by hand, then resolve {version} as {whole}; or undo what \
                         took, then resolve it as {nothing}"
                    )
                }
            };
            let words = error.to_string();
            (Error::new(code, format!("{what}{name} failed"), remedy).with_boxed(error), words)
        }
        Failure::Harmed(harm) => {
            (Error::new(code, format!("{what}{name} changed the history, and was undone: {harm}"), remedy), harm)
        }
        Failure::ForeignKeys(broken) => {
            (Error::new(code, format!("{} was undone: {broken}", step.file), remedy), broken)
        }
    };
    record.detail = Some(words.chars().take(2000).collect());
    // With the answer of a COMMIT lost nobody knows that it failed; another connection will tell.
    if class != Class::Connection || !run.reconnects {
        run.wait.hook.emit(Event::Failed { version, name, error: &words });
    }
    // The script may have left the role or the search path changed. Of what took it is not recorded that it failed: that would
    // say that it did not take.
    let begun = began_unseen.then(|| run.writer.record(RecordKind::Reverting, version, name));
    let records = begun.iter().chain((!took).then_some(&record));
    let recorded = send(conn, run.session.restore()).and_then(|()| {
        let mut records = records;
        records.try_for_each(|record| run.writer.write(conn, record))
    });
    if let Err(error) = recorded {
        tracing::warn!(target: "migrator", %error, version, "the failed attempt could not be recorded");
    }
    error.with_version(version)
}

/// The error of a script that changed the history, and cannot be undone.
pub(super) fn took_the_history(name: &str, harm: &str) -> Error {
    Error::new(
        "history_tampered",
        format!("migration {name} changed the history: {harm}"),
        "restore __migrator_history and __migrator_meta from a backup, and take that out of the script: only migrator writes to \
         its tables",
    )
}

/// Who may hold what a statement waited for in vain, behind a remedy.
///
/// Asked when it is over, so that it may be somebody who came since.
fn held_by<C>(conn: &mut C, script: &Script<'_>, failure: &Failure, class: Class) -> String
where
    C: LoadConnection<Backend: Dialect>,
{
    if class != Class::Busy {
        return String::new();
    }
    let statement = match failure {
        Failure::Statement(at, _) => script.statements().get(*at).map_or("", |statement| statement.text),
        _ => "",
    };
    match C::Backend::blockers(conn, statement) {
        Ok(blockers) if !blockers.is_empty() => format!("; it may be held by {}", blockers.join("; or by ")),
        // The failure is told either way.
        _ => String::new(),
    }
}

/// An error of a write: the fence, when the lock is gone; else the database's.
pub(super) fn lost_or<C>(conn: &mut C, run: &Run<'_>, error: DatabaseError) -> Error
where
    C: LoadConnection<Backend: Dialect>,
{
    match lock::lost(conn, run.key) {
        Some(lost) => lost.with_database(error),
        None => refused::<C::Backend>("write the migration history", error),
    }
}
