//! `revert` and `redo`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;

use super::global::Global;
use super::host::{On, Purpose, Verb};
use super::{ask, output, run};
use crate::{Dialect, Error, Report, Target};

/// Undo the last applied migration, or more of them, by their down scripts, newest first.
///
/// Nothing starts when one of them has no down script. A revert that stopped half-way goes on when it is typed again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator revert --target 20240131120000")]
pub(super) struct RevertArgs {
    /// Keep this migration and what is older: its version, its full name, or a prefix that fits one.
    #[arg(long, value_name = "V", conflicts_with = "steps")]
    target: Option<String>,
    /// Undo this many migrations [default: 1].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
}

/// Undo the last applied migration and apply it again, with the text that it has now.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator redo")]
pub(super) struct RedoArgs {}

impl Verb for &RevertArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let target = match &self.target {
            Some(version) => Target::version(version),
            None => Target::Steps(self.steps.unwrap_or(1)),
        };
        let report = ask::named(on.global, &on.migrator, |migrator| migrator.revert(&mut on.conn, target.clone()))?;
        Ok(told(&report, on.global))
    }
}

impl Verb for &RedoArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let report = ask::named(on.global, &on.migrator, |migrator| migrator.redo(&mut on.conn))?;
        Ok(told(&report, on.global))
    }
}

fn told(report: &Report, global: &Global) -> ExitCode {
    match global.json {
        true => output::json(&output::run(Some(report), None)),
        false => output::answer(&run::text(report, global.quiet)),
    }
    ExitCode::SUCCESS
}
