//! `run`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;

use super::fold::{Shown, fold};
use super::host::{On, Purpose, Verb};
use super::plan::PlanVerb;
use super::{backups, output};
use crate::backup::Backup;
use crate::{Dialect, Error, Policy, Report, Target};

/// Apply what is pending. Exits 0 when it is done or nothing was to do, else 1.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator run --target 20240131120000")]
pub(super) struct RunArgs {
    /// Stop after this migration: its version, its full name, or a prefix that fits one.
    #[arg(long, value_name = "V", conflicts_with = "steps")]
    target: Option<String>,
    /// Stop after this many migrations.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Show what would be done, and change nothing. Exits 2 when something is pending.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Run on a database that has tables and no history.
    #[arg(long)]
    allow_non_empty: bool,
    /// Make a backup in DIR before the first change; when it fails, nothing is changed.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = backups::FOLDER)]
    backup: Option<PathBuf>,
}

impl RunArgs {
    /// What it would do.
    pub(super) fn plan(&self) -> PlanVerb {
        PlanVerb { target: self.target(), sql: false, all: false, non_empty: self.non_empty() }
    }

    fn target(&self) -> Target {
        match (&self.target, self.steps) {
            (Some(version), _) => Target::version(version),
            (None, Some(steps)) => Target::Steps(steps),
            (None, None) => Target::Latest,
        }
    }

    fn non_empty(&self) -> Policy {
        if self.allow_non_empty { Policy::Allow } else { Policy::Refuse }
    }
}

impl Verb for &RunArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let mut migrator = on.migrator.non_empty(self.non_empty());
        if let Some(folder) = &self.backup {
            migrator = migrator.backup_before(Backup::to(folder).url(on.url.text()));
        }
        let report = migrator.run_to(&mut on.conn, self.target())?;
        if on.global.json {
            output::json(&output::run(Some(&report), None));
        } else {
            output::answer(&text(&report, on.global.quiet));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the run did: its report, in which many migrations are folded. Its warnings were told when they came, unless nothing was.
pub(super) fn text(report: &Report, warnings: bool) -> String {
    let [reverted, applied] = [report.reverted().len(), report.applied().len()];
    let words = [vec![Some("reverted"); reverted], vec![Some("applied"); applied]].concat();
    let shown = fold(&words, false);
    let report = report.to_string();
    // Behind the first line there is one for each migration, and behind those what else there is to say.
    let lines: Vec<&str> = report.lines().collect();
    let more = |shown: &Shown| if let Shown::More(count) = shown { *count } else { 1 };
    let rest = 1 + shown.iter().map(more).sum::<usize>();
    let mut told = vec![lines[0].to_owned()];
    told.extend(shown.iter().map(|shown| match shown {
        Shown::Row(at) => lines[at + 1].to_owned(),
        Shown::More(count) => format!("  ⋮  {count} more"),
    }));
    let rest = lines[rest..].iter().filter(|line| warnings || !line.starts_with("  warning: "));
    told.extend(rest.map(|line| (*line).to_owned()));
    told.join("\n")
}
