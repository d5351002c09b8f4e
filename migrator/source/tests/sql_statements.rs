//! Where statements end, and what they are: one row per construct and dialect.

use migrator_source::sql::{Kind, Mode, Script, SqlDialect};

use Kind::{Alone, Commits, Plain, Session};
use SqlDialect::{Mysql, Postgres, Sqlite};

#[track_caller]
fn parse(dialect: SqlDialect, text: &str) -> Script<'_> {
    Script::parse(text, dialect, None).unwrap_or_else(|faults| panic!("{dialect}: {text}\n{faults:#?}"))
}

#[track_caller]
fn texts(dialect: SqlDialect, text: &str) -> Vec<String> {
    parse(dialect, text).statements().iter().map(|statement| statement.text.to_owned()).collect()
}

/// Each row is one statement with a `;` or a quote in it that must not end it, between two others.
#[track_caller]
fn whole(dialect: SqlDialect, rows: &[&str]) {
    assert!(!rows.is_empty());
    for row in rows {
        let expected = ["SELECT 'first'", row, "SELECT 'last'"];
        assert_eq!(texts(dialect, &expected.join(";\n")), expected, "{dialect}");
        assert_eq!(texts(dialect, &expected.join(";").to_lowercase()), expected.map(str::to_lowercase), "{dialect}");
        assert_eq!(texts(dialect, row), [*row], "{dialect}, without a last `;`");
    }
}

#[track_caller]
fn split(rows: &[(SqlDialect, &str, &[&str])]) {
    for (dialect, text, expected) in rows {
        assert_eq!(texts(*dialect, text), *expected, "{dialect}: {text}");
    }
}

#[track_caller]
fn kinds(dialect: SqlDialect, rows: &[(Kind, &str)]) {
    for (kind, text) in rows {
        let script = parse(dialect, text);
        let found: Vec<_> = script.statements().iter().map(|statement| statement.kind).collect();
        assert_eq!(found, [*kind], "{dialect}: {text}");
        let alone = matches!(kind, Kind::Alone | Kind::Commits);
        let mode = if alone { Mode::NoTransaction } else { Mode::Transaction };
        assert_eq!(script.mode(), mode, "{dialect}: {text}");
    }
}

#[test]
fn comments_and_separators_are_left_out() {
    split(&[
        (Sqlite, "", &[]),
        (Postgres, " \n\t;;\r\n;", &[]),
        (Postgres, "-- only; a comment", &[]),
        (Mysql, "# one\n-- two\n--\n/* three; */ --", &[]),
        (Mysql, "/*! */; /*!999999\\- enable the sandbox mode */", &[]),
        (Sqlite, "\u{feff}SELECT 1", &["SELECT 1"]),
        (Sqlite, "SELECT 1 /* runs to the end; ", &["SELECT 1"]),
        (Sqlite, "/* a /* not nested */ SELECT 1", &["SELECT 1"]),
        (Postgres, "/* a; /* b */ ' */ SELECT 1; -- c", &["SELECT 1"]),
        (Postgres, "SELECT 1 -- c;\n, 2 /* d; */ ; -- e", &["SELECT 1 -- c;\n, 2"]),
        (Postgres, "-- a lone carriage return ends it\rSELECT 1", &["SELECT 1"]),
        (Sqlite, "-- here it does not\rSELECT 1", &[]),
        (Postgres, "SELECT 1;\r\nSELECT\r\n2;\r\n", &["SELECT 1", "SELECT\r\n2"]),
        (Mysql, "SELECT 5--1; SELECT 2", &["SELECT 5--1", "SELECT 2"]),
        (Mysql, "SELECT 5-- 1; SELECT 2", &["SELECT 5"]),
        (Sqlite, "SELECT 5--1; SELECT 2", &["SELECT 5"]),
        (Postgres, "SELECT 1--> statement-breakpoint\n; SELECT 2", &["SELECT 1", "SELECT 2"]),
        (Mysql, "SELECT 1 /*M!100100 + 2; */; SELECT 3", &["SELECT 1 /*M!100100 + 2; */", "SELECT 3"]),
        (Postgres, "SELECT $t$;$T$;$t$; SELECT 2", &["SELECT $t$;$T$;$t$", "SELECT 2"]),
        (Postgres, "SELECT E'a' '\\'; SELECT 2", &["SELECT E'a' '\\'", "SELECT 2"]),
        (Postgres, "SELECT 1 # 2; SELECT 3", &["SELECT 1 # 2", "SELECT 3"]),
    ]);
}

