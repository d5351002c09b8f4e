//! The command line. The only module that prints or exits.

mod backups;
mod connect;
mod folder;
mod output;
mod revert;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use diesel::connection::LoadConnection;
use migrator_source::layout::Options;

use crate::backup::Backup;
use crate::cli::backups::{BackupArgs, BackupVerb, BackupsArgs, RestoreArgs};
use crate::cli::connect::{Purpose, Verb};
use crate::cli::revert::{RevertArgs, RevertVerb};
use crate::url::Url;
use crate::{
    Dialect, Environment, Error, Layout, MigrationSet, Migrator, Policy, Resolution, SqlDialect, Status, Target,
};

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
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// The database: sqlite:PATH, postgres://…, mysql://… [env: MIGRATION_DATABASE_URL, DATABASE_URL].
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The migrations directory [default: migrations, else prisma/migrations].
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// One JSON document on stdout; what happens meanwhile goes to stderr.
    #[arg(long, global = true)]
    json: bool,
    /// What this database is for: development, test, staging or production.
    #[arg(long, global = true, value_name = "ENV", env = "MIGRATOR_ENV")]
    env: Option<Environment>,
    /// How long to wait for the migration lock.
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
    /// SQL for the migrating connection, before the lock is taken.
    #[arg(long, global = true, value_name = "SQL")]
    session_sql: Option<String>,
    /// The directory's layout, when it is not to be detected: diesel, prisma or flat.
    #[arg(long, global = true)]
    layout: Option<Layout>,
    /// The dialect that the scripts are written in: sqlite, postgres or mysql.
    #[arg(long, global = true)]
    dialect: Option<SqlDialect>,
    /// Say nothing but the answer.
    #[arg(long, global = true)]
    quiet: bool,
    /// Answer yes to every question.
    #[arg(long, global = true)]
    yes: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Database(DatabaseCommand),
    /// Make a new migration, YYYYMMDDHHMMSS_name in UTC, in the layout of the directory.
    ///
    /// Refuses a name that is not in snake_case or does not say what the migration does.
    #[command(after_help = "Example:\n  migrator new add_email_to_users")]
    New {
        /// What it does, in snake_case.
        name: String,
    },
    /// Check the directory alone: layout, names, texts, seal, dialect. Exits 2 on errors.
    #[command(visible_alias = "lint", after_help = "Example:\n  migrator check --deny warnings")]
    Check {
        /// Exit 2 on warnings too.
        #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
        deny: Option<String>,
    },
    /// Declare the migrations of the directory final: from then on it is a compile error to edit, delete, rename or reorder them.
    ///
    /// Writes `migrations.seal` beside them, to be committed. A migration that is added later is a draft until it is sealed.
    #[command(after_help = "Example:\n  migrator seal --dir migrations --dialect postgres")]
    Seal,
    /// Take the edited text of one sealed migration for the right one, for an edit that changes nothing that runs.
    ///
    /// The seal keeps the checksum of the old text, and the reason. A database that ran the old text reports it as `changed`.
    #[command(after_help = "Example:\n  migrator accept 20240131120000 --reason \"a comment was misspelt\"")]
    Accept {
        /// Its version, its full name, or a prefix that fits one.
        #[arg(value_name = "V")]
        version: String,
        /// Why it was edited.
        #[arg(long)]
        reason: String,
    },
    /// List the backups of a folder, verify them, or delete old ones. Exits 2 when one is damaged.
    #[command(after_help = "Example:\n  migrator backups --verify\n  migrator backups --keep 5 --older-than 30days")]
    Backups(BackupsArgs),
    /// Replace all that the database holds by a backup, after a copy of the present state. Refused while others are connected.
    #[command(
        after_help = "Example:\n  migrator restore backups/app-20260102T030405Z-1a2b.sqlite --database-url sqlite:app.db"
    )]
    Restore(RestoreArgs),
}

