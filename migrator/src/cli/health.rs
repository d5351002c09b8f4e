//! `health`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, output};
use crate::{Dialect, Error};

/// Tell how healthy the database is: the report of `GET /health`. Exits 0 for pass and warn, 2 for fail, 1 when nothing can be read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator health\n  migrator health --json")]
pub(super) struct HealthArgs {}

impl Verb for &HealthArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let report = on.migrator.health(&mut on.conn);
        if on.global.json {
            output::json(&json!(report));
        } else {
            output::answer(&output::as_called(&report.to_string()));
        }
        Ok(match (&report.schema, report.readiness.is_positive()) {
            (_, true) => ExitCode::SUCCESS,
            (Some(_), false) => ExitCode::from(FINDINGS),
            // A check that could not run is never a finding.
            (None, false) => ExitCode::FAILURE,
        })
    }
}