#[test]
fn a_statement_knows_where_it_begins() {
    let script = parse(Postgres, "-- ä\nSELECT 1 ; \n SELECT 2");
    let starts: Vec<_> = script.statements().iter().map(|statement| statement.start).collect();
    assert_eq!(starts, [6, 19]);
    assert!(!script.is_empty());
    assert!(parse(Postgres, "-- nothing").is_empty());
}

#[test]
fn sqlite_quotes() {
    let rows = [
        "SELECT 'it''s;'",
        r#"SELECT "a"";""#,
        "SELECT `a``;`",
        "SELECT [a;'b]",
        r"SELECT 'no escape \'",
        "SELECT x'3b'",
    ];
    whole(Sqlite, &rows);
}

#[test]
fn sqlite_triggers() {
    whole(
        Sqlite,
        &[
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM l; END",
            "CREATE TEMP TRIGGER IF NOT EXISTS m.r AFTER UPDATE OF end, begin ON t FOR EACH ROW WHEN new.begin > 1 BEGIN \
             UPDATE t SET end = CASE WHEN new.a THEN CASE new.b WHEN 1 THEN 2 END ELSE 3 END; SELECT 1; END",
            "CREATE TEMPORARY TRIGGER begin DELETE ON t BEGIN -- END;\nSELECT RAISE(ABORT, '; END;') /* ; END */; END",
            "EXPLAIN QUERY PLAN CREATE TRIGGER r INSTEAD OF INSERT ON v BEGIN REPLACE INTO t VALUES (1); END",
            "CREATE TRIGGER r AFTER INSERT ON t WHEN begin > 1 BEGIN WITH x AS (SELECT 1) SELECT * FROM x; END",
            "CREATE TABLE trigger_log (begin INT, end INT)",
            "SELECT CASE WHEN 1 THEN 2 END",
        ],
    );
}

#[test]
fn postgres_quotes() {
    whole(
        Postgres,
        &[
            r"SELECT 'no escape \'",
            "SELECT 'it''s;'",
            r"SELECT E'a\';', e'\\'",
            "SELECT E'a'\n-- ;'\n 'b\\';'",
            "SELECT 'a'\n'b\\'",
            r"SELECT e.ne'x\' FROM e",
            r#"SELECT U&'d\0061;''', U&"a;""""#,
            "SELECT B'1', X'1F', N'n;', \"a\"\";\"",
            "SELECT $$a;b$$ || $t$ $$; $u$ ; $t$",
            "SELECT a$b$ FROM t WHERE c$d$ = $1",
            "EXECUTE q($1, $2)",
            "SELECT $1$$;$$",
            "SELECT $été$;$été$",
            "DO $do$ BEGIN EXECUTE $x$ SELECT 1; $x$; END $do$",
            "CREATE FUNCTION f() RETURNS trigger AS 'BEGIN NEW.a = ''x;''; RETURN NEW; END;' LANGUAGE plpgsql",
            "SELECT 1 +/* ; */ 2 - -1 <-> 3",
            "SELECT a[1:2], '{;}'::text[]",
        ],
    );
}

#[test]
fn postgres_bodies() {
    whole(
        Postgres,
        &[
            "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN CASE a WHEN 2 THEN 3 END ELSE 4 END; \
             SELECT 1 AS end; SELECT t.end FROM t; SELECT a end; SELECT a case; SELECT CASE WHEN a THEN atomic END; END",
            "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); END",
            "CREATE PROCEDURE p() BEGIN ATOMIC END",
            "CREATE FUNCTION begin(a int) RETURNS int RETURN CASE WHEN a > 1 THEN 1 END",
            "CREATE RULE r AS ON DELETE TO t DO ALSO (INSERT INTO l VALUES ((1)); UPDATE t SET a = (2);)",
            "CREATE OR REPLACE RULE r AS ON UPDATE TO t WHERE (old.a > 1) DO INSTEAD NOTHING",
        ],
    );
    // A parenthesis that was forgotten elsewhere must not swallow the next statement.
    split(&[(Postgres, "CREATE TABLE t (a int; DROP TABLE u", &["CREATE TABLE t (a int", "DROP TABLE u"])]);
}

