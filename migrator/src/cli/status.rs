//! `status`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::{DatabaseState, Dialect, Error, Status};

/// Show where each migration stands. Exits 0 only when the database is up to date.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator status --json")]
pub(super) struct StatusArgs {}

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
            output::answer(&status);
        }
        let clean = status.state() == DatabaseState::UpToDate;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}
