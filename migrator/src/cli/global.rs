//! What every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use diesel::connection::LoadConnection;

use crate::url::Url;
use crate::{Dialect, Environment, Error, Layout, Migrator, SqlDialect};

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "For every command")]
pub(super) struct Global {
    /// The database: sqlite:PATH, postgres://…, mysql://… [env: MIGRATION_DATABASE_URL, DATABASE_URL].
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The migrations directory [default: migrations, else prisma/migrations].
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// One JSON document on stdout; what happens meanwhile goes to stderr.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What this database is for: development, test, staging or production.
    #[arg(long, global = true, value_name = "ENV", env = "MIGRATOR_ENV", hide_env_values = true)]
    pub(super) env: Option<Environment>,
    /// How long to wait for the migration lock [default: 5m].
    #[arg(long, global = true, value_name = "TIME", env = "MIGRATOR_LOCK_TIMEOUT", hide_env_values = true, value_parser = humantime::parse_duration)]
    lock_timeout: Option<Duration>,
    /// SQL for the migrating connection, before the lock is taken.
    #[arg(long, global = true, value_name = "SQL")]
    session_sql: Option<String>,
    /// The directory's layout, when it is not to be detected: diesel, prisma or flat.
    #[arg(long, global = true)]
    pub(super) layout: Option<Layout>,
    /// The dialect that the scripts are written in: sqlite, postgres or mysql.
    #[arg(long, global = true)]
    pub(super) dialect: Option<SqlDialect>,
    /// Say nothing but the answer.
    #[arg(long, global = true)]
    pub(super) quiet: bool,
    /// Answer yes to every question; production and staging want --confirm.
    #[arg(long, global = true)]
    pub(super) yes: bool,
    /// The database's name (of SQLite the file's): wanted on production before what can destroy, on staging before a reset.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) confirm: Option<String>,
}

impl Global {
    /// The database that is named, else the usual one of the program.
    pub(super) fn url(&self, usual: Option<&str>) -> Result<Url, Error> {
        let named = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let url = self.database_url.clone();
        let url = url.or_else(|| named("MIGRATION_DATABASE_URL")).or_else(|| named("DATABASE_URL"));
        match url.as_deref().or(usual) {
            Some(url) => Url::parse(url),
            None => Err(Error::new(
                "no_database_url",
                "no database is named",
                "give --database-url URL, or set DATABASE_URL",
            )),
        }
    }

    /// Gives a migrator what was asked for.
    pub(super) fn adapt<C>(&self, mut migrator: Migrator<C>) -> Migrator<C>
    where
        C: LoadConnection<Backend: Dialect> + 'static,
    {
        if let Some(timeout) = self.lock_timeout {
            migrator = migrator.lock_timeout(timeout);
        }
        if let Some(sql) = &self.session_sql {
            migrator = migrator.also_session(sql.as_str());
        }
        if let Some(environment) = self.env {
            migrator = migrator.environment(environment);
        }
        if let Some(name) = &self.confirm {
            migrator = migrator.confirm(name);
        }
        migrator
    }
}

/// The migrations directory that a command reads or writes, and what is known of it.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) layout: Option<Layout>,
    pub(super) dialect: Option<SqlDialect>,
}
