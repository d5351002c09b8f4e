//! `backup`, `backups`, `restore`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::global::Global;
use super::host::{On, Purpose, Reading, Verb};
use super::progress::Progress;
use super::{FINDINGS, ask, output, signals};
use crate::backup::{Backup, Backups, Listing, Manifest, Restore};
use crate::url::Url;
use crate::{Dialect, Error, Policy};

/// Where backups are, unless another folder is named.
pub(super) const FOLDER: &str = "backups";

/// Copy the database now, under the migration lock, and verify the copy. PostgreSQL needs pg_dump, MySQL and MariaDB their own.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator backup --out before-upgrade.sqlite --database-url sqlite:app.db")]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there [default: a name of its own in `--to`].
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    out: Option<PathBuf>,
    /// The folder to write into.
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    to: PathBuf,
    #[command(flatten)]
    programs: Programs,
}

/// List the backups of a folder, verify them, or delete old ones. Exits 2 when one is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator backups --verify\n  migrator backups --keep 5 --older-than 30days")]
pub(super) struct BackupsArgs {
    /// The folder.
    #[arg(long = "in", value_name = "DIR", default_value = FOLDER)]
    folder: PathBuf,
    /// Read each backup whole: its digest, and whether its database can read it. Exits 2 when one is damaged.
    #[arg(long)]
    verify: bool,
    /// Delete all but the newest N of each database; the newest that is whole always stays.
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// With --keep: delete only what is older.
    #[arg(long, value_name = "TIME", requires = "keep", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    #[command(flatten)]
    programs: Programs,
}

/// Replace all that the database holds by a backup, after a copy of the present state. Refused while others are connected.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  migrator restore backups/app-20260102T030405Z-1a2b.sqlite --database-url sqlite:app.db"
)]
pub(super) struct RestoreArgs {
    /// The backup; its manifest stands beside it.
    file: PathBuf,
    /// Restore although others are connected: they are disconnected.
    #[arg(long)]
    while_connected: bool,
    /// Restore into another database than the one that the backup is of.
    #[arg(long)]
    other_database: bool,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Debug, Args)]
pub(super) struct Programs {
    /// The folder of pg_dump, pg_restore, mariadb-dump and mariadb (or mysqldump and mysql) [default: the PATH].
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

impl Verb for &BackupArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Examine
    }

    /// Who finds a migration edited may well want a copy first.
    fn reads_the_set(&self) -> Reading {
        Reading::Wanted
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let BackupArgs { out, to, programs } = self;
        let backup = out.as_ref().map_or_else(|| Backup::to(to), Backup::to_file).url(on.url.text());
        let backup = match &programs.programs {
            Some(folder) => backup.programs(folder),
            None => backup,
        };
        let file = on.migrator.backup(&mut on.conn, &backup)?;
        let manifest = Manifest::of(file)?;
        if on.global.json {
            output::json(&json!({ "backup": manifest }));
        } else {
            output::answer(&manifest);
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl BackupsArgs {
    pub(super) fn answer(&self, global: &Global) -> Result<ExitCode, Error> {
        let backups = Backups::in_folder(&self.folder);
        let backups = match &self.programs.programs {
            Some(folder) => backups.programs(folder),
            None => backups,
        };
        let deleted = match self.keep {
            Some(keep) => backups.prune(keep, self.older_than)?,
            None => Vec::new(),
        };
        let Listing { backups, problems } = if self.verify { backups.verify()? } else { backups.list()? };
        if global.json {
            output::json(&json!({ "backups": backups, "problems": problems, "deleted": deleted }));
        } else {
            deleted.iter().for_each(|manifest| output::note(&format!("deleted {}", manifest.file.display())));
            backups.iter().for_each(output::answer);
            if backups.is_empty() {
                output::note(&format!("no backup is in {}", self.folder.display()));
            }
            problems.iter().for_each(|problem| output::answer(&format_args!("damaged: {problem}")));
        }
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
    }
}

impl RestoreArgs {
    pub(super) fn answer(&self, global: &Global, url: &Url) -> Result<ExitCode, Error> {
        let policy = |allow| if allow { Policy::Allow } else { Policy::Refuse };
        let followed = (!global.quiet).then(Progress::alone);
        let restore = |name: Option<&str>| {
            let mut restore = Restore::of(&self.file)
                .while_connected(policy(self.while_connected))
                .other_database(if self.other_database { Policy::Warn } else { Policy::Refuse });
            if let Some(folder) = &self.programs.programs {
                restore = restore.programs(folder);
            }
            if let Some(environment) = global.env {
                restore = restore.environment(environment);
            }
            if let Some(name) = name.or(global.confirm.as_deref()) {
                restore = restore.confirm(name);
            }
            if let Some(progress) = &followed {
                restore = restore.on_event(progress.hear());
            }
            restore.into(url.text())
        };
        if !global.quiet {
            output::note(&format!("database: {url}"));
        }
        // Between the DROP DATABASE of MySQL and the end of the load there is no database that is whole.
        let working = signals::finishing();
        let restored = ask::name(global, restore)?;
        drop((working, followed));
        if global.json {
            output::json(&json!({ "restored": restored }));
        } else {
            output::answer(&output::as_called(&restored.to_string()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
