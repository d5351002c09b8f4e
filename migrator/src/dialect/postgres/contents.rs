//! What a schema of PostgreSQL holds, as its catalogue of dependencies tells.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::pg::Pg;

use crate::contents::{Contents, Object};
use crate::dialect::Dialect;

/// Everything that lies in a schema depends on it. What belongs to an extension, or to another object (the sequence of an identity
/// column), goes or stays with that.
const HELD: &str = "SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass AND \
                    d.refobjid = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = SCHEMA) AND d.deptype = 'n' AND d.classid <> \
                    'pg_catalog.pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.classid \
                    AND e.objid = d.objid AND e.objsubid = 0 AND e.deptype IN ('e', 'i'))";

pub(super) fn contents<C: LoadConnection<Backend = Pg>>(conn: &mut C, schema: &str) -> QueryResult<Contents> {
    let schema = Pg::literal(schema);
    let held = HELD.replace("SCHEMA", &schema);
    // What others look through, or call, first; then it does not matter.
    let rows = Pg::rows(
        conn,
        &format!(
            "SELECT i.type, i.identity FROM ({held}) AS held CROSS JOIN LATERAL pg_catalog.pg_identify_object(held.classid, \
             held.objid, 0) i ORDER BY array_position(ARRAY['view', 'materialized view', 'table', 'foreign table'], i.type), 1, 2"
        ),
    )?;
    let object = |kind: &str, name: &str| {
        let word = match kind {
            "statistics object" => "STATISTICS".to_owned(),
            kind => kind.to_uppercase(),
        };
        Object::new(kind, name, name.to_owned(), format!("DROP {word} IF EXISTS {name} CASCADE"))
    };
    let objects = rows.iter().map(|row| object(row.text(0), row.text(1))).collect();
    let outside = Pg::rows(conn, &outside(&held, &schema))?;
    let stays = Pg::rows(
        conn,
        &format!(
            "SELECT e.extname::text FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE \
             n.nspname = {schema} ORDER BY 1"
        ),
    )?;
    Ok(Contents {
        objects,
        outside: outside.iter().map(|row| row.text(0).to_owned()).collect(),
        stays: stays.iter().map(|row| row.text(0).to_owned()).collect(),
    })
}

/// What is in another schema, or in none, and would go along: a view, a foreign key, a column of a type that is dropped.
fn outside(held: &str, schema: &str) -> String {
    format!(
        "WITH RECURSIVE reached AS ({held} UNION SELECT d.classid, d.objid FROM reached r JOIN pg_catalog.pg_depend d ON d.refclassid = \
         r.classid AND d.refobjid = r.objid WHERE d.deptype <> 'e') SELECT DISTINCT pg_catalog.pg_describe_object(r.classid, r.objid, \
         0) FROM reached r LEFT JOIN pg_catalog.pg_constraint c ON r.classid = 'pg_catalog.pg_constraint'::regclass AND c.oid = r.objid \
         LEFT JOIN pg_catalog.pg_attrdef a ON r.classid = 'pg_catalog.pg_attrdef'::regclass AND a.oid = r.objid LEFT JOIN \
         pg_catalog.pg_trigger g ON r.classid = 'pg_catalog.pg_trigger'::regclass AND g.oid = r.objid LEFT JOIN pg_catalog.pg_rewrite w \
         ON r.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = r.objid LEFT JOIN pg_catalog.pg_policy p ON r.classid = \
         'pg_catalog.pg_policy'::regclass AND p.oid = r.objid LEFT JOIN pg_catalog.pg_class t ON t.oid = CASE r.classid WHEN \
         'pg_catalog.pg_class'::regclass THEN r.objid ELSE coalesce(a.adrelid, g.tgrelid, w.ev_class, p.polrelid) END LEFT JOIN \
         pg_catalog.pg_proc f ON r.classid = 'pg_catalog.pg_proc'::regclass AND f.oid = r.objid LEFT JOIN pg_catalog.pg_type y ON \
         r.classid = 'pg_catalog.pg_type'::regclass AND y.oid = r.objid LEFT JOIN pg_catalog.pg_namespace n ON n.oid = \
         coalesce(c.connamespace, t.relnamespace, f.pronamespace, y.typnamespace) WHERE n.nspname <> {schema} AND n.nspname NOT LIKE \
         'pg\\_%' OR r.classid = 'pg_catalog.pg_event_trigger'::regclass ORDER BY 1"
    )
}
