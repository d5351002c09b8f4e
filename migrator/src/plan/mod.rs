//! What a run would do: a pure decision over the set and the history.

mod accept;
mod baseline;
mod resume;
mod revert;
mod scripts;
mod together;

use std::fmt;

use migrator_source::sql::{Mode, Script, SqlDialect};

pub(crate) use self::accept::accept;
pub(crate) use self::baseline::baseline;
pub(crate) use self::resume::{in_doubt, leaves_remains, prefix, remains, renames, settle};
use self::resume::{is_in_doubt, resume, unknown, unseen};
pub(crate) use self::revert::Goal;
pub(crate) use self::scripts::Scripts;
pub(crate) use self::together::{FEWEST, all_travel, together, together_in, travels, travels_in_parts};

use crate::error::Error;
use crate::migration::{Checksum, Migration, MigrationSet, Version, Way};
use crate::record::{History, Standing};
use crate::report::migrations;
use crate::status::{self, Problem, State, States, list};

/// Where a run stops.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// After the last migration of the set.
    #[default]
    Latest,
    /// After this migration: its version, its full name, or a prefix that fits one.
    Version(Version),
    /// After this many migrations.
    Steps(usize),
}

impl Target {
    /// After this migration: its version, its full name, or a prefix that fits one.
    pub fn version(version: impl Into<String>) -> Self {
        Self::Version(Version::from(version))
    }
}

/// What a person says of a migration that stopped half-way, or whose outcome nobody recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// All of it took.
    Applied,
    /// Nothing of it is there: it runs from its first statement.
    RolledBack,
    /// Its statements before this one (1-based) took: it goes on here.
    ResumeAt(usize),
}

/// What a run does about a state that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Stop before anything is changed, with an error that names the versions.
    Refuse,
    /// Go on and say so.
    Warn,
    /// Go on.
    Allow,
}

/// The policy for each state; the fields are named after the states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policies {
    pub(crate) out_of_order: Policy,
    pub(crate) changed: Policy,
    pub(crate) missing: Policy,
    pub(crate) ahead: Policy,
    pub(crate) failed: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        let refuse = Policy::Refuse;
        // In a rolling deploy the older binary starts on the newer database, and that is no accident.
        Self { out_of_order: refuse, changed: refuse, missing: refuse, ahead: Policy::Warn, failed: refuse }
    }
}

/// One entry of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Step {
    /// The sortable key at the front of the name.
    pub version: String,
    /// The full name.
    pub name: String,
    /// The path of the script; the name of a migration that has none.
    pub file: String,
    /// How many statements will run. 0 for a migration in Rust or of a foreign source, which shows none.
    pub statements: usize,
    /// Whether they run in a transaction with their record, so that all or nothing takes.
    pub transaction: bool,
    /// The 1-based statement that it goes on at, when an earlier run stopped inside of it.
    pub resume_at: Option<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) position: usize,
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) way: Way,
    /// For a way down: the digest that the history has of what is undone.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) text: Option<Checksum>,
    /// Whether an earlier run tried it.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) retried: bool,
    /// Whether the catalogue told that the statement took behind which it goes on, which is still to be recorded.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub(crate) is_told: bool,
}

/// The ordered list of what a run would do; it prints itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<String>,
    pub(crate) skipped: usize,
}

impl Plan {
    /// What would be applied, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What a run would say by the way.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether nothing is pending. A run may still record what another tool did; the warnings say so.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many migrations of the set are applied.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// How much there is to do, in one line.
    pub(crate) fn head(&self) -> String {
        match self.steps.len() {
            0 => format!("nothing pending, {} applied before", migrations(self.skipped)),
            count => format!("would apply {}, {} applied before", migrations(count), self.skipped),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.statements;
        write!(f, "{}  {count} statement{}", self.name, if count == 1 { "" } else { "s" })?;
        if !self.transaction {
            f.write_str(", without a transaction")?;
        }
        self.resume_at.iter().try_for_each(|at| write!(f, ", resumes at statement {at}"))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        self.steps.iter().try_for_each(|step| write!(f, "\n  {step}"))?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\n  warning: {warning}"))
    }
}

/// What a decision needs to know of the database besides its history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub(crate) dialect: SqlDialect,
    /// When the server started, where a restart can leave a statement in doubt.
    pub(crate) started: Option<i64>,
    /// Whether the statement in doubt took, where the catalogue tells.
    pub(crate) took: Option<bool>,
    pub(crate) policies: Policies,
}

