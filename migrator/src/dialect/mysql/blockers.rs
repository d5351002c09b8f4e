//! Connections that are in a transaction, or in a statement, when a statement waited for a lock in vain.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;

use crate::dialect::blockers::{NAMED, told};
use crate::dialect::{Cells, Dialect};

/// Who holds the lock on a table's definition the server does not tell: a transaction holds those of the tables it read, and a
/// `SELECT` by itself is no transaction of InnoDB. Without the privilege PROCESS nobody is seen.
pub(super) fn blockers<C>(conn: &mut C) -> QueryResult<Vec<String>>
where
    C: LoadConnection<Backend = Mysql>,
{
    let sql = format!(
        "SELECT CAST(p.ID AS CHAR), CAST(CASE WHEN t.trx_id IS NULL THEN 'in a statement' WHEN p.COMMAND = 'Sleep' THEN 'idle in a \
         transaction' ELSE 'in a transaction' END AS CHAR CHARACTER SET utf8mb4), CAST(COALESCE(TIMESTAMPDIFF(SECOND, t.trx_started, \
         NOW()), p.TIME) AS CHAR) FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t ON \
         t.trx_mysql_thread_id = p.ID WHERE p.ID <> CONNECTION_ID() AND (t.trx_id IS NOT NULL OR p.COMMAND = 'Query' AND p.DB = \
         DATABASE()) ORDER BY p.DB <=> DATABASE() DESC, COALESCE(t.trx_started, NOW() - INTERVAL p.TIME SECOND), p.ID LIMIT {NAMED}"
    );
    let told = |row: &Cells| {
        let id = row.text(0);
        told(&format!("connection {id}"), &[row.text(1)], row.number(2), &format!("KILL {id}"))
    };
    Ok(Mysql::rows(conn, &sql)?.iter().map(told).collect())
}
