//! `setup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{output, seed};
use crate::{Dialect, Error, Setup};

/// Make the database when it is missing, apply what is pending, and seed it. For development and test only.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator setup --env development --database-url postgres://me@localhost/app")]
pub(super) struct SetupArgs {
    /// A folder of seeds [default: what the program embeds, else seeds, when it is there].
    #[arg(long, value_name = "DIR")]
    seeds: Option<PathBuf>,
}

impl Verb for &SetupArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Make
    }

    fn call<C>(self, on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        // It has a connection of its own.
        drop(on.conn);
        let read = seed::of_folder(self.seeds.as_deref(), on.seeds)?;
        let setup = on.migrator.setup(on.url.text(), read.as_deref().unwrap_or(on.seeds))?;
        let setup = Setup { made: on.made, ..setup };
        if on.global.json {
            output::json(&json!(setup));
        } else {
            output::answer(&setup);
        }
        Ok(ExitCode::SUCCESS)
    }
}
