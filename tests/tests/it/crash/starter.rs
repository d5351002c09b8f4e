//! A starter, from outside.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use migrator_tests::wait;
use rustix::process::{Pid, Signal, kill_process};

/// A running starter; dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Starter {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// Every line so far.
    said: Vec<String>,
}

/// Every line that a process says, on its output and beside it.
pub(crate) fn said_by(child: &mut Child) -> Receiver<String> {
    let (sender, output) = mpsc::channel();
    let pipes: [Box<dyn std::io::Read + Send>; 2] =
        [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
    for pipe in pipes {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
    }
    output
}

/// How a starter ended.
#[derive(Debug)]
pub(crate) struct End {
    /// The code of its error; `None` when it succeeded, `died` when it told nothing.
    pub(crate) error: Option<String>,
    /// How many migrations it applied and how many were applied before.
    pub(crate) applied: usize,
    pub(crate) skipped: usize,
    /// Every line.
    pub(crate) said: Vec<String>,
}

impl Starter {
    pub(crate) fn start(url: &str, directory: &Path, options: &[&str]) -> Starter {
        Starter::under(&[], url, directory, options)
    }

    /// Started by another program, such as strace.
    pub(crate) fn under(program: &[&str], url: &str, directory: &Path, options: &[&str]) -> Starter {
        let starter = env!("CARGO_BIN_EXE_starter");
        let [first, rest @ ..] = &[program, &[starter]].concat()[..] else { unreachable!("there is a program") };
        let mut child = Command::new(first)
            .args(rest)
            .arg(url)
            .arg(directory)
            .args(options)
            // In the list of PostgreSQL's sessions, and in an error that names the holder.
            .env("PGAPPNAME", "starter")
            .env_remove("CARGO_MANIFEST_DIR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{first}: {error}; scripts/test installs it"));
        let input = child.stdin.take();
        let output = said_by(&mut child);
        Starter { child, input, output, said: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line; `None` at the end of its output.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.output.recv_timeout(wait::DEADLINE) {
            Ok(line) => {
                self.said.push(line.clone());
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("a starter says nothing for long: {:#?}", self.said),
        }
    }

    /// Reads up to a line that begins so.
    pub(crate) fn until(&mut self, start: &str) -> String {
        while let Some(line) = self.line() {
            if line.starts_with(start) {
                return line;
            }
        }
        panic!("a starter ended before it said {start:?}: {:#?}", self.said)
    }

    /// Reads up to an event, letting those before it go; the starter must run in steps. `None` when it ends before.
    pub(crate) fn step_to(&mut self, mut wanted: impl FnMut(&str) -> bool) -> Option<String> {
        while let Some(line) = self.line() {
            if let Some(event) = line.strip_prefix("event ") {
                if wanted(event) {
                    return Some(event.to_owned());
                }
                self.go();
            }
        }
        None
    }

    /// Reads up to where this statement of this script is about to be sent, both counted from 1; the starter must run in steps.
    pub(crate) fn step_to_statement(&mut self, script: usize, number: usize) {
        let mut started = 0;
        let reached = self.step_to(|event| {
            started += usize::from(event.starts_with("Started"));
            started == script && event.starts_with(&format!("Statement {{ number: {number},"))
        });
        reached.unwrap_or_else(|| panic!("no statement {number} of script {script}: {:#?}", self.said));
    }

    /// Lets it go on after a step, or from the barrier.
    pub(crate) fn go(&mut self) {
        let input = self.input.as_mut().expect("the pipe is open until drop");
        // One that just died does not read; its end shows in what it said.
        let _ = writeln!(input, "go").and_then(|()| input.flush());
    }

    /// Lets it go on through all steps that are left.
    pub(crate) fn go_on(&mut self) {
        let input = self.input.as_mut().expect("the pipe is open until drop");
        let _ = input.write_all("go\n".repeat(1000).as_bytes()).and_then(|()| input.flush());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().expect("a process id")).expect("above 0");
        kill_process(pid, signal).expect("send a signal to a starter");
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill a starter");
        self.child.wait().expect("wait for a starter");
    }

    /// Reads to the end.
    pub(crate) fn end(mut self) -> End {
        while self.line().is_some() {}
        self.child.wait().expect("wait for a starter");
        let mut end =
            End { error: Some("died".to_owned()), applied: 0, skipped: 0, said: std::mem::take(&mut self.said) };
        for line in &end.said {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ok", applied, skipped] => {
                    end.error = None;
                    end.applied = applied.parse().expect("a number");
                    end.skipped = skipped.parse().expect("a number");
                }
                ["error", code] => end.error = Some(code.to_owned()),
                _ => {}
            }
        }
        end
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is all right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    pub(crate) fn is(&self, code: &str) -> bool {
        self.error.as_deref() == Some(code)
    }

    pub(crate) fn has(&self, words: &str) -> bool {
        self.said.iter().any(|line| line.contains(words))
    }

    /// How many migrations it applied.
    ///
    /// # Panics
    /// When it did not succeed.
    pub(crate) fn succeeded(self) -> usize {
        assert!(self.error.is_none(), "a starter failed: {:#?}", self.said);
        self.applied
    }
}

/// A whole run that has to succeed; how many migrations it applied.
pub(crate) fn run(url: &str, directory: &Path) -> usize {
    Starter::start(url, directory, &[]).end().succeeded()
}
