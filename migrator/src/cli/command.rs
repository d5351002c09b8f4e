//! The commands that the tool and a host's program have in common.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::accept::AcceptArgs;
use super::backups::{BackupArgs, BackupsArgs, RestoreArgs};
use super::baseline::BaselineArgs;
use super::deploy_check::DeployCheckArgs;
use super::doctor::DoctorArgs;
use super::folder::{CheckArgs, NewArgs, SealArgs};
use super::global::Global;
use super::health::HealthArgs;
use super::host::Host;
use super::mark::MarkArgs;
use super::output;
use super::plan::PlanArgs;
use super::reset::ResetArgs;
use super::resolve::ResolveArgs;
use super::revert::{RedoArgs, RevertArgs};
use super::run::RunArgs;
use super::seed::SeedArgs;
use super::setup::SetupArgs;
use super::status::StatusArgs;
use super::verify::VerifyArgs;
use super::wait::WaitArgs;
use crate::Error;

/// What each of them does, and an example, stands at its arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    #[command(visible_aliases = ["deploy", "up"])]
    Run(RunArgs),
    Plan(PlanArgs),
    Status(StatusArgs),
    Verify(VerifyArgs),
    Seed(SeedArgs),
    Revert(RevertArgs),
    Redo(RedoArgs),
    Resolve(ResolveArgs),
    Baseline(BaselineArgs),
    New(NewArgs),
    #[command(visible_alias = "lint")]
    Check(CheckArgs),
    Seal(SealArgs),
    Accept(AcceptArgs),
    Backup(BackupArgs),
    Backups(BackupsArgs),
    Restore(RestoreArgs),
    Mark(MarkArgs),
    Reset(ResetArgs),
    Setup(SetupArgs),
    Doctor(DoctorArgs),
    DeployCheck(DeployCheckArgs),
    Wait(WaitArgs),
    Health(HealthArgs),
}

impl Command {
    pub(super) fn answer(&self, global: &Global, host: &impl Host) -> Result<ExitCode, Error> {
        match self {
            Self::Run(run) if run.dry_run => host.on(global, run.plan()),
            Self::Run(run) => host.on(global, run),
            Self::Plan(plan) => host.on(global, plan.verb()),
            Self::Status(status) => host.on(global, status),
            Self::Seed(seed) => host.on(global, seed),
            Self::Verify(verify) => host.on(global, verify),
            Self::Revert(revert) => host.on(global, revert),
            Self::Redo(redo) => host.on(global, redo),
            Self::Resolve(resolve) => host.on(global, resolve),
            Self::Baseline(baseline) => host.on(global, baseline),
            Self::New(new) => new.answer(global, &host.directory(global)),
            Self::Check(check) => check.answer(global, &host.directory(global), host.url(global).ok().as_ref()),
            Self::Seal(seal) => seal.answer(global, &host.directory(global), host.url(global).ok().as_ref()),
            Self::Accept(accept) => accept.answer(global, host),
            Self::Backup(backup) => host.on(global, backup),
            Self::Backups(backups) => backups.answer(global),
            Self::Restore(restore) => restore.answer(global, &host.url(global)?),
            Self::Mark(mark) => host.on(global, mark),
            Self::Reset(reset) => host.on(global, reset),
            Self::Setup(setup) => host.on(global, setup),
            Self::Doctor(doctor) => host.on(global, doctor),
            Self::DeployCheck(check) => host.on(global, check),
            Self::Wait(wait) => host.on(global, wait),
            Self::Health(health) => host.on(global, health),
        }
    }

    /// The document of a command that could not be carried out.
    pub(super) fn refusal(&self, error: &Error) -> Value {
        match self {
            Self::Run(run) if !run.dry_run => output::run(error.report(), Some(error)),
            Self::Revert(_) | Self::Redo(_) => output::run(error.report(), Some(error)),
            _ => output::refusal(error),
        }
    }
}
