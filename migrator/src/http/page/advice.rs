//! What to do about each thing that is wrong, with the command to type.

use super::words::sentence;
use crate::health::{HealthReport, Outcome, Overview, Progress, StepState};
use crate::provider_state::SeedStanding;
use crate::status::{Problem, State};

/// One thing to do.
pub(super) struct Advice<'a> {
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) what: String,
    /// The words of the database. A detail.
    pub(super) words: Option<&'a str>,
    /// What to do.
    pub(super) next: String,
    pub(super) commands: Vec<String>,
}

/// Everything that somebody has to do; nothing while all is well, or works by itself.
pub(super) fn of<'a>(
    report: &'a HealthReport,
    progress: &'a Progress,
    overview: Option<&'a Overview>,
) -> Vec<Advice<'a>> {
    let mut all = Vec::new();
    if report.liveness.status == Outcome::Fail {
        all.push(Advice::new(
            report.liveness.code,
            &sentence(&report.liveness.message),
            "restart this process; the log says what the worker panicked with",
        ));
    }
    let problems = overview.map(|overview| overview.migrations.problems()).unwrap_or_default();
    let told = |code: &str| problems.iter().any(|problem| problem.code == code);
    let fault = report.fault.as_ref().filter(|fault| !told(fault.code));
    let is_told_by_readiness = |code: &&str| ["pending", "database_timeout"].contains(code);
    let code = fault.map(|fault| fault.code).or(Some(report.readiness.code).filter(is_told_by_readiness));
    if let Some(code) = code {
        let (next, commands) = known(code);
        let remedy = fault.and_then(|fault| fault.remedy.as_deref()).filter(|remedy| !remedy.is_empty());
        let failed = progress.migrations.iter().find(|step| overview.is_none() && step.state == StepState::Failed);
        let what = match failed {
            Some(step) => format!("{} failed", step.name),
            None => sentence(&report.readiness.message),
        };
        let words = fault.and_then(|fault| fault.words.as_deref());
        all.push(Advice {
            words: words.or(failed.and_then(|step| step.error.as_deref())),
            commands: commands.iter().map(|command| (*command).to_owned()).collect(),
            ..Advice::new(code, &what, remedy.unwrap_or(next))
        });
    }
    // Ahead is no reason to do anything while a deploy rolls, and the headline says it.
    let of_problem = |problem| problem_of(problem, overview);
    all.extend(problems.iter().filter(|problem| problem.code != "ahead").map(of_problem));
    let given_up = report.missing_seeds.iter().filter(|seed| seed.standing == SeedStanding::Exhausted);
    all.extend(given_up.map(|missing| {
        let what = format!("The seed {} failed, and it is not tried again by itself", missing.seed);
        let next = "correct what its error names, then restart this process, call DbProvider::retry_seeding, or seed by the \
                    command line that the service embeds";
        Advice { commands: vec![format!("myapp db seed {}", missing.seed)], ..Advice::new("seed_exhausted", &what, next) }
    }));
    all
}

impl Advice<'_> {
    fn new(code: &'static str, what: &str, next: &str) -> Self {
        Self { code, what: what.to_owned(), words: None, next: sentence(next), commands: Vec::new() }
    }
}

/// What helps against an error of which nothing but its code may be told.
fn known(code: &str) -> (&'static str, &'static [&'static str]) {
    match code {
        "pending" => (
            "let a process run that migrates (this one applies them when it starts again), or apply them by hand",
            &["migrator plan", "migrator run"],
        ),
        "pool_exhausted" => (
            "find what keeps the connections: a transaction that waits, a request that hangs; or allow more of them with \
             MIGRATOR_POOL_SIZE",
            &[],
        ),
        "database_timeout" | "database_unavailable" | "connection_lost" | "connection_failed" | "connect_timeout" => (
            "look at the database: it is asked again by itself, and the service is ready again as soon as it answers",
            &["migrator wait"],
        ),
        _ => (
            "see what the database says of it and what to do, in the log or on the command line; then run again: it goes on \
             where it stopped",
            &["migrator status", "migrator run"],
        ),
    }
}

/// A problem of the history; without its message, which is a detail, the names in the list say what it is about.
fn problem_of<'a>(problem: &'a Problem, overview: Option<&'a Overview>) -> Advice<'a> {
    let rows = overview.map(|overview| overview.migrations.migrations()).unwrap_or_default();
    let names = rows.iter().filter(|row| row.state.name() == problem.code).map(|row| row.name.as_str());
    let what = match problem.message.as_str() {
        "" => match problem.code {
            "history_tampered" => "The history is not as this crate wrote it".to_owned(),
            "outdated" => "This binary is too old for the database".to_owned(),
            _ => crate::status::list(names),
        },
        message => message.to_owned(),
    };
    let version = problem.version.as_deref().unwrap_or("VERSION");
    let commands = match problem.code {
        code if code == State::Failed.name() => vec![
            // A half-done revert is gone on with by another one; no run starts over it.
            if problem.help.starts_with("migrator revert") { "migrator revert" } else { "migrator run" }.to_owned(),
            format!("migrator resolve --applied {version}"),
            format!("migrator resolve --rolled-back {version}"),
        ],
        code if code == State::Changed.name() => vec!["migrator status".to_owned(), "migrator new NAME".to_owned()],
        "history_tampered" => vec!["migrator status".to_owned(), "migrator backups --verify".to_owned()],
        _ => vec!["migrator status".to_owned()],
    };
    Advice { commands, ..Advice::new(problem.code, &what, &problem.help) }
}
