//! What a statement that makes or removes indexes left: an index that is there, gone, or INVALID.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::pg::Pg;
use migrator_source::checksum::{digest, hex};
use migrator_source::sql::{Effect, Reindexed, effect};

use crate::dialect::presence::{ABSENT, PRESENT};
use crate::dialect::{Dialect, Outcome};

/// An expression for whether an index is there and usable before it is made or removed, with the statement that it is about.
pub(super) fn asked(statement: &str) -> Option<String> {
    let is_there = match effect(statement) {
        Effect::CreatesIndex { name, table } => format!("EXISTS ({} AND i.indisvalid)", index(name, table)),
        Effect::DropsIndex { name } => format!("to_regclass({}) IS NOT NULL", Pg::literal(name)),
        _ => return None,
    };
    let about = about(statement);
    Some(format!("CASE WHEN {is_there} THEN '{about} {PRESENT}' ELSE '{about} {ABSENT}' END"))
}

/// A `CREATE INDEX CONCURRENTLY` that failed or was killed leaves an INVALID index behind, which `IF NOT EXISTS` would keep. A
/// `REINDEX CONCURRENTLY` leaves the index that it was making, or the one that it had replaced.
pub(super) fn outcome<C>(conn: &mut C, statement: &str, before: Option<&str>) -> QueryResult<Outcome>
where
    C: LoadConnection<Backend = Pg>,
{
    match effect(statement) {
        Effect::Unknown => Ok(Outcome::Unknown),
        Effect::Repeatable => Ok(Outcome::DidNot),
        Effect::DropsIndex { name } => {
            let rows = Pg::rows(conn, &format!("SELECT (to_regclass({}) IS NULL)::text", Pg::literal(name)))?;
            let gone = rows.first().is_some_and(|row| row.holds(0));
            Ok(if gone { since(statement, before, PRESENT) } else { Outcome::DidNot })
        }
        Effect::CreatesIndex { name, table } => Ok(match Pg::rows(conn, &index(name, table))?.first() {
            None => Outcome::DidNot,
            Some(row) if row.holds(0) => since(statement, before, ABSENT),
            Some(row) => Outcome::Broken(vec![format!("DROP INDEX CONCURRENTLY {}", row.text(1))]),
        }),
        Effect::Reindexes { what, name } => {
            let rows = Pg::rows(conn, &left(what, name))?;
            let remove = |name: &str| format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
            let remove: Vec<String> = rows.iter().map(|row| remove(row.text(0))).collect();
            Ok(if remove.is_empty() { Outcome::DidNot } else { Outcome::Broken(remove) })
        }
    }
}

/// What a statement did whose effect is there: it took, unless it was so before, when doing it again says what is wrong. Where
/// nobody asked before, or of another text of it, nobody knows.
fn since(statement: &str, before: Option<&str>, expected: &str) -> Outcome {
    match before.map(|before| before.split_once(' ')) {
        None => Outcome::Unknown,
        Some(Some((about_it, state))) if about_it == about(statement) => {
            if state == expected {
                Outcome::Took
            } else {
                Outcome::DidNot
            }
        }
        Some(_) => Outcome::Unknown,
    }
}

fn about(statement: &str) -> String {
    hex(&digest(statement.as_bytes())[..8])
}

/// A query for an index of a table: whether it is valid, and its name.
fn index(name: &str, table: &str) -> String {
    format!(
        "SELECT i.indisvalid::text, format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON \
         c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = to_regclass({}) AND \
         c.relname = (parse_ident({}))[1]",
        Pg::literal(table),
        Pg::literal(name)
    )
}

/// A query for the names of what a `REINDEX CONCURRENTLY` left: indexes that are INVALID, beside the one after which they are
/// named, and that nobody makes right now. Of a long name PostgreSQL leaves the end out.
fn left(what: Reindexed, name: &str) -> String {
    let regclass = format!("to_regclass({})", Pg::literal(name));
    let which = match what {
        Reindexed::Index => {
            let inside = format!("SELECT relid FROM pg_catalog.pg_partition_tree({regclass})");
            format!("(o.indexrelid = {regclass} OR o.indexrelid IN ({inside}))")
        }
        Reindexed::Table => {
            let inside = format!("SELECT relid FROM pg_catalog.pg_partition_tree({regclass})");
            format!("(i.indrelid = {regclass} OR i.indrelid IN ({inside}))")
        }
        Reindexed::Schema => format!("n.nspname = (parse_ident({}))[1]", Pg::literal(name)),
        Reindexed::Database => "n.nspname !~ '^pg_'".to_owned(),
    };
    format!(
        "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = \
         i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_index o ON o.indrelid = i.indrelid \
         AND o.indexrelid <> i.indexrelid JOIN pg_catalog.pg_class b ON b.oid = o.indexrelid CROSS JOIN LATERAL \
         regexp_replace(c.relname, '_cc(new|old)[0-9]*$', '') AS stem WHERE NOT i.indisvalid AND stem <> c.relname AND (stem = b.relname \
         OR octet_length(c.relname) >= 60 AND starts_with(b.relname, stem)) AND NOT EXISTS (SELECT FROM \
         pg_catalog.pg_stat_progress_create_index p WHERE p.relid = i.indrelid) AND {which} ORDER BY 1"
    )
}
