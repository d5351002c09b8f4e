//! PostgreSQL: transactional DDL, session-level advisory locks.

mod blockers;
mod contents;
mod indexes;
mod language;
mod session;

use std::fmt::Write;
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use diesel::{QueryResult, RunQueryDsl, sql_query};
use migrator_source::sql::SqlDialect;

use super::{
    Asked, Cells, Class, Dialect, Facts, LockKey, Look, Outcome, Room, Session, Together, Violations, Work,
    on_conflict, quoted,
};
use crate::checkup::Setting;
use crate::contents::Contents;

impl Dialect for Pg {
    const SQL: SqlDialect = SqlDialect::Postgres;
    const LOCK_IS_TRANSACTION: bool = false;
    // A table that may have a row of some 2,000 bytes gets a second one for what is long, with an index; a character has up to four.
    const TYPES: [&'static str; 6] = ["text", "bigint", "text", "timestamptz", "varchar(64)", "varchar(255)"];
    // Inside of one message `now()` stands still.
    const NOW_AND_USER: [&'static str; 2] = ["clock_timestamp()", "session_user"];
    const TABLE_OPTIONS: &'static str = "";
    const HASTEN: &'static str = "SET LOCAL synchronous_commit = off;";
    const HASTEN_ALL: &'static str = "SET synchronous_commit = off;";

    fn rows<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<Vec<Cells>> {
        sql_query(sql).load(conn)
    }

    fn execute<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<usize> {
        sql_query(sql).execute(conn)
    }

    fn literal(text: &str) -> String {
        if text.contains('\\') {
            // The same text whatever `standard_conforming_strings` says.
            return format!("E{}", quoted(&text.replace('\\', "\\\\"), '\''));
        }
        quoted(text, '\'')
    }

    fn number(number: &str) -> String {
        Self::literal(number)
    }

    fn ident(name: &str) -> String {
        quoted(name, '"')
    }

    fn text(column: &str, time: bool) -> String {
        let column = Self::ident(column);
        if time {
            return format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')");
        }
        format!("{column}::text")
    }

    fn after(wait: Duration) -> String {
        format!("clock_timestamp() + interval '{} milliseconds'", wait.as_millis())
    }

    fn until(column: &str) -> String {
        format!("ceil(extract(epoch FROM ({} - clock_timestamp())) * 1000)::bigint::text", Self::ident(column))
    }

    fn differs(column: &str, value: &str) -> String {
        format!("{} IS DISTINCT FROM {value}", Self::ident(column))
    }

    fn upsert(key: &[&str], columns: &[&str]) -> String {
        on_conflict::<Self>(key, columns)
    }

    fn shown(column: &str) -> String {
        format!("{}::text", Self::ident(column))
    }

    fn here() -> &'static str {
        // As a function it would be looked up.
        "CURRENT_SCHEMA"
    }

    fn list(schema: Option<&str>, table: &str, item: &str, which: &str) -> String {
        let from = schema.map_or_else(|| Self::ident(table), |schema| super::table::<Self>(schema, table));
        let list = format!("array_to_string(ARRAY(SELECT {item} FROM {from}{which}), '/')");
        match schema {
            Some(_) => list,
            // The unqualified name may find another schema's; diesel would make its own table in this one.
            None => {
                let here = format!("to_regclass(format('%I.{table}', CURRENT_SCHEMA))");
                format!("CASE WHEN {here} IS NOT NULL THEN {list} END")
            }
        }
    }

    fn facts<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: Option<&str>, look: Look) -> QueryResult<Facts> {
        // In a message of its own both times are equal, unless a transaction was open before. The extended protocol, which
        // every query that returns rows uses, moves one of them; hence the detour through a setting.
        let asked = match look {
            Look::Again | Look::ForMany => "''",
            Look::First => {
                conn.batch_execute(
                    "SELECT set_config('migrator.open', (transaction_timestamp() <> statement_timestamp())::text, false)",
                )?;
                "current_setting('migrator.open')"
            }
        };
        // One row for each table, and at least one. On a fresh connection each catalogue and index that a query names is looked up.
        let place = schema.map_or_else(|| Self::here().to_owned(), Self::literal);
        let room = if look == Look::ForMany { format!(", {ROOM}") } else { String::new() };
        let rows = Self::rows(
            conn,
            &format!(
                "SELECT current_database()::text, coalesce(current_schema(), '')::text, pg_is_in_recovery()::text, \
                 current_setting('transaction_read_only'), {asked}, version(), tables.name{room} FROM (SELECT) AS one LEFT JOIN \
                 (SELECT c.relname::text AS name FROM pg_catalog.pg_class c WHERE c.relnamespace = (SELECT n.oid FROM \
                 pg_catalog.pg_namespace n WHERE n.nspname = {place}) AND c.relkind IN ('r', 'p')) AS tables ON true"
            ),
        )?;
        let mut facts = Facts::default();
        if let Some(row) = rows.first() {
            facts.database = row.text(0).to_owned();
            facts.schema = schema.unwrap_or(row.text(1)).to_owned();
            facts.read_only = match (row.holds(2), row.holds(3)) {
                (true, _) => Some("the server is a standby: it only replays what its primary does".to_owned()),
                (_, true) => Some("transactions are read-only (default_transaction_read_only)".to_owned()),
                _ => None,
            };
            facts.in_transaction = row.holds(4);
            let engine = ["CockroachDB", "Redshift"].into_iter().find(|engine| row.text(5).contains(engine));
            facts.room = (look == Look::ForMany).then(|| room_of(row, 7));
            facts.unsupported = engine.map(|engine| format!("{engine} grants advisory locks that exclude nobody"));
        }
        facts.tables = rows.iter().filter_map(|row| row.optional(6)).map(str::to_owned).collect();
        facts.tables.sort_unstable();
        Ok(facts)
    }

