//! `reset`.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::host::{On, Purpose, Verb};
use super::{ask, output};
use crate::{Contents, Dialect, Error};

/// Drop everything in the schema of the history, after a question. For development and test.
///
/// On production and staging the database's name has to be typed back besides. Where nobody says what the database is for, it is refused.
///
/// Tables with their rows, views, sequences, routines, types, the history and the mark go. PostgreSQL's extensions and other schemas stay.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator reset --env development --yes")]
pub(super) struct ResetArgs {}

impl Verb for &ResetArgs {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        // What was typed to see what goes counts for its going.
        let (migrator, contents) =
            ask::named(on.global, &on.migrator, |migrator| Ok((migrator.clone(), migrator.contents(&mut on.conn)?)))?;
        if !contents.is_empty() {
            output::note(&format!("this drops {contents}, of {}:", on.url));
            tell(&contents);
            ask::agreed(on.global, "drop all of it?")?;
            migrator.reset(&mut on.conn)?;
        }
        if on.global.json {
            let (counts, rows, stays) = (contents.counts(), contents.rows(), contents.stays());
            output::json(&json!({ "dropped": counts, "rows": rows, "stays": stays }));
        } else if contents.is_empty() {
            output::answer(&"nothing was there to drop");
        } else {
            output::answer(&format_args!("dropped {contents}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How many names are told of each kind.
const TOLD: usize = 10;

fn tell(contents: &Contents) {
    for (kind, count) in contents.counts() {
        let names = contents.names().filter(|(of, _)| *of == kind).map(|(_, name)| name);
        let names: Vec<&str> = names.take(TOLD).collect();
        let more = if count > TOLD { format!(" and {} more", count - TOLD) } else { String::new() };
        output::note(&format!("  {kind}: {}{more}", names.join(", ")));
    }
    if !contents.stays().is_empty() {
        output::note(&format!("  what stays: extension {}", contents.stays().join(", ")));
    }
}
