//! The history tables: read, created, and written under the fence.

mod ahead;
mod harm;
mod making;
mod marking;
mod several;
mod waiting;
mod writer;

use diesel::connection::LoadConnection;
use migrator_source::checksum::Fingerprint;

use crate::dialect::{Dialect, Facts, refused, table};
use crate::error::Error;
use crate::ledgers::UNFINISHED;
use crate::migration::Checksum;
use crate::origin::Origin;
use crate::record::{History, Meta, Record, RecordKind};
pub(crate) use ahead::Ahead;
pub(crate) use making::{in_time, make};
pub(crate) use marking::{Rows, marks};
pub(crate) use several::Several;
pub(crate) use writer::{Writer, Written, enclosed};

pub(crate) const HISTORY: &str = "__migrator_history";
pub(crate) const META: &str = "__migrator_meta";
pub(crate) const LEDGER: &str = "__migrator_seeds";
pub(crate) const LOCK: &str = "__migrator_lock";
/// What a checkup makes and drops.
pub(crate) const PROBE: &str = "__migrator_doctor";
/// The seeds' ledger and the lock row belong to us too.
pub(crate) const OURS: [&str; 6] = [HISTORY, META, LEDGER, PROBE, LOCK, UNFINISHED];

/// The format of the tables. A database with a lower number gets the columns that it lacks from the next run that writes;
/// one with a higher number was written by a newer version, whose additional columns are left alone.
const FORMAT: i64 = 3;

/// Places in [`Dialect::TYPES`].
pub(crate) const WORD: usize = 0;
pub(crate) const NUMBER: usize = 1;
pub(crate) const TEXT: usize = 2;
pub(crate) const TIME: usize = 3;
/// Of at most 64 characters: a digest, the name of a schema, an environment.
const BRIEF: usize = 4;
/// Of at most [`LONGEST_SET_NAME`] characters.
const LINE: usize = 5;

/// How many characters the name of a set has at most.
pub(crate) const LONGEST_SET_NAME: usize = 255;

const HISTORY_COLUMNS: [(&str, usize); 18] = [
    ("set_name", WORD),
    ("sequence", NUMBER),
    ("event", WORD),
    ("version", WORD),
    ("name", WORD),
    ("checksum", WORD),
    ("statement", NUMBER),
    ("statements", NUMBER),
    ("duration_ms", NUMBER),
    ("run_id", WORD),
    ("server_started", NUMBER),
    ("detail", TEXT),
    ("recorded_by", WORD),
    ("tool", WORD),
    ("recorded_at", TIME),
    ("breaks_before", WORD),
    ("host", WORD),
    ("application", WORD),
];

/// Places in [`HISTORY_COLUMNS`], of what a message says in its own way.
const SEQUENCE: usize = 1;
const VERSION: usize = 3;
const NAME: usize = 4;
const CHECKSUM: usize = 5;
const STATEMENTS: usize = 7;
const DURATION: usize = 8;
const RECORDED_AT: usize = 14;

// The rows are short for sure, so that PostgreSQL makes one table of it and not two.
const META_COLUMNS: [(&str, usize); 7] = [
    ("set_name", LINE),
    ("format", NUMBER),
    ("fingerprint", BRIEF),
    ("sequence", NUMBER),
    ("schema", BRIEF),
    ("environment", BRIEF),
    ("updated_at", TIME),
];

/// Whose history it is: the schema that holds the tables, and the name of the set.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) schema: String,
    pub(crate) set_name: String,
}

/// What one query tells at an unchanged start.
pub(crate) struct Glance {
    pub(crate) fingerprint: Option<Checksum>,
    pub(crate) environment: Option<String>,
    /// What the tool's table says, where it was asked for and is there.
    pub(crate) ledger: Option<String>,
}

/// Reads the meta row in one query, whatever the search path is, and with it an expression over a tool's table. `None` when the
/// row is not there.
///
/// An unqualified name finds the first schema of the search path that has the table, which may be another tenant's; the row
/// says whose it is. A condition on the set's name would cost more than the few rows: on a fresh connection PostgreSQL looks up
/// each operator, function and index that a query names.
pub(crate) fn glance<C>(
    conn: &mut C,
    schema: Option<&str>,
    set_name: &str,
    ledger: Option<&str>,
) -> diesel::QueryResult<Option<Glance>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let from = schema.map_or_else(|| C::Backend::ident(META), |schema| table::<C::Backend>(schema, META));
    let here = schema.map_or_else(|| C::Backend::here().to_owned(), C::Backend::literal);
    let columns = ["set_name", "fingerprint", "environment", "schema"].map(C::Backend::ident).join(", ");
    let ledger = ledger.map_or_else(String::new, |ledger| format!(", {ledger}"));
    let rows = C::Backend::rows(conn, &format!("SELECT {columns}, {here}{ledger} FROM {from}"))?;
    let row = rows.iter().find(|row| row.optional(0) == Some(set_name));
    let row = row.filter(|row| row.optional(3).is_some() && row.optional(3) == row.optional(4));
    Ok(row.map(|row| Glance {
        fingerprint: row.optional(1).and_then(Checksum::from_hex),
        environment: row.optional(2).map(str::to_owned),
        ledger: row.optional(5).map(str::to_owned),
    }))
}