    fn extended<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Vec<String>> {
        let sql = format!(
            "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN \
             pg_catalog.pg_depend d ON d.objid = c.oid WHERE n.nspname = {} AND c.relkind IN ('r', 'p') AND d.classid = \
             'pg_catalog.pg_class'::regclass AND d.deptype = 'e'",
            Self::literal(schema)
        );
        Ok(Self::rows(conn, &sql)?.iter().map(|row| row.text(0).to_owned()).collect())
    }

    fn is_system(facts: &Facts) -> bool {
        facts.schema.starts_with("pg_")
            || facts.schema == "information_schema"
            || matches!(facts.database.as_str(), "template0" | "template1")
    }

    fn contents<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Contents> {
        contents::contents(conn, schema)
    }

    fn others<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Option<Vec<String>>> {
        let sql = format!(
            "SELECT format('%s (of %s)', c.relname, pg_get_userbyid(c.relowner)) FROM pg_catalog.pg_class c JOIN \
             pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relkind IN ('r', 'p') AND NOT \
             pg_has_role(c.relowner, 'USAGE') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = \
             'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1",
            Self::literal(schema)
        );
        Ok(Some(Self::rows(conn, &sql)?.iter().map(|row| row.text(0).to_owned()).collect()))
    }

    fn settings<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Setting>> {
        let rows = Self::rows(
            conn,
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') \
             ORDER BY 1",
        )?;
        let wrong = |row: &Cells| match (row.text(0), row.text(1)) {
            ("synchronous_commit", "off") => {
                Some("synchronous_commit = on, or the last transactions before a crash are gone")
            }
            ("fsync", "off") => Some("fsync = on, or a crash destroys the database"),
            ("full_page_writes", "off") => Some("full_page_writes = on, or a torn page destroys the database"),
            _ => None,
        };
        Ok(rows.iter().map(|row| Setting::new(row.text(0), row.text(1), wrong(row))).collect())
    }

    fn count(table: &str) -> String {
        // The rows of a partition are its own.
        format!("SELECT count(*)::text FROM ONLY {table}")
    }

    fn columns(schema: &str, table: &str) -> String {
        format!(
            "SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND \
             NOT a.attisdropped",
            Self::literal(&super::table::<Self>(schema, table))
        )
    }

    fn columns_here(table: &str) -> String {
        let table: Vec<String> = table.split('.').map(Self::ident).collect();
        format!(
            "SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT \
             a.attisdropped ORDER BY a.attnum",
            Self::literal(&table.join("."))
        )
    }

