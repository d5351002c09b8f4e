-- migrator: no-transaction
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "i" ON ONLY s.t (a);
DROP INDEX CONCURRENTLY i, j;
VACUUM (FULL, ANALYZE) t;
REINDEX (CONCURRENTLY, VERBOSE) TABLE t;
COPY t (a, b) FROM STDIN;
1	it's;
\.
SELECT pg_catalog.set_config('search_path', '', false);
