//! `seed`, in a host's program only: a directory of migrations holds no seeds.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::output;
use crate::{Dialect, Error};

/// Run the seeds that are not applied: those that a start of the program waits for, or those that are named.
///
/// A manual seed runs each time that it is named, and only then.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator seed\n  migrator seed roles administrator")]
pub(super) struct SeedArgs {
    /// Their names.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Verb for &SeedArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let report = match &names[..] {
            [] => on.migrator.seed(&mut on.conn, on.seeds)?,
            names => on.migrator.seed_only(&mut on.conn, on.seeds, names)?,
        };
        if on.global.json {
            output::json(&json!(report));
        } else {
            output::answer(&report);
        }
        // What is skipped although it was asked for by name did not run.
        let is_clean = if names.is_empty() { report.failed().next().is_none() } else { report.is_successful() };
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