    fn session<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        lock_timeout: Duration,
        work: Work,
    ) -> QueryResult<Session> {
        session::session(conn, lock_timeout, work)
    }

    fn patience<C: LoadConnection<Backend = Self>>(_conn: &mut C, _wait: Duration) -> QueryResult<Session> {
        Ok(Session::default())
    }

    fn try_lock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey) -> QueryResult<Asked> {
        // Never the blocking function: it holds a snapshot, and CREATE INDEX CONCURRENTLY would wait for the waiter.
        let lock = format!("CASE WHEN NOT {} THEN pg_try_advisory_lock({})::text END", Self::owned(key), key.number);
        let rows = Self::rows(conn, &format!("SELECT {lock}"))?;
        Ok(match rows.first() {
            Some(row) if row.holds(0) => Asked::Granted,
            Some(row) if row.optional(0).is_none() => Asked::HeldHere,
            _ => Asked::Held,
        })
    }

    fn unlock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, _keep: bool) -> QueryResult<()> {
        Self::rows(conn, &format!("SELECT pg_advisory_unlock({})::text", key.number)).map(drop)
    }

    fn violations<C: LoadConnection<Backend = Self>>(_conn: &mut C) -> QueryResult<Vec<Violations>> {
        Ok(Vec::new())
    }

    fn before(statement: &str) -> Option<String> {
        indexes::asked(statement)
    }

    fn outcome<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        statement: &str,
        before: Option<&str>,
    ) -> QueryResult<Outcome> {
        indexes::outcome(conn, statement, before)
    }

    fn owned(key: &LockKey) -> String {
        let [high, low] = halves(key.number);
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_lock_status() WHERE locktype = 'advisory' AND classid = {high} AND objid = {low} \
             AND objsubid = 1 AND granted AND pid = pg_catalog.pg_backend_pid())"
        )
    }

    fn together<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        key: &LockKey,
        room: Option<Room>,
    ) -> QueryResult<Option<Together>> {
        let room = match room {
            Some(room) => room,
            None => match Self::rows(conn, &format!("SELECT {ROOM}"))?.first() {
                Some(row) => room_of(row, 0),
                None => return Ok(None),
            },
        };
        // The scripts are split as it is by default.
        if !room.conforms {
            return Ok(None);
        }
        // What each of them does is asked where there is one.
        let quiet = match room.has_functions {
            false => true,
            true => Self::rows(conn, &format!("SELECT (NOT EXISTS ({LOUD}))::text"))?.iter().all(|row| row.holds(0)),
        };
        Ok(Some(Together {
            quiet,
            empty: room.tables == 0,
            most_sharing: room.most_sharing,
            // Granted to the session that has it already, and to any other one only when nobody has it.
            owned: format!("pg_catalog.pg_try_advisory_xact_lock({})", key.number),
            elapsed: |since| {
                format!(
                    "(extract(epoch FROM clock_timestamp() - greatest(statement_timestamp(), {since})) * 1000)::bigint"
                )
            },
            types: ["bigint", "text"],
            note: "SELECT pg_catalog.set_config('migrator.clock', coalesce(pg_catalog.current_setting('migrator.clock', true), \
                   '') || ' ' || extract(epoch FROM clock_timestamp())::text, true) IS NULL",
            check: "SET CONSTRAINTS ALL IMMEDIATE;",
            noted: "SELECT string_to_array(ltrim(current_setting('migrator.clock')), ' ')::double precision[] AS moment OFFSET 0",
            took_and_at: |number| {
                [
                    format!("((moment[{number} + 1] - moment[{number}]) * 1000)::bigint"),
                    format!("to_timestamp(moment[{number} + 1])"),
                ]
            },
        }))
    }

    fn holder<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, _facts: &Facts) -> Option<String> {
        let [high, low] = halves(key.number);
        let sql = format!(
            "SELECT l.pid::text, a.usename::text, a.application_name, coalesce(host(a.client_addr), 'local socket'), \
             to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM pg_catalog.pg_locks l LEFT \
             JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.classid = {high} AND \
             l.objid = {low} AND l.objsubid = 1 AND l.granted AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE \
             datname = current_database())"
        );
        let rows = Self::rows(conn, &sql).ok()?;
        let row = rows.first()?;
        let mut holder = format!("backend {}", row.text(0));
        for (at, word) in [(1, "user"), (2, "application"), (3, "from"), (4, "connected since")] {
            if !row.text(at).is_empty() {
                let _infallible = write!(holder, ", {word} {}", row.text(at));
            }
        }
        Some(format!("{holder}, by advisory lock {}", key.number))
    }

    fn blockers<C: LoadConnection<Backend = Self>>(conn: &mut C, statement: &str) -> QueryResult<Vec<String>> {
        blockers::blockers(conn, statement)
    }

    fn myself<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Option<String>> {
        let rows = Self::rows(conn, "SELECT pg_catalog.pg_backend_pid()::text")?;
        Ok(rows.first().map(|row| row.text(0).to_owned()))
    }

    fn cancel<C: LoadConnection<Backend = Self>>(conn: &mut C, session: &str) -> QueryResult<()> {
        Self::rows(conn, &format!("SELECT pg_catalog.pg_cancel_backend({session})::text")).map(drop)
    }

    fn class(words: &str) -> Class {
        Class::find(
            words,
            &[
                (Class::Busy, &["due to lock timeout", "could not obtain lock"]),
                // The first query, which fails where there is no table of ours yet, ended what a plain BEGIN had begun.
                (Class::Nested, &["current transaction is aborted"]),
                // What a server that is up says to a stranger, behind libpq's "connection to server at … failed".
                (
                    Class::Permission,
                    &[
                        "fatal:  password authentication failed",
                        "fatal:  peer authentication failed",
                        "fatal:  ident authentication failed",
                        "fatal:  certificate authentication failed",
                        "fatal:  ldap authentication failed",
                        "fatal:  pam authentication failed",
                        "fatal:  no pg_hba.conf entry",
                        "fatal:  pg_hba.conf rejects",
                        "fatal:  permission denied",
                        "fatal:  role \"",
                        "fatal:  database \"",
                        "no password supplied",
                        "but ssl was required",
                        "certificate verify failed",
                        "root certificate file",
                    ],
                ),
                (Class::Conflict, &["deadlock detected", "could not serialize access"]),
                (
                    Class::Connection,
                    &[
                        "server closed the connection",
                        "terminating connection",
                        "no connection to the server",
                        "connection to server",
                        "could not translate host name",
                        "the database system is",
                        "too many clients",
                        "ssl connection has been closed",
                    ],
                ),
                (Class::ReadOnly, &["in a read-only transaction", "during recovery"]),
                (Class::DiskFull, &["no space left on device"]),
                (Class::Permission, &["permission denied", "must be owner", "must be superuser"]),
            ],
        )
    }

    fn comes_up(words: &str) -> bool {
        Self::class(words) == Class::Connection
    }
}

