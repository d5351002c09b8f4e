//! `accept`: an edit of a sealed or applied migration, in the directory and in a database.

use std::process::ExitCode;

use clap::Args;
use diesel::connection::LoadConnection;
use serde_json::json;

use super::global::{Directory, Global};
use super::host::{Host, On, Purpose, Verb};
use super::output;
use crate::{Dialect, Error, MigrationSet};

/// Take the edited text of one migration for the right one, for an edit that changes nothing that runs.
///
/// The seal keeps the checksum of the old text, and the reason. When a database is named, it becomes the text of record there too, and the
/// history keeps both; every other database that ran the old text reports it as `changed` until it is accepted there.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  migrator accept 20240131120000 --reason \"a comment was misspelt\"\n  migrator accept 20240131120000 \
                  --reason \"a comment was misspelt\" --database-url postgres://app@localhost/app"
)]
pub(super) struct AcceptArgs {
    /// Its version, its full name, or a prefix that fits one.
    #[arg(value_name = "V")]
    version: String,
    /// Why it was edited.
    #[arg(long)]
    reason: String,
}

impl AcceptArgs {
    /// The directory first: with an edit that its seal does not have it cannot even be read.
    pub(super) fn answer(&self, global: &Global, host: &impl Host) -> Result<ExitCode, Error> {
        let seal = self.in_seal(&host.directory(global))?;
        if host.url(global).is_ok() {
            return host.on(global, AcceptVerb { args: self, seal });
        }
        if seal.outcome != Outcome::Accepted {
            let message = format!("nothing was accepted: {}", seal.told());
            let remedy = "name the database that ran the old text, with --database-url or DATABASE_URL";
            return Err(Error::new("accept_refused", message, remedy));
        }
        let note =
            "the databases that ran the old text report it as changed until it is accepted there: give --database-url";
        seal.print(global, None, Some(note));
        Ok(ExitCode::SUCCESS)
    }

    fn in_seal(&self, directory: &Directory) -> Result<InSeal, Error> {
        // A program that embeds its migrations may run far from the directory that they are from.
        if !directory.path.is_dir() {
            return Ok(InSeal { name: self.version.clone(), outcome: Outcome::NoDirectory });
        }
        let (name, is_sealed) = MigrationSet::is_sealed_as_it_is(&directory.path, &self.version)?;
        let outcome = match is_sealed {
            None => Outcome::NotSealed,
            Some(true) => Outcome::Unchanged,
            Some(false) => {
                MigrationSet::accept(&directory.path, &self.version, &self.reason)?;
                Outcome::Accepted
            }
        };
        Ok(InSeal { name, outcome })
    }
}

/// What became of it in the seal.
struct InSeal {
    name: String,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Unchanged,
    NotSealed,
    NoDirectory,
}

impl InSeal {
    fn told(&self) -> String {
        let name = &self.name;
        match self.outcome {
            Outcome::Accepted => format!("seal: {name} is sealed with its new text"),
            Outcome::Unchanged => format!("seal: {name} is sealed with this text already"),
            Outcome::NotSealed => format!("seal: {name} is not sealed"),
            Outcome::NoDirectory => "seal: the directory is not here".to_owned(),
        }
    }

    /// `database`: what became of it there, as a word and as a sentence.
    fn print(&self, global: &Global, database: Option<(&str, &str)>, note: Option<&str>) {
        if global.json {
            let seal = match self.outcome {
                Outcome::Accepted => "accepted",
                Outcome::Unchanged => "unchanged",
                Outcome::NotSealed => "not_sealed",
                Outcome::NoDirectory => "no_directory",
            };
            output::json(&json!({ "accepted": self.name, "seal": seal, "database": database.map(|(word, _)| word) }));
            return;
        }
        output::answer(&self.told());
        database.iter().for_each(|(_, sentence)| output::answer(sentence));
        note.iter().filter(|_| !global.quiet).for_each(|note| output::note(note));
    }
}

/// The half in the database.
struct AcceptVerb<'a> {
    args: &'a AcceptArgs,
    seal: InSeal,
}

impl Verb for AcceptVerb<'_> {
    fn purpose(&self) -> Purpose {
        Purpose::Write
    }

    fn call<C>(self, mut on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        match on.migrator.accept(&mut on.conn, &self.args.version, &self.args.reason) {
            Ok(name) => {
                let sentence = format!("database {}: the new text of {name} is the text of record", on.url);
                InSeal { name, ..self.seal }.print(on.global, Some(("accepted", &sentence)), None);
            }
            // One half was to be done, and is.
            Err(error) if error.code() == "accept_refused" && self.seal.outcome == Outcome::Accepted => {
                let sentence = format!("database {}: nothing to accept, {}", on.url, error.message());
                self.seal.print(on.global, Some(("unchanged", &sentence)), None);
            }
            Err(error) => return Err(error.about(&self.seal.told())),
        }
        Ok(ExitCode::SUCCESS)
    }
}
