//! SQLite: one file, transactional DDL, and no lock but the transaction.

mod contents;

use std::time::Duration;

use diesel::connection::{LoadConnection, TransactionManager};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, RunQueryDsl, sql_query};
use migrator_source::sql::SqlDialect;

use super::{
    Asked, Cells, Class, Dialect, Facts, LockKey, Look, Outcome, Room, Session, Together, Violations, Work, depth,
    on_conflict, quoted,
};
use crate::checkup::Setting;
use crate::contents::Contents;

impl Dialect for Sqlite {
    const SQL: SqlDialect = SqlDialect::Sqlite;
    const LOCK_IS_TRANSACTION: bool = true;
    const TYPES: [&'static str; 6] = ["TEXT", "INTEGER", "TEXT", "TEXT", "TEXT", "TEXT"];
    const NOW_AND_USER: [&'static str; 2] = ["strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "NULL"];
    const TABLE_OPTIONS: &'static str = " WITHOUT ROWID";
    const HASTEN: &'static str = "";
    const HASTEN_ALL: &'static str = "";

    fn rows<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<Vec<Cells>> {
        sql_query(sql).load(conn)
    }

    fn execute<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<usize> {
        sql_query(sql).execute(conn)
    }

    fn literal(text: &str) -> String {
        quoted(text, '\'')
    }

    fn number(number: &str) -> String {
        // A column without a type keeps what it is given, and a text is no number there.
        number.to_owned()
    }

    fn ident(name: &str) -> String {
        quoted(name, '"')
    }

    fn text(column: &str, _time: bool) -> String {
        Self::ident(column)
    }

    fn after(wait: Duration) -> String {
        format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+{:.3} seconds')", wait.as_secs_f64())
    }

    fn until(column: &str) -> String {
        format!("CAST(CAST((julianday({}) - julianday('now')) * 86400000 AS INTEGER) AS TEXT)", Self::ident(column))
    }

    fn differs(column: &str, value: &str) -> String {
        format!("{} IS NOT {value}", Self::ident(column))
    }

    fn upsert(key: &[&str], columns: &[&str]) -> String {
        on_conflict::<Self>(key, columns)
    }

    fn shown(column: &str) -> String {
        format!("quote({})", Self::ident(column))
    }

    fn here() -> &'static str {
        "'main'"
    }

    fn list(_schema: Option<&str>, table: &str, item: &str, which: &str) -> String {
        format!("(SELECT coalesce(group_concat({item}, '/'), '') FROM main.{}{which})", Self::ident(table))
    }

    fn facts<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        _schema: Option<&str>,
        _look: Look,
    ) -> QueryResult<Facts> {
        let files = Self::rows(conn, "PRAGMA database_list")?;
        let main = files.iter().find(|row| row.text(1) == "main");
        let database = main.map(|row| row.text(2)).filter(|file| !file.is_empty()).unwrap_or(":memory:");
        let query_only = Self::rows(conn, "PRAGMA query_only")?;
        let tables = Self::rows(
            conn,
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        Ok(Facts {
            database: database.to_owned(),
            schema: "main".to_owned(),
            read_only: query_only
                .first()
                .filter(|row| row.holds(0))
                .map(|_| "PRAGMA query_only is on for this connection".to_owned()),
            tables: tables.iter().map(|row| row.text(0).to_owned()).collect(),
            ..Facts::default()
        })
    }

    fn extended<C: LoadConnection<Backend = Self>>(_conn: &mut C, _schema: &str) -> QueryResult<Vec<String>> {
        Ok(Vec::new())
    }

    fn is_system(_facts: &Facts) -> bool {
        false
    }

    fn contents<C: LoadConnection<Backend = Self>>(conn: &mut C, _schema: &str) -> QueryResult<Contents> {
        contents::contents(conn)
    }

    fn others<C: LoadConnection<Backend = Self>>(_conn: &mut C, _schema: &str) -> QueryResult<Option<Vec<String>>> {
        Ok(None)
    }

    fn settings<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Setting>> {
        const JOURNAL: &str =
            "PRAGMA journal_mode = WAL, or DELETE: without a journal on the disk a crash can destroy the file";
        const SYNC: &str = "PRAGMA synchronous = NORMAL with WAL, else FULL";
        let mut one = |name: &str| -> QueryResult<String> {
            let rows = Self::rows(conn, &format!("PRAGMA {name}"))?;
            Ok(rows.first().map(|row| row.text(0).to_owned()).unwrap_or_default())
        };
        let (journal, sync) = (one("journal_mode")?, one("synchronous")?);
        let is_safe = matches!((journal.as_str(), sync.as_str()), (_, "2" | "3") | ("wal", "1"));
        Ok(vec![
            Setting::new("journal_mode", &journal, matches!(journal.as_str(), "off" | "memory").then_some(JOURNAL)),
            Setting::new("synchronous", &sync, (!is_safe).then_some(SYNC)),
        ])
    }

    fn count(table: &str) -> String {
        format!("SELECT CAST(count(*) AS TEXT) FROM {table}")
    }

    fn columns(schema: &str, table: &str) -> String {
        format!("SELECT name FROM pragma_table_info({}, {})", Self::literal(table), Self::literal(schema))
    }

    fn columns_here(table: &str) -> String {
        match table.split_once('.') {
            Some((schema, table)) => Self::columns(schema, table),
            None => format!("SELECT name FROM pragma_table_info({})", Self::literal(table)),
        }
    }

    /// `PRAGMA foreign_keys` does nothing inside a transaction, and with it on the `DROP TABLE` of a table rebuild deletes
    /// the rows that refer to it. So it is off before the first transaction and set back after the last.
    fn session<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        lock_timeout: Duration,
        work: Work,
    ) -> QueryResult<Session> {
        const KEPT: [&str; 8] = [
            "foreign_keys",
            "busy_timeout",
            "legacy_alter_table",
            "recursive_triggers",
            "ignore_check_constraints",
            "defer_foreign_keys",
            "query_only",
            "writable_schema",
        ];
        let mut leave = String::new();
        for name in KEPT {
            // One by one: as a SELECT they would read the schema first, which is what a writer keeps readers from.
            let found = Self::rows(conn, &format!("PRAGMA {name}"))?;
            if let Some(value) = found.first().map(|row| row.text(0)).filter(|value| !value.is_empty()) {
                leave.push_str(&format!("PRAGMA {name} = {value};"));
            }
        }
        // What waits here is the COMMIT, for readers; it is not tried again, so it gets the time of all tries.
        let keys = if matches!(work, Work::Migrations | Work::Quiet) { "PRAGMA foreign_keys = OFF; " } else { "" };
        let enter = format!("{keys}{};", busy_timeout(lock_timeout * 5));
        Ok(Session { enter, leave, ..Session::default() })
    }

