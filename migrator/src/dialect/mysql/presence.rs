//! Whether what a statement makes or removes is there: asked before it, with its intent, and again after a server that stopped.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;
use migrator_source::checksum::{digest, hex};
use migrator_source::sql::{Change, Part, changes};

use crate::dialect::presence::{ABSENT, PRESENT};
use crate::dialect::{Dialect, Outcome};

/// An expression for what the catalogue says, with the statement that it is about, the current database, and who asks: what one has no
/// privilege on is not there. NULL where that says nothing sure.
///
/// Not before MariaDB 10.6, which carries a statement out whole or not at all, and not on MySQL, where nobody tried it. Not in a
/// session that made a temporary table, which the statement may mean. Not of a part of a table that is gone or that somebody
/// holds: read last, the columns tell that.
pub(super) fn asked(statement: &str) -> Option<String> {
    let changes = changes(statement)?;
    let states: Vec<String> = changes.iter().map(state).collect();
    let states = if states.is_empty() { "'again'".to_owned() } else { states.join(", ', ', ") };
    let about = hex(&digest(statement.as_bytes())[..8]);
    let asked = format!(
        "CASE WHEN '0' = (SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = \
         'COM_CREATE_TEMPORARY_TABLE') THEN CONCAT('{about} ', {states}, ' in ', DATABASE(), ' as ', CURRENT_USER(), ' ', \
         COALESCE(CURRENT_ROLE(), '')) END"
    );
    // A name that would end the comment.
    (!asked.contains("*/")).then(|| format!("COALESCE(NULL /*M!100600 , {asked} */)"))
}

/// What the catalogue says of one name, as an expression.
fn state(change: &Change) -> String {
    let table = Mysql::literal(&change.table);
    let schema = change.schema.as_deref().map_or_else(|| "DATABASE()".to_owned(), Mysql::literal);
    // Parts of tables have the catalogue's collation, which takes capitals for small letters.
    let of_table = format!(
        "TABLE_SCHEMA = {schema} AND TABLE_NAME = {table} AND (@@lower_case_table_names > 0 OR BINARY TABLE_NAME = BINARY {table})"
    );
    let Some((part, name)) = &change.part else {
        return format!(
            "CASE WHEN EXISTS (SELECT 1 FROM information_schema.TABLES WHERE {of_table} AND TABLE_TYPE <> 'TEMPORARY') THEN \
             '{PRESENT}' ELSE '{ABSENT}' END"
        );
    };
    let (from, is_it) = match part {
        Part::Column => ("COLUMNS", "COLUMN_NAME"),
        Part::Index => ("STATISTICS", "INDEX_NAME"),
        Part::ForeignKey => ("TABLE_CONSTRAINTS", "CONSTRAINT_TYPE = 'FOREIGN KEY' AND CONSTRAINT_NAME"),
    };
    format!(
        "CASE WHEN EXISTS (SELECT 1 FROM information_schema.{from} WHERE {of_table} AND {is_it} = {}) THEN '{PRESENT}' WHEN EXISTS \
         (SELECT 1 FROM information_schema.COLUMNS WHERE {of_table}) THEN '{ABSENT}' END",
        Mysql::literal(name)
    )
}

/// Whether a statement took, by what the catalogue said before it and says now.
pub(super) fn outcome<C>(conn: &mut C, statement: &str, before: Option<&str>) -> QueryResult<Outcome>
where
    C: LoadConnection<Backend = Mysql>,
{
    let (Some(before), Some(asked)) = (before, asked(statement)) else { return Ok(Outcome::Unknown) };
    let rows = Mysql::rows(conn, &format!("SELECT CAST({asked} AS CHAR CHARACTER SET utf8mb4)"))?;
    let now = rows.first().and_then(|row| row.optional(0));
    Ok(now.map_or(Outcome::Unknown, |now| decided(&changes(statement).unwrap_or_default(), before, now)))
}

/// All as before: it did not take, or it can be done twice. All as the statement makes it, and nothing of that before: it took. In any
/// other case, somebody else was at it.
fn decided(changes: &[Change], before: &str, now: &str) -> Outcome {
    if before == now {
        return Outcome::DidNot;
    }
    let ((about, was, place), (about_now, is, place_now)) = match (read(before), read(now)) {
        (Some(before), Some(now)) => (before, now),
        _ => return Outcome::Unknown,
    };
    let is_same_question =
        about == about_now && place == place_now && was.len() == changes.len() && is.len() == changes.len();
    let took = changes.iter().zip(was.iter().zip(&is)).all(|(change, (was, is))| {
        let (from, to) = if change.is_made { (ABSENT, PRESENT) } else { (PRESENT, ABSENT) };
        *was == from && *is == to
    });
    if is_same_question && took { Outcome::Took } else { Outcome::Unknown }
}

/// The statement, what was there, and the current database.
fn read(told: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (about, told) = told.split_once(' ')?;
    let (states, place) = told.split_once(" in ")?;
    Some((about, states.split(", ").collect(), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_as_the_statement_changes_it_took() {
        let (create, drop, rename, modify) =
            ("CREATE TABLE t (a INT)", "DROP TABLE t", "RENAME TABLE t TO u", "ALTER TABLE t MODIFY a BIGINT");
        let cases = [
            (create, "x absent in d", "x present in d", Outcome::Took),
            (create, "x absent in d", "x absent in d", Outcome::DidNot),
            (create, "x present in d", "x present in d", Outcome::DidNot),
            (create, "x present in d", "x absent in d", Outcome::Unknown),
            (create, "x absent in d", "y present in d", Outcome::Unknown),
            (create, "x absent in d", "x present in e", Outcome::Unknown),
            (create, "x absent in a in b", "x present in a in b", Outcome::Took),
            (create, "written by a newer version", "x present in d", Outcome::Unknown),
            (drop, "x present in d", "x absent in d", Outcome::Took),
            (drop, "x absent in d", "x present in d", Outcome::Unknown),
            (rename, "x present, absent in d", "x absent, present in d", Outcome::Took),
            (rename, "x present, absent in d", "x present, present in d", Outcome::Unknown),
            (rename, "x present, present in d", "x absent, present in d", Outcome::Unknown),
            (rename, "x present in d", "x absent in d", Outcome::Unknown),
            (modify, "x again in d", "x again in d", Outcome::DidNot),
            (modify, "x again in d", "x again in e", Outcome::Unknown),
        ];
        for (statement, before, now, expected) in cases {
            let changes = changes(statement).expect("it is known");
            assert_eq!(decided(&changes, before, now), expected, "{statement}: {before} → {now}");
        }
    }

    #[test]
    fn a_name_that_ends_a_comment_is_not_asked_for() {
        assert!(asked("DROP TABLE t").is_some());
        assert_eq!(asked("DROP TABLE `*/`"), None);
    }
}
