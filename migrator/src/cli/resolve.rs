//! `resolve`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{ask, output};
use crate::{Dialect, Error, Resolution};

/// Settle what only a person can know of a migration, or of its revert, that stopped half-way.
///
/// After a revert, `--rolled-back` says that all of it is gone, and `--applied` that all of it stands.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(after_help = "Example:\n  migrator resolve --resume-at 20240131120000:3")]
pub(super) struct ResolveArgs {
    /// All of it is there.
    #[arg(long, value_name = "V")]
    applied: Option<String>,
    /// Nothing of it is there.
    #[arg(long, value_name = "V")]
    rolled_back: Option<String>,
    /// Its statements before number K took: it goes on at K.
    #[arg(long, value_name = "V:K", value_parser = resume_at)]
    resume_at: Option<(String, usize)>,
}

fn resume_at(text: &str) -> Result<(String, usize), String> {
    let (version, number) = text.rsplit_once(':').ok_or("write V:K, for example 20240131120000:3")?;
    let number = number.parse().map_err(|_| format!("`{number}` is no number of a statement"))?;
    Ok((version.to_owned(), number))
}

impl Verb for &ResolveArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let (version, resolution, said) = match self {
            ResolveArgs { applied: Some(version), .. } => (version, Resolution::Applied, "applied".to_owned()),
            ResolveArgs { rolled_back: Some(version), .. } => {
                (version, Resolution::RolledBack, "rolled back".to_owned())
            }
            ResolveArgs { resume_at: Some((version, number)), .. } => {
                (version, Resolution::ResumeAt(*number), format!("to be resumed at statement {number}"))
            }
            ResolveArgs { .. } => unreachable!("clap requires one of the three"),
        };
        ask::named(on.global, &on.migrator, |migrator| migrator.resolve(&mut on.conn, version, resolution))?;
        if on.global.json {
            output::json(&json!({ "resolved": { "version": version, "as": said } }));
        } else {
            output::answer(&format_args!("{version} is recorded as {said}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}
