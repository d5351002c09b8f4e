//! The language in which a server says what failed: its words tell what kind of failure it is.

use diesel::connection::LoadConnection;
use diesel::pg::Pg;

use crate::dialect::Dialect;

/// Whether a server with this `lc_messages` says in English what failed.
pub(super) fn is_english(language: &str) -> bool {
    matches!(language, "" | "C" | "POSIX") || language.starts_with("en")
}

/// As [`is_english`], asked of the server about a column.
pub(super) fn is_english_sql(column: &str) -> String {
    format!("({column} IN ('', 'C', 'POSIX') OR {column} LIKE 'en%')")
}

/// Whether this role may have a server speak English that does not: what failed is told by its words.
pub(super) fn may_be_chosen<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> bool {
    // The first is there since PostgreSQL 15; before, a superuser may.
    let asked = ["has_parameter_privilege('lc_messages', 'SET')", "current_setting('is_superuser') = 'on'"];
    asked.into_iter().any(|may| {
        let rows = Pg::rows(conn, &format!("SELECT ({may})::text"));
        rows.is_ok_and(|rows| rows.first().is_some_and(|row| row.holds(0)))
    })
}
