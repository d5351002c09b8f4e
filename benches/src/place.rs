//! Where the contenders work: fresh databases of one kind, near or behind a longer line, and what can be counted there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use migrator_tests::proxy::{Direction, Fault, Proxy};
use migrator_tests::servers::{Kind, Options, Server};
use migrator_tests::{Database, sqlite};
use rustix::process::{Pid, Signal, kill_process};

use crate::contender::{self, Contender};

/// How much longer a round trip takes on the longer line.
pub(crate) const LATENCY: Duration = Duration::from_millis(1);

/// A kind of database.
pub(crate) trait Place {
    const NAME: &'static str;
    const CONTENDERS: &'static [Contender];

    /// An empty database, dropped with the value, and its URL.
    fn fresh(&self) -> (Box<dyn std::any::Any>, String);

    /// The URL behind the longer line, where there is a line.
    fn far(&self, url: &str) -> Option<String>;

    /// What was counted so far, and the processes that may sync.
    fn counted(&self) -> (Option<Counts>, Vec<i32>);
}

/// What a run took from a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Statements by the log of the server, where what is sent as one text counts once.
    pub(crate) statements: u64,
    /// Turns on the wire.
    pub(crate) round_trips: u64,
}

/// SQLite, in files.
pub(crate) struct Sqlite;

impl Place for Sqlite {
    const NAME: &'static str = "SQLite";
    const CONTENDERS: &'static [Contender] = contender::SQLITE;

    fn fresh(&self) -> (Box<dyn std::any::Any>, String) {
        let database = sqlite::fresh();
        let url = database.url().to_owned();
        (Box::new(database), url)
    }

    fn far(&self, _: &str) -> Option<String> {
        None
    }

    fn counted(&self) -> (Option<Counts>, Vec<i32>) {
        (None, vec![std::process::id().try_into().expect("a process id is small")])
    }
}

/// A server of our own that syncs as in production, and a longer line to it.
pub(crate) struct Remote<K: Kind> {
    server: Server<K>,
    proxy: Proxy,
}

impl<K: Kind> Remote<K> {
    /// One to measure time on.
    pub(crate) fn to_time() -> Remote<K> {
        let remote = Remote::start(Options::default().durable());
        remote.proxy.inject(Direction::ToServer, 0, Fault::Latency(LATENCY));
        remote
    }

    /// One to count on: it logs its statements, and the line is short.
    pub(crate) fn to_count() -> Remote<K> {
        Remote::start(Options::default().durable().log_statements())
    }

    fn start(options: Options) -> Remote<K> {
        let server = Server::start(options);
        Remote { proxy: Proxy::to_port(server.port()), server }
    }
}

impl<K: Kind + Contended> Place for Remote<K> {
    const NAME: &'static str = <K as Kind>::NAME;
    const CONTENDERS: &'static [Contender] = K::CONTENDERS;

    fn fresh(&self) -> (Box<dyn std::any::Any>, String) {
        let database = self.server.fresh();
        let url = database.url().to_owned();
        (Box::new(database), url)
    }

    fn far(&self, url: &str) -> Option<String> {
        Some(self.proxy.url(url))
    }

    fn counted(&self) -> (Option<Counts>, Vec<i32>) {
        let log = self.server.statements();
        let statements = K::STATEMENT.iter().map(|mark| log.matches(mark).count() as u64).sum();
        let round_trips = self.proxy.traffic(Direction::ToServer).turns;
        let pid = self.server.pid().expect("the server runs");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        (Some(Counts { statements, round_trips }), [pid].into_iter().chain(children).collect())
    }
}

/// What differs between the servers.
pub(crate) trait Contended {
    const CONTENDERS: &'static [Contender];
    /// What stands in the log in front of each statement.
    const STATEMENT: &'static [&'static str];
}

impl Contended for diesel::pg::Pg {
    const CONTENDERS: &'static [Contender] = contender::POSTGRES;
    const STATEMENT: &'static [&'static str] = &["LOG:  statement: ", "LOG:  execute "];
}

impl Contended for diesel::mysql::Mysql {
    const CONTENDERS: &'static [Contender] = contender::MARIADB;
    const STATEMENT: &'static [&'static str] = &[" Query\t", " Execute\t"];
}

/// `strace` beside processes, which counts how often they sync.
pub(crate) struct Syncs {
    strace: Child,
    /// Counts while they are made: a pipe that nobody reads would hold the server up.
    counting: JoinHandle<usize>,
}

impl Syncs {
    /// Begins to count; `None` where `strace` is missing or may not look.
    pub(crate) fn watch(pids: &[i32]) -> Option<Syncs> {
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=fsync,fdatasync", "-e", "signal=none"]);
        pids.iter().for_each(|pid| _ = command.arg("-p").arg(pid.to_string()));
        let mut strace = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        let mut lines = BufReader::new(strace.stderr.take()?);
        for _ in pids {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            if !line.contains("attached") {
                return None;
            }
        }
        let is_sync = |line: &String| ["fsync(", "fdatasync("].iter().any(|call| line.contains(call));
        let counting = thread::spawn(move || lines.lines().map_while(Result::ok).filter(is_sync).count());
        Some(Syncs { strace, counting })
    }

    /// How often they did since then.
    pub(crate) fn count(mut self) -> u64 {
        let pid = Pid::from_child(&self.strace);
        kill_process(pid, Signal::INT).expect("strace can be ended");
        let count = self.counting.join().expect("it only reads");
        self.strace.wait().expect("strace ends");
        count as u64
    }
}
