//! Questions to the person at the terminal.

use std::io::{IsTerminal, stderr, stdin};

use diesel::connection::LoadConnection;

use super::global::Global;
use super::{output, signals};
use crate::{Dialect, Error, Migrator};

/// Asks for a yes. `--yes` gives it beforehand; where nobody sits, that is the only way.
pub(super) fn agreed(global: &Global, question: &str) -> Result<(), Error> {
    if global.yes {
        return Ok(());
    }
    if !somebody_is_there() {
        let message = format!("nobody is there to answer: {question}");
        return Err(Error::new("not_confirmed", message, "read what it would do, then add --yes"));
    }
    match line(&format!("{question} [y/N] ")).to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new("not_confirmed", "the answer was not yes, and nothing was changed", "")),
    }
}

/// Does something that production wants the database's name for; asks for it when it is missing and somebody is there.
pub(super) fn named<C, T>(
    global: &Global,
    migrator: &Migrator<C>,
    mut verb: impl FnMut(&Migrator<C>) -> Result<T, Error>,
) -> Result<T, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    name(global, |name| match name {
        Some(name) => verb(&migrator.clone().confirm(name)),
        None => verb(migrator),
    })
}

/// As [`named`], for what is no verb of a migrator. The name is that which is typed now; `--confirm` gives it beforehand.
pub(super) fn name<T>(global: &Global, mut verb: impl FnMut(Option<&str>) -> Result<T, Error>) -> Result<T, Error> {
    match verb(None) {
        // It was refused before anything was changed, so it can be tried again.
        Err(error) if error.code() == "not_confirmed" && global.confirm.is_none() && somebody_is_there() => {
            output::note(error.message());
            verb(Some(&line("the database's name: ")))
        }
        done => done,
    }
}

fn somebody_is_there() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// What is typed; nothing at the end of the input.
fn line(question: &str) -> String {
    output::ask(question);
    let mut answer = String::new();
    let _end_is_no_answer = signals::asking(|| stdin().read_line(&mut answer));
    answer.trim().to_owned()
}
