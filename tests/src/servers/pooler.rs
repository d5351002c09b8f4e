//! PgBouncer in front of a private PostgreSQL: sessions of the server serve one client after the other.

use std::{fs, path::Path, process::Command};

use diesel::{Connection, PgConnection, pg::Pg};

use super::{Kind, Postgres, Supervisor, binary, process};
use crate::wait;

/// A running pooler; dropped, it is stopped and its folder removed. Both also happen when the test process dies.
#[derive(Debug)]
pub struct Pooler {
    supervisor: Supervisor,
}

impl Pooler {
    /// Starts one that gives a session to a client for one transaction, on a unix socket, and returns when it answers.
    ///
    /// # Panics
    /// When PgBouncer is not installed, or does not start.
    pub fn start(server: &Postgres) -> Pooler {
        Pooler::pooling(server, "transaction")
    }

    /// As [`start`](Self::start), and a client keeps its session until it goes.
    pub fn of_sessions(server: &Postgres) -> Pooler {
        Pooler::pooling(server, "session")
    }

    fn pooling(server: &Postgres, mode: &str) -> Pooler {
        let mut supervisor = Supervisor::start(Path::new("/tmp"));
        let folder = supervisor.folder().to_owned();
        process::give(Pg::SYSTEM_USER, &folder);
        let (file, log) = (folder.join("pgbouncer.ini"), folder.join("pgbouncer.log"));
        let text = format!(
            "[databases]\n* = host={} port={} user={}\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {}\n\
             auth_type = any\npool_mode = {mode}\n",
            server.folder().display(),
            server.port(),
            Pg::USER,
            folder.display()
        );
        fs::write(&file, text).expect("write the configuration of a pooler");
        supervisor.finish_with("kill -INT $pid; wait $pid 2>/dev/null", ":");
        let mut command = Command::new(binary("pgbouncer", None));
        command.arg(&file);
        supervisor.spawn(&process::as_user(Pg::SYSTEM_USER, command), &log);
        let pooler = Pooler { supervisor };
        let url = pooler.url(Pg::HOME);
        let answers = wait::within(wait::DEADLINE, || PgConnection::establish(&url).ok());
        assert!(answers.is_some(), "PgBouncer does not answer:\n{}", fs::read_to_string(log).unwrap_or_default());
        pooler
    }

    /// The URL of one of the server's databases through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&port={PORT}&user={}", self.supervisor.folder().display(), Pg::USER)
    }
}

/// Of the socket's name only: each pooler has a folder of its own.
const PORT: u16 = 6432;
