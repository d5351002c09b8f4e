//! The commands that undo.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;

use super::connect::Verb;
use super::{Cli, Global, Url, output};
use crate::{Dialect, Error, MigrationSet, Target};

#[derive(Debug, Args)]
pub(super) struct RevertArgs {
    /// Keep this migration and what is older: its version, its full name, or a prefix that fits one.
    #[arg(long, value_name = "V", conflicts_with = "steps")]
    target: Option<String>,
    /// Undo this many migrations [default: 1].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
}

impl RevertArgs {
    fn target(&self) -> Target {
        match &self.target {
            Some(version) => Target::version(version),
            None => Target::Steps(self.steps.unwrap_or(1)),
        }
    }
}

/// `revert`, or `redo` when there is nothing to say about how far.
pub(super) struct RevertVerb<'a> {
    pub(super) cli: &'a Cli,
    pub(super) set: &'a MigrationSet,
    pub(super) revert: Option<&'a RevertArgs>,
    pub(super) url: &'a Url,
}

impl Verb for RevertVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let Global { json, quiet, .. } = self.cli.global;
        if !quiet {
            output::note(&format!("database: {}", self.url));
        }
        let url = self.url.text().to_owned();
        let migrator = self.cli.migrator::<C>(self.set).reconnect(move || C::establish(&url));
        let report = match self.revert {
            Some(revert) => migrator.revert(conn, revert.target()),
            None => migrator.redo(conn),
        }?;
        match json {
            true => output::json(&output::run(Some(&report), None)),
            false => output::answer(&report),
        }
        Ok(ExitCode::SUCCESS)
    }
}
