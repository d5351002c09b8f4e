//! `reset`.

use std::process::ExitCode;

use diesel::connection::LoadConnection;
use serde_json::json;

use super::connect::Verb;
use super::{Cli, ask, output};
use crate::url::Url;
use crate::{Contents, Dialect, Error, MigrationSet};

pub(super) struct ResetVerb<'a> {
    pub(super) cli: &'a Cli,
    pub(super) set: &'a MigrationSet,
    pub(super) url: &'a Url,
}

impl Verb for ResetVerb<'_> {
    fn call<C: LoadConnection<Backend: Dialect>>(self, conn: &mut C) -> Result<ExitCode, Error> {
        let global = &self.cli.global;
        // Also with --quiet: nobody should drop what he does not see.
        output::note(&format!("database: {}", self.url));
        let migrator = self.cli.migrator::<C>(self.set);
        let contents = migrator.contents(conn)?;
        if !contents.is_empty() {
            output::note(&format!("this drops {contents}:"));
            tell(&contents);
            ask::agreed(global, "drop all of it?")?;
        }
        let dropped = if contents.is_empty() { contents.clone() } else { migrator.reset(conn)? };
        if global.json {
            let (counts, rows, stays) = (contents.counts(), contents.rows(), contents.stays());
            output::json(&json!({ "dropped": counts, "rows": rows, "stays": stays }));
        } else if dropped.is_empty() {
            output::answer(&"nothing was there to drop");
        } else {
            let counts = dropped.counts().values().sum::<usize>();
            output::answer(&format_args!("dropped {counts} objects; next: migrator setup"));
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
