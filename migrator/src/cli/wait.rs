//! `wait`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{self, On, Purpose, Reading, Verb};
use super::output;
use crate::provider::connect;
use crate::url::Url;
use crate::{Dialect, Error, Interrupt};

/// Wait until the database answers. Exits 0 then, and 1 when it does not in time, or when no wait can help.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator wait --timeout 2m --database-url postgres://app@localhost/app")]
pub(super) struct WaitArgs {
    /// How long.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Verb for &WaitArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Read
    }

    fn reads_the_set(&self) -> Reading {
        Reading::Not
    }

    fn connect<C>(&self, url: &Url) -> Result<C, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let (start, interrupt) = (Instant::now(), Interrupt::new());
        // Whoever makes the file of a SQLite database is waited for, and not done the work for.
        while host::is_missing(url) && start.elapsed() < self.timeout {
            interrupt.sleep(Duration::from_millis(50).min(self.timeout - start.elapsed()));
        }
        let longer = "start the database, or wait longer: migrator wait --timeout 5m";
        if host::is_missing(url) {
            let message = format!("{url} is not there after {} ms", start.elapsed().as_millis());
            return Err(Error::new("database_unavailable", message, longer));
        }
        let left = self.timeout.saturating_sub(start.elapsed());
        connect::connect(url, "the database URL", left, &interrupt, |_, _| ()).map_err(|error| match error.code() {
            "database_unavailable" => error.with_remedy(longer),
            _ => error,
        })
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        C::Backend::rows(&mut on.conn, "SELECT '1'").map_err(|error| {
            let message = format!("{} takes connections and answers no query", on.url);
            Error::new("database_unavailable", message, "check that the database is up").with_database(error)
        })?;
        match on.global.json {
            true => output::json(&json!({ "database": on.url.to_string(), "answers": true })),
            false => output::answer(&format_args!("{} answers", on.url)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