/// Decides what a run would do.
///
/// # Errors
/// When a policy refuses what it finds, the target is unknown, or a script has a fault in this dialect.
pub(crate) fn plan(scripts: &mut Scripts<'_>, history: &History, target: &Target, given: Given) -> Result<Plan, Error> {
    let set = scripts.set;
    let states = status::states(set, history);
    let mut plan = Plan { skipped: states.applied(), ..Plan::default() };
    for problem in status::problems(&states, history, set.layout()) {
        judge(&problem, given.policies, &mut plan.warnings)?;
    }
    let half = half_reverted(&states)?;
    let last = match target {
        Target::Version(wanted) => find(set, wanted.as_str())?.position(),
        Target::Latest | Target::Steps(_) => set.len().saturating_sub(1),
    };
    let most = if let Target::Steps(count) = target { *count } else { usize::MAX };
    let open = states.of_set.iter().filter(|entry| !entry.state.is_applied() && entry.position <= last);
    for entry in open.take(most) {
        let migration = set.at(entry.position);
        let step = step(scripts, &migration, Way::Up, entry.standing, history, given, &mut plan.warnings)?;
        plan.steps.push(Step { retried: entry.retried, ..step });
    }
    if let Some(half) = half {
        match plan.steps.is_empty() {
            true => plan.warnings.push(half.message().to_owned()),
            false => return Err(half),
        }
    }
    let others =
        states.others.iter().filter(|(past, state)| *state == State::Failed && !past.standing.is_half_reverted());
    let names: Vec<&str> = others.map(|(past, _)| past.record.name.as_str()).collect();
    if !names.is_empty() {
        let message =
            format!("partly applied by a binary that has it, and not in this set: {}", list(names.into_iter()));
        match given.policies.failed {
            Policy::Refuse if !plan.steps.is_empty() => {
                let remedy = "let the binary that has it go on first, or settle it there with migrator resolve";
                return Err(Error::new("failed", message, remedy));
            }
            Policy::Refuse | Policy::Warn => plan.warnings.push(message),
            Policy::Allow => {}
        }
    }
    Ok(plan)
}

/// One step: where its script begins, and how it runs.
fn step<'a>(
    scripts: &mut Scripts<'a>,
    migration: &Migration<'a>,
    way: Way,
    standing: Standing,
    history: &History,
    given: Given,
    warnings: &mut Vec<String>,
) -> Result<Step, Error> {
    let script = scripts.read(migration, way)?;
    let mut is_told = false;
    let from = match standing {
        Standing::Partial(partial) if partial.way != way => 0,
        Standing::Partial(_) if migration.is_called() || unseen(history, migration).is_some() => {
            unknown(migration, way, unseen(history, migration), given.policies.failed, warnings)?;
            0
        }
        Standing::Partial(partial) => {
            let in_doubt = partial.in_doubt && is_in_doubt(script, partial, history, migration, given);
            let doubt = in_doubt.then_some(given.took);
            let from = resume(migration, script, partial, doubt, given, warnings)?;
            is_told = from > partial.done;
            from
        }
        _ => 0,
    };
    Ok(Step {
        version: migration.version().to_owned(),
        name: migration.name().to_owned(),
        file: migration.file(way),
        statements: script.statements().len() - from,
        transaction: match migration.is_called() {
            true => migration.declared(way) == Some(Mode::Transaction) && given.dialect != SqlDialect::Mysql,
            false => script.mode() == Mode::Transaction,
        },
        resume_at: (from > 0).then_some(from + 1),
        position: migration.position(),
        way,
        text: None,
        retried: false,
        is_told,
    })
}

