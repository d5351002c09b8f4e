//! `seed`: what the program embeds, or a folder of files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::output;
use crate::{Dialect, Error, Seed};

/// Run the seeds that are not applied: those that a start of the program waits for, or those that are named.
///
/// A manual seed runs each time that it is named, and only then. A seed that is a file (010_roles.sql is `roles`) depends on those
/// before it, in the order of their names, and runs again when its text changes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator seed\n  migrator seed roles administrator")]
pub(super) struct SeedArgs {
    /// Their names.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// A folder of seeds [default: what the program embeds, else seeds].
    #[arg(long, value_name = "DIR")]
    seeds: Option<PathBuf>,
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
        let read = of_folder(self.seeds.as_deref(), on.seeds)?;
        let seeds = read.as_deref().unwrap_or(on.seeds);
        if seeds.is_empty() {
            let remedy = "put files such as 010_roles.sql into seeds, or name their folder: migrator seed --seeds DIR";
            return Err(Error::new("seeds", "there are no seeds: the program has none, and no folder has", remedy));
        }
        let report = match &names[..] {
            [] => on.migrator.seed(&mut on.conn, seeds)?,
            names => on.migrator.seed_only(&mut on.conn, seeds, names)?,
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

/// The seeds of a folder: of the one that is named, else of `seeds` where the program embeds none.
pub(super) fn of_folder<C>(named: Option<&Path>, embedded: &[Seed<C>]) -> Result<Option<Vec<Seed<C>>>, Error> {
    let usual = Path::new("seeds");
    let usual = (embedded.is_empty() && usual.is_dir()).then_some(usual);
    named.or(usual).map(Seed::from_path).transpose()
}
