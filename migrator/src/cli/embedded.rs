//! The commands inside of a host's program, over its embedded set and seeds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::{ArgMatches, FromArgMatches};
use diesel::connection::LoadConnection;

use super::command::Command;
use super::global::{Directory, Global};
use super::host::{self, Host, Verb};
use super::{output, signals};
use crate::url::Url;
use crate::{Dialect, Error, MigrationSet, Migrator, Seed};

/// The commands, as arguments of a host's program: a variant of its `Subcommand`.
///
/// `new`, `check`, `seal` and `accept` are for the one who writes migrations: they read and write the directory that the set was
/// embedded from, or `--dir`. Every other command works with what is embedded.
///
/// It is small, so that it is no burden to the host's own commands.
#[derive(Debug)]
pub struct Db(Box<Line>);

#[derive(Debug, Args)]
struct Line {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

impl Args for Db {
    fn augment_args(command: clap::Command) -> clap::Command {
        // The examples show what is typed here.
        let name = format!("{} {}", program(), command.get_name());
        output::call_it(&name);
        Line::augment_args(command).mut_subcommands(|command| {
            let example = command.get_after_help().map(|help| output::as_called(&help.to_string()).into_owned());
            command.after_help(example.unwrap_or_default())
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Db {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Line::from_arg_matches(matches).map(|line| Self(Box::new(line)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// The program's name, as a person types it.
fn program() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    Path::new(&path).file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a host's program embeds, for its [`Db`] commands.
pub struct Embedded<C: 'static> {
    set: &'static MigrationSet,
    seeds: &'static [Seed<C>],
    url: Option<String>,
    adapt: Option<Box<Adapt<C>>>,
}

type Adapt<C> = dyn Fn(Migrator<C>) -> Migrator<C>;

impl<C> Embedded<C>
where
    C: LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// The commands over an embedded set. `C` is the connection that the seeds take.
    pub fn new(set: &'static MigrationSet) -> Self {
        Self { set, seeds: &[], url: None, adapt: None }
    }

    /// The seeds of the command `seed`. Default: none.
    #[must_use]
    pub fn seeds(mut self, seeds: &'static [Seed<C>]) -> Self {
        self.seeds = seeds;
        self
    }

    /// The database when neither `--database-url` nor the environment names one. Default: none, which is an error.
    #[must_use]
    pub fn default_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The options of the program's own runs: migrations in Rust, policies, a schema. The command line's go before them.
    #[must_use]
    pub fn migrator(mut self, adapt: impl Fn(Migrator<C>) -> Migrator<C> + 'static) -> Self {
        self.adapt = Some(Box::new(adapt));
        self
    }

    /// Does what was typed, and returns the exit code: 0 clean, 1 could not run, refused or failed, 2 findings.
    #[must_use = "the program ends with it"]
    pub fn answer(&self, db: &Db) -> ExitCode {
        let Line { global, command } = &*db.0;
        signals::watch();
        output::ended(command.answer(global, self), global, |error| command.refusal(error))
    }
}

impl<C> Host for Embedded<C>
where
    C: LoadConnection<Backend: Dialect> + Send + 'static,
{
    fn url(&self, global: &Global) -> Result<Url, Error> {
        global.url(self.url.as_deref())
    }

    fn directory(&self, global: &Global) -> Directory {
        match &global.dir {
            Some(path) => Directory { path: path.clone(), layout: global.layout, dialect: global.dialect },
            None => Directory {
                path: PathBuf::from(&*self.set.packed().dir),
                layout: global.layout.or(Some(self.set.layout())),
                dialect: global.dialect.or(self.set.sql_dialect()),
            },
        }
    }

    fn on(&self, global: &Global, verb: impl Verb) -> Result<ExitCode, Error> {
        if global.dir.is_some() {
            let message = "--dir names a directory, and this program brings its migrations along";
            let remedy = "leave --dir out; it is for new, check, seal and accept";
            return Err(Error::new("embedded", message, remedy));
        }
        let url = self.url(global)?;
        if url.dialect() != C::Backend::SQL {
            let message = format!("{url} is {}, and this program is built for {}", url.dialect(), C::Backend::SQL);
            return Err(Error::new("scheme_mismatch", message, "name a database of the kind that it is built for"));
        }
        let migrator = Migrator::new(self.set);
        let migrator = self.adapt.iter().fold(migrator, |migrator, adapt| adapt(migrator));
        host::connect(global, &url, migrator, self.seeds, verb)
    }
}

impl<C> fmt::Debug for Embedded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("set", &self.set).field("seeds", &self.seeds.len()).finish_non_exhaustive()
    }
}
