//! The service as a process, from outside.

use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use migrator_tests::{Database, servers, sqlite, wait};

use crate::crash::starter::said_by;

/// A database that the service is built for.
pub(super) trait Built: Database + Sync {
    const NAME: &'static str;
    const PROGRAM: &'static str;
    /// The system calls that a kill is counted by.
    const CALLS: &'static str;

    /// Everything in it, row by row, sequences included.
    fn everything(&self) -> Vec<String>;
}

impl Built for sqlite::FreshDatabase {
    const NAME: &'static str = "SQLite";
    const PROGRAM: &'static str = env!("CARGO_BIN_EXE_accounts-sqlite");
    const CALLS: &'static str = "pwrite64,fdatasync,fsync,unlink,fcntl";

    fn everything(&self) -> Vec<String> {
        // A file that is the same to the last byte holds the same rows.
        vec![format!("{:?}", fs::read(self.path()).expect("read the file"))]
    }
}

impl Built for servers::FreshDatabase<diesel::pg::Pg> {
    const NAME: &'static str = "PostgreSQL";
    const PROGRAM: &'static str = env!("CARGO_BIN_EXE_accounts-postgres");
    const CALLS: &'static str = "sendto,recvfrom";

    fn everything(&self) -> Vec<String> {
        let tables = ["role", "permission", "account", "__migrator_history", "__migrator_meta", "__migrator_seeds"];
        let rows = tables.iter().flat_map(|table| {
            // With the version of each row: one that was written again, to the same, is another one.
            self.texts(&format!("SELECT '{table} ' || t.xmin || t::text AS value FROM {table} t ORDER BY t::text"))
        });
        let sequences = self.texts("SELECT s::text AS value FROM pg_sequences s ORDER BY 1");
        rows.chain(sequences).collect()
    }
}

/// A running service; dropped, it is killed.
pub(crate) struct Service {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    pub(crate) said: Vec<String>,
}

impl Service {
    pub(super) fn start<D: Built>(database: &D) -> Self {
        Self::under::<D>(&[], database.url(), &[])
    }

    /// Started by another program, such as strace.
    pub(super) fn under<D: Built>(program: &[&str], url: &str, environment: &[(&str, &str)]) -> Self {
        Self::of(&[program, &[D::PROGRAM]].concat(), url, environment)
    }

    /// Any service of ours.
    pub(crate) fn of(words: &[&str], url: &str, environment: &[(&str, &str)]) -> Self {
        let [first, rest @ ..] = words else { unreachable!("there is a program") };
        let mut command = Command::new(first);
        for name in ["CARGO_MANIFEST_DIR", "MIGRATION_DATABASE_URL", "MIGRATOR_ENV", "MIGRATOR_MODE"] {
            command.env_remove(name);
        }
        command.args(rest).env("DATABASE_URL", url).envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{first}: {error}; scripts/test installs it"));
        let output = said_by(&mut child);
        Self { input: child.stdin.take(), child, output, said: Vec::new() }
    }

    /// The next line; `None` at the end.
    pub(super) fn line(&mut self) -> Option<String> {
        match self.output.recv_timeout(wait::DEADLINE) {
            Ok(line) => {
                self.said.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the service says nothing for long: {:#?}", self.said),
        }
    }

    /// Reads up to a line that begins so.
    pub(crate) fn until(&mut self, start: &str) -> String {
        while let Some(line) = self.line() {
            if line.starts_with(start) {
                return line;
            }
        }
        panic!("the service ended before it said {start:?}: {:#?}", self.said)
    }

    /// Asks something of one line; its first line of answer.
    pub(super) fn ask(&mut self, command: &str) -> String {
        let input = self.input.as_mut().expect("open until the end");
        writeln!(input, "{command}").and_then(|()| input.flush()).expect("the service reads");
        self.line().expect("an answer")
    }

    /// Closes its input and reads to its end; whether it ended well.
    pub(crate) fn end(mut self) -> (bool, Vec<String>) {
        drop(self.input.take());
        while self.line().is_some() {}
        let status = self.child.wait().expect("wait for the service");
        self.said.push(status.to_string());
        (status.success(), std::mem::take(&mut self.said))
    }

    /// Tells it to end, as an orchestrator does, and reads to its end; whether it ended well.
    pub(crate) fn terminate(self) -> (bool, Vec<String>) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.end()
    }

    /// A whole life that has to succeed.
    pub(super) fn live<D: Built>(database: &D) -> Vec<String> {
        let mut service = Self::start(database);
        service.until("ready");
        let (ended, said) = service.end();
        assert!(ended, "{said:#?}");
        said
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is all right.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
