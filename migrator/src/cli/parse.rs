//! The arguments of a program that has the commands.

use std::process::exit;

use clap::Parser;

use super::output;
use crate::Error;

/// Reads the program's arguments, as clap's `parse` does, and ends the program where they are wrong: with 1, where clap would end
/// with 2, which here means findings. With `--json` among them the error is a document on stdout too.
pub fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| {
        let asked_for = !error.use_stderr();
        if !asked_for && std::env::args_os().any(|arg| arg == "--json") {
            let message = error.to_string();
            let message = message.lines().next().unwrap_or("").trim_start_matches("error: ");
            let remedy = format!("{} --help lists the commands", P::command().get_name());
            output::json(&output::refusal(&Error::new("usage", message, remedy)));
        }
        let _nobody_reads_it = error.print();
        exit(i32::from(!asked_for))
    })
}