    fn patience<C: LoadConnection<Backend = Self>>(conn: &mut C, wait: Duration) -> QueryResult<Session> {
        // As a SELECT it would read the schema first, which is what a writer keeps readers from.
        let found = Self::rows(conn, "PRAGMA busy_timeout")?;
        let found = found.first().map_or("0", |row| row.text(0));
        let leave = format!("PRAGMA busy_timeout = {found}");
        Ok(Session { enter: busy_timeout(wait), leave, ..Session::default() })
    }

    fn try_lock<C: LoadConnection<Backend = Self>>(conn: &mut C, _key: &LockKey) -> QueryResult<Asked> {
        // diesel counts the transaction; it has no other way to begin one that takes the write lock at once.
        C::TransactionManager::begin_transaction(conn)?;
        // `busy_timeout` is the wait for readers at the end of a transaction; here the caller polls.
        let waits = Self::rows(conn, "PRAGMA busy_timeout")?;
        let waits = waits.first().map_or("0", |row| row.text(0)).to_owned();
        let begun = conn.batch_execute("PRAGMA busy_timeout = 0; COMMIT; BEGIN IMMEDIATE");
        let restored = conn.batch_execute(&format!("PRAGMA busy_timeout = {waits}"));
        match begun {
            Ok(()) => restored.map(|()| Asked::Granted),
            Err(error) => {
                // After the failed BEGIN there is no transaction; diesel learns it from the failed ROLLBACK if not before.
                if depth(conn) > 0 {
                    let _none_open = C::TransactionManager::rollback_transaction(conn);
                }
                match Self::class(&error.to_string()) {
                    Class::Busy => Ok(Asked::Held),
                    _ => Err(error),
                }
            }
        }
    }

    fn unlock<C: LoadConnection<Backend = Self>>(conn: &mut C, _key: &LockKey, keep: bool) -> QueryResult<()> {
        match (depth(conn), keep) {
            // A statement such as INSERT OR ROLLBACK ended the transaction by itself.
            (0, _) => Ok(()),
            (_, true) => C::TransactionManager::commit_transaction(conn),
            (_, false) => C::TransactionManager::rollback_transaction(conn),
        }
    }

