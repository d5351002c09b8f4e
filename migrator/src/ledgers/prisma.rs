//! Prisma Migrate's table: a row for each attempt at a migration, and no word for one that was never tried.
//!
//! What counts is a row that is finished and not rolled back. One that is neither has failed, or runs right now, and Prisma's
//! command line applies nothing before a person has settled it. One that is rolled back is to be tried again.

use std::collections::BTreeMap;

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use migrator_source::checksum::{digest, hex};
use migrator_source::sql::SqlDialect;

use super::kept::Before;
use super::spellings;
use crate::dialect::{Dialect, table};
use crate::migration::{Checksum, Migration, MigrationSet};
use crate::record::{History, RESOLVED_APPLIED, RESOLVED_ROLLED_BACK, Record, RecordKind, Standing};
use crate::turns::{Ran, Row, Says};

pub(super) const TABLE: &str = "_prisma_migrations";
pub(super) const COLUMNS: &[&str] =
    &["id", "checksum", "finished_at", "migration_name", "logs", "rolled_back_at", "started_at", "applied_steps_count"];

/// Which rows say something about the present: what was rolled back is as if it had not been.
pub(super) const LIVE: &str = " WHERE rolled_back_at IS NULL";

/// One of them in a list: the name, `/`, the checksum, and a mark when it is not finished.
pub(super) fn item(dialect: SqlDialect) -> &'static str {
    match dialect {
        SqlDialect::Sqlite => "migration_name || '/' || checksum || CASE WHEN finished_at IS NULL THEN '!' ELSE '' END",
        SqlDialect::Postgres => "concat(migration_name, '/', checksum, CASE WHEN finished_at IS NULL THEN '!' END)",
        SqlDialect::Mysql => "migration_name, '/', checksum, CASE WHEN finished_at IS NULL THEN '!' ELSE '' END",
    }
}

/// Whether a list is the set, each migration finished once, with its text.
pub(super) fn says(list: &str, set: &MigrationSet) -> bool {
    let mut words = list.split('/').filter(|word| !word.is_empty());
    let mut there = Vec::new();
    while let Some(name) = words.next() {
        there.push((name, words.next().unwrap_or("")));
    }
    there.sort_unstable();
    there.len() == set.len()
        && set.iter().zip(there).all(|(migration, (name, checksum))| {
            migration.canonical() == name && Checksum::from_hex(checksum).is_some_and(|ran| is_text(&migration, ran))
        })
}

/// Whether this is Prisma's checksum of a migration's text. Prisma too takes the text with either line ending for the same.
fn is_text(migration: &Migration<'_>, ran: Checksum) -> bool {
    migration.raw_digest() == Some(ran)
        || spellings(migration.up()).any(|spelling| Checksum(digest(spelling.as_bytes())) == ran)
}

/// One row of the table.
struct Attempt {
    checksum: String,
    finished: Option<String>,
    started: Option<String>,
    rolled_back: bool,
    logs: String,
}

/// What the rows say together, for each migration.
pub(super) fn rows<C>(conn: &mut C, schema: &str, set: &MigrationSet) -> QueryResult<Vec<Row>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let text = |column: &str| C::Backend::text(column, false);
    let sql = format!(
        "SELECT {}, {}, {}, {}, CASE WHEN rolled_back_at IS NULL THEN '0' ELSE '1' END, {} FROM {}",
        text("migration_name"),
        text("checksum"),
        moment::<C::Backend>("finished_at"),
        moment::<C::Backend>("started_at"),
        text("logs"),
        table::<C::Backend>(schema, TABLE)
    );
    let mut attempts: BTreeMap<String, Vec<Attempt>> = BTreeMap::new();
    for row in C::Backend::rows(conn, &sql)? {
        attempts.entry(row.text(0).to_owned()).or_default().push(Attempt {
            checksum: row.text(1).to_owned(),
            finished: row.optional(2).map(str::to_owned),
            started: row.optional(3).map(str::to_owned),
            rolled_back: row.holds(4),
            logs: row.text(5).to_owned(),
        });
    }
    Ok(attempts.into_iter().map(|(name, attempts)| together(name, attempts, set)).collect())
}

/// When a column says that something happened. Prisma's own engine writes milliseconds into SQLite, its driver adapters texts.
fn moment<D: Dialect>(column: &str) -> String {
    if D::SQL != SqlDialect::Sqlite {
        return D::text(column, true);
    }
    let format = "strftime('%Y-%m-%dT%H:%M:%fZ'";
    format!(
        "CASE typeof({column}) WHEN 'integer' THEN {format}, {column} / 1000.0, 'unixepoch') ELSE {format}, {column}) END"
    )
}

