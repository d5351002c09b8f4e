//! Statements behind which the session is as it was, so that they can travel with others.

use super::SqlDialect;
use super::lex::{Lexer, Token, TokenKind};

/// Begins of statements that say what is to be there, or which rows. What is in no list may run any code: DO, CALL, SELECT,
/// CREATE FUNCTION, CREATE EXTENSION.
const QUIET: &[&[&str]] = &[
    &["CREATE", "TABLE"],
    &["CREATE", "UNLOGGED", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["CREATE", "TYPE"],
    &["CREATE", "DOMAIN"],
    &["CREATE", "SEQUENCE"],
    &["CREATE", "SCHEMA"],
    &["CREATE", "VIEW"],
    &["CREATE", "OR", "REPLACE", "VIEW"],
    &["CREATE", "MATERIALIZED", "VIEW"],
    &["CREATE", "TRIGGER"],
    &["CREATE", "POLICY"],
    &["ALTER", "TABLE"],
    &["ALTER", "INDEX"],
    &["ALTER", "TYPE"],
    &["ALTER", "DOMAIN"],
    &["ALTER", "SEQUENCE"],
    &["ALTER", "VIEW"],
    &["ALTER", "POLICY"],
    &["DROP"],
    &["COMMENT"],
    &["INSERT"],
    &["UPDATE"],
    &["DELETE"],
    &["TRUNCATE"],
    &["GRANT"],
    &["REVOKE"],
];

/// Words that a quiet statement has nowhere, not even in a string: an UPDATE of `pg_settings` is a SET by the view's rule, `query_to_xml`,
/// `ts_stat` and `ts_rewrite` run what a string says, `U&"…"` spells a name in another way, and a temporary table may end with its
/// transaction.
const LOUD: &[&str] = &["set_config", "pg_settings", "_to_xml", "ts_stat(", "ts_rewrite(", "u&", "pg_temp"];

/// Begins of statements of MySQL that say what is to be there, or which rows.
const QUIET_ON_MYSQL: &[&[&str]] = &[
    &["CREATE", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["CREATE", "FULLTEXT", "INDEX"],
    &["CREATE", "SPATIAL", "INDEX"],
    &["CREATE", "VIEW"],
    &["CREATE", "OR", "REPLACE", "VIEW"],
    &["ALTER", "TABLE"],
    &["RENAME", "TABLE"],
    &["DROP", "TABLE"],
    &["DROP", "INDEX"],
    &["DROP", "VIEW"],
    &["TRUNCATE"],
    &["INSERT"],
    &["UPDATE"],
    &["DELETE"],
    &["REPLACE"],
];

/// Whether a statement of MySQL says what is to be there, or which rows, and no more: it names no variable, which it could set,
/// and hides nothing in a comment that only some servers read.
pub fn is_quiet_on_mysql(statement: &str) -> bool {
    let mut lexer = Lexer::new(statement, SqlDialect::Mysql);
    let tokens: Vec<Token<'_>> = std::iter::from_fn(|| lexer.next()).collect();
    let begins = |words: &&[&str]| begin(&tokens, words);
    let is_plain = |token: &Token<'_>| {
        let is_hint = matches!(token.kind, TokenKind::HintOpen | TokenKind::HintClose | TokenKind::Semicolon);
        !is_hint && !token.is_symbol(b'@')
    };
    QUIET_ON_MYSQL.iter().any(begins) && tokens.iter().all(is_plain)
}

fn begin(tokens: &[Token<'_>], words: &[&str]) -> bool {
    tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.is(word))
}

/// Whether a statement of PostgreSQL leaves the session as it is, so long as no function that the database holds changes it.
pub fn is_quiet(statement: &str) -> bool {
    let mut lexer = Lexer::new(statement, SqlDialect::Postgres);
    let tokens: Vec<Token<'_>> = std::iter::from_fn(|| lexer.next()).collect();
    let begins = |words: &&[&str]| begin(&tokens, words);
    // `CREATE TABLE … AS EXECUTE` runs what the session prepared; a trigger's EXECUTE FUNCTION names a function.
    let executes = tokens.iter().any(|token| token.kind == TokenKind::Word && token.is("EXECUTE"));
    let trigger = tokens.get(1).is_some_and(|token| token.is("TRIGGER"));
    let text = statement.to_ascii_lowercase();
    QUIET.iter().any(begins) && (!executes || trigger) && !LOUD.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_run_code_of_its_own_is_not_quiet() {
        let cases = [
            ("CREATE TABLE t (a INT DEFAULT 1)", true),
            ("create unique index i on t (lower(a))", true),
            ("ALTER TYPE mood ADD VALUE 'ok'", true),
            ("INSERT INTO t SELECT now()", true),
            ("CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", true),
            ("/* why */ UPDATE t SET a = 1", true),
            ("CREATE TABLE t AS EXECUTE prepared", false),
            ("CREATE TABLE pg_temp.t (a INT) ON COMMIT DROP", false),
            ("CREATE TEMPORARY TABLE t (a INT) ON COMMIT DROP", false),
            ("CREATE TABLE t AS SELECT Set_Config('role', 'x', false)", false),
            ("INSERT INTO t SELECT U&\"\\0073et_config\"('role', 'x', false)", false),
            ("UPDATE pg_settings SET setting = 'pg_catalog' WHERE name = 'search_path'", false),
            ("UPDATE pg_catalog.\"pg_settings\" SET setting = '5MB' WHERE name = 'work_mem'", false),
            ("CREATE VIEW mine AS SELECT * FROM PG_SETTINGS", false),
            ("CREATE TABLE accounts_status (a INT)", true),
            ("INSERT INTO t SELECT word FROM ts_stat('SELECT to_tsvector(''a'') FROM f()')", false),
            ("INSERT INTO t SELECT query_to_xml('SELECT 1', true, true, '')", false),
            ("DO $$ BEGIN SET ROLE x; END $$", false),
            ("SELECT f()", false),
            ("CALL p()", false),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", false),
            ("CREATE EXTENSION citext", false),
            ("CREATE SCHEMA s CREATE VIEW v AS SELECT 1", true),
            ("COPY t TO STDOUT", false),
            ("EXPLAIN ANALYZE SELECT f()", false),
            ("WITH a AS (SELECT f()) SELECT * FROM a", false),
        ];
        for (statement, quiet) in cases {
            assert_eq!(is_quiet(statement), quiet, "{statement}");
        }
    }

    #[test]
    fn what_is_quiet_on_mysql_says_what_is_to_be_there() {
        let cases = [
            ("CREATE TABLE t (a INT DEFAULT 1)", true),
            ("/* why */ insert into t values ('; @a')", true),
            ("CREATE UNIQUE INDEX i ON t (a)", true),
            ("DELETE FROM `@a`", true),
            ("CREATE TEMPORARY TABLE t (a INT)", false),
            ("CREATE OR REPLACE TABLE t (a INT)", false),
            ("CREATE DATABASE d", false),
            ("DROP DATABASE d", false),
            ("CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW SET a = 1", false),
            ("INSERT INTO t VALUES (@a := 1)", false),
            ("INSERT INTO t SELECT @@sql_mode", false),
            ("INSERT /*!50000 INTO */ t VALUES (1)", false),
            ("SET sql_mode = ''", false),
            ("USE d", false),
            ("CALL p()", false),
            ("SELECT f()", false),
            ("LOAD DATA INFILE 'x' INTO TABLE t", false),
        ];
        for (statement, expected) in cases {
            assert_eq!(is_quiet_on_mysql(statement), expected, "{statement}");
        }
    }
}