    /// Counted, not listed: a table may hold millions. A broken reference definition is an error of the check itself; then
    /// each table is checked alone, so that it hides nothing of the others, and it counts as one violation of a name that
    /// tells which.
    fn violations<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Violations>> {
        let is_mismatch = |error: &diesel::result::Error| error.to_string().contains("foreign key mismatch");
        match check(conn, "pragma_foreign_key_check") {
            Err(error) if is_mismatch(&error) => {}
            result => return result,
        }
        let mut all = Vec::new();
        for table in Self::rows(conn, "SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")? {
            match check(conn, &format!("pragma_foreign_key_check({})", Self::literal(table.text(0)))) {
                Err(error) if is_mismatch(&error) => all.push(Violations { what: error.to_string(), count: 1 }),
                result => all.extend(result?),
            }
        }
        Ok(all)
    }

    fn before(_statement: &str) -> Option<String> {
        None
    }

    /// What cannot run in a transaction here (VACUUM, a journal mode) can be done twice.
    fn outcome<C: LoadConnection<Backend = Self>>(
        _conn: &mut C,
        _statement: &str,
        _before: Option<&str>,
    ) -> QueryResult<Outcome> {
        Ok(Outcome::DidNot)
    }

    fn owned(_key: &LockKey) -> String {
        "1 = 1".to_owned()
    }

    fn together<C: LoadConnection<Backend = Self>>(
        _conn: &mut C,
        _key: &LockKey,
        _room: Option<Room>,
    ) -> QueryResult<Option<Together>> {
        Ok(None)
    }

    /// SQLite itself does not tell; on Linux the kernel's list of file locks does.
    fn holder<C: LoadConnection<Backend = Self>>(_conn: &mut C, _key: &LockKey, facts: &Facts) -> Option<String> {
        holder_of(&facts.database)
    }

    fn blockers<C: LoadConnection<Backend = Self>>(_conn: &mut C, _statement: &str) -> QueryResult<Vec<String>> {
        Ok(Vec::new())
    }

    /// SQLite has an interrupt, and diesel does not expose it: a statement ends by itself.
    fn myself<C: LoadConnection<Backend = Self>>(_conn: &mut C) -> QueryResult<Option<String>> {
        Ok(None)
    }

    fn cancel<C: LoadConnection<Backend = Self>>(_conn: &mut C, _session: &str) -> QueryResult<()> {
        Ok(())
    }

    fn class(words: &str) -> Class {
        Class::find(
            words,
            &[
                (Class::Busy, &["database is locked", "table is locked", "schema is locked"]),
                (Class::Nested, &["cannot start a transaction within a transaction"]),
                (Class::ReadOnly, &["readonly database", "read-only"]),
                (Class::DiskFull, &["database or disk is full"]),
                (Class::Connection, &["unable to open database", "disk i/o error"]),
            ],
        )
    }

    /// A file that cannot be opened now is one whose folder is not there or not ours.
    fn comes_up(words: &str) -> bool {
        Self::class(words) == Class::Busy
    }
}

fn check<C: LoadConnection<Backend = Sqlite>>(conn: &mut C, pragma: &str) -> QueryResult<Vec<Violations>> {
    let rows = Sqlite::rows(conn, &format!("SELECT \"table\", parent, count(*) FROM {pragma} GROUP BY 1, 2"))?;
    let count = |row: &Cells| Violations {
        what: format!("{} → {}", row.text(0), row.text(1)),
        count: row.number(2).unwrap_or(1),
    };
    Ok(rows.iter().map(count).collect())
}

fn busy_timeout(wait: Duration) -> String {
    format!("PRAGMA busy_timeout = {}", wait.as_millis().min(i32::MAX.unsigned_abs().into()))
}

/// The process that holds a write lock on the file or on its shared memory, from `/proc/locks`.
#[cfg(target_os = "linux")]
fn holder_of(file: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let inodes: Vec<String> = ["", "-shm"]
        .iter()
        .filter_map(|ending| std::fs::metadata(format!("{file}{ending}")).ok())
        .map(|metadata| format!(":{}", metadata.ino()))
        .collect();
    // `1: POSIX  ADVISORY  WRITE 4242 08:01:131073 1073741825 1073741825`
    let pid = locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "WRITE").skip(1);
        let (pid, device_and_inode) = (words.next()?, words.next()?);
        inodes.iter().any(|inode| device_and_inode.ends_with(inode.as_str())).then(|| pid.to_owned())
    })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} ({})", name.trim()))
}

#[cfg(not(target_os = "linux"))]
fn holder_of(_file: &str) -> Option<String> {
    None
}
