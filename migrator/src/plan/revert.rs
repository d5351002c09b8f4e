//! What a revert undoes, newest first, and what a redo then applies again: a pure decision.

use migrator_source::sql::Script;

use super::{Given, Plan, Scripts, Step, Target, find, half_reverted, plan, script, step};
use crate::error::Error;
use crate::migration::{Migration, MigrationSet, Way};
use crate::record::{History, Past, Record, RecordKind, Standing};
use crate::status::{self, list};

/// What a run is asked to come to.
#[derive(Debug, Clone)]
pub(crate) enum Goal {
    /// What is pending is applied, up to here.
    Apply(Target),
    /// What is applied is undone, down to here.
    Revert(Target),
    /// The last migration is undone, and applied again.
    Redo,
}

impl Goal {
    /// The verb, where it takes away what nobody can bring back.
    pub(crate) fn destroys(&self) -> Option<&'static str> {
        match self {
            Self::Apply(_) => None,
            Self::Revert(_) => Some("revert"),
            Self::Redo => Some("redo"),
        }
    }

    /// Decides what is to be done.
    ///
    /// `chosen` is what this very run decided before to undo; then it is not decided again. What it applied before counts among the steps.
    ///
    /// # Errors
    /// As [`plan`] and [`revert`].
    pub(crate) fn plan(
        &self,
        scripts: &mut Scripts<'_>,
        history: &History,
        chosen: &mut Option<Vec<String>>,
        run_id: &str,
        given: Given,
    ) -> Result<Plan, Error> {
        let (target, again) = match self {
            Self::Apply(Target::Steps(count)) => {
                let of_this_run = |record: &&Record| {
                    record.run_id == run_id && record.kind == Some(RecordKind::Applied) && !record.is_outside()
                };
                let done = history.records.iter().filter(of_this_run).count();
                return plan(scripts, history, &Target::Steps(count.saturating_sub(done)), given);
            }
            Self::Apply(target) => return plan(scripts, history, target, given),
            Self::Revert(target) => (target, false),
            Self::Redo => (&Target::Steps(1), true),
        };
        let undone = match chosen.take() {
            Some(chosen) => chosen,
            None => self::chosen(scripts.set, history, target)?,
        };
        let plan = revert(scripts, history, &undone, again, run_id, given);
        *chosen = Some(undone);
        plan
    }
}

/// The versions (canonical) that a revert to a target undoes, newest first.
///
/// What is applied and not in the set is among them: nothing is undone beneath it.
///
/// # Errors
/// When the target is unknown.
fn chosen(set: &MigrationSet, history: &History, target: &Target) -> Result<Vec<String>, Error> {
    let layout = set.layout();
    let keep = match target {
        Target::Version(wanted) => Some(find(set, wanted.as_str())?),
        Target::Latest => set.len().checked_sub(1).map(|last| set.at(last)),
        Target::Steps(_) => None,
    };
    let most = if let Target::Steps(count) = target { *count } else { usize::MAX };
    let newer = |version: &str| keep.is_none_or(|keep| layout.order(version, keep.version()).is_gt());
    let pasts = history.pasts(layout).into_iter();
    let mut chosen: Vec<String> = pasts
        .filter(|(version, past)| past.standing.is_in_the_tools_table() && newer(version))
        .map(|(version, _)| version.to_owned())
        .collect();
    chosen.sort_by(|a, b| layout.order(b, a));
    chosen.truncate(most);
    Ok(chosen)
}

