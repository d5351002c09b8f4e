//! The commands that the tool and a host's program have in common.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::backups::{BackupArgs, BackupsArgs, RestoreArgs};
use super::folder::{AcceptArgs, CheckArgs, NewArgs, SealArgs};
use super::global::Global;
use super::host::Host;
use super::output;
use super::plan::PlanArgs;
use super::resolve::ResolveArgs;
use super::run::RunArgs;
use super::status::StatusArgs;
use super::wait::WaitArgs;
use crate::Error;

/// What each of them does, and an example, stands at its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(visible_aliases = ["deploy", "up"])]
    Run(RunArgs),
    Plan(PlanArgs),
    Status(StatusArgs),
    Resolve(ResolveArgs),
    New(NewArgs),
    #[command(visible_alias = "lint")]
    Check(CheckArgs),
    Seal(SealArgs),
    Accept(AcceptArgs),
    Backup(BackupArgs),
    Backups(BackupsArgs),
    Restore(RestoreArgs),
    Wait(WaitArgs),
}

impl Command {
    pub(super) fn answer(&self, global: &Global, host: &impl Host) -> Result<ExitCode, Error> {
        match self {
            Self::Run(run) if run.dry_run => host.on(global, run.plan()),
            Self::Run(run) => host.on(global, run),
            Self::Plan(plan) => host.on(global, plan.verb()),
            Self::Status(status) => host.on(global, status),
            Self::Resolve(resolve) => host.on(global, resolve),
            Self::New(new) => new.answer(global, &host.directory(global)),
            Self::Check(check) => check.answer(global, &host.directory(global), host.url(global).ok().as_ref()),
            Self::Seal(seal) => seal.answer(global, &host.directory(global), host.url(global).ok().as_ref()),
            Self::Accept(accept) => accept.answer(global, &host.directory(global)),
            Self::Backup(backup) => host.on(global, backup),
            Self::Backups(backups) => backups.answer(global),
            Self::Restore(restore) => restore.answer(global, &host.url(global)?),
            Self::Wait(wait) => host.on(global, wait),
        }
    }

    /// The document of a command that could not be carried out.
    pub(super) fn refusal(&self, error: &Error) -> Value {
        match self {
            Self::Run(run) if !run.dry_run => output::run(error.report(), Some(error)),
            _ => output::refusal(error),
        }
    }
}
