//! MariaDB: how it is made, started and asked.

use std::{path::PathBuf, process::Command};

use diesel::{MysqlConnection, RunQueryDsl, connection::SimpleConnection, mysql::Mysql, result::Error, sql_query};
use rustix::process::Signal;

use super::{Address, Kind, Options, Stop, binary};
use crate::{database, dump::Table};

/// Memory for 320 connections, small buffers and files. Names are not resolved, so that a client from 127.0.0.1 is not
/// taken for one of `localhost`, where the administrator of the socket has no password.
const SETTINGS: &str = "
bind_address = 127.0.0.1
skip_name_resolve = on
max_connections = 320
character_set_server = utf8mb4
innodb_buffer_pool_size = 32M
innodb_log_file_size = 16M
innodb_use_native_aio = off
aria_pagecache_buffer_size = 8M
key_buffer_size = 1M
";

const FORGETFUL: &str = "
innodb_flush_method = nosync
innodb_flush_log_at_trx_commit = 0
innodb_doublewrite = off
";

impl Kind for Mysql {
    type Connection = MysqlConnection;

    const NAME: &'static str = "MariaDB";
    const SYSTEM_USER: &'static str = "mysql";
    const USER: &'static str = "migrator";
    const HOME: &'static str = "mysql";
    const FINISH: &'static str = "kill -KILL $pid; wait $pid 2>/dev/null";
    const TIDY: &'static str = ":";

    const TABLES: &'static str = "
        SELECT CONCAT_WS(CHAR(31), table_name, table_name, CONCAT('`', REPLACE(table_name, '`', '``'), '`')) AS value
        FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name";

    fn configuration(address: &Address, options: &Options) -> String {
        let Address { folder, port, .. } = address;
        let folder = folder.display();
        let mut text = format!("[mariadbd]\ndatadir = {folder}/data\nsocket = {folder}/socket\nport = {port}\n");
        text.push_str(&format!("pid_file = {folder}/pid\ntmpdir = {folder}\n"));
        text.push_str(SETTINGS);
        if !options.durable {
            text.push_str(FORGETFUL);
        }
        if options.log_statements {
            text.push_str(&format!(
                "general_log = on\ngeneral_log_file = {}\n",
                Self::statement_log(address).display()
            ));
        }
        for (name, value) in &options.settings {
            text.push_str(&format!("{name} = {value}\n"));
        }
        text
    }

    fn install(address: &Address) -> Command {
        let mut command = Command::new(binary("mariadb-install-db", None));
        command.arg(format!("--defaults-file={}", address.configuration_file().display()));
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        command
    }

    fn command(address: &Address) -> Command {
        let mut command = Command::new(binary("mariadbd", None));
        command.arg(format!("--defaults-file={}", address.configuration_file().display()));
        command
    }

    fn signal(stop: Stop) -> Signal {
        match stop {
            Stop::Fast => Signal::TERM,
            Stop::Immediate => Signal::KILL,
        }
    }

    /// Only the socket is left without a password.
    fn welcome(address: &Address) -> String {
        let user = format!("'{}'@'127.0.0.1'", Self::USER);
        format!(
            "DELETE FROM mysql.global_priv WHERE Host <> 'localhost' OR User = '';
             FLUSH PRIVILEGES;
             CREATE USER {user} IDENTIFIED BY '{}';
             GRANT ALL PRIVILEGES ON *.* TO {user} WITH GRANT OPTION",
            address.password
        )
    }

    fn statement_log(address: &Address) -> PathBuf {
        address.folder.join("statements.log")
    }

    /// With the number: for `localhost` the client library would look for a socket in a place of its own.
    fn url(address: &Address, database: &str) -> String {
        format!("mysql://{}:{}@127.0.0.1:{}/{database}", Self::USER, address.password, address.port)
    }

    fn socket_url(address: &Address, database: &str) -> String {
        format!("mysql://root@localhost/{database}?unix_socket={}/socket", address.folder.display())
    }

    fn texts(connection: &mut MysqlConnection, query: &str) -> Vec<String> {
        database::texts(connection, query)
    }

    /// A connection that is left in a transaction would make `DROP DATABASE` wait for it.
    fn drop_database(connection: &mut MysqlConnection, database: &str) {
        let connections = format!(
            "SELECT CAST(id AS CHAR(20)) AS value FROM information_schema.processlist
             WHERE db = '{database}' AND id <> CONNECTION_ID()"
        );
        for id in Self::texts(connection, &connections) {
            match sql_query(format!("KILL {id}")).execute(connection) {
                Ok(_) => {}
                Err(Error::DatabaseError(_, words)) if words.message().starts_with("Unknown thread id") => {}
                Err(error) => panic!("end connection {id} to {database}: {error}"),
            }
        }
        let statement = format!("SET lock_wait_timeout = 60; DROP DATABASE IF EXISTS {database}");
        connection.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    fn dump(address: &Address, database: &str, without: &[Table]) -> Command {
        let mut command = Command::new(binary("mariadb-dump", None));
        command.args(["--no-defaults", "--user=root"]);
        command.arg(format!("--socket={}/socket", address.folder.display()));
        command.args(["--no-data", "--routines", "--triggers", "--events", "--skip-comments"]);
        command.args(without.iter().map(|table| format!("--ignore-table={database}.{}", table.name)));
        command.arg(database);
        command
    }
}
