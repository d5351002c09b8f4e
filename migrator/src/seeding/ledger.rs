//! The ledger: one row for each seed, written with the seed's own rows.

use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::LoadConnection;

use super::plan::Recorded;
pub(crate) use super::plan::Row;
use crate::dialect::{Cells, Dialect, LockKey, refused, table};
use crate::error::Error;
use crate::history::{self, Home, LEDGER, META, NUMBER, TEXT, TIME, WORD};
use crate::migration::Checksum;

const COLUMNS: [(&str, usize); 15] = [
    ("set_name", WORD),
    ("name", WORD),
    // Whose ledger it is, as in the meta row: an unqualified name may find another tenant's.
    ("schema", WORD),
    ("version", WORD),
    ("hash", WORD),
    ("outcome", WORD),
    ("attempts", NUMBER),
    ("next_at", TIME),
    ("error", TEXT),
    ("rows_touched", NUMBER),
    ("duration_ms", NUMBER),
    ("run_id", WORD),
    ("applied_at", TIME),
    ("tool", WORD),
    ("updated_at", TIME),
];

/// What one query tells at an unchanged start.
pub(crate) struct Glance {
    pub(crate) fingerprint: Option<Checksum>,
    pub(crate) environment: Option<String>,
    pub(crate) rows: Vec<Row>,
}

/// The columns of a [`Row`], as expressions that give text.
fn columns<D: Dialect>() -> [String; 10] {
    let text = |column| D::text(column, false);
    [
        text("name"),
        text("version"),
        text("hash"),
        text("outcome"),
        text("attempts"),
        D::until("next_at"),
        text("error"),
        text("rows_touched"),
        D::text("applied_at", true),
        text("run_id"),
    ]
}

fn row(cells: &Cells, first: usize) -> Option<Row> {
    Some(Row {
        name: cells.optional(first)?.to_owned(),
        version: cells.text(first + 1).to_owned(),
        hash: cells.text(first + 2).to_owned(),
        outcome: Recorded::from_name(cells.text(first + 3)),
        attempts: cells.number(first + 4).unwrap_or(0),
        wait: cells
            .number(first + 5)
            .and_then(|wait: i64| u64::try_from(wait).ok())
            .map_or(Duration::ZERO, Duration::from_millis),
        error: cells.optional(first + 6).map(str::to_owned),
        rows: cells.number(first + 7),
        applied_at: cells.optional(first + 8).map(str::to_owned),
        run_id: cells.text(first + 9).to_owned(),
    })
}

/// Reads meta row and ledger in one query. `None` when there is no meta row.
pub(crate) fn glance<C>(conn: &mut C, schema: Option<&str>, set_name: &str) -> QueryResult<Option<Glance>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let ident = C::Backend::ident;
    let from = |name| schema.map_or_else(|| ident(name), |schema| table::<C::Backend>(schema, name));
    let here = schema.map_or_else(|| C::Backend::here().to_owned(), C::Backend::literal);
    let (set, name) = (ident("set_name"), C::Backend::literal(set_name));
    // Each table is read by itself, so that a column that a newer version adds to both is not ambiguous.
    let seen: Vec<String> =
        columns::<C::Backend>().into_iter().enumerate().map(|(at, column)| format!("{column} AS s{at}")).collect();
    let told: Vec<String> = (0..seen.len()).map(|at| format!("s{at}")).collect();
    let sql = format!(
        "SELECT m0, m1, m2, {here}, {} FROM (SELECT {} AS m0, {} AS m1, {} AS m2 FROM {} WHERE {set} = {name}) meta LEFT JOIN \
         (SELECT {}, {} AS place FROM {} WHERE {set} = {name}) ledger ON place = m2",
        told.join(", "),
        C::Backend::text("fingerprint", false),
        C::Backend::text("environment", false),
        C::Backend::text("schema", false),
        from(META),
        seen.join(", "),
        C::Backend::text("schema", false),
        from(LEDGER),
    );
    let rows = C::Backend::rows(conn, &sql)?;
    let Some(first) = rows.first().filter(|row| row.optional(2).is_some() && row.optional(2) == row.optional(3)) else {
        return Ok(None);
    };
    Ok(Some(Glance {
        fingerprint: first.optional(0).and_then(Checksum::from_hex),
        environment: first.optional(1).map(str::to_owned),
        rows: rows.iter().filter_map(|cells| row(cells, 4)).collect(),
    }))
}