#[test]
fn mysql_quotes() {
    whole(
        Mysql,
        &[
            r#"SELECT 'it\'s;', "a\";", 'b'';', "c"";", '\\'"#,
            "SELECT `a``;\\`",
            r"SELECT N'a\';', _utf8'b\';', X'3b', _utf8mb4 'c;'",
            "SELECT /*+ hint; */ 1 # it's;\n, 2 -- it's;\n, \\N",
            "SELECT @'a;', @`b;`, @end, @@session.sql_mode",
            "CREATE USER 'a;'@'local;host'",
            "SELECT 1 /* plain; */ /*! + 1; */ + 2",
        ],
    );
}

#[test]
fn mysql_programs() {
    whole(
        Mysql,
        &[
            "CREATE PROCEDURE p(n INT, OUT r INT) MODIFIES SQL DATA COMMENT 'it''s;' main: BEGIN DECLARE i INT DEFAULT 0; \
             DECLARE c CURSOR FOR SELECT a FROM t ORDER BY CASE WHEN a THEN a ELSE end END FOR UPDATE; \
             DECLARE CONTINUE HANDLER FOR NOT FOUND SET i = 1; \
             DECLARE EXIT HANDLER FOR SQLEXCEPTION, 1062 BEGIN ROLLBACK; RESIGNAL; END; \
             l: LOOP IF i THEN LEAVE l; ELSEIF i = 3 THEN ITERATE l; ELSE SET i = IF(i, 1, 2); END IF; END LOOP l; END main",
            "CREATE PROCEDURE p() BEGIN BEGIN END; BEGIN BEGIN SELECT 1; END; END; END",
            "CREATE PROCEDURE p() BEGIN CASE a WHEN 1 THEN SELECT CASE WHEN 1 THEN 2 END; ELSE BEGIN END; END CASE; SELECT 1; END",
            "CREATE PROCEDURE p() BEGIN WHILE a DO DO IF(1, 2, 3); END WHILE; REPEAT SET a = REPEAT('x;', 2); \
             UNTIL a >= CASE WHEN 1 THEN 2 END END REPEAT; SELECT 1; END",
            "CREATE PROCEDURE p() BEGIN SELECT end, begin, t.end INTO @end FROM t; UPDATE t SET end = 1 WHERE end = 2; END",
            "CREATE PROCEDURE p() BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND IF 1 THEN SELECT 1; END IF; SELECT 2; END",
            "CREATE PROCEDURE p() FOR i IN 1..3 DO INSERT INTO l VALUES (i); IF i THEN SELECT 1; END IF; END FOR",
            "CREATE PROCEDURE IF NOT EXISTS p(a INT) IF a THEN SELECT 1; ELSE IF b THEN SELECT 2; END IF; END IF",
            "CREATE PROCEDURE p() lbl: REPEAT SET @n = 1; UNTIL 1 END REPEAT lbl",
            "CREATE PROCEDURE p() WHILE @n < 3 DO SET @n = @n + 1; END WHILE",
            "CREATE PROCEDURE p() WHILE a DO DO IF(1, 2, 3); END WHILE",
            "CREATE PROCEDURE p() WHILE a DO SET b = CASE WHEN 1 THEN IF(1, 2, 3) ELSE REPEAT('a', 2) END; END WHILE",
            "CREATE PROCEDURE p() WHILE a DO SET b = CASE WHEN end > 1 THEN IF(1, 2, 3) END; END WHILE",
            "CREATE TRIGGER r BEFORE INSERT ON d.row FOR EACH ROW BEGIN SET NEW.a = 1; END",
            "CREATE PROCEDURE p() SET @x = IF(1, 2, 3), @y = 2 * IF(1, 2, 3)",
            "CREATE PROCEDURE p() SELECT IF(1, 2, 3), REPEAT('a', 2), CASE 1 WHEN 1 THEN 2 END",
            "CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN IF(a, CASE a WHEN 2 THEN 3 ELSE 4 END, 5)",
            "CREATE FUNCTION f() RETURNS CHAR(2) CHARACTER SET utf8 BEGIN RETURN ';'; END",
            "CREATE FUNCTION f() RETURNS SET('a;', 'b') NO SQL RETURN 'a;'",
            "CREATE FUNCTION f RETURNS STRING SONAME 'f.so'",
            "CREATE OR REPLACE DEFINER = 'a'@`b` AGGREGATE FUNCTION f(x INT) RETURNS INT BEGIN DECLARE CONTINUE HANDLER FOR \
             NOT FOUND RETURN 1; LOOP FETCH GROUP NEXT ROW; END LOOP; END",
            "CREATE DEFINER=admin@localhost PROCEDURE p() BEGIN SELECT 1; END",
            "CREATE DEFINER=CURRENT_USER() TRIGGER r BEFORE INSERT ON t FOR EACH ROW IF NEW.a THEN SET NEW.a = 1; \
             IF NEW.b THEN SET NEW.b = 1; END IF; END IF",
            "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW FOLLOWS `q` BEGIN SET NEW.a = 'y;'; END",
            "CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW INSERT INTO l VALUES (CASE WHEN NEW.a THEN 1 END, IF(1, 2, 3))",
            "CREATE TRIGGER r AFTER DELETE ON t FOR EACH ROW CASE OLD.a WHEN 1 THEN SET @a = 1; END CASE",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY COMMENT ';' DO BEGIN DELETE FROM l; DELETE FROM t; END",
            "CREATE EVENT e ON SCHEDULE AT NOW() + INTERVAL IF(1, 2, 3) DAY DO DELETE FROM l",
            "ALTER EVENT e DO IF 1 THEN DELETE FROM l; END IF",
            "ALTER DEFINER=root@localhost EVENT e COMMENT 'z' DO BEGIN DELETE FROM l; END",
            "BEGIN NOT ATOMIC SELECT 1; IF 1 THEN SELECT 2; END IF; END",
            "IF 1 THEN SELECT 1; END IF",
            "l: LOOP SELECT 1; LEAVE l; END LOOP",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`h`*/ /*!50003 TRIGGER r BEFORE UPDATE ON t FOR EACH ROW BEGIN \
             SET NEW.a = 1; SET NEW.s = '*/;'; END */",
            "ALTER TABLE t ADD end INT, ADD begin INT",
            "CREATE VIEW v AS SELECT IF(1, 2, 3), CASE WHEN 1 THEN 2 END, `case` FROM t",
        ],
    );
}

