//! `setup`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::connect::Deed;
use super::{Cli, output};
use crate::seed::Seed;
use crate::url::Url;
use crate::{Dialect, Error, MigrationSet};

#[derive(Debug, Args)]
pub(super) struct SetupArgs {
    /// A folder of seeds: SQL, CSV and JSON files, in the order of their names [default: `seeds`, when it is there].
    #[arg(long, value_name = "DIR")]
    seeds: Option<PathBuf>,
}

pub(super) struct SetupDeed<'a> {
    pub(super) cli: &'a Cli,
    pub(super) set: &'a MigrationSet,
    pub(super) setup: &'a SetupArgs,
    pub(super) url: &'a Url,
}

impl Deed for SetupDeed<'_> {
    fn call<C: LoadConnection<Backend: Dialect> + 'static>(self) -> Result<ExitCode, Error> {
        let global = &self.cli.global;
        output::note(&format!("database: {}", self.url));
        let usual = PathBuf::from("seeds");
        let folder = self.setup.seeds.clone().or_else(|| usual.is_dir().then_some(usual));
        let seeds = folder.map_or_else(|| Ok(Vec::new()), Seed::<C>::from_path)?;
        let setup = self.cli.migrator::<C>(self.set).setup(&global.url()?, &seeds)?;
        if global.json {
            output::json(&json!(setup));
        } else {
            output::answer(&setup);
        }
        Ok(ExitCode::SUCCESS)
    }
}
