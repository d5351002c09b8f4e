//! `baseline`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::output;
use crate::{Dialect, Error};

/// Take an existing database over: record every migration up to V as applied, without running it.
///
/// The database must have what they make; nobody looks. Refused where its history says something else.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator baseline 20240131120000\n  migrator run")]
pub(super) struct BaselineArgs {
    /// The last migration that the database has: its version, its full name, or a prefix that fits one.
    #[arg(value_name = "V")]
    version: String,
}

impl Verb for &BaselineArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let names = on.migrator.baseline(&mut on.conn, &self.version)?;
        if on.global.json {
            output::json(&json!({ "baselined": names }));
        } else if names.is_empty() {
            output::answer(&format_args!("everything up to {} is recorded already", self.version));
        } else {
            names
                .iter()
                .for_each(|name| output::answer(&format_args!("{name} is recorded as applied, and was not run")));
        }
        Ok(ExitCode::SUCCESS)
    }
}
