//! The tool: it reads a migrations directory at run time, and connects to whatever database the URL names.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use migrator_source::layout::Options;
use migrator_source::pack::Packed;

use super::command::Command;
use super::global::{Directory, Global};
use super::host::{self, Host, Reading, Verb};
use super::{output, signals};
use crate::url::Url;
use crate::{Error, MigrationSet, Migrator, SqlDialect};

/// Brings a database to where its migrations directory is.
///
/// Exit codes: 0 clean, 1 could not run, refused or failed, 2 findings (something is pending or not as it should be).
#[derive(Debug, Parser)]
#[command(
    name = "migrator",
    version,
    after_help = "Example:\n  migrator status --database-url sqlite:app.db --dir migrations\n  migrator run --database-url postgres://app@localhost/app"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: ToolCommand,
}

#[derive(Debug, Subcommand)]
enum ToolCommand {
    #[command(flatten)]
    Shared(Command),
    Completions(CompletionsArgs),
}

/// Print the completions of a shell, for its start-up file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator completions bash > ~/.local/share/bash-completion/completions/migrator")]
struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Reads the arguments of the tool `migrator`, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = super::parse::<Cli>();
    signals::watch();
    match &cli.command {
        ToolCommand::Shared(command) => {
            output::ended(command.answer(&cli.global, &Standalone), &cli.global, |error| command.refusal(error))
        }
        ToolCommand::Completions(CompletionsArgs { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "migrator", &mut script);
            output::answer(&String::from_utf8_lossy(&script).trim_end());
            ExitCode::SUCCESS
        }
    }
}

/// The set of a verb that looks at none, or can do without.
static NOTHING: Packed = Packed::EMPTY;

/// The tool as a host: it has no migrations of its own.
struct Standalone;

impl Host for Standalone {
    fn url(&self, global: &Global) -> Result<Url, Error> {
        global.url(None)
    }

    fn directory(&self, global: &Global) -> Directory {
        let path = global.dir.clone().unwrap_or_else(|| {
            let usual = ["migrations", "prisma/migrations"].map(PathBuf::from);
            let [first, _] = &usual;
            usual.iter().find(|dir| dir.is_dir()).unwrap_or(first).clone()
        });
        Directory { path, layout: global.layout, dialect: global.dialect }
    }

    fn on(&self, global: &Global, verb: impl Verb) -> Result<ExitCode, Error> {
        let url = self.url(global)?;
        let database = url.dialect();
        let Directory { path, layout, dialect } = self.directory(global);
        // Checked in the dialect of the database unless another one is stated.
        let options = Options { layout, dialect, possible: &[database], ..Options::default() };
        let set = match verb.reads_the_set() {
            Reading::Needed => MigrationSet::from_path_for(&path, options)?,
            Reading::Wanted => MigrationSet::from_path_for(&path, options).unwrap_or_else(|fault| {
                if !global.quiet {
                    output::warning(&format!("it is done without the migrations: {}", fault.message()));
                }
                MigrationSet::embedded(&NOTHING)
            }),
            Reading::Not => MigrationSet::embedded(&NOTHING),
        };
        match database {
            #[cfg(feature = "sqlite")]
            SqlDialect::Sqlite => host::connect(global, &url, over::<diesel::SqliteConnection>(&set), &[], verb),
            #[cfg(feature = "postgres")]
            SqlDialect::Postgres => host::connect(global, &url, over::<diesel::PgConnection>(&set), &[], verb),
            #[cfg(feature = "mysql")]
            SqlDialect::Mysql => host::connect(global, &url, over::<diesel::MysqlConnection>(&set), &[], verb),
            #[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
            other => {
                let _ = (set, verb);
                let message = format!("this build of migrator does not speak {other}");
                let features = "cargo build -p migrator --features cli,postgres,mysql --bin migrator";
                Err(Error::new("dialect_not_built", message, features))
            }
        }
    }
}

/// The tool is the program that its records name.
fn over<C>(set: &MigrationSet) -> Migrator<C> {
    Migrator::new(set).application(concat!("migrator ", env!("CARGO_PKG_VERSION")))
}