#[test]
fn mariadb_in_oracle_mode() {
    whole(
        Mysql,
        &[
            "CREATE PROCEDURE p(a INT) AS x INT := 1; y CHAR(2) := 'a;'; BEGIN x := IF(a, 2, 3); IF x THEN NULL; ELSIF y THEN \
             NULL; END IF; WHILE x > 10 LOOP x := 1; END LOOP; <<l>> LOOP EXIT l; END LOOP; EXCEPTION WHEN OTHERS THEN NULL; END",
            "CREATE FUNCTION f RETURN INT AS BEGIN RETURN 1; END",
            "CREATE PACKAGE k AS FUNCTION f RETURN INT; PROCEDURE q(a INT); END",
            "CREATE PACKAGE BODY k AS v INT := 1; PROCEDURE q(a INT) AS z INT; BEGIN IF a THEN z := 1; END IF; END; \
             FUNCTION f RETURN INT AS BEGIN RETURN v; END; BEGIN v := 10; END",
        ],
    );
}

#[test]
fn postgres_kinds() {
    kinds(
        Postgres,
        &[
            (Plain, "CREATE TABLE t (a int)"),
            (Plain, "CREATE INDEX \"concurrently\" ON t (a)"),
            (Plain, "CREATE INDEX /* CONCURRENTLY */ i ON t (a) -- CONCURRENTLY"),
            (Plain, "COMMENT ON TABLE t IS 'CREATE INDEX CONCURRENTLY'"),
            (Plain, "DO $$ BEGIN EXECUTE 'VACUUM'; END $$"),
            (Plain, "REFRESH MATERIALIZED VIEW CONCURRENTLY m"),
            (Plain, "ALTER TYPE mood ADD VALUE 'x'"),
            (Plain, "ALTER TABLE p DETACH PARTITION q FINALIZE"),
            (Plain, "REINDEX TABLE t"),
            (Plain, "REINDEX (VERBOSE, CONCURRENTLY false) TABLE t"),
            (Plain, "CLUSTER VERBOSE t USING i"),
            (Plain, "ALTER DATABASE d SET work_mem = '4MB'"),
            (Plain, "SAVEPOINT s"),
            (Plain, "RELEASE s"),
            (Plain, "ROLLBACK TO s"),
            (Plain, "ROLLBACK WORK TO SAVEPOINT s"),
            (Plain, "SELECT set_config"),
            (Session, "SET search_path = a"),
            (Session, "set local lock_timeout = '1s'"),
            (Session, "RESET ALL"),
            (Session, "PREPARE q AS SELECT 1"),
            (Session, "DEALLOCATE q"),
            (Session, "DISCARD PLANS"),
            (Session, "SELECT pg_catalog.set_config('search_path', '', false)"),
            (Alone, "CREATE INDEX CONCURRENTLY ON t (a)"),
            (Alone, "create unique /* x */ index concurrently i on t (a)"),
            (Alone, "DROP INDEX CONCURRENTLY IF EXISTS i"),
            (Alone, "REINDEX TABLE CONCURRENTLY t"),
            (Alone, "REINDEX (VERBOSE, CONCURRENTLY) TABLE t"),
            (Alone, "REINDEX SCHEMA s"),
            (Alone, "REINDEX (VERBOSE) DATABASE d"),
            (Alone, "REINDEX SYSTEM d"),
            (Alone, "ALTER TABLE IF EXISTS ONLY s.p DETACH PARTITION s.q CONCURRENTLY"),
            (Alone, "VACUUM (FULL, ANALYZE) t"),
            (Alone, "CREATE DATABASE d"),
            (Alone, "DROP DATABASE IF EXISTS d"),
            (Alone, "CREATE TABLESPACE s LOCATION '/s'"),
            (Alone, "DROP TABLESPACE s"),
            (Alone, "ALTER DATABASE d SET TABLESPACE s"),
            (Alone, "ALTER SYSTEM SET work_mem = '4MB'"),
            (Alone, "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p"),
            (Alone, "ALTER SUBSCRIPTION s REFRESH PUBLICATION"),
            (Plain, "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)"),
            (Alone, "DROP SUBSCRIPTION s"),
            (Alone, "CLUSTER"),
            (Alone, "CLUSTER (VERBOSE)"),
            (Alone, "DISCARD ALL"),
        ],
    );
}

