//! MySQL and MariaDB: DDL commits by itself, named locks belong to the session.

mod blockers;
mod cancel;
mod contents;
mod presence;

use std::fmt::Write;
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;
use diesel::{QueryResult, RunQueryDsl, sql_query};
use migrator_source::checksum::hex;
use migrator_source::sql::SqlDialect;

use super::{
    Asked, Cells, Class, Dialect, Facts, LockKey, Look, Outcome, Room, Session, Together, Violations, Work, quoted,
};
use crate::checkup::Setting;
use crate::contents::Contents;

impl Dialect for Mysql {
    const SQL: SqlDialect = SqlDialect::Mysql;
    const LOCK_IS_TRANSACTION: bool = false;
    const TYPES: [&'static str; 6] =
        ["VARCHAR(255)", "BIGINT", "LONGTEXT", "DATETIME(3)", "VARCHAR(255)", "VARCHAR(255)"];
    const NOW_AND_USER: [&'static str; 2] = ["UTC_TIMESTAMP(3)", "CURRENT_USER()"];
    const TABLE_OPTIONS: &'static str = " ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
    const HASTEN: &'static str = "";
    const HASTEN_ALL: &'static str = "";

    fn rows<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<Vec<Cells>> {
        sql_query(sql).load(conn)
    }

    fn execute<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<usize> {
        sql_query(sql).execute(conn)
    }

    fn literal(text: &str) -> String {
        let plain = |char: char| char.is_ascii() && !char.is_ascii_control() && char != '\\' && char != '\'';
        if text.chars().all(plain) {
            return format!("'{text}'");
        }
        // The same text whatever `sql_mode` and the connection's character set say.
        format!("_utf8mb4 X'{}'", hex(text.as_bytes()))
    }

    fn number(number: &str) -> String {
        // Compared with a bare number, every text that begins with it would be equal.
        Self::literal(number)
    }

    fn ident(name: &str) -> String {
        quoted(name, '`')
    }

    fn text(column: &str, time: bool) -> String {
        let column = Self::ident(column);
        if time {
            return format!(
                "CONCAT(DATE_FORMAT({column}, '%Y-%m-%dT%H:%i:%s.'), LPAD(MICROSECOND({column}) DIV 1000, 3, '0'), 'Z')"
            );
        }
        format!("CAST({column} AS CHAR CHARACTER SET utf8mb4)")
    }

    fn after(wait: Duration) -> String {
        format!("UTC_TIMESTAMP(3) + INTERVAL {} MICROSECOND", wait.as_micros())
    }

    fn until(column: &str) -> String {
        format!(
            "CAST(TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), {}) DIV 1000 AS CHAR CHARACTER SET utf8mb4)",
            Self::ident(column)
        )
    }

    fn differs(column: &str, value: &str) -> String {
        format!("NOT ({} <=> {value})", Self::ident(column))
    }

    fn upsert(_key: &[&str], columns: &[&str]) -> String {
        let columns: Vec<String> =
            columns.iter().map(|column| format!("{0} = VALUES({0})", Self::ident(column))).collect();
        format!(" ON DUPLICATE KEY UPDATE {}", columns.join(", "))
    }

    fn shown(column: &str) -> String {
        // What is no text, byte for byte, as digits: `CONVERT` would make a `?` of each byte that it does not know.
        let bytes = format!("CAST({} AS BINARY)", Self::ident(column));
        let text = format!("CONVERT({bytes} USING utf8mb4)");
        format!("IF(CAST({text} AS BINARY) = {bytes}, {text}, CONCAT('0x', HEX({bytes})))")
    }

    fn here() -> &'static str {
        "CAST(DATABASE() AS CHAR CHARACTER SET utf8mb4)"
    }

    fn list(schema: Option<&str>, table: &str, item: &str, which: &str) -> String {
        // MariaDB's lists are long enough, and it takes MySQL's hint for a comment.
        format!(
            "(SELECT /*+ SET_VAR(group_concat_max_len = 16777216) */ CAST(COALESCE(GROUP_CONCAT({item} SEPARATOR '/'), '') AS \
             CHAR CHARACTER SET utf8mb4) FROM {}{which})",
            schema.map_or_else(|| Self::ident(table), |schema| super::table::<Self>(schema, table))
        )
    }

    fn facts<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: Option<&str>, _look: Look) -> QueryResult<Facts> {
        let variables = Self::rows(
            conn,
            "SHOW SESSION VARIABLES WHERE Variable_name IN ('version', 'version_comment', 'wsrep_on', 'in_transaction', \
             'read_only', 'super_read_only', 'group_replication_group_name', 'max_allowed_packet')",
        )?;
        let variable = |name: &str| {
            let row = variables.iter().find(|row| row.text(0).eq_ignore_ascii_case(name));
            row.map(|row| row.text(1)).unwrap_or("").to_owned()
        };
        let uptime = Self::rows(conn, "SHOW GLOBAL STATUS LIKE 'Uptime'")?;
        // One row for each table, and at least one.
        let place = schema.map_or_else(|| Self::here().to_owned(), Self::literal);
        let rows = Self::rows(
            conn,
            &format!(
                "SELECT {}, CAST(UNIX_TIMESTAMP() AS CHAR), CAST(t.TABLE_NAME AS CHAR CHARACTER SET utf8mb4) FROM (SELECT 1) AS one \
                 LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = {place} AND t.TABLE_TYPE IN ('BASE TABLE', \
                 'SYSTEM VERSIONED') ORDER BY 3",
                Self::here()
            ),
        )?;
        let database = rows.first().map_or("", |row| row.text(0)).to_owned();
        let second = |rows: &[Cells], at| rows.first().and_then(|row| row.number::<i64>(at)).unwrap_or(0);
        let schema = schema.map_or(database.clone(), str::to_owned);
        let on = |name: &str| matches!(variable(name).as_str(), "ON" | "1");
        let engine = format!("{} {}", variable("version"), variable("version_comment"));
        let unsupported = match () {
            () if on("wsrep_on") => Some("Galera grants a named lock on every node at once".to_owned()),
            () if !variable("group_replication_group_name").is_empty() => {
                Some("Group Replication grants a named lock on every member at once".to_owned())
            }
            () => ["TiDB", "Vitess", "PlanetScale"]
                .into_iter()
                .find(|name| engine.contains(name))
                .map(|name| format!("{name} grants named locks in another way, which is not proved here")),
        };
        Ok(Facts {
            database,
            schema,
            read_only: (on("read_only") || on("super_read_only"))
                .then(|| "the server is read-only (read_only is ON), as a replica is".to_owned()),
            in_transaction: on("in_transaction"),
            unsupported,
            longest_message: variable("max_allowed_packet").parse().ok(),
            started: Some(second(&rows, 1) - second(&uptime, 1)),
            tables: rows.iter().filter_map(|row| row.optional(2)).map(str::to_owned).collect(),
            room: None,
        })
    }