/// The refusal to apply anything while a revert is half done: what it left is no state that a script was written for.
///
/// # Errors
/// Where the migration is one of the set, there is something to apply. Another binary's keeps nobody from a start that applies nothing.
fn half_reverted(states: &States<'_>) -> Result<Option<Error>, Error> {
    let half = states.half_reverted();
    let Some(first) = half.first() else { return Ok(None) };
    let (version, names) = (first.record.version.as_str(), half.iter().map(|past| past.record.name.as_str()));
    let message = format!("{}: {}", status::HALF_REVERTED, list(names));
    let refusal = Error::new("failed", message, status::revert_help(version)).with_version(version);
    let is_of_set = states.of_set.iter().any(|entry| entry.standing.is_half_reverted());
    if is_of_set { Err(refusal) } else { Ok(Some(refusal)) }
}

/// The version before which a migration breaks binaries, as a record of it says.
pub(crate) fn breaks_before(migration: &Migration<'_>, dialect: SqlDialect) -> Option<String> {
    let script = script(migration, Way::Up, dialect).ok()?;
    script.breaks_before().map(str::to_owned)
}

/// The statements of a script.
///
/// # Errors
/// When it has a fault in this dialect: possible for a down script, and for a set whose dialect was not known when it was read.
pub(crate) fn script<'a>(migration: &Migration<'a>, way: Way, dialect: SqlDialect) -> Result<Script<'a>, Error> {
    let text = migration.text(way);
    Script::parse(text, dialect, migration.declared(way)).map_err(|faults| {
        let texts: Vec<String> = faults
            .iter()
            .map(|fault| {
                let place = migrator_source::sql::position(text, fault.offset);
                let (file, help) = (migration.file(way), &fault.help);
                format!("{file}:{}:{}: {} [{}]\n  help: {help}", place.line, place.column, fault.message, fault.code)
            })
            .collect();
        Error::new("folder", texts.join("\n"), "correct the script, then try again").with_version(migration.version())
    })
}

fn judge(problem: &Problem, policies: Policies, warnings: &mut Vec<String>) -> Result<(), Error> {
    let policy = match problem.code {
        "out_of_order" => policies.out_of_order,
        "changed" => policies.changed,
        "missing" => policies.missing,
        "ahead" => policies.ahead,
        // The migration itself says that this cannot go well.
        "outdated" if policies.ahead != Policy::Allow => Policy::Refuse,
        "outdated" => Policy::Allow,
        // Decided where it is known how far it came and whether it can be resumed.
        "failed" => return Ok(()),
        _ => Policy::Refuse,
    };
    match policy {
        Policy::Allow => Ok(()),
        Policy::Warn => {
            warnings.push(problem.message.clone());
            Ok(())
        }
        Policy::Refuse => {
            let error = Error::new(problem.code, &problem.message, &problem.help);
            Err(match &problem.version {
                Some(version) => error.with_version(version),
                None => error,
            })
        }
    }
}

/// The migration that a person means: its version, its full name, or a prefix that fits one.
///
/// # Errors
/// When none or several fit.
pub(crate) fn find<'a>(set: &'a MigrationSet, wanted: &str) -> Result<Migration<'a>, Error> {
    let layout = set.layout();
    let exact = |migration: &Migration<'_>| {
        migration.name() == wanted || layout.canonical(wanted) == migration.canonical() && !wanted.is_empty()
    };
    if let Some(migration) = set.iter().find(exact) {
        return Ok(migration);
    }
    let fits =
        |migration: &Migration<'_>| migration.name().starts_with(wanted) || migration.version().starts_with(wanted);
    let fitting: Vec<Migration<'_>> = set.iter().filter(fits).collect();
    match fitting.as_slice() {
        [one] if !wanted.is_empty() => Ok(*one),
        [] => {
            Err(Error::new("target_unknown", format!("no migration is called {wanted}"), "migrator status lists them"))
        }
        several => {
            let names = list(several.iter().map(Migration::name));
            let message = format!("`{wanted}` fits {}: {names}", migrations(several.len()));
            Err(Error::new("target_ambiguous", message, "give more of the name"))
        }
    }
}

impl State {
    /// Whether a run has nothing to do for it.
    pub(crate) fn is_applied(self) -> bool {
        !matches!(self, Self::Pending | Self::OutOfOrder | Self::RolledBack | Self::Failed)
    }
}