/// What there is in the database besides our tables, and those that are kept in step for other tools.
const ROOM: &str = "current_setting('standard_conforming_strings'), EXISTS (SELECT FROM pg_catalog.pg_proc WHERE oid >= 16384)::text, \
                    (SELECT count(*) FROM pg_catalog.pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'f', 'm') AND \
                    left(relname::text, 11) <> '__migrator_' AND relname NOT IN ('__diesel_schema_migrations', '_prisma_migrations'))\
                    ::text, (current_setting('max_locks_per_transaction')::bigint * \
                    current_setting('max_connections')::bigint / 12)::text";

fn room_of(row: &Cells, at: usize) -> Room {
    Room {
        conforms: row.holds(at),
        has_functions: row.holds(at + 1),
        // What is not told is no reason to share.
        tables: row.number(at + 2).unwrap_or(u64::MAX),
        most_sharing: row.number(at + 3).unwrap_or(0),
    }
}

/// The functions, made here, that may change the session: of those in SQL and PL/pgSQL the text tells, where it is one (a body of
/// the SQL standard is none); one in C may, unless it is declared to change nothing. pg_trgm's `set_limit` does.
const LOUD: &str = "SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE p.oid >= 16384 AND NOT \
                     CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN to_jsonb(p) ->> 'prosqlbody' IS NULL AND p.prosrc !~* \
                     '(set_config|_to_xml|u&|\\m(set|reset|discard|execute|load)\\M)' WHEN l.lanname = 'internal' THEN \
                     p.prosrc <> 'set_config_by_name' WHEN l.lanname = 'c' THEN p.provolatile <> 'v' ELSE false END";

/// A number of 64 bits as `pg_locks` shows it.
fn halves(number: i64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}