/// What needs a database.
#[derive(Debug, Subcommand)]
enum DatabaseCommand {
    /// Apply what is pending. Exits 0 when it is done or nothing was to do, else 1.
    #[command(visible_aliases = ["deploy", "up"], after_help = "Example:\n  migrator run --target 20240131120000")]
    Run(RunArgs),
    /// Show what `run` would do, with the risk of each statement, and change nothing. Exits 2 when something is pending.
    ///
    /// `destroys`: data that is there is gone afterwards. `locks`: whoever uses the table waits until it is done.
    #[command(after_help = "Example:\n  migrator plan --sql")]
    Plan {
        /// Print the statements too.
        #[arg(long)]
        sql: bool,
    },
    /// Show where each migration stands. Exits 0 only when the database is up to date.
    #[command(after_help = "Example:\n  migrator status --json")]
    Status,
    /// Undo the last applied migration, or more of them, by their down scripts, newest first.
    ///
    /// Nothing starts when one of them has no down script. A revert that stopped half-way goes on when it is typed again.
    #[command(after_help = "Example:\n  migrator revert --target 20240131120000")]
    Revert(RevertArgs),
    /// Undo the last applied migration and apply it again, with the text that it has now.
    #[command(after_help = "Example:\n  migrator redo")]
    Redo,
    /// Settle what only a person can know of a migration, or of its revert, that stopped half-way.
    ///
    /// After a revert, `--rolled-back` says that all of it is gone, and `--applied` that all of it stands.
    #[command(after_help = "Example:\n  migrator resolve --resume-at 20240131120000:3")]
    Resolve(ResolveArgs),
    /// Copy the database now, under the migration lock, and verify the copy. PostgreSQL needs pg_dump, MySQL and MariaDB their own.
    #[command(after_help = "Example:\n  migrator backup --out before-upgrade.sqlite --database-url sqlite:app.db")]
    Backup(BackupArgs),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ResolveArgs {
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

#[derive(Debug, Args)]
struct RunArgs {
    /// Stop after this migration: its version, its full name, or a prefix that fits one.
    #[arg(long, value_name = "V", conflicts_with = "steps")]
    target: Option<String>,
    /// Stop after this many migrations.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Show what would be done, and change nothing. Exits 2 when something is pending.
    #[arg(long)]
    dry_run: bool,
    /// Run on a database that has tables and no history.
    #[arg(long)]
    allow_non_empty: bool,
    /// Make a backup in DIR before the first change; when it fails, nothing is changed.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = backups::FOLDER)]
    backup: Option<PathBuf>,
}

/// Reads the arguments, does what they say, and returns the exit code.
pub fn main() -> ExitCode {
    // clap would end with 2, which here means findings.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = !error.use_stderr();
            let _nobody_reads_it = error.print();
            return if asked_for { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
    };
    match cli.answer() {
        Ok(code) => code,
        Err(error) => {
            if cli.global.json {
                output::json(&match &cli.command {
                    Command::Database(DatabaseCommand::Run(run)) if !run.dry_run => {
                        output::run(error.report(), Some(&error))
                    }
                    Command::Database(DatabaseCommand::Revert(_) | DatabaseCommand::Redo) => {
                        output::run(error.report(), Some(&error))
                    }
                    _ => output::refusal(&error),
                });
            }
            output::note(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Something is pending, or not as it should be.
const FINDINGS: u8 = 2;

impl Cli {
    fn answer(&self) -> Result<ExitCode, Error> {
        match &self.command {
            Command::Database(command) => self.on_database(command),
            Command::New { name } => folder::new(&self.global, name),
            Command::Check { deny } => folder::check(&self.global, deny.is_some()),
            Command::Seal => folder::seal(&self.global),
            Command::Accept { version, reason } => folder::accept(&self.global, version, reason),
            Command::Backups(backups) => backups.answer(&self.global),
            Command::Restore(restore) => restore.answer(&self.global),
        }
    }

    fn on_database(&self, command: &DatabaseCommand) -> Result<ExitCode, Error> {
        let url = Url::parse(&self.global.url()?)?;
        let set = self.global.set(url.dialect())?;
        if !self.global.quiet {
            set.warnings().for_each(|warning| output::note(&format!("warning: {warning}")));
        }
        match command {
            DatabaseCommand::Run(run) if run.dry_run => {
                let target = run.target();
                url.connect(
                    Purpose::Read,
                    PlanVerb { cli: self, set: &set, target, sql: false, non_empty: run.non_empty() },
                )
            }
            DatabaseCommand::Run(run) => url.connect(Purpose::Write, RunVerb { cli: self, set: &set, run, url: &url }),
            DatabaseCommand::Plan { sql } => {
                let target = Target::Latest;
                url.connect(
                    Purpose::Read,
                    PlanVerb { cli: self, set: &set, target, sql: *sql, non_empty: Policy::Refuse },
                )
            }
            DatabaseCommand::Revert(revert) => {
                url.connect(Purpose::Write, RevertVerb { cli: self, set: &set, revert: Some(revert), url: &url })
            }
            DatabaseCommand::Redo => {
                url.connect(Purpose::Write, RevertVerb { cli: self, set: &set, revert: None, url: &url })
            }
            DatabaseCommand::Resolve(resolve) => {
                url.connect(Purpose::Write, ResolveVerb { cli: self, set: &set, resolve, url: &url })
            }
            DatabaseCommand::Backup(backup) => url.connect(Purpose::Read, BackupVerb { cli: self, set: &set, backup }),
            DatabaseCommand::Status => url.connect(Purpose::Read, StatusVerb { cli: self, set: &set, url: &url }),
        }
    }

    fn migrator<C: LoadConnection<Backend: Dialect>>(&self, set: &MigrationSet) -> Migrator<C> {
        let mut migrator = Migrator::new(set).lock_timeout(self.global.lock_timeout);
        if let Some(sql) = &self.global.session_sql {
            migrator = migrator.session(sql.as_str(), ());
        }
        if let Some(environment) = self.global.env {
            migrator = migrator.environment(environment);
        }
        if !self.global.quiet {
            migrator = migrator.on_event(|event| output::event(&event));
        }
        migrator
    }
}

impl Global {
    /// The set that is in the directory, checked in the dialect of the database unless another one is stated.
    fn set(&self, database: SqlDialect) -> Result<MigrationSet, Error> {
        let options =
            Options { layout: self.layout, dialect: self.dialect, possible: &[database], ..Options::default() };
        MigrationSet::from_path_for(&self.dir(), options)
    }

    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| {
            let usual = ["migrations", "prisma/migrations"].map(PathBuf::from);
            let [first, _] = &usual;
            usual.iter().find(|dir| dir.is_dir()).unwrap_or(first).clone()
        })
    }

    fn url(&self) -> Result<String, Error> {
        let named = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let url =
            self.database_url.clone().or_else(|| named("MIGRATION_DATABASE_URL")).or_else(|| named("DATABASE_URL"));
        url.ok_or_else(|| {
            Error::new("no_database_url", "no database is named", "give --database-url URL, or set DATABASE_URL")
        })
    }
}

impl RunArgs {
    fn target(&self) -> Target {
        match (&self.target, self.steps) {
            (Some(version), _) => Target::version(version),
            (None, Some(steps)) => Target::Steps(steps),
            (None, None) => Target::Latest,
        }
    }

    fn non_empty(&self) -> Policy {
        if self.allow_non_empty { Policy::Allow } else { Policy::Refuse }
    }
}

struct RunVerb<'a> {
    cli: &'a Cli,
    set: &'a MigrationSet,
    run: &'a RunArgs,
    url: &'a Url,
}

impl Verb for RunVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let Global { json, quiet, .. } = self.cli.global;
        if !quiet {
            output::note(&format!("database: {}", self.url));
        }
        let url = self.url.text().to_owned();
        let migrator = self.cli.migrator::<C>(self.set).non_empty(self.run.non_empty());
        let mut migrator = migrator.reconnect(move || C::establish(&url));
        if let Some(folder) = &self.run.backup {
            migrator = migrator.backup_before(Backup::to(folder).url(self.cli.global.url()?));
        }
        let report = migrator.run_to(conn, self.run.target())?;
        if json {
            output::json(&output::run(Some(&report), None));
        } else {
            output::answer(&report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

struct PlanVerb<'a> {
    cli: &'a Cli,
    set: &'a MigrationSet,
    target: Target,
    sql: bool,
    non_empty: Policy,
}

impl Verb for PlanVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let migrator = self.cli.migrator::<C>(self.set).non_empty(self.non_empty);
        let plan = migrator.plan(conn, self.target)?;
        let scripts = plan.steps().iter().map(|step| output::Statements::of(self.set, step, C::Backend::SQL));
        let scripts = scripts.collect::<Result<Vec<_>, Error>>()?;
        if self.cli.global.json {
            output::json(&output::plan(&plan, &scripts, self.sql));
        } else {
            output::answer(&plan);
            scripts.iter().for_each(|script| script.print(self.sql));
        }
        Ok(if plan.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}

struct ResolveVerb<'a> {
    cli: &'a Cli,
    set: &'a MigrationSet,
    resolve: &'a ResolveArgs,
    url: &'a Url,
}

impl Verb for ResolveVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let (version, resolution, said) = match self.resolve {
            ResolveArgs { applied: Some(version), .. } => (version, Resolution::Applied, "applied".to_owned()),
            ResolveArgs { rolled_back: Some(version), .. } => {
                (version, Resolution::RolledBack, "rolled back".to_owned())
            }
            ResolveArgs { resume_at: Some((version, number)), .. } => {
                (version, Resolution::ResumeAt(*number), format!("to be resumed at statement {number}"))
            }
            ResolveArgs { .. } => unreachable!("clap requires one of the three"),
        };
        if !self.cli.global.quiet {
            output::note(&format!("database: {}", self.url));
        }
        self.cli.migrator::<C>(self.set).resolve(conn, version, resolution)?;
        if self.cli.global.json {
            output::json(&serde_json::json!({ "resolved": { "version": version, "as": said } }));
        } else {
            output::answer(&format_args!("{version} is recorded as {said}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

struct StatusVerb<'a> {
    cli: &'a Cli,
    set: &'a MigrationSet,
    url: &'a Url,
}

impl Verb for StatusVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let mut status: Status = self.cli.migrator::<C>(self.set).status(conn)?;
        // A SQLite file that is not there was read as an empty database, and not created.
        if status.database() == ":memory:" {
            status.database = self.url.to_string();
        }
        if self.cli.global.json {
            output::json(&serde_json::json!(status));
        } else {
            output::answer(&status);
        }
        let clean = status.state() == crate::DatabaseState::UpToDate;
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}