/// Reads the whole history. `None` when there is none.
///
/// # Errors
/// When one of the two tables is gone: a history that stands is never taken for an empty one.
pub(crate) fn load<C>(conn: &mut C, facts: &Facts, home: &Home) -> Result<Option<History>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let gone = |gone: &str, stands: &str| {
        Error::new(
            "history_tampered",
            format!("the table {gone} is gone, and {stands} stands"),
            format!("restore {gone} from a backup; nothing is run on a history that is not whole"),
        )
    };
    let reading = |error| refused::<C::Backend>("read the migration history", error);
    match (facts.has_table(HISTORY), facts.has_table(META)) {
        (false, false) => return Ok(None),
        (true, false) => return Err(gone(META, HISTORY)),
        // The second table is still to be made: by a run that makes them now, or by one that was killed.
        (false, true) if is_empty::<C>(conn, home).map_err(reading)? => return Ok(None),
        (false, true) => return Err(gone(HISTORY, META)),
        (true, true) => {}
    }
    let meta = read::<C>(conn, home, META, &["format", "fingerprint", "sequence", "environment", "schema"], false)
        .map_err(reading)?;
    let meta = meta.first().map(|row| Meta {
        format: row.number(0).unwrap_or(0),
        fingerprint: row.optional(1).and_then(Checksum::from_hex),
        sequence: row.number(2).unwrap_or(0),
        environment: row.optional(3).map(str::to_owned),
        schema: row.optional(4).map(str::to_owned),
    });
    // Where this set has no row yet, another one's older binary may have made the tables.
    let old = meta.as_ref().is_none_or(|meta| meta.format < FORMAT);
    let columns = [
        "sequence",
        "event",
        "version",
        "name",
        "checksum",
        "statement",
        "statements",
        "duration_ms",
        "run_id",
        "server_started",
        "detail",
        "recorded_at",
        "breaks_before",
        "recorded_by",
        "host",
        "application",
    ];
    let rows = read::<C>(conn, home, HISTORY, &columns, old).map_err(reading)?;
    let mut records: Vec<Record> = rows
        .iter()
        .map(|row| Record {
            sequence: row.number(0).unwrap_or(0),
            kind: RecordKind::from_name(row.text(1)),
            version: row.text(2).to_owned(),
            name: row.text(3).to_owned(),
            checksum: row.optional(4).and_then(Checksum::from_hex),
            statement: row.number(5),
            statements: row.number(6),
            duration_ms: row.number(7),
            run_id: row.text(8).to_owned(),
            started: row.number(9),
            detail: row.optional(10).map(str::to_owned),
            asks: None,
            recorded_at: row.text(11).to_owned(),
            breaks_before: row.optional(12).map(str::to_owned),
            origin: Origin {
                user: row.optional(13).map(str::to_owned),
                host: row.optional(14).map(str::to_owned),
                application: row.optional(15).map(str::to_owned),
            },
        })
        .collect();
    records.sort_by_key(|record| record.sequence);
    Ok(Some(History { records, meta, turns: Vec::new() }))
}

/// The SQL by which no set finds its fingerprint any more, so that each looks at the history itself.
pub(crate) fn spoil<D: Dialect>(facts: &Facts) -> String {
    format!("UPDATE {} SET {} = NULL", table::<D>(&facts.schema, META), D::ident("fingerprint"))
}

/// Whether no set has a row in the meta table.
fn is_empty<C>(conn: &mut C, home: &Home) -> diesel::QueryResult<bool>
where
    C: LoadConnection<Backend: Dialect>,
{
    let sql =
        format!("SELECT {} FROM {}", C::Backend::text("set_name", false), table::<C::Backend>(&home.schema, META));
    Ok(C::Backend::rows(conn, &sql)?.is_empty())
}

/// Whether both tables are there.
pub(crate) fn exists<C>(conn: &mut C, home: &Home) -> bool
where
    C: LoadConnection<Backend: Dialect>,
{
    [HISTORY, META].into_iter().all(|name| column_names::<C>(conn, home, name).is_ok_and(|columns| !columns.is_empty()))
}

/// Selects columns of one of our tables; columns that an older format lacks come back as NULL.
fn read<C>(
    conn: &mut C,
    home: &Home,
    name: &str,
    columns: &[&str],
    old: bool,
) -> diesel::QueryResult<Vec<crate::dialect::Cells>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let present = if old { column_names::<C>(conn, home, name)? } else { Vec::new() };
    let select: Vec<String> = columns
        .iter()
        .map(|column| match old && !present.iter().any(|present| present == column) {
            true => "NULL".to_owned(),
            false => C::Backend::text(column, column.ends_with("_at")),
        })
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = {}",
        select.join(", "),
        table::<C::Backend>(&home.schema, name),
        C::Backend::ident("set_name"),
        C::Backend::literal(&home.set_name),
    );
    C::Backend::rows(conn, &sql)
}

