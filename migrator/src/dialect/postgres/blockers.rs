//! Sessions that hold locks on tables, when a statement waited for one in vain.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::pg::Pg;

use crate::dialect::blockers::{NAMED, told};
use crate::dialect::{Cells, Dialect};

/// Those first that hold a table which the statement names, then those whose transaction is the oldest. Of sessions of other roles a
/// role sees little, and never what they execute here.
pub(super) fn blockers<C>(conn: &mut C, statement: &str) -> QueryResult<Vec<String>>
where
    C: LoadConnection<Backend = Pg>,
{
    let sql = format!(
        "SELECT a.pid::text, coalesce(a.application_name, ''), coalesce(a.state, a.backend_type, ''), floor(extract(epoch FROM \
         clock_timestamp() - a.xact_start))::bigint::text, 'holds ' || string_agg(DISTINCT c.relname::text, ' and ' ORDER BY \
         c.relname::text) FILTER (WHERE named.named) FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid JOIN \
         pg_catalog.pg_class c ON c.oid = l.relation CROSS JOIN LATERAL (SELECT strpos(lower({}), lower(c.relname)) > 0 AS named) AS \
         named WHERE l.granted AND l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = \
         current_database()) AND c.relkind IN ('r', 'p', 'm') AND l.relation >= 16384 AND l.pid <> pg_catalog.pg_backend_pid() GROUP BY 1, 2, 3, a.xact_start ORDER BY \
         bool_or(named.named) DESC, a.xact_start NULLS LAST LIMIT {NAMED}",
        Pg::literal(statement)
    );
    let told = |row: &Cells| {
        let pid = row.text(0);
        let words = [row.text(1), row.text(4), row.text(2)];
        told(&format!("session {pid}"), &words, row.number(3), &format!("SELECT pg_terminate_backend({pid})"))
    };
    Ok(Pg::rows(conn, &sql)?.iter().map(told).collect())
}
