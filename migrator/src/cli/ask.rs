//! Questions to the person at the terminal.

use std::io::{IsTerminal, stderr, stdin};

use super::{Global, output};
use crate::Error;

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

/// Does something that may want the database's name typed back, which `--confirm` gives beforehand. `--yes` is no name.
pub(super) fn named<T>(global: &Global, mut verb: impl FnMut(Option<&str>) -> Result<T, Error>) -> Result<T, Error> {
    let confirmed = global.confirm.as_deref();
    match verb(confirmed) {
        // It was refused before anything was changed, so it can be asked for again.
        Err(error) if error.code() == "not_confirmed" && confirmed.is_none() && somebody_is_there() => {
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
    let _end_is_no_answer = stdin().read_line(&mut answer);
    answer.trim().to_owned()
}