fn column_names<C>(conn: &mut C, home: &Home, name: &str) -> diesel::QueryResult<Vec<String>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let rows = C::Backend::rows(conn, &C::Backend::columns(&home.schema, name))?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

/// Makes the tables and the set's meta row what this version needs. Call it under the lock.
fn prepare<C>(
    conn: &mut C,
    home: &Home,
    history: Option<&History>,
    environment: Option<&str>,
) -> diesel::QueryResult<()>
where
    C: LoadConnection<Backend: Dialect>,
{
    let meta = history.and_then(|history| history.meta.as_ref());
    if history.is_none() {
        // With the set's row in one message, which PostgreSQL takes as one transaction. On MySQL each commits by itself: a meta
        // table that is empty and alone is then what a killed process left; the other table alone never is.
        return conn.batch_execute(&format!("{}{}", C::Backend::HASTEN, made::<C::Backend>(home, environment)));
    }
    if meta.is_none_or(|meta| meta.format < FORMAT) {
        upgrade::<C>(conn, home, HISTORY, &HISTORY_COLUMNS)?;
        upgrade::<C>(conn, home, META, &META_COLUMNS)?;
    }
    let (literal, ident) = (C::Backend::literal, C::Backend::ident);
    let meta_table = table::<C::Backend>(&home.schema, META);
    let set = literal(&home.set_name);
    match meta {
        None => conn.batch_execute(&first_row::<C::Backend>(home, environment)),
        Some(meta) => {
            let mut changes = Vec::new();
            if meta.format < FORMAT {
                changes.push(format!("{} = {FORMAT}", ident("format")));
            }
            // The first run that is told so marks the database. Where there are records, that is a record too: the writer's.
            if let (None, Some(environment)) = (&meta.environment, environment)
                && history.is_some_and(|history| history.records.is_empty())
            {
                changes.push(format!("{} = {}", ident("environment"), literal(environment)));
            }
            match changes.is_empty() {
                true => Ok(()),
                false => conn.batch_execute(&format!(
                    "UPDATE {meta_table} SET {} WHERE {} = {set}",
                    changes.join(", "),
                    ident("set_name")
                )),
            }
        }
    }
}

/// The SQL that makes the tables, and the set's row, where there is nothing.
pub(super) fn made<D: Dialect>(home: &Home, environment: Option<&str>) -> String {
    let meta = create::<D>(home, META, &META_COLUMNS, "set_name");
    let history = create::<D>(home, HISTORY, &HISTORY_COLUMNS, "set_name, sequence");
    format!("{meta};\n{history};\n{}", first_row::<D>(home, environment))
}

/// The SQL that adds the set's row.
fn first_row<D: Dialect>(home: &Home, environment: Option<&str>) -> String {
    let columns: Vec<String> = META_COLUMNS.iter().map(|(name, _)| D::ident(name)).collect();
    let [now, _] = D::NOW_AND_USER;
    let fingerprint = Checksum(Fingerprint::default().sum()).to_string();
    format!(
        "INSERT INTO {} ({}) VALUES ({}, {FORMAT}, '{fingerprint}', 0, {}, {}, {now})",
        table::<D>(&home.schema, META),
        columns.join(", "),
        D::literal(&home.set_name),
        D::literal(&home.schema),
        environment.map_or_else(|| "NULL".to_owned(), D::literal),
    )
}

/// The SQL that makes one of our tables, unless it is there.
pub(crate) fn create<D: Dialect>(home: &Home, name: &str, columns: &[(&str, usize)], key: &str) -> String {
    let key: Vec<String> = key.split(", ").map(D::ident).collect();
    let columns: Vec<String> = columns
        .iter()
        .map(|(name, kind)| {
            let (ident, required) = (D::ident(name), if key.contains(&D::ident(name)) { " NOT NULL" } else { "" });
            format!("{ident} {}{required}", D::TYPES[*kind])
        })
        .collect();
    let (table, columns, key, options) =
        (table::<D>(&home.schema, name), columns.join(", "), key.join(", "), D::TABLE_OPTIONS);
    format!("CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY ({key})){options}")
}

fn upgrade<C>(conn: &mut C, home: &Home, name: &str, columns: &[(&str, usize)]) -> diesel::QueryResult<()>
where
    C: LoadConnection<Backend: Dialect>,
{
    let present = column_names::<C>(conn, home, name)?;
    for (column, kind) in columns.iter().filter(|(column, _)| !present.iter().any(|present| present == column)) {
        let (table, ident) = (table::<C::Backend>(&home.schema, name), C::Backend::ident(column));
        let added = conn.batch_execute(&format!("ALTER TABLE {table} ADD COLUMN {ident} {}", C::Backend::TYPES[*kind]));
        // Another set has a lock of its own, and may have added it at the same moment.
        if added.is_err() && !column_names::<C>(conn, home, name)?.iter().any(|present| present == column) {
            return added;
        }
    }
    Ok(())
}