/// What all attempts at one migration add up to, as Prisma adds them up.
fn together(version: String, attempts: Vec<Attempt>, set: &MigrationSet) -> Row {
    let live = || attempts.iter().filter(|attempt| !attempt.rolled_back);
    let finished = live().filter(|attempt| attempt.finished.is_some()).max_by(|a, b| a.finished.cmp(&b.finished));
    if let Some(attempt) = finished {
        let ran = match (Checksum::from_hex(&attempt.checksum), set.of_version(&version)) {
            (Some(ran), Some(migration)) if is_text(&migration, ran) => Ran::OfTheSet,
            (Some(ran), _) => Ran::Other(ran),
            (None, _) => Ran::Unknown,
        };
        return Row { version, at: attempt.finished.clone(), says: Says::Applied(ran) };
    }
    match live().max_by(|a, b| a.started.cmp(&b.started)) {
        Some(failed) => {
            let words = if failed.logs.is_empty() { "it was begun and never finished" } else { &failed.logs };
            Row { version, at: failed.started.clone(), says: Says::Failed(words.chars().take(2000).collect()) }
        }
        None => Row { version, at: None, says: Says::RolledBack },
    }
}

/// Prisma's own definition.
pub(super) fn create(dialect: SqlDialect, table: &str) -> String {
    let [id, checksum, name, time, now, number, options] = match dialect {
        SqlDialect::Sqlite => ["TEXT", "TEXT", "TEXT", "DATETIME", "current_timestamp", "INTEGER UNSIGNED", ""],
        SqlDialect::Postgres => ["VARCHAR(36)", "VARCHAR(64)", "VARCHAR(255)", "TIMESTAMPTZ", "now()", "INTEGER", ""],
        SqlDialect::Mysql => [
            "VARCHAR(36)",
            "VARCHAR(64)",
            "VARCHAR(255)",
            "DATETIME(3)",
            "CURRENT_TIMESTAMP(3)",
            "INTEGER UNSIGNED",
            " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        ],
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (id {id} PRIMARY KEY NOT NULL, checksum {checksum} NOT NULL, finished_at {time}, \
         migration_name {name} NOT NULL, logs TEXT, rolled_back_at {time}, started_at {time} NOT NULL DEFAULT {now}, \
         applied_steps_count {number} NOT NULL DEFAULT 0){options}"
    )
}

/// The rows that say what the history says.
pub(super) fn fill<D: Dialect>(table: &str, set: &MigrationSet, history: &History) -> String {
    let recorded = history.recorded(set.layout());
    let mut values = Vec::new();
    for past in recorded.into_values() {
        let stands = past.standing.is_in_the_tools_table();
        if !stands && !matches!(past.standing, Standing::Partial(_)) {
            continue;
        }
        let at = past.record.adopted().flatten().unwrap_or(&past.record.recorded_at);
        let at = match D::SQL {
            SqlDialect::Mysql => D::literal(&at.trim_end_matches('Z').replace('T', " ")),
            SqlDialect::Sqlite | SqlDialect::Postgres => D::literal(at),
        };
        let id = D::literal(&id("history", &past.record.version));
        let words = past.error.map(D::literal);
        let begun = New { started: &at, ..New::begun::<D>() };
        let row = match stands {
            true => New { finished: Some(&at), steps: 1, ..begun },
            false => New { logs: words.as_deref(), ..begun },
        };
        let record = Record { checksum: past.text.or(past.record.checksum), ..past.record.clone() };
        values.push(row.values::<D>(&id, set, &record));
    }
    match values.is_empty() {
        true => String::new(),
        false => format!("INSERT INTO {table} ({}) VALUES {}", COLUMNS.join(", "), values.join(",\n")),
    }
}

/// What a new row says, as SQL.
#[derive(Clone, Copy)]
struct New<'a> {
    started: &'a str,
    finished: Option<&'a str>,
    logs: Option<&'a str>,
    steps: u8,
}

impl New<'_> {
    /// One that begins now: on PostgreSQL before any clock is read for its end.
    fn begun<D: Dialect>() -> Self {
        let [now, _] = D::NOW_AND_USER;
        let started = if D::SQL == SqlDialect::Postgres { "statement_timestamp()" } else { now };
        Self { started, finished: None, logs: None, steps: 0 }
    }

    /// In the order of the columns.
    fn values<D: Dialect>(self, id: &str, set: &MigrationSet, record: &Record) -> String {
        let [finished, logs] = [self.finished, self.logs].map(|sql| sql.unwrap_or("NULL"));
        format!(
            "({id}, {}, {finished}, {}, {logs}, NULL, {}, {})",
            D::literal(&checksum(set, record)),
            D::literal(&record.version),
            self.started,
            self.steps
        )
    }
}

/// Prisma's checksum of the text that a record is about: that of the file as it is, when it is that text.
fn checksum(set: &MigrationSet, record: &Record) -> String {
    let is_that = |migration: &Migration<'_>| record.checksum.is_none_or(|checksum| checksum == migration.checksum());
    let known = set.of_version(&record.version).filter(is_that).and_then(|migration| migration.raw_digest());
    known.or(record.checksum).map(|checksum| checksum.to_string()).unwrap_or_default()
}

