//! What is printed: the answer on stdout, everything else on stderr.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use migrator_source::sql::{Risk, position};

use crate::backup::Size;
use crate::plan::script;
use crate::{Error, Event, MigrationSet, Plan, Report, SqlDialect, Step};

/// Prints the answer. A reader that went away is no failure.
pub(super) fn answer(answer: &impl Display) {
    let _reader_gone = writeln!(std::io::stdout(), "{answer}");
}

/// Prints something besides the answer.
pub(super) fn note(text: &str) {
    let _reader_gone = writeln!(std::io::stderr(), "{text}");
}

/// Prints one JSON document.
pub(super) fn json(document: &Value) {
    answer(&format_args!("{document:#}"));
}

/// The document of a command that could not be carried out.
pub(super) fn refusal(error: &Error) -> Value {
    json!({ "error": error_json(error) })
}

pub(super) fn event(event: &Event<'_>) {
    match event {
        Event::Waiting { holder, .. } => {
            note(&format!("waiting for the migration lock, held by {}", holder.unwrap_or("another process")));
        }
        Event::Started { name, step, steps, .. } => note(&format!("applying {name} ({step} of {steps})")),
        Event::Reverting { name, step, steps, .. } => note(&format!("reverting {name} ({step} of {steps})")),
        Event::Together { migrations, step, steps } => {
            note(&format!("applying {step} to {} of {steps} together", step + migrations - 1));
        }
        Event::Reconnecting { error } => note(&format!("{error}: the connection is lost; connecting again")),
        Event::BackupStarted { database } => note(&format!("copying {database}")),
        Event::BackupProgress { bytes, of } => progress(*bytes, *of),
        Event::BackupFinished { reference, bytes, duration } => {
            let size = bytes.map(|bytes| format!("{}, ", Size(bytes))).unwrap_or_default();
            note(&format!("copied to {reference} ({size}{} ms)", duration.as_millis()));
        }
        Event::Retrying { attempt, .. } => note(&format!("others hold what it needs; try {attempt} follows")),
        Event::Warning { message } => note(&format!("warning: {message}")),
        _ => {}
    }
}

/// Tells how far a copy is at each tenth of it, and not before there is something to wait for.
fn progress(bytes: u64, of: Option<u64>) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let step = (of.unwrap_or(0) / 10).max(64 << 20);
    // A smaller number is the first of another copy.
    if bytes / step != TOLD.swap(bytes / step, Ordering::Relaxed) && bytes >= step {
        let of = of.map(|of| format!(" of {}", Size(of))).unwrap_or_default();
        note(&format!("copied {}{of}", Size(bytes)));
    }
}

/// The document of `run`, `revert` and `redo`.
pub(super) fn run(report: Option<&Report>, error: Option<&Error>) -> Value {
    json!({
        "applied": report.map(Report::applied).unwrap_or_default(),
        "reverted": report.map(Report::reverted).unwrap_or_default(),
        "skipped": report.map_or(0, Report::skipped),
        "warnings": report.map(Report::warnings).unwrap_or_default(),
        "lock_wait_ms": report.map_or(0, |report| report.lock_wait().as_millis()),
        "duration_ms": report.map_or(0, |report| report.duration().as_millis()),
        "run_id": report.map(Report::run_id),
        "backup": report.and_then(Report::backup),
        "error": error.map(error_json),
    })
}

fn error_json(error: &Error) -> Value {
    let place = error.place();
    json!({
        "code": error.code(),
        "version": error.version(),
        "file": place.map(|place| place.file.as_str()),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "statement": place.map(|place| place.statement.as_str()),
        "message": match error.database_words() {
            Some(words) => format!("{}: {words}", error.message()),
            None => error.message().to_owned(),
        },
        "help": error.remedy(),
    })
}

/// The statements of one step that would run.
pub(super) struct Statements {
    file: String,
    statements: Vec<Line>,
}

struct Line {
    number: usize,
    line: usize,
    risk: Risk,
    sql: String,
}

impl Statements {
    pub(super) fn of(set: &MigrationSet, step: &Step, dialect: SqlDialect) -> Result<Self, Error> {
        let migration = set.at(step.position);
        let script = script(&migration, step.way, dialect)?;
        let from = step.resume_at.unwrap_or(1) - 1;
        let statements = script.statements().iter().enumerate().skip(from);
        let statements = statements.map(|(at, statement)| Line {
            number: at + 1,
            line: position(migration.text(step.way), statement.start).line,
            risk: statement.risk,
            sql: statement.text.to_owned(),
        });
        Ok(Self { file: step.file.clone(), statements: statements.collect() })
    }

    /// Each statement with its risk: all of it, or without `sql` only those that can hurt, by their first line.
    pub(super) fn print(&self, sql: bool) {
        for Line { number, line, risk, sql: text } in &self.statements {
            let place = format_args!("{}:{line}, statement {number}", self.file);
            match (sql, risk) {
                (true, risk) => answer(&format_args!("\n-- {place}, risk: {}\n{text};", risk.name())),
                (false, Risk::None) => {}
                (false, risk) => {
                    let first = text.lines().next().unwrap_or("");
                    answer(&format_args!("  {:<8}  {place}: {first}", risk.name()));
                }
            }
        }
    }
}

/// The document of `plan` and of `run --dry-run`.
pub(super) fn plan(plan: &Plan, scripts: &[Statements], sql: bool) -> Value {
    let mut document = json!(plan);
    if let Some(steps) = document["steps"].as_array_mut() {
        for (step, script) in steps.iter_mut().zip(scripts) {
            let line = |Line { number, line, risk, sql: text }: &Line| {
                let mut statement = json!({ "number": number, "line": line, "risk": risk.name() });
                if sql {
                    statement["sql"] = json!(text);
                }
                statement
            };
            step["script"] = script.statements.iter().map(line).collect();
        }
    }
    document
}
