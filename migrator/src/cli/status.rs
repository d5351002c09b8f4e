//! `status`.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::fold::{Shown, fold};
use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::url::Url;
use crate::{DatabaseState, Dialect, Error, MigrationStatus, State, Status};

/// Show where each migration stands. Exits 0 only when the database is up to date, else 2.
///
/// Of more migrations than fit on a screen, those that have nothing to tell are folded.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator status\n  migrator status --json")]
pub(super) struct StatusArgs {
    /// Show each migration, however many they are.
    #[arg(long)]
    all: bool,
}

impl Verb for &StatusArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let mut status: Status = on.migrator.status(&mut on.conn)?;
        // A SQLite file that is not there was read as an empty database, and not created.
        if status.database() == ":memory:" {
            status.database = on.url.to_string();
        }
        if on.global.json {
            output::json(&json!(status));
        } else {
            output::answer(&text(&status, on.url, self.all));
        }
        let clean = status.state() == DatabaseState::UpToDate;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}

/// The database and its state, a line for each migration, and what is not as it should be.
pub(super) fn text(status: &Status, url: &Url, all: bool) -> String {
    let state = status.state();
    let style = colour(match state {
        DatabaseState::UpToDate => AnsiColor::Green,
        DatabaseState::Blocked => AnsiColor::Red,
        DatabaseState::Pending | DatabaseState::Ahead | DatabaseState::Uninitialized => AnsiColor::Yellow,
    })
    .bold();
    let (applied, pending) = (status.applied(), status.pending());
    let mut lines = vec![format!("{url}: {style}{}{style:#}, {applied} applied, {pending} pending", state.name())];
    let rows = status.migrations();
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    // What has an error, or is of another tool, has something to tell.
    let word = |row: &MigrationStatus| (row.error.is_none() && !row.unverified).then(|| row.state.name());
    let shown = fold(&rows.iter().map(word).collect::<Vec<_>>(), all);
    lines.extend(shown.iter().map(|shown| match shown {
        Shown::Row(at) => line(&rows[*at], width),
        Shown::More(count) => format!("  {:<12}  {count} more", "⋮"),
    }));
    if shown.len() < rows.len() {
        lines.push(output::as_called("  migrator status --all shows each of them").into_owned());
    }
    let red = colour(AnsiColor::Red).bold();
    lines.extend(status.problems().iter().map(|problem| {
        let help = output::as_called(&problem.help).into_owned();
        format!("{red}{}{red:#}: {}\n  next: {help}", problem.code, problem.message)
    }));
    lines.join("\n")
}

fn line(row: &MigrationStatus, width: usize) -> String {
    let style = colour(match row.state {
        State::Applied | State::Baselined => AnsiColor::Green,
        State::Pending | State::RolledBack | State::Ahead => AnsiColor::Yellow,
        State::OutOfOrder | State::Changed | State::Missing | State::Failed => AnsiColor::Red,
    });
    let at = row.applied_at.as_deref().unwrap_or("");
    let took = row.duration_ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
    let mut line = format!("  {style}{:<12}{style:#}  {:<width$}  {at:<24}  {took:>9}", row.state.name(), row.name);
    line.truncate(line.trim_end().len());
    if row.unverified {
        line.push_str("  applied by another tool, its text unverified");
    }
    if let Some(error) = row.error.as_deref().and_then(|error| error.lines().next()) {
        line.push_str(&format!("\n      last attempt: {error}"));
    }
    if let Some(record) = row.told() {
        line.push_str(&format!("\n      last record: {record}"));
    }
    line
}

fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(colour.into()))
}
