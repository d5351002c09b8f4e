//! `deploy-check`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{FINDINGS, backups, output};
use crate::backup::Backups;
use crate::{Check, Checkup, DatabaseState, Dialect, Error, MigrationSet, Plan, Status, Target, Verdict};

/// Look at everything that a deployment needs before it starts, and change nothing: what `doctor` proves, the migrations, where the
/// database stands, what a run would do, the age of the backup. Exits 2 when something fails, 1 when something could not be looked at.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator deploy-check --env production --backup-age 1day")]
pub(super) struct DeployCheckArgs {
    /// The folder in which backups are.
    #[arg(long, value_name = "DIR", default_value = backups::FOLDER)]
    backups: PathBuf,
    /// Fail unless a backup of this database is younger.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    backup_age: Option<Duration>,
}

impl Verb for &DeployCheckArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Examine
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let mut found = Found::default();
        found.all(on.migrator.doctor(&mut on.conn), "doctor");
        found.one(Ok(migrations(on.set)));
        found.one(on.migrator.status(&mut on.conn).map(|status| standing(&status)).map_err(|error| ("status", error)));
        found.one(planned(on.migrator.plan(&mut on.conn, Target::Latest)));
        found.one(Ok(Check::warn(
            "drift",
            "not looked at: this version compares no schemas yet",
            "compare the schema by hand where others may have changed it",
        )));
        let age = Backups::in_folder(&self.backups).age(on.url.text());
        found.one(age.map(|age| self.backup(age)).map_err(|error| ("backup", error)));
        let Found { checkup, incomplete } = found;
        if on.global.json {
            output::json(&json!({ "verdict": checkup.verdict(), "checks": checkup.checks }));
        } else {
            output::answer(&output::as_called(&checkup.to_string()));
        }
        Ok(match (incomplete, checkup.verdict()) {
            (true, _) => ExitCode::FAILURE,
            (false, Verdict::Fail) => ExitCode::from(FINDINGS),
            (false, _) => ExitCode::SUCCESS,
        })
    }
}

/// What was found, and whether something could not be looked at.
#[derive(Default)]
struct Found {
    checkup: Checkup,
    incomplete: bool,
}

impl Found {
    fn all(&mut self, found: Result<Checkup, Error>, name: &'static str) {
        match found {
            Ok(found) => self.checkup.checks.extend(found.checks),
            Err(error) => self.one(Err((name, error))),
        }
    }

    fn one(&mut self, found: Result<Check, (&'static str, Error)>) {
        let check = found.unwrap_or_else(|(name, error)| {
            self.incomplete = true;
            let words = error.database_words().map(|words| format!(": {words}")).unwrap_or_default();
            Check::fail(name, format!("could not be looked at: {}{words}", error.message()), error.remedy())
        });
        self.checkup.checks.push(check);
    }
}

impl DeployCheckArgs {
    fn backup(&self, age: Option<Duration>) -> Check {
        const NAME: &str = "backup";
        let folder = self.backups.display();
        let Some(age) = age else {
            let message = format!("no backup of this database is in {folder}");
            let help = "migrator backup; or migrator run --backup";
            return if self.backup_age.is_some() {
                Check::fail(NAME, message, help)
            } else {
                Check::warn(NAME, message, help)
            };
        };
        let told = humantime::format_duration(Duration::from_secs(age.as_secs()));
        match self.backup_age {
            Some(limit) if age > limit => Check::fail(
                NAME,
                format!("the newest in {folder} is {told} old"),
                "migrator backup; or migrator run --backup",
            ),
            _ => Check::pass(NAME, format!("the newest in {folder} is {told} old")),
        }
    }
}

/// A set with a fault does not come so far.
fn migrations(set: &MigrationSet) -> Check {
    let warnings: Vec<String> = set.warnings().map(|warning| warning.to_string()).collect();
    let count = format!("{} migrations without a fault", set.len());
    match warnings.is_empty() {
        true => Check::pass("check", count),
        false => Check::warn("check", format!("{count}; {}", warnings.join("; ")), "migrator check"),
    }
}

fn standing(status: &Status) -> Check {
    const NAME: &str = "status";
    let problem = status.problems().first();
    let state = match status.state() {
        DatabaseState::UpToDate => "every migration is applied",
        DatabaseState::Pending => "some migrations are pending",
        DatabaseState::Uninitialized => "nothing was ever applied",
        DatabaseState::Ahead => "the database is newer than the migrations",
        DatabaseState::Blocked => "a run would be refused",
    };
    let message = problem.map_or_else(|| state.to_owned(), |problem| problem.message.clone());
    let help = problem.map_or("migrator status", |problem| &problem.help);
    match status.state() {
        DatabaseState::UpToDate | DatabaseState::Pending | DatabaseState::Uninitialized => Check::pass(NAME, message),
        DatabaseState::Ahead => Check::warn(NAME, message, help),
        DatabaseState::Blocked => Check::fail(NAME, message, help),
    }
}

fn planned(plan: Result<Plan, Error>) -> Result<Check, (&'static str, Error)> {
    const NAME: &str = "plan";
    let told = |plan: &Plan| match plan.steps().len() {
        0 => "a run has nothing to do".to_owned(),
        1 => "a run applies 1 migration".to_owned(),
        count => format!("a run applies {count} migrations"),
    };
    match plan {
        Ok(plan) if plan.warnings().is_empty() => Ok(Check::pass(NAME, told(&plan))),
        Ok(plan) => Ok(Check::warn(NAME, format!("{}; {}", told(&plan), plan.warnings().join("; ")), "migrator plan")),
        // The database did not let it read what a plan is made of.
        Err(error) if error.is_transient() || error.database_words().is_some() => Err((NAME, error)),
        Err(error) => Ok(Check::fail(NAME, format!("a run would be refused: {}", error.message()), error.remedy())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_no_finding() {
        let incomplete = |error: Error| {
            let mut found = Found::default();
            found.one(planned(Err(error)));
            assert_eq!(found.checkup.verdict(), Verdict::Fail);
            found.incomplete
        };
        assert!(incomplete(Error::new("connection_lost", "the connection is lost", "")));
        let denied = diesel::result::Error::NotFound;
        assert!(incomplete(Error::new("permission_denied", "the database refused to read", "").with_database(denied)));
        assert!(!incomplete(Error::new("changed", "20240101 is not what was applied", "put it back")));
    }
}