    fn extended<C: LoadConnection<Backend = Self>>(_conn: &mut C, _schema: &str) -> QueryResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn is_system(facts: &Facts) -> bool {
        let schema = facts.schema.to_lowercase();
        matches!(schema.as_str(), "mysql" | "information_schema" | "performance_schema" | "sys")
    }

    fn contents<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Contents> {
        contents::contents(conn, schema)
    }

    fn others<C: LoadConnection<Backend = Self>>(_conn: &mut C, _schema: &str) -> QueryResult<Option<Vec<String>>> {
        Ok(None)
    }

    fn settings<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Setting>> {
        let rows = Self::rows(
            conn,
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'sync_binlog', \
             'log_bin')",
        )?;
        let logs = rows.iter().any(|row| row.text(0) == "log_bin" && row.holds(1));
        let wrong = |row: &Cells| match (row.text(0), row.text(1)) {
            ("innodb_flush_log_at_trx_commit", "0" | "2") => {
                Some("innodb_flush_log_at_trx_commit = 1, or the last transactions before a crash are gone")
            }
            ("innodb_doublewrite", "OFF") => Some("innodb_doublewrite = ON, or a crash can destroy a page"),
            ("sync_binlog", "0") if logs => Some("sync_binlog = 1, or a replica can differ after a crash"),
            _ => None,
        };
        Ok(rows.iter().map(|row| Setting::new(row.text(0), row.text(1), wrong(row))).collect())
    }

    fn count(table: &str) -> String {
        format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}")
    }

    fn columns(schema: &str, table: &str) -> String {
        format!(
            "SELECT CAST(COLUMN_NAME AS CHAR CHARACTER SET utf8mb4) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND \
             TABLE_NAME = {}",
            Self::literal(schema),
            Self::literal(table)
        )
    }

    fn columns_here(table: &str) -> String {
        let (schema, table) = match table.split_once('.') {
            Some((schema, table)) => (Self::literal(schema), table),
            None => ("DATABASE()".to_owned(), table),
        };
        format!(
            "SELECT CAST(COLUMN_NAME AS CHAR CHARACTER SET utf8mb4) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema} \
             AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
            Self::literal(table)
        )
    }

    fn session<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        lock_timeout: Duration,
        work: Work,
    ) -> QueryResult<Session> {
        let found = Self::rows(
            conn,
            "SHOW SESSION VARIABLES WHERE Variable_name IN ('sql_mode', 'foreign_key_checks', 'unique_checks', 'time_zone', \
             'character_set_client', 'character_set_results', 'character_set_connection', 'collation_connection', \
             'sql_safe_updates', 'sql_quote_show_create', 'lock_wait_timeout', 'innodb_lock_wait_timeout', 'max_statement_time', \
             'max_execution_time', 'autocommit', 'default_storage_engine', 'group_concat_max_len', 'lc_time_names', \
             'lc_messages', 'div_precision_increment', 'check_constraint_checks', 'sql_select_limit', 'tx_isolation', 'tx_read_only', \
             'transaction_isolation', 'transaction_read_only')",
        )?;
        let text = |expression: &str| format!("CAST({expression} AS CHAR CHARACTER SET utf8mb4)");
        let place = format!("SELECT {}", text("DATABASE()"));
        // MySQL 5.7 has no roles.
        let (place, has_roles) = match Self::rows(conn, &format!("{place}, {}", text("CURRENT_ROLE()"))) {
            Ok(place) => (place, true),
            Err(_) => (Self::rows(conn, &place)?, false),
        };
        let mut leave = String::from("UNLOCK TABLES;");
        if let Some(database) = place.first().and_then(|row| row.optional(0)) {
            let _infallible = write!(leave, "USE {};", Self::ident(database));
        }
        // One statement each: they stand behind every script.
        let (mut set, mut enter, mut host) = (Vec::new(), vec!["SESSION autocommit = 1".to_owned()], "");
        for row in &found {
            let (name, value) = (row.text(0), row.text(1));
            if (name, value) == ("autocommit", "OFF") {
                // Turned off and on again between scripts, it would commit what a record shares with them.
                set.push("SESSION autocommit = 1".to_owned());
                host = "SET SESSION autocommit = 0;";
                continue;
            }
            let value = match value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !value.is_empty() {
                true => value.to_owned(),
                false => Self::literal(value),
            };
            set.push(format!("SESSION {name} = {value}"));
            let ours = match (name, work) {
                ("lock_wait_timeout" | "innodb_lock_wait_timeout", _) => lock_timeout.as_secs().max(1).to_string(),
                ("max_statement_time" | "max_execution_time", Work::Migrations | Work::Quiet) => "0".to_owned(),
                // MariaDB takes seconds; MySQL milliseconds, and bounds only what reads.
                ("max_statement_time", Work::Seed(deadline)) => format!("{:.3}", deadline.as_secs_f64().max(0.001)),
                // What failed is told by its words.
                ("lc_messages", _) => "'en_US'".to_owned(),
                ("max_execution_time", Work::Seed(deadline)) => deadline.as_millis().max(1).to_string(),
                _ => continue,
            };
            enter.push(format!("SESSION {name} = {ours}"));
        }
        let _infallible = write!(leave, "SET {};", set.join(", "));
        // Last: a script may have dropped the role.
        if has_roles {
            let role = match place.first().and_then(|row| row.optional(1)) {
                None | Some("NONE") => "NONE".to_owned(),
                // MySQL tells them as they are written: `r1`@`%`.
                Some(roles) if roles.starts_with('`') => roles.to_owned(),
                Some(role) => Self::ident(role),
            };
            let _infallible = write!(leave, "SET ROLE {role};");
        }
        Ok(Session { enter: format!("SET {};", enter.join(", ")), leave, host, ..Session::default() })
    }

    fn patience<C: LoadConnection<Backend = Self>>(_conn: &mut C, _wait: Duration) -> QueryResult<Session> {
        Ok(Session::default())
    }

    fn try_lock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey) -> QueryResult<Asked> {
        let lock = format!("GET_LOCK({}, 0)", Self::literal(&key.name));
        let rows = Self::rows(conn, &format!("SELECT CAST(IF({}, -1, {lock}) AS CHAR)", Self::owned(key)))?;
        // Only 1 is the lock: 0 is somebody else's, NULL an error (which is what a negative timeout gives on MariaDB).
        Ok(match rows.first().map(|row| row.text(0)) {
            Some("1") => Asked::Granted,
            Some("-1") => Asked::HeldHere,
            _ => Asked::Held,
        })
    }

    fn unlock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, _keep: bool) -> QueryResult<()> {
        Self::rows(conn, &format!("SELECT CAST(RELEASE_LOCK({}) AS CHAR)", Self::literal(&key.name))).map(drop)
    }

    fn violations<C: LoadConnection<Backend = Self>>(_conn: &mut C) -> QueryResult<Vec<Violations>> {
        Ok(Vec::new())
    }

    fn before(statement: &str) -> Option<String> {
        presence::asked(statement)
    }

    fn outcome<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        statement: &str,
        before: Option<&str>,
    ) -> QueryResult<Outcome> {
        presence::outcome(conn, statement, before)
    }

    fn owned(key: &LockKey) -> String {
        format!("IS_USED_LOCK({}) <=> CONNECTION_ID()", Self::literal(&key.name))
    }

    fn together<C: LoadConnection<Backend = Self>>(
        _conn: &mut C,
        _key: &LockKey,
        _room: Option<Room>,
    ) -> QueryResult<Option<Together>> {
        Ok(None)
    }

    fn holder<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, _facts: &Facts) -> Option<String> {
        let lock = Self::literal(&key.name);
        let id = Self::rows(conn, &format!("SELECT CAST(IS_USED_LOCK({lock}) AS CHAR)")).ok()?;
        let id: u64 = id.first()?.number(0)?;
        let mut holder = format!("connection {id}");
        // Without the privilege PROCESS a role sees only its own connections.
        let sql = format!("SELECT USER, HOST FROM information_schema.PROCESSLIST WHERE ID = {id}");
        if let Some(row) = Self::rows(conn, &sql).ok().as_deref().and_then(<[Cells]>::first) {
            let _infallible = write!(holder, ", user {}, from {}", row.text(0), row.text(1));
        }
        Some(format!("{holder}, by GET_LOCK({lock})"))
    }

    fn blockers<C: LoadConnection<Backend = Self>>(conn: &mut C, _statement: &str) -> QueryResult<Vec<String>> {
        blockers::blockers(conn)
    }

    fn myself<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Option<String>> {
        let rows = Self::rows(conn, "SELECT CAST(CONNECTION_ID() AS CHAR)")?;
        Ok(rows.first().map(|row| row.text(0).to_owned()))
    }

    fn cancel<C: LoadConnection<Backend = Self>>(conn: &mut C, session: &str) -> QueryResult<()> {
        cancel::cancel(conn, session)
    }

    fn class(words: &str) -> Class {
        Class::find(
            words,
            &[
                (Class::Busy, &["lock wait timeout exceeded"]),
                (Class::Conflict, &["deadlock found", "record has changed since last read"]),
                (
                    Class::Connection,
                    &[
                        "server has gone away",
                        "lost connection to",
                        "can't connect to",
                        "unknown server host",
                        "unknown mysql server host",
                        "too many connections",
                        "max_user_connections",
                        "connection was killed",
                    ],
                ),
                (Class::ReadOnly, &["--read-only", "read_only"]),
                (Class::DiskFull, &["no space left on device", "disk full", "is full"]),
                (Class::Permission, &["command denied", "access denied"]),
            ],
        )
    }
    fn comes_up(words: &str) -> bool {
        Self::class(words) == Class::Connection
    }
}
