//! What a database of MySQL or MariaDB holds, and the order in which it goes.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;

use crate::contents::{Contents, Object};
use crate::dialect::{Dialect, table};

/// Each commits by itself. So the history goes first, and the table that says whose it was last: what is left of a reset that was cut
/// off is no database that a run takes for an empty one, and the mark that lets another reset go on stands to the end.
const HELD: &str = "SELECT 1 AS place, CAST('event' AS CHAR CHARACTER SET utf8mb4) AS kind, CAST(EVENT_NAME AS CHAR CHARACTER SET \
                    utf8mb4) AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = SCHEMA_NAME UNION ALL SELECT CASE WHEN \
                    TABLE_NAME = '__migrator_history' THEN 0 WHEN TABLE_NAME = '__migrator_meta' THEN 9 WHEN TABLE_TYPE = 'VIEW' THEN 2 \
                    WHEN TABLE_TYPE = 'SEQUENCE' THEN 4 ELSE 3 END, CAST(CASE TABLE_TYPE WHEN 'VIEW' THEN 'view' WHEN 'SEQUENCE' THEN \
                    'sequence' ELSE 'table' END AS CHAR CHARACTER SET utf8mb4), CAST(TABLE_NAME AS CHAR CHARACTER SET utf8mb4) FROM \
                    information_schema.TABLES WHERE TABLE_SCHEMA = SCHEMA_NAME UNION ALL SELECT CASE ROUTINE_TYPE WHEN 'PACKAGE BODY' \
                    THEN 5 ELSE 6 END, CAST(LOWER(ROUTINE_TYPE) AS CHAR CHARACTER SET utf8mb4), CAST(ROUTINE_NAME AS CHAR CHARACTER SET \
                    utf8mb4) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = SCHEMA_NAME ORDER BY 1, 2, 3";

pub(super) fn contents<C: LoadConnection<Backend = Mysql>>(conn: &mut C, schema: &str) -> QueryResult<Contents> {
    let here = Mysql::literal(schema);
    let rows = Mysql::rows(conn, &format!("SELECT kind, name FROM ({}) AS held", HELD.replace("SCHEMA_NAME", &here)))?;
    let object = |kind: &str, name: &str| {
        let ident = table::<Mysql>(schema, name);
        // A key that another table has on this one is no reason to keep it: that one goes too.
        let keys = if kind == "table" { "SET FOREIGN_KEY_CHECKS = 0; " } else { "" };
        let sql = format!("{keys}DROP {} IF EXISTS {ident}", kind.to_uppercase());
        Object::new(kind, name, ident, sql)
    };
    let objects = rows.iter().map(|row| object(row.text(0), row.text(1))).collect();
    let outside = Mysql::rows(
        conn,
        &format!(
            "SELECT DISTINCT CAST(CONCAT('foreign key ', CONSTRAINT_NAME, ' of ', TABLE_SCHEMA, '.', TABLE_NAME) AS CHAR CHARACTER SET \
             utf8mb4) FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_SCHEMA = {here} AND TABLE_SCHEMA <> {here}"
        ),
    )?;
    let outside = outside.iter().map(|row| row.text(0).to_owned()).collect();
    Ok(Contents { objects, outside, stays: Vec::new() })
}
