//! Private database servers.
//!
//! [`postgres`] and [`mariadb`] are started on first use and shared by all tests of a process; each test takes a
//! [`fresh`](Server::fresh) database there. A test that needs a server to stop, crash or freeze, or with other settings,
//! starts one of its own:
//!
//! ```no_run
//! use migrator_tests::servers::{Options, Postgres};
//!
//! let mut server = Postgres::start(Options::default().durable());
//! let database = server.fresh();
//! server.kill();
//! server.restart();
//! ```

mod fresh;
mod mariadb;
mod pooler;
mod postgres;
mod process;
mod server;
mod supervisor;

use std::{env, path::PathBuf, process::Command, sync::OnceLock};

use diesel::{Connection, mysql::Mysql, pg::Pg};
use rustix::process::Signal;

pub use self::{fresh::FreshDatabase, pooler::Pooler, process::is_running, server::Server, supervisor::Supervisor};
use crate::dump::Table;

/// A PostgreSQL server.
pub type Postgres = Server<Pg>;

/// A MariaDB server.
pub type Mariadb = Server<Mysql>;

/// The PostgreSQL server that the tests of this process share.
pub fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(Options::default()))
}

/// The MariaDB server that the tests of this process share.
pub fn mariadb() -> &'static Mariadb {
    static SERVER: OnceLock<Mariadb> = OnceLock::new();
    SERVER.get_or_init(|| Mariadb::start(Options::default()))
}

/// How a server is set up. The default is fast, syncs nothing, may live in memory, and logs no statements.
#[derive(Debug, Clone, Default)]
pub struct Options {
    durable: bool,
    log_statements: bool,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Options {
    /// Lives on the disk and syncs what is committed, as a server in production does.
    #[must_use]
    pub fn durable(mut self) -> Options {
        self.durable = true;
        self
    }

    /// Logs each statement, to be read with [`Server::statements`].
    #[must_use]
    pub fn log_statements(mut self) -> Options {
        self.log_statements = true;
        self
    }

    /// A line of the server's configuration file, stronger than ours.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Options {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable in the server's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Options {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are cut and what they had not committed is rolled back; the next start has nothing to recover.
    /// `pg_ctl stop -m fast`, `SIGTERM` for MariaDB.
    Fast,
    /// Without a checkpoint, so that the next start recovers. `pg_ctl stop -m immediate`; MariaDB has nothing between
    /// [`Fast`](Stop::Fast) and `SIGKILL`, so it is killed.
    Immediate,
}

/// Where a server is and how to enter it.
#[derive(Debug)]
pub struct Address {
    /// The folder of everything the server has: data, socket, log.
    folder: PathBuf,
    /// On 127.0.0.1.
    port: u16,
    /// Of [`Kind::USER`] over TCP.
    password: String,
}

impl Address {
    fn configuration_file(&self) -> PathBuf {
        self.folder.join("server.conf")
    }

    /// What the server and the program that sets it up write to their standard output and error.
    fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }
}

/// What differs between the kinds of servers.
pub trait Kind: Sized + Send + Sync + 'static {
    /// diesel's connection.
    type Connection: Connection;

    /// In panics.
    const NAME: &'static str;
    /// The user of the operating system that runs the server when the tests run as root.
    const SYSTEM_USER: &'static str;
    /// The administrator over TCP, who has a password.
    const USER: &'static str;
    /// The database that is always there.
    const HOME: &'static str;
    /// What the supervisor runs, in `sh` and in the server's folder, to end the server `$pid` for good.
    const FINISH: &'static str;
    /// What it runs then, for what a server that was killed leaves outside its folder.
    const TIDY: &'static str;
    /// A query for [`Database::texts`](crate::Database::texts): of each table its name, its name with the schema where
    /// that is not the usual one, and its name in SQL, with U+001F between.
    const TABLES: &'static str;

    /// The configuration file.
    fn configuration(address: &Address, options: &Options) -> String;
    /// The command that makes the data folder.
    fn install(address: &Address) -> Command;
    /// The command that runs the server in the foreground.
    fn command(address: &Address) -> Command;
    /// The signal that stops the server like that.
    fn signal(stop: Stop) -> Signal;
    /// What the administrator runs once, when the server answers for the first time.
    fn welcome(address: &Address) -> String;
    /// The file that statements are logged to.
    fn statement_log(address: &Address) -> PathBuf;

    /// The URL of a database over TCP.
    fn url(address: &Address, database: &str) -> String;
    /// The URL of a database over the server's unix socket, as an administrator without a password.
    fn socket_url(address: &Address, database: &str) -> String;

    /// [`Database::texts`](crate::Database::texts).
    fn texts(connection: &mut Self::Connection, query: &str) -> Vec<String>;
    /// Drops a database and every connection to it.
    fn drop_database(connection: &mut Self::Connection, database: &str);
    /// The command that dumps the schema, these tables left out.
    fn dump(address: &Address, database: &str, without: &[Table]) -> Command;
}

/// A program, looked for in `first` before the usual folders.
///
/// # Panics
/// When it is in none of them.
fn binary(name: &str, first: Option<PathBuf>) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers out of the path of a user who is not root.
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"].map(PathBuf::from);
    let mut folders = first.into_iter().chain(env::split_paths(&path)).chain(usual);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| panic!("{name} is not on this machine; what the tests need is installed by: scripts/test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "what the tests need is installed by: scripts/test")]
    fn a_missing_program_is_a_panic_with_the_command_to_type() {
        binary("migrator-no-such-server", None);
    }
}