#[test]
fn sqlite_kinds() {
    kinds(
        Sqlite,
        &[
            (Plain, "CREATE TABLE vacuum_log (a)"),
            (Plain, "ROLLBACK TRANSACTION TO SAVEPOINT s"),
            (Session, "PRAGMA foreign_keys = OFF"),
            (Session, "PRAGMA journal_mode"),
            (Session, "PRAGMA main.user_version = 3"),
            (Session, "ATTACH 'a.db' AS a"),
            (Alone, "PRAGMA journal_mode = WAL"),
            (Alone, "PRAGMA main.Journal_Mode(WAL)"),
            (Alone, "PRAGMA synchronous = OFF"),
            (Alone, "PRAGMA wal_checkpoint"),
            (Alone, "VACUUM INTO 'b.db'"),
            (Alone, "DETACH DATABASE a"),
        ],
    );
}

#[test]
fn mysql_kinds() {
    kinds(
        Mysql,
        &[
            (Plain, "INSERT INTO t VALUES (1)"),
            (Plain, "(SELECT 1) UNION (SELECT 2)"),
            (Plain, "WITH a AS (SELECT 1) DELETE FROM t"),
            (Plain, "LOAD DATA INFILE 'x' INTO TABLE t"),
            (Plain, "CREATE TEMPORARY TABLE t (a INT)"),
            (Plain, "DROP TEMPORARY TABLE IF EXISTS t"),
            (Plain, "SET STATEMENT max_statement_time = 1 FOR DELETE FROM t"),
            (Plain, "ROLLBACK TO SAVEPOINT s"),
            (Plain, "SELECT a FROM t WHERE b = @x"),
            (Session, "SET @x = (SELECT 1)"),
            (Session, "SET @autocommit = 1"),
            (Session, "SET GLOBAL a = 1"),
            (Session, "USE other"),
            (Session, "PREPARE s FROM @x"),
            (Session, "DEALLOCATE PREPARE s"),
            (Session, "DROP PREPARE s"),
            (Session, "SELECT a INTO @x FROM t"),
            (Session, "SELECT @x := 1"),
            (Session, "/*!40101 SET NAMES utf8 */"),
            (Commits, "SET PASSWORD FOR a = 'x'"),
            (Commits, "SET STATEMENT max_statement_time = 1 FOR ALTER TABLE t ADD b INT"),
            (Commits, "CREATE TABLE t (a INT)"),
            (Commits, "/*!40000 ALTER TABLE t DISABLE KEYS */"),
            (Commits, "DROP TABLE t"),
            (Commits, "TRUNCATE t"),
            (Commits, "GRANT ALL ON a.* TO b"),
            (Commits, "UNLOCK TABLES"),
            (Commits, "ANALYZE TABLE t"),
            (Commits, "EXECUTE s"),
            (Commits, "EXECUTE IMMEDIATE 'SELECT 1'"),
            (Commits, "CALL p()"),
            (Commits, "BEGIN NOT ATOMIC SELECT 1; END"),
            (Commits, "FLUSH TABLES"),
        ],
    );
}

