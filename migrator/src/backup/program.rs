//! A database's own program, such as `pg_dump`: found, asked for its version, and run.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::PAUSE;
use crate::error::Error;

/// How much of a program's complaints is kept.
const WORDS: u64 = 16 * 1024;

/// A program that is there.
#[derive(Debug)]
pub(super) struct Program {
    path: OsString,
    /// What it says of itself: `pg_dump (PostgreSQL) 15.20`.
    pub(super) version: String,
}

impl Program {
    /// The first of these programs that is there: in the folder that was named, else on the `PATH`.
    pub(super) fn find(names: &[&str], folder: Option<&Path>, install: &str) -> Result<Self, Error> {
        for name in names {
            let path = folder.map_or_else(|| OsString::from(name), |folder| folder.join(name).into());
            let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => {
                    let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned();
                    return Ok(Self { path, version });
                }
                Ok(output) => {
                    let words = String::from_utf8_lossy(&output.stderr).into_owned();
                    return Err(Error::new("program", format!("{name} does not tell its version"), install)
                        .with_source(std::io::Error::other(words)));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::new("program", format!("{name} cannot be started"), install).with_source(error));
                }
            }
        }
        let place = folder.map_or_else(|| "on the PATH".to_owned(), |folder| format!("in {}", folder.display()));
        Err(Error::new("program", format!("{} is not {place}", names.join(" or ")), install))
    }

    pub(super) fn command(&self) -> Command {
        Command::new(&self.path)
    }

    /// The numbers of its version, from the first word that begins with one behind `marker`.
    pub(super) fn numbers(&self, marker: &str) -> Option<Vec<u32>> {
        numbers(self.version.split_once(marker)?.1)
    }
}

/// The numbers of a version: `15.20 (Debian…)` is 15 and 20, `18beta1` is 18.
pub(super) fn numbers(text: &str) -> Option<Vec<u32>> {
    let start = text.find(|char: char| char.is_ascii_digit())?;
    let text = &text[start..];
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    Some(text[..end].split('.').filter_map(|number| number.parse().ok()).collect())
}

/// Ends a program that nobody waits for any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is all right.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Runs a program to its end, and tells meanwhile how large the file is that it writes.
///
/// # Errors
/// With its complaints when it fails; then, or when `tick` fails, it is gone.
pub(super) fn run(
    mut command: Command,
    writes: Option<&Path>,
    tick: &mut dyn FnMut(u64) -> Result<(), Error>,
) -> Result<(), String> {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let mut running = Running(child);
    let stderr = running.0.stderr.take();
    let (sender, ended) = mpsc::channel();
    // The end of its complaints is the end of the program, which no other wait tells with a time limit.
    let complaints = thread::spawn(move || {
        let mut words = Vec::new();
        if let Some(mut stderr) = stderr {
            let _cut = (&mut stderr).take(WORDS).read_to_end(&mut words);
            let _the_rest = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        let _nobody_waits = sender.send(());
        String::from_utf8_lossy(&words).into_owned()
    });
    while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
        let size = writes.and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len());
        tick(size).map_err(|error| error.to_string())?;
    }
    let status = running.0.wait().map_err(|error| error.to_string())?;
    let words = complaints.join().unwrap_or_default();
    match status.success() {
        true => Ok(()),
        false if words.trim().is_empty() => Err(format!("it ended with {status}")),
        false => Err(words.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, version) in
            [("15.20 (Debian 15.20-0)", vec![15, 20]), ("18beta1", vec![18]), ("5.5.5-10.11.19-MariaDB", vec![5, 5, 5])]
        {
            assert_eq!(numbers(text), Some(version));
        }
        assert_eq!(numbers("none"), None);
    }

    #[test]
    fn what_a_program_complains_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room >&2; exit 3"]);
        assert_eq!(run(command, None, &mut |_| Ok(())), Err("no room".to_owned()));
    }
}
