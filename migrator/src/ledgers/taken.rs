//! Histories of other tools that are taken over at the first run, for once: their tables are read and left as they are.

use std::hash::{Hash, Hasher};

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use migrator_source::checksum::{digest_384, hex};
use migrator_source::layout::Layout;
use migrator_source::sql::SqlDialect;
use siphasher::sip::SipHasher13;

use super::kept::Columns;
use super::spellings;
use crate::dialect::{Cells, Dialect, Facts, refused, table};
use crate::error::Error;
use crate::migration::{Checksum, Migration, MigrationSet};
use crate::turns::{Ran, Row, Says};

const SQLX: &str = "_sqlx_migrations";
const REFINERY: &str = "refinery_schema_history";
/// Tables, and the columns by which they are known.
const TABLES: [(&str, [&str; 4]); 2] = [
    (SQLX, ["version", "success", "checksum", "installed_on"]),
    (REFINERY, ["version", "name", "checksum", "applied_on"]),
];

/// What another tool's table says.
pub(crate) struct Taken {
    pub(crate) table: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// Reads the table of sqlx or refinery where one of them migrated the database. Both have their migrations in flat files.
pub(crate) fn take_over<C>(conn: &mut C, facts: &Facts, set: &MigrationSet) -> Result<Option<Taken>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    if set.layout() != Layout::Flat {
        return Ok(None);
    }
    for (name, needed) in TABLES.into_iter().filter(|(name, _)| facts.has_table(name)) {
        let reading = |error| refused::<C::Backend>(&format!("read the table {name}"), error);
        let columns = Columns::of(conn, &facts.schema, name).map_err(reading)?;
        if !needed.iter().all(|column| columns.has(column)) {
            continue;
        }
        let read = if name == SQLX { sqlx(conn, &facts.schema, set) } else { refinery(conn, &facts.schema, set) };
        let rows = read.map_err(reading)?;
        if !rows.is_empty() {
            return Ok(Some(Taken { table: name, rows }));
        }
    }
    Ok(None)
}

/// sqlx records the SHA-384 of a file, and whether all of it took.
fn sqlx<C>(conn: &mut C, schema: &str, set: &MigrationSet) -> QueryResult<Vec<Row>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let checksum = match C::Backend::SQL {
        SqlDialect::Postgres => "encode(checksum, 'hex')",
        SqlDialect::Sqlite | SqlDialect::Mysql => "lower(hex(checksum))",
    };
    let at = match C::Backend::SQL {
        SqlDialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', installed_on)".to_owned(),
        // A TIMESTAMP of MySQL is shown in the session's zone.
        SqlDialect::Mysql => {
            "DATE_FORMAT(CONVERT_TZ(installed_on, @@session.time_zone, '+00:00'), '%Y-%m-%dT%H:%i:%s.000Z')".to_owned()
        }
        SqlDialect::Postgres => C::Backend::text("installed_on", true),
    };
    let [version, success] = ["version", "success"].map(number::<C::Backend>);
    let sql = format!("SELECT {version}, {success}, {checksum}, {at} FROM {}", table::<C::Backend>(schema, SQLX));
    let row = |row: &Cells| {
        let recorded = row.text(2);
        let is_text = |text: &[u8]| hex(&digest_384(text)) == recorded;
        Row {
            version: row.text(0).to_owned(),
            at: row.optional(3).map(str::to_owned),
            says: match row.holds(1) {
                true => Says::Applied(ran(set, row.text(0), recorded, |migration| {
                    spellings(migration.up()).any(|text| is_text(text.as_bytes()))
                })),
                false => Says::Failed("sqlx began it and did not record its end".to_owned()),
            },
        }
    };
    Ok(C::Backend::rows(conn, &sql)?.iter().map(row).collect())
}

/// refinery records a SipHash of name, version and text. It has a row only for what took.
fn refinery<C>(conn: &mut C, schema: &str, set: &MigrationSet) -> QueryResult<Vec<Row>>
where
    C: LoadConnection<Backend: Dialect>,
{
    let (version, text) = (number::<C::Backend>("version"), |column: &str| C::Backend::text(column, false));
    let (name, checksum, at) = (text("name"), text("checksum"), text("applied_on"));
    let from = table::<C::Backend>(schema, REFINERY);
    let sql = format!("SELECT {version}, {name}, {checksum}, {at} FROM {from}");
    let row = |row: &Cells| {
        let (version, name, recorded) = (row.text(0), row.text(1), row.text(2));
        let is_text = |text: &str| siphash(name, version, text).iter().any(|sum| sum == recorded);
        let ran = ran(set, version, recorded, |migration| spellings(migration.up()).any(|text| is_text(&text)));
        Row { version: version.to_owned(), at: row.optional(3).map(str::to_owned), says: Says::Applied(ran) }
    };
    Ok(C::Backend::rows(conn, &sql)?.iter().map(row).collect())
}

/// A number as text; SQLite shows only what it is told to.
pub(super) fn number<D: Dialect>(column: &str) -> String {
    match D::SQL {
        SqlDialect::Sqlite => format!("CAST({column} AS TEXT)"),
        SqlDialect::Postgres | SqlDialect::Mysql => D::text(column, false),
    }
}

/// Which text ran, where `is_text` compares the set's with the tool's checksum.
fn ran(set: &MigrationSet, version: &str, recorded: &str, is_text: impl Fn(&Migration<'_>) -> bool) -> Ran {
    match set.of_version(version) {
        Some(migration) if is_text(&migration) => Ran::OfTheSet,
        // Of a text that nobody has, in place of our own checksum: a digest that is no text's.
        _ => Ran::Other(Checksum::of(&format!("{version} {recorded}"))),
    }
}

/// refinery's checksum of a migration, with versions of 32 bits, and of 64 bits for those who chose them.
fn siphash(name: &str, version: &str, text: &str) -> [String; 2] {
    let sum = |write: &dyn Fn(&mut SipHasher13)| {
        let mut hasher = SipHasher13::new();
        name.hash(&mut hasher);
        write(&mut hasher);
        text.hash(&mut hasher);
        hasher.finish().to_string()
    };
    [
        sum(&|hasher| version.parse().unwrap_or(0_i32).hash(hasher)),
        sum(&|hasher| version.parse().unwrap_or(0_i64).hash(hasher)),
    ]
}