#[test]
fn dialects_have_names() {
    for dialect in SqlDialect::ALL {
        assert_eq!(dialect.name().parse(), Ok(*dialect));
        assert_eq!(dialect.to_string(), dialect.name());
    }
    assert_eq!("PostgreSQL".parse(), Ok(Postgres));
    assert_eq!("mariadb".parse(), Ok(Mysql));
    let error = "oracle".parse::<SqlDialect>().expect_err("no such dialect");
    assert_eq!(
        error.to_string(),
        "unknown SQL dialect `oracle`: write sqlite, postgres (or postgresql), or mysql (or mariadb)"
    );
}

#[test]
fn the_risk_of_a_statement_is_told_by_its_words() {
    use migrator_source::sql::Risk;
    let cases = [
        (Sqlite, "CREATE TABLE a (b)", Risk::None),
        (Sqlite, "DROP TABLE a", Risk::Destroys),
        (Sqlite, "ALTER TABLE a DROP COLUMN b", Risk::Destroys),
        (Sqlite, "ALTER TABLE a ADD COLUMN b", Risk::None),
        (Sqlite, "DELETE FROM a", Risk::Destroys),
        (Sqlite, "DELETE FROM a WHERE b = 1", Risk::None),
        (Postgres, "UPDATE a SET b = 'WHERE'", Risk::Destroys),
        (Postgres, "UPDATE a SET b = 1 WHERE c", Risk::None),
        (Postgres, "TRUNCATE a", Risk::Destroys),
        (Postgres, "ALTER TABLE a ADD COLUMN b int", Risk::Locks),
        (Postgres, "ALTER TABLE a ALTER b DROP NOT NULL, DROP CONSTRAINT c", Risk::Locks),
        (Postgres, "ALTER TABLE a DROP CONSTRAINT c, DROP b", Risk::Destroys),
        (Postgres, "CREATE INDEX i ON a (b)", Risk::Locks),
        (Postgres, "CREATE INDEX CONCURRENTLY i ON a (b)", Risk::None),
        (Postgres, "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DROP TABLE a $$", Risk::None),
        (Mysql, "ALTER TABLE a DROP KEY k", Risk::Locks),
        (Mysql, "ALTER TABLE a DROP b", Risk::Destroys),
        (Mysql, "RENAME TABLE a TO b", Risk::Locks),
    ];
    for (dialect, sql, risk) in cases {
        assert_eq!(parse(dialect, sql).statements()[0].risk, risk, "{dialect}: {sql}");
    }
}
