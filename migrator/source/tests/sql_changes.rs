//! What a statement of MySQL changes in the catalogue.

use migrator_source::sql::{Change, changes};

/// As `+t`, `-t.column c`, or `?` when nobody knows and `again` when it can be done twice.
fn words(statement: &str) -> String {
    let word = |change: Change| {
        let sign = if change.is_made { '+' } else { '-' };
        let schema = change.schema.map(|schema| format!("{schema}/")).unwrap_or_default();
        let part = change.part.map(|(part, name)| format!(" {part:?} {name}")).unwrap_or_default();
        format!("{sign}{schema}{}{part}", change.table)
    };
    match changes(statement) {
        None => "?".to_owned(),
        Some(changes) if changes.is_empty() => "again".to_owned(),
        Some(changes) => changes.into_iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

#[test]
fn tables_and_views() {
    let cases = [
        ("CREATE TABLE t (a INT)", "+t"),
        ("create table if not exists `d`.`a``b` (`select` INT) ENGINE = InnoDB", "+d/a`b"),
        ("CREATE TABLE d.t (a INT, b INT AS (a + 1), CHECK (a IN (1, 2))) WITH SYSTEM VERSIONING", "+d/t"),
        ("CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (9))", "+t"),
        ("CREATE TABLE /* of */ t -- all\n LIKE u", "+t"),
        ("CREATE TABLE t AS SELECT 1", "?"),
        ("CREATE TABLE t (a INT) SELECT 1 AS a", "?"),
        ("CREATE TABLE t (SELECT 1)", "?"),
        ("CREATE TABLE t ((SELECT 1))", "?"),
        ("CREATE TABLE t (LIKE u)", "?"),
        ("CREATE TABLE t (a INT) VALUES (1)", "?"),
        ("CREATE TABLE t (a INT) (SELECT 1 AS a)", "?"),
        ("CREATE TABLE t (a INT DEFAULT (1)) COMMENT = 'of (SELECT'", "+t"),
        ("CREATE OR REPLACE TABLE t (a INT)", "?"),
        ("CREATE TEMPORARY TABLE t (a INT)", "?"),
        ("CREATE TABLE t (a INT) /*!50100 PARTITION BY HASH (a) */", "?"),
        ("CREATE TABLE \"t\" (a INT)", "?"),
        ("DROP TABLE t", "-t"),
        ("DROP TABLE IF EXISTS `T x` CASCADE", "-T x"),
        ("DROP TABLE t, u", "?"),
        ("DROP TEMPORARY TABLE t", "?"),
        ("RENAME TABLE t TO u", "-t, +u"),
        ("RENAME TABLE d.t WAIT 5 TO e.u", "-d/t, +e/u"),
        ("RENAME TABLE t TO u, u TO v", "?"),
        ("RENAME USER a TO b", "?"),
        ("ALTER TABLE t RENAME TO u", "-t, +u"),
        ("ALTER TABLE t RENAME u", "-t, +u"),
        ("ALTER TABLE d.t RENAME u", "?"),
        ("CREATE VIEW v AS SELECT 1", "+v"),
        ("CREATE OR REPLACE SQL SECURITY INVOKER VIEW v AS SELECT 1", "again"),
        ("CREATE OR REPLACE PROCEDURE view() BEGIN END", "?"),
        ("CREATE OR REPLACE DATABASE view", "?"),
        ("CREATE OR REPLACE DEFINER = CURRENT_USER EVENT view ON SCHEDULE EVERY 1 DAY DO SELECT 1", "?"),
        ("DROP VIEW v", "-v"),
        ("TRUNCATE TABLE t", "?"),
        ("OPTIMIZE LOCAL TABLE t", "again"),
        ("CREATE DATABASE d", "?"),
        ("", "?"),
    ];
    for (statement, expected) in cases {
        assert_eq!(words(statement), expected, "{statement}");
    }
}

#[test]
fn columns() {
    let cases = [
        ("ALTER TABLE t ADD COLUMN a INT", "+t Column a"),
        ("ALTER TABLE t ADD a DECIMAL(10, 2) NOT NULL DEFAULT 0 AFTER b", "+t Column a"),
        ("ALTER TABLE d.t ADD COLUMN IF NOT EXISTS `key` ENUM('a,b', 'c')", "+d/t Column key"),
        ("ALTER TABLE t ADD `index` INT", "+t Column index"),
        ("ALTER TABLE t ADD COLUMN a INT, ALGORITHM = INSTANT, LOCK NONE", "+t Column a"),
        ("ALTER TABLE t ALGORITHM=INPLACE, ADD COLUMN a INT", "+t Column a"),
        ("ALTER ONLINE TABLE IF EXISTS t WAIT 3 ADD COLUMN a INT", "+t Column a"),
        ("ALTER TABLE t ADD COLUMN a INT, ADD COLUMN b INT", "+t Column a, +t Column b"),
        ("ALTER TABLE t ADD a INT, ADD INDEX a (a), MODIFY b BIGINT, LOCK = NONE", "+t Column a, +t Index a"),
        ("ALTER TABLE t DROP a, ADD COLUMN A INT", "?"),
        ("ALTER TABLE t ADD a INT, RENAME COLUMN a TO b", "?"),
        ("ALTER TABLE t ADD a INT, ENGINE = InnoDB", "?"),
        ("ALTER TABLE t ADD a INT, RENAME TO u", "?"),
        ("ALTER TABLE t ADD `ä` INT, ADD a INT", "?"),
        ("ALTER TABLE t ADD COLUMN (a INT, b INT)", "?"),
        ("ALTER TABLE t ADD (a INT)", "?"),
        ("ALTER TABLE t ADD PARTITION (PARTITION p VALUES LESS THAN (9))", "?"),
        ("ALTER TABLE t ADD PRIMARY KEY (a)", "?"),
        ("ALTER TABLE t DROP COLUMN a", "-t Column a"),
        ("ALTER TABLE t DROP IF EXISTS a", "?"),
        ("ALTER TABLE t DROP a RESTRICT", "-t Column a"),
        ("ALTER TABLE t DROP PRIMARY KEY", "?"),
        ("ALTER TABLE t DROP CONSTRAINT c", "?"),
        ("ALTER TABLE t RENAME COLUMN a TO `b c`", "-t Column a, +t Column b c"),
        ("ALTER TABLE t CHANGE a b INT", "-t Column a, +t Column b"),
        ("ALTER TABLE t CHANGE COLUMN a A BIGINT", "again"),
        ("ALTER TABLE t MODIFY a BIGINT NOT NULL", "again"),
        ("ALTER TABLE t MODIFY a BIGINT UNIQUE", "?"),
        ("ALTER TABLE t ENGINE = InnoDB", "?"),
        ("ALTER TABLE t", "?"),
        ("ALTER DATABASE d CHARACTER SET utf8mb4", "?"),
    ];
    for (statement, expected) in cases {
        assert_eq!(words(statement), expected, "{statement}");
    }
}

#[test]
fn indexes_and_keys() {
    let cases = [
        ("CREATE INDEX i ON t (a)", "+t Index i"),
        ("CREATE UNIQUE INDEX IF NOT EXISTS i USING BTREE ON d.t (a, b DESC)", "+d/t Index i"),
        ("CREATE OR REPLACE INDEX i ON t (a)", "?"),
        ("CREATE OR REPLACE INDEX view ON t (a)", "?"),
        ("DROP INDEX i ON t ALGORITHM = INPLACE LOCK = NONE", "-t Index i"),
        ("DROP INDEX IF EXISTS i ON t", "-t Index i"),
        ("DROP INDEX i", "?"),
        ("ALTER TABLE t ADD INDEX i (a)", "+t Index i"),
        ("ALTER TABLE t ADD UNIQUE KEY `i` USING HASH (a)", "+t Index i"),
        ("ALTER TABLE t ADD UNIQUE i (a)", "+t Index i"),
        ("ALTER TABLE t ADD FULLTEXT i (a)", "+t Index i"),
        ("ALTER TABLE t ADD INDEX (a)", "?"),
        ("ALTER TABLE t ADD INDEX USING BTREE (a)", "?"),
        ("ALTER TABLE t ADD CONSTRAINT c UNIQUE (a)", "?"),
        ("ALTER TABLE t ADD CONSTRAINT `c` FOREIGN KEY (a) REFERENCES u (a) ON DELETE CASCADE", "+t ForeignKey c"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (a)", "?"),
        ("ALTER TABLE t DROP FOREIGN KEY c", "-t ForeignKey c"),
        ("ALTER TABLE t DROP KEY i", "-t Index i"),
        ("ALTER TABLE t RENAME INDEX i TO j", "-t Index i, +t Index j"),
    ];
    for (statement, expected) in cases {
        assert_eq!(words(statement), expected, "{statement}");
    }
}
