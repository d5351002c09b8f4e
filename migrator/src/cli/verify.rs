//! `verify`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output, status};
use crate::{DatabaseState, Dialect, Error};

/// Show the status, and check that what is recorded holds together: history, tool's table, ledger of seeds. Exits 0 only when the
/// database is up to date and nothing is found, else 2.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator verify --json")]
pub(super) struct VerifyArgs {
    /// Show each migration, however many they are.
    #[arg(long)]
    all: bool,
}

impl Verb for &VerifyArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let mut found = on.migrator.verify(&mut on.conn)?;
        if found.database() == ":memory:" {
            found.database = on.url.to_string();
        }
        match on.global.json {
            true => output::json(&json!(found)),
            false => output::answer(&status::text(&found, on.url, self.all)),
        }
        let clean = found.state() == DatabaseState::UpToDate && found.problems().is_empty();
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}
