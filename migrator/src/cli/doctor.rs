//! `doctor`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::{Dialect, Error, Verdict};

/// Prove on this very database what a run relies on: the lock, with two sessions; the role's privileges, on a table that is made and
/// dropped; what stands between; what outlasts a crash. Exits 2 when something fails.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator doctor --database-url postgres://app@localhost/app")]
pub(super) struct DoctorArgs {
    /// Exit 2 on warnings too.
    #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
    deny: Option<String>,
}

impl Verb for &DoctorArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Examine
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let checkup = on.migrator.doctor(&mut on.conn)?;
        if on.global.json {
            output::json(&json!(checkup));
        } else {
            output::answer(&output::as_called(&checkup.to_string()));
        }
        let found = checkup.verdict() > if self.deny.is_some() { Verdict::Pass } else { Verdict::Warn };
        Ok(if found { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
    }
}