/// Reads the whole ledger of a set, or the row of one seed.
pub(crate) fn load<C>(conn: &mut C, home: &Home, name: Option<&str>) -> Result<Vec<Row>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let (ident, literal) = (C::Backend::ident, C::Backend::literal);
    let one = name.map_or_else(String::new, |name| format!(" AND {} = {}", ident("name"), literal(name)));
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = {}{one}",
        columns::<C::Backend>().join(", "),
        table::<C::Backend>(&home.schema, LEDGER),
        ident("set_name"),
        literal(&home.set_name),
    );
    let rows =
        C::Backend::rows(conn, &sql).map_err(|error| refused::<C::Backend>("read the ledger of seeds", error))?;
    Ok(rows.iter().filter_map(|cells| row(cells, 0)).collect())
}

/// Makes the ledger. Call it under the migration lock.
pub(crate) fn prepare<C>(conn: &mut C, home: &Home) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let sql = history::create::<C::Backend>(home, LEDGER, &COLUMNS, "set_name, name");
    conn.batch_execute(&sql).map_err(|error| {
        refused::<C::Backend>("make the ledger of seeds", error)
            .with_remedy("the role needs the right to create tables in the schema once; or let the owner run the seeds")
    })
}

/// What is written of an attempt.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) hash: &'a str,
    pub(super) outcome: Recorded,
    pub(super) attempts: u32,
    /// Until the next try.
    pub(super) wait: Option<Duration>,
    pub(super) error: Option<&'a str>,
    pub(super) rows: Option<u64>,
    pub(super) duration: Duration,
    pub(super) run_id: &'a str,
}

/// The SQL that writes a row. It fails when this connection does not hold the lock.
///
/// What a failed attempt leaves is when the seed was last applied, and how many rows it touched then.
pub(super) fn sql<D: Dialect>(home: &Home, key: &LockKey, entry: &Entry<'_>) -> String {
    let null = || "NULL".to_owned();
    let number = |number: Option<u64>| number.map_or_else(null, |number| number.to_string());
    let took = matches!(entry.outcome, Recorded::Applied | Recorded::Unchanged);
    let [now, _] = D::NOW_AND_USER;
    let values: [(&str, String); COLUMNS.len()] = [
        ("set_name", D::literal(&home.set_name)),
        ("name", format!("CASE WHEN {} THEN {} END", D::owned(key), D::literal(entry.name))),
        ("schema", D::literal(&home.schema)),
        ("version", D::literal(entry.version)),
        ("hash", D::literal(entry.hash)),
        ("outcome", D::literal(entry.outcome.name())),
        ("attempts", entry.attempts.to_string()),
        ("next_at", entry.wait.map_or_else(null, D::after)),
        ("error", entry.error.map_or_else(null, D::literal)),
        ("rows_touched", number(entry.rows)),
        ("duration_ms", number(u64::try_from(entry.duration.as_millis()).ok())),
        ("run_id", D::literal(entry.run_id)),
        ("applied_at", if took { now.to_owned() } else { null() }),
        ("tool", D::literal(concat!("migrator ", env!("CARGO_PKG_VERSION")))),
        ("updated_at", now.to_owned()),
    ];
    let names: Vec<String> = values.iter().map(|(name, _)| D::ident(name)).collect();
    let kept = |name: &str| !took && matches!(name, "applied_at" | "rows_touched");
    let changed: Vec<&str> = values.iter().map(|(name, _)| *name).skip(2).filter(|name| !kept(name)).collect();
    let expressions: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
    format!(
        "INSERT INTO {} ({}) VALUES ({}){};",
        table::<D>(&home.schema, LEDGER),
        names.join(", "),
        expressions.join(", "),
        D::upsert(&["set_name", "name"], &changed)
    )
}
