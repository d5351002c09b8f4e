//! PostgreSQL: how it is made, started and asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use diesel::{PgConnection, connection::SimpleConnection, pg::Pg};
use rustix::process::Signal;

use super::{Address, Kind, Options, Postgres, Stop, binary};
use crate::{database, dump::Table};

/// Room for 256 connections and for the locks of thousands of tables in one transaction; nothing that works in the
/// background.
const SETTINGS: &str = "
max_connections = 256
max_locks_per_transaction = 256
shared_buffers = 64MB
min_wal_size = 32MB
autovacuum = off
jit = off
listen_addresses = '127.0.0.1'
# In the data folder: as POSIX shared memory it would stay behind after SIGKILL.
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] %d %a: '
";

const FORGETFUL: &str = "
fsync = off
synchronous_commit = off
full_page_writes = off
";

impl Kind for Pg {
    type Connection = PgConnection;

    const NAME: &'static str = "PostgreSQL";
    const SYSTEM_USER: &'static str = "postgres";
    const USER: &'static str = "postgres";
    const HOME: &'static str = "postgres";
    /// `SIGQUIT` and not `SIGKILL`: the server takes its other processes and its shared memory with it, and kills by
    /// itself what is not gone after 5 s.
    const FINISH: &'static str = "kill -CONT $pid; kill -QUIT $pid; wait $pid 2>/dev/null";
    /// After a `SIGKILL` a few bytes of System V memory are left: line 7 of the pid file is their key and id.
    const TIDY: &'static str =
        "id=$(sed -n '7s/.* //p' data/postmaster.pid 2>/dev/null); [ -z \"$id\" ] || ipcrm -m $id";

    const TABLES: &'static str = "
        SELECT concat_ws(chr(31), relname, CASE nspname WHEN 'public' THEN '' ELSE nspname || '.' END || relname,
                         format('%I.%I', nspname, relname)) AS value
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relkind = 'r' AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
        ORDER BY nspname, relname";

    fn configuration(address: &Address, options: &Options) -> String {
        let mut text = format!("port = {}\nunix_socket_directories = '{}'\n", address.port, address.folder.display());
        text.push_str(SETTINGS);
        if !options.durable {
            text.push_str(FORGETFUL);
        }
        if options.log_statements {
            text.push_str("log_statement = all\n");
        }
        for (name, value) in &options.settings {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        text
    }

    fn install(address: &Address) -> Command {
        let mut command = Command::new(program("initdb"));
        command.arg("--pgdata").arg(address.folder.join("data")).args(["--username", Self::USER]);
        command.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        command
    }

    fn command(address: &Address) -> Command {
        let mut command = Command::new(program("postgres"));
        command.arg("-D").arg(address.folder.join("data"));
        command.arg(format!("--config_file={}", address.configuration_file().display()));
        command
    }

    fn signal(stop: Stop) -> Signal {
        match stop {
            Stop::Fast => Signal::INT,
            Stop::Immediate => Signal::QUIT,
        }
    }

    fn welcome(address: &Address) -> String {
        format!("ALTER USER {} PASSWORD '{}'", Self::USER, address.password)
    }

    fn statement_log(address: &Address) -> PathBuf {
        address.log_file()
    }

    fn url(address: &Address, database: &str) -> String {
        format!("postgres://{}:{}@127.0.0.1:{}/{database}", Self::USER, address.password, address.port)
    }

    fn socket_url(address: &Address, database: &str) -> String {
        let Address { folder, port, .. } = address;
        format!("postgres:///{database}?host={}&port={port}&user={}", folder.display(), Self::USER)
    }

    fn texts(connection: &mut PgConnection, query: &str) -> Vec<String> {
        database::texts(connection, query)
    }

    fn drop_database(connection: &mut PgConnection, database: &str) {
        let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
        connection.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    fn dump(address: &Address, database: &str, without: &[Table]) -> Command {
        let mut command = Command::new(program("pg_dump"));
        command.arg("--schema-only").arg("--dbname").arg(Self::socket_url(address, database));
        for table in without {
            // The sequence of a `serial` column is a relation of its own, called `TABLE_COLUMN_seq`.
            command.arg(format!("--exclude-table={}", table.quoted));
            command.arg(format!("--exclude-table={}_*_seq", table.quoted));
        }
        command
    }
}

impl Postgres {
    /// Starts a hot standby of this server: it replays what this one commits, and can be asked. The databases and the password are
    /// this one's.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn standby(&self) -> Postgres {
        Postgres::installed(Options::default(), self.password().to_owned(), |address| {
            let mut command = Command::new(program("pg_basebackup"));
            command
                .arg("--pgdata")
                .arg(address.folder.join("data"))
                .args(["--write-recovery-conf", "--checkpoint=fast"]);
            command.args(["--no-sync", "--username", Pg::USER, "--host"]).arg(self.folder());
            command.arg(format!("--port={}", self.port()));
            command
        })
    }
}

/// A program of the newest PostgreSQL here. Debian keeps each version's in a folder of its own.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.filter(|path| path.join("bin/postgres").is_file()).max_by_key(|path| number(path));
    binary(name, newest.map(|path| path.join("bin")))
}
