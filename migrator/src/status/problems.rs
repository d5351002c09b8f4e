//! What is not as it should be, and what to do about it.

use migrator_source::layout::Layout;

use super::{Entry, State, States, list};
use crate::record::{History, Past};

/// Something that is not as it should be.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Problem {
    /// The stable name of the kind, which is also the code of the error that a run would give.
    pub code: &'static str,
    /// The first version that it is about.
    pub version: Option<String>,
    /// What it is, in one line.
    pub message: String,
    /// What to do next.
    pub help: String,
}

/// What is not as it should be, each kind once, the worst first.
pub(crate) fn problems(states: &States<'_>, history: &History, layout: Layout) -> Vec<Problem> {
    let mut problems: Vec<Problem> = tampered(history, layout).into_iter().collect();
    problems.extend(outdated(states));
    let half = states.half_reverted();
    if let Some(first) = half.first() {
        problems.push(Problem {
            code: State::Failed.name(),
            version: Some(first.record.version.clone()),
            message: format!("{HALF_REVERTED}: {}", list(half.iter().map(|past| past.record.name.as_str()))),
            help: revert_help(&first.record.version),
        });
    }
    let named = |state: State| -> Vec<(&str, &str)> {
        let is_so = |entry: &&Entry| entry.state == state && !entry.standing.is_half_reverted();
        let of_set = states.of_set.iter().filter(is_so).map(|entry| {
            let migration = states.set.at(entry.position);
            (migration.version(), migration.name())
        });
        let others = states.others.iter();
        let others = others.filter(|(past, other)| *other == state && !past.standing.is_half_reverted());
        of_set.chain(others.map(|(past, _)| (past.record.version.as_str(), past.record.name.as_str()))).collect()
    };
    for (state, what, help) in PROBLEMS {
        let names = named(state);
        let Some((version, _)) = names.first() else { continue };
        let unseen = state == State::Failed && history.is_unseen(layout, version);
        problems.push(Problem {
            code: state.name(),
            version: Some((*version).to_owned()),
            message: format!("{}: {}", what, list(names.iter().map(|(_, name)| *name))),
            help: if unseen { UNSEEN } else { help }.replace("{version}", version),
        });
    }
    if is_a_stranger(states) {
        let theirs =
            problems.iter_mut().filter(|problem| matches!(problem.code, "changed" | "missing" | "out_of_order"));
        theirs.for_each(|problem| problem.help.push_str(NEIGHBOUR));
    }
    problems
}

/// Whether migrations are applied, and none of them is the set's: two services may share a schema, and the name of their set.
fn is_a_stranger(states: &States<'_>) -> bool {
    let ours = |entry: &Entry| matches!(entry.state, State::Applied | State::Baselined);
    !states.others.is_empty() && !states.of_set.iter().any(ours)
}

/// What to do, behind what else can be done, where the history may be another service's.
const NEIGHBOUR: &str = "; none of the set is applied here: where they are another service's, give this set a name of its own \
                         (Migrator::set_name)";

/// The problem that a history was not written by this crate alone, if it was not.
pub(crate) fn tampered(history: &History, layout: Layout) -> Option<Problem> {
    let message = history.tampered(layout)?;
    let help =
        "restore __migrator_history and __migrator_meta from a backup; nothing is run on a history that is not whole";
    Some(Problem { code: "history_tampered", version: None, message, help: help.to_owned() })
}

/// What to do about a migration that failed where nobody could see how much of it took.
const UNSEEN: &str = "look at the database; do the rest by hand, then migrator resolve --applied {version}, or undo what took, then \
                      migrator resolve --rolled-back {version}";

/// The problem that a newer migration breaks what is as old as this set.
fn outdated(states: &States<'_>) -> Option<Problem> {
    let latest = states.set.at(states.set.len().checked_sub(1)?);
    let breaks = |past: &Past<'_>| -> Option<String> {
        let before = past.breaks_before?;
        states.set.layout().order(latest.version(), before).is_lt().then(|| before.to_owned())
    };
    let (past, before) = states.others.iter().find_map(|(past, _)| Some((past, breaks(past)?)))?;
    let name = &past.record.name;
    Some(Problem {
        code: "outdated",
        version: Some(past.record.version.clone()),
        message: format!("this binary is too old for the database: {name} breaks what is older than {before}"),
        help: format!("deploy a binary that has {before} or newer"),
    })
}

/// Whether a binary with this set can serve, with all that is pending applied or not.
pub(super) fn serves(states: &States<'_>, problems: &[Problem]) -> bool {
    let set = states.set;
    let latest = set.len().checked_sub(1).map(|last| set.at(last));
    // A newer binary may be at work right now, or stopped in the middle of what this one knows nothing of.
    let is_theirs = |past: &&Past<'_>| {
        latest.is_some_and(|latest| set.layout().order(latest.version(), &past.record.version).is_lt())
    };
    problems.iter().all(|problem| match problem.code {
        "ahead" => true,
        "failed" => states.partial().all(|past| is_theirs(&past)),
        _ => false,
    })
}

/// What a half-done revert is called.
pub(crate) const HALF_REVERTED: &str = "its revert stopped half-way, and nothing is applied before it is settled";

/// What to do about a half-done revert.
pub(crate) fn revert_help(version: &str) -> String {
    format!(
        "migrator revert goes on at the statement at which it stopped; or say what is true: migrator resolve --rolled-back {version} \
         (all of it is gone) | --applied {version} (all of it stands) | --resume-at {version}:K"
    )
}

/// State, what it means, and what to do next.
const PROBLEMS: [(State, &str, &str); 5] = [
    (
        State::Failed,
        "partly applied, or nobody knows whether it took",
        "correct the statement that failed and run again (migrator run goes on at it); or say what is true: migrator resolve \
         --applied {version} | --rolled-back {version} | --resume-at {version}:K",
    ),
    (
        State::Changed,
        "edited after it was applied",
        "put the old text back (version control has it) and write the change as a new migration: migrator new NAME; or, when the edit \
         changes nothing that runs: migrator accept {version} --reason \"…\"",
    ),
    (
        State::Missing,
        "applied to this database, but not in the set",
        "put the migration back, or deploy the branch that has it; migrator status shows when it was applied",
    ),
    (
        State::OutOfOrder,
        "not applied, and older than something that is",
        "give it a version newer than the last applied one, or allow it: Migrator::out_of_order(Policy::Allow)",
    ),
    (
        State::Ahead,
        "the database is newer than this binary, it has",
        "nothing, while a rolling deploy is under way; else deploy the newer binary",
    ),
];
