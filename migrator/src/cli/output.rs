//! What is printed: the answer on stdout, everything else on stderr.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anstyle::{AnsiColor, Style};
use clap::Subcommand;
use serde_json::{Value, json};

use super::command::Command;
use super::global::Global;
use super::{error, progress, signals};
use crate::backup::Size;
use crate::{Error, Event, Report};

/// What is typed in front of a command, where that is not the tool's name.
static CALLED: OnceLock<String> = OnceLock::new();

/// Says how the commands are called here: `myapp db`.
pub(super) fn call_it(name: &str) {
    // A program has them once; the first name is as good as another.
    let _told_before = CALLED.set(name.to_owned());
}

/// A text in which the commands to type are those of this program: `myapp db status` for `migrator status`.
pub(super) fn as_called(text: &str) -> Cow<'_, str> {
    let Some(name) = CALLED.get() else { return Cow::Borrowed(text) };
    let commands = Command::augment_subcommands(clap::Command::new("db"));
    Cow::Owned(commands.get_subcommands().fold(text.to_owned(), |text, command| {
        text.replace(&format!("migrator {}", command.get_name()), &format!("{name} {}", command.get_name()))
    }))
}

/// Prints the answer. A reader that went away is no failure.
pub(super) fn answer(answer: &impl Display) {
    progress::around(|| {
        let _reader_gone = writeln!(anstream::stdout(), "{answer}");
    });
}

/// Prints something besides the answer.
pub(super) fn note(text: &str) {
    progress::around(|| {
        let _reader_gone = writeln!(anstream::stderr(), "{text}");
    });
}

/// Prints what is worth a second look.
pub(super) fn warning(text: &str) {
    let yellow = Style::new().fg_color(Some(AnsiColor::Yellow.into())).bold();
    note(&format!("{yellow}warning{yellow:#}: {}", as_called(text)));
}

/// Prints a question, behind which the answer is typed.
pub(super) fn ask(question: &str) {
    let _reader_gone = write!(std::io::stderr(), "{question}");
}

/// Prints one JSON document. What is to be typed next is this program's in it, too.
pub(super) fn json(document: &Value) {
    let mut document = document.clone();
    if CALLED.get().is_some() {
        call_in(&mut document, false);
    }
    answer(&format_args!("{document:#}"));
}

/// `is_help`: whether it is text of ours, in which commands are named.
fn call_in(value: &mut Value, is_help: bool) {
    match value {
        Value::String(text) if is_help => *text = as_called(text).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(|value| call_in(value, is_help)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| {
            call_in(value, matches!(name.as_str(), "help" | "remedy" | "warnings"));
        }),
        _ => {}
    }
}

/// Ends a command: an error is printed, and the exit code returned.
pub(super) fn ended(
    result: Result<ExitCode, Error>,
    global: &Global,
    refusal: impl FnOnce(&Error) -> Value,
) -> ExitCode {
    let code = result.unwrap_or_else(|error| {
        if global.json {
            json(&refusal(&error));
        }
        note(&error::rendered(&error));
        ExitCode::FAILURE
    });
    signals::exit_code().unwrap_or(code)
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
        Event::Together { migrations, step, steps, .. } => {
            note(&format!("applying {step} to {} of {steps} together", step + migrations - 1));
        }
        Event::Reconnecting { error } => note(&format!("{error}: the connection is lost; connecting again")),
        Event::BackupStarted { database } => note(&format!("copying {database}")),
        Event::BackupProgress { bytes, of } => progress("copied", *bytes, *of),
        Event::RestoreProgress { bytes: 0, of } => note(&format!("restoring {}", Size(*of))),
        Event::RestoreProgress { bytes, of } => progress("read", *bytes, Some(*of)),
        Event::BackupFinished { reference, bytes, duration } => {
            let size = bytes.map(|bytes| format!("{}, ", Size(bytes))).unwrap_or_default();
            note(&format!("copied to {reference} ({size}{} ms)", duration.as_millis()));
        }
        Event::Retrying { attempt, .. } => note(&format!("others hold what it needs; try {attempt} follows")),
        Event::Warning { message } => warning(message),
        _ => {}
    }
}

/// Tells how far a copy is at each tenth of it, and not before there is something to wait for.
fn progress(done: &str, bytes: u64, of: Option<u64>) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let step = (of.unwrap_or(0) / 10).max(64 << 20);
    // A smaller number is the first of another copy.
    if bytes / step != TOLD.swap(bytes / step, Ordering::Relaxed) && bytes >= step {
        let of = of.map(|of| format!(" of {}", Size(of))).unwrap_or_default();
        note(&format!("{done} {}{of}", Size(bytes)));
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

/// As the library serializes it; the message has the database's words behind it.
fn error_json(error: &Error) -> Value {
    let mut document = json!(error);
    if let Some(words) = error.database_words() {
        document["message"] = format!("{}: {words}", error.message()).into();
    }
    document
}
