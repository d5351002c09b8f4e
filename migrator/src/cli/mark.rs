//! `mark`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::connect::Verb;
use super::{Cli, ask, output};
use crate::url::Url;
use crate::{Dialect, Environment, Error, MigrationSet};

#[derive(Debug, Args)]
pub(super) struct MarkArgs {
    /// development, test, staging or production.
    #[arg(value_name = "ENV")]
    environment: Environment,
}

pub(super) struct MarkVerb<'a> {
    pub(super) cli: &'a Cli,
    pub(super) set: &'a MigrationSet,
    pub(super) mark: &'a MarkArgs,
    pub(super) url: &'a Url,
}

impl Verb for MarkVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let (global, environment) = (&self.cli.global, self.mark.environment);
        output::note(&format!("database: {}", self.url));
        let before = ask::named(global, |name| self.cli.confirmed(self.set, name).mark(conn, environment))?;
        if global.json {
            output::json(&json!({ "marked": environment, "before": before }));
        } else {
            let before = before.unwrap_or_else(|| "nothing".to_owned());
            output::answer(&format_args!("marked as {environment}; before that as {before}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