/// The SQL that makes the table say what a record says.
///
/// What this run begins it ends in one row, whose id follows from the run and the version. A row that somebody else wrote
/// meanwhile makes that id NULL, which the table refuses: Prisma ran the migration at the same moment.
pub(super) fn follow<D: Dialect>(ledger: &str, set: &MigrationSet, record: &Record, before: Before) -> String {
    let [now, _] = D::NOW_AND_USER;
    let (name, mine) = (D::literal(&record.version), D::literal(&id(&record.run_id, &record.version)));
    let live = format!("migration_name = {name} AND rolled_back_at IS NULL");
    let open = format!("{live} AND finished_at IS NULL");
    let insert = |row: New<'_>| {
        let other = format!("SELECT id FROM {ledger} WHERE {live} AND id <> {mine} LIMIT 1");
        let fenced = format!("CASE WHEN EXISTS (SELECT 1 FROM ({other}) AS other) THEN NULL ELSE {mine} END");
        let (columns, values) = (COLUMNS.join(", "), row.values::<D>(&fenced, set, record));
        let again = D::upsert(&["id"], &["checksum", "finished_at", "logs", "applied_steps_count"]);
        format!("INSERT INTO {ledger} ({columns}) VALUES {values}{again};\n")
    };
    let update = |what: String, which: &str| format!("UPDATE {ledger} SET {what} WHERE {which};\n");
    let (begun, words) = (New::begun::<D>(), record.detail.as_deref().map(D::literal));
    let is_begun = matches!(before, Before::Begun(_));
    let done = |row: New<'_>| {
        let given_up = format!("{open} AND id <> {mine}");
        let before = if is_begun { update(format!("rolled_back_at = {now}"), &given_up) } else { String::new() };
        format!("{before}{}", insert(New { finished: Some(now), ..row }))
    };
    let undo = format!("DELETE FROM {ledger} WHERE {live};\n");
    match (record.kind, record.detail.as_deref()) {
        _ if record.is_outside() => String::new(),
        (Some(RecordKind::Planned), _) => {
            let taken_up = if is_begun { update(format!("id = {mine}"), &open) } else { String::new() };
            format!("{taken_up}{}", insert(begun))
        }
        (Some(RecordKind::Accepted), _) => update(
            format!("checksum = {}", D::literal(&checksum(set, record))),
            &format!("{live} AND finished_at IS NOT NULL"),
        ),
        // A person says so of a migration whose revert may be half done: then the row is still there.
        (Some(RecordKind::Baselined), _) | (Some(RecordKind::Resolved), Some(RESOLVED_APPLIED))
            if before == Before::Applied =>
        {
            String::new()
        }
        (Some(RecordKind::Applied), _) => done(New { steps: 1, ..begun }),
        // As `prisma migrate resolve --applied` does it.
        (Some(RecordKind::Baselined), _) | (Some(RecordKind::Resolved), Some(RESOLVED_APPLIED)) => {
            done(New { logs: Some("''"), ..begun })
        }
        // One that was undone whole is to be tried again, by whoever comes first. A row of it, failed or rolled back, would keep
        // Prisma from that, or make it say that nothing is pending.
        (Some(RecordKind::Failed | RecordKind::Interrupted), _) => match (before, words.as_deref()) {
            (Before::Begun(some_took), words) if some_took || record.is_unseen() => {
                update(format!("logs = {}", words.unwrap_or("NULL")), &open)
            }
            (Before::Begun(_), _) => format!("DELETE FROM {ledger} WHERE {open} AND id = {mine};\n"),
            (Before::Nothing, logs) if record.is_unseen() => insert(New { logs, ..begun }),
            (Before::Nothing | Before::Applied, _) => String::new(),
        },
        // What is undone is pending, and Prisma says so of what has no row. One that is rolled back it calls up to date.
        (Some(RecordKind::Reverted), _) => undo,
        (Some(RecordKind::Resolved), Some(RESOLVED_ROLLED_BACK)) if before == Before::Applied => undo,
        // As `prisma migrate resolve --rolled-back` does it.
        (Some(RecordKind::Resolved), Some(RESOLVED_ROLLED_BACK)) => update(format!("rolled_back_at = {now}"), &live),
        // A revert takes the row away when it is done, and not when it begins.
        (Some(RecordKind::Reverting | RecordKind::Kept | RecordKind::Statement), _)
        | (Some(RecordKind::Resolved | RecordKind::Marked) | None, _) => String::new(),
    }
}

/// An id as Prisma's look: from a run and what in it the row is about.
fn id(run: &str, what: &str) -> String {
    let mut id = hex(&digest(format!("{run}/{what}").as_bytes())[..16]);
    // Version 8 of RFC 9562: made by a rule of one's own.
    id.replace_range(12..13, "8");
    id.replace_range(16..17, "8");
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}
