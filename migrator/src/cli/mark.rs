//! `mark`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{ask, output};
use crate::{Dialect, Environment, Error};

/// Say what the database is for: a process that is told otherwise is refused what can destroy.
///
/// To take the mark of production or staging away, the database's name has to be typed back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator mark production")]
pub(super) struct MarkArgs {
    /// development, test, staging or production.
    #[arg(value_name = "ENV")]
    environment: Environment,
}

impl Verb for &MarkArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let environment = self.environment;
        let before = ask::named(on.global, &on.migrator, |migrator| migrator.mark(&mut on.conn, environment))?;
        if on.global.json {
            output::json(&json!({ "marked": environment, "before": before }));
        } else {
            let before = before.map_or_else(String::new, |before| format!("; before that as {before}"));
            output::answer(&format_args!("marked as {environment}{before}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