/// Decides how a revert goes: the way down of each version that was chosen and is not undone by this very run yet. With `again`
/// each of them is applied again behind that.
///
/// # Errors
/// When the history is not whole, a migration is half applied, another revert has to go on first, or one that was chosen has no
/// way down; then it names each that has none.
fn revert(
    scripts: &mut Scripts<'_>,
    history: &History,
    chosen: &[String],
    again: bool,
    run_id: &str,
    given: Given,
) -> Result<Plan, Error> {
    let set = scripts.set;
    let states = status::states(set, history);
    if let Some(problem) = status::tampered(history, set.layout()) {
        return Err(Error::new(problem.code, problem.message, problem.help));
    }
    let pasts = history.pasts(set.layout());
    let undone = |version: &str| {
        let mut records = history.records.iter().filter(|record| !run_id.is_empty() && record.run_id == run_id);
        records.any(|record| {
            let is_reverted = record.kind == Some(RecordKind::Reverted) && !record.is_outside();
            is_reverted && set.layout().canonical(&record.version) == version
        })
    };
    let open: Vec<(&str, &Past<'_>)> = chosen
        .iter()
        .filter(|version| !undone(version))
        .filter_map(|version| Some((version.as_str(), pasts.get(version.as_str())?)))
        .filter(|(_, past)| past.standing.is_in_the_tools_table())
        .collect();
    settled_besides(&states, &open)?;
    let of_set = |version: &str| set.iter().find(|migration| migration.canonical() == version);
    let applied = open.iter().filter(|(_, past)| past.standing.is_applied()).count();
    let mut plan = Plan { skipped: states.applied().saturating_sub(applied), ..Plan::default() };
    for (past, migration) in with_a_way_down(open.iter().map(|(version, past)| (*past, of_set(version))), given)? {
        let down = step(scripts, &migration, Way::Down, past.standing, history, given, &mut plan.warnings)?;
        plan.steps.push(Step { text: past.text, retried: past.standing.is_half_reverted(), ..down });
    }
    for version in chosen.iter().rev().filter(|_| again) {
        let Some(migration) = of_set(version) else { continue };
        let is_open = open.iter().any(|(open, _)| open == version);
        let standing = pasts.get(version.as_str()).map_or(Standing::Pending, |past| past.standing);
        if is_open || !standing.is_applied() {
            let standing = if is_open { Standing::RolledBack } else { standing };
            let up = step(scripts, &migration, Way::Up, standing, history, given, &mut plan.warnings)?;
            plan.steps.push(Step { retried: true, ..up });
        }
    }
    Ok(plan)
}

/// Refuses what a revert cannot begin on: a migration that is half applied, and a half-done revert that is not among these.
fn settled_besides(states: &status::States<'_>, open: &[(&str, &Past<'_>)]) -> Result<(), Error> {
    let half_applied = states.half_applied();
    if let Some(first) = half_applied.first() {
        let (version, names) = (&first.record.version, half_applied.iter().map(|past| past.record.name.as_str()));
        let message = format!("partly applied, so nothing is reverted beneath it: {}", list(names));
        let remedy = format!(
            "migrator run goes on with it; or say what is true: migrator resolve --applied {version} | --rolled-back {version}"
        );
        return Err(Error::new("failed", message, remedy).with_version(version));
    }
    let is_open = |past: &&&Past<'_>| open.iter().any(|(_, open)| open.record.version == past.record.version);
    match states.half_reverted().iter().all(|past| is_open(&past)) {
        true => Ok(()),
        false => half_reverted(states)?.map_or(Ok(()), Err),
    }
}

/// Each migration that has a way down.
///
/// # Errors
/// When one has none: all of those are named, and nothing was started.
fn with_a_way_down<'past, 'set>(
    open: impl Iterator<Item = (&'past Past<'past>, Option<Migration<'set>>)>,
    given: Given,
) -> Result<Vec<(&'past Past<'past>, Migration<'set>)>, Error> {
    let (mut there, mut missing, mut version) = (Vec::new(), Vec::new(), None);
    for (past, migration) in open {
        let name = &past.record.name;
        let why = match migration {
            None => format!("{name} (not in this set)"),
            // What a foreign source has, nobody can see before it is asked.
            Some(migration) if migration.is_opaque() => {
                there.push((past, migration));
                continue;
            }
            Some(migration) if !migration.is_reversible() => match faulty(&migration, given) {
                Some(error) => format!("{name} ({})", error.message()),
                None => format!("{name} (no down script)"),
            },
            Some(migration) => {
                there.push((past, migration));
                continue;
            }
        };
        version.get_or_insert(past.record.version.as_str());
        missing.push(why);
    }
    let Some(version) = version else { return Ok(there) };
    let message = format!("nothing was reverted, since there is no way down for: {}", missing.join(", "));
    let remedy = "write its down script (that changes no checksum), or undo it by a new migration: migrator new NAME; what is not in \
                  this set is reverted by the binary that has it";
    Err(Error::new("no_way_down", message, remedy).with_version(version))
}

/// Why a down script that is there cannot run.
fn faulty(migration: &Migration<'_>, given: Given) -> Option<Error> {
    migration.down()?;
    let parsed: Result<Script<'_>, Error> = script(migration, Way::Down, given.dialect);
    parsed.err()
}
