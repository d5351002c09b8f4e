//! What a statement that runs outside of every transaction leaves in PostgreSQL's catalogue, so that it can be asked.

use super::SqlDialect;
use super::lex::{Lexer, Token, TokenKind};

/// How the catalogue can tell whether a statement took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The index is there, and valid.
    CreatesIndex {
        /// The index, as it is written.
        name: &'a str,
        /// The table, as it is written, with its schema.
        table: &'a str,
    },
    /// The index is gone.
    DropsIndex {
        /// The index, as it is written, with its schema.
        name: &'a str,
    },
    /// `REINDEX CONCURRENTLY`: it can be done twice, and leaves INVALID indexes when it fails.
    Reindexes {
        /// Of what.
        what: Reindexed,
        /// Its name as it is written, with its schema. Empty where a database has none.
        name: &'a str,
    },
    /// To do it twice is to do it once: VACUUM, ALTER SYSTEM …
    Repeatable,
    /// The catalogue does not tell.
    Unknown,
}

/// Of what the indexes are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reindexed {
    /// One index, or those of its partitions.
    Index,
    /// A table's.
    Table,
    /// A schema's.
    Schema,
    /// The database's.
    Database,
}

/// Reads the effect of one statement of PostgreSQL of the kind [`Kind::Alone`](super::Kind::Alone).
pub fn effect(statement: &str) -> Effect<'_> {
    let mut lexer = Lexer::new(statement, SqlDialect::Postgres);
    let tokens: Vec<Token<'_>> = std::iter::from_fn(|| lexer.next()).take(40).collect();
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let behind = |word: &str| tokens.iter().position(|token| token.is(word)).map(|at| at + 1);
    match () {
        () if is(0, "CREATE") && (is(1, "INDEX") || is(2, "INDEX")) => {
            let Some(mut at) = behind("CONCURRENTLY") else { return Effect::Unknown };
            if is(at, "IF") {
                at += 3;
            }
            let (name, next) = dotted(statement, &tokens, at);
            let table_at = if is(next + 1, "ONLY") { next + 2 } else { next + 1 };
            match (name, is(next, "ON"), dotted(statement, &tokens, table_at).0) {
                (Some(name), true, Some(table)) if !is(at, "ON") => Effect::CreatesIndex { name, table },
                _ => Effect::Unknown,
            }
        }
        () if is(0, "DROP") && is(1, "INDEX") => {
            let at = if is(3, "IF") { 5 } else { 3 };
            match dotted(statement, &tokens, at) {
                (Some(name), next) if !tokens.get(next).is_some_and(|token| token.is_symbol(b',')) => {
                    Effect::DropsIndex { name }
                }
                _ => Effect::Unknown,
            }
        }
        () if is(0, "REINDEX") => reindexed(statement, &tokens),
        () if ["VACUUM", "CLUSTER", "DISCARD"].iter().any(|word| is(0, word)) => Effect::Repeatable,
        () if is(0, "ALTER") && is(1, "SYSTEM") => Effect::Repeatable,
        () => Effect::Unknown,
    }
}

/// `REINDEX [(options)] INDEX | TABLE | SCHEMA | DATABASE | SYSTEM [CONCURRENTLY] name`. SYSTEM is never CONCURRENTLY.
fn reindexed<'a>(statement: &'a str, tokens: &[Token<'a>]) -> Effect<'a> {
    let kinds = [
        ("INDEX", Reindexed::Index),
        ("TABLE", Reindexed::Table),
        ("SCHEMA", Reindexed::Schema),
        ("DATABASE", Reindexed::Database),
    ];
    let behind = match tokens.get(1) {
        Some(token) if token.is_symbol(b'(') => {
            tokens.iter().position(|token| token.is_symbol(b')')).map_or(tokens.len(), |at| at + 1)
        }
        _ => 1,
    };
    let is_concurrent = tokens.iter().any(|token| token.is("CONCURRENTLY"));
    let kind = |token: &Token<'_>| kinds.iter().find(|(word, _)| token.is(word)).map(|(_, what)| *what);
    let Some(what) = tokens.get(behind).and_then(kind).filter(|_| is_concurrent) else { return Effect::Repeatable };
    let at = if tokens.get(behind + 1).is_some_and(|token| token.is("CONCURRENTLY")) { behind + 2 } else { behind + 1 };
    match dotted(statement, tokens, at).0 {
        Some(name) => Effect::Reindexes { what, name },
        None if what == Reindexed::Database => Effect::Reindexes { what, name: "" },
        None => Effect::Unknown,
    }
}

/// A name with its schema that begins at a token, and the token behind it.
fn dotted<'a>(statement: &'a str, tokens: &[Token<'a>], at: usize) -> (Option<&'a str>, usize) {
    let is_name =
        |at: usize| tokens.get(at).is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::Name));
    if !is_name(at) {
        return (None, at);
    }
    let mut last = at;
    while tokens.get(last + 1).is_some_and(|token| token.is_symbol(b'.')) && is_name(last + 2) {
        last += 2;
    }
    (Some(&statement[tokens[at].start..tokens[last].end()]), last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_can_be_asked_for_indexes() {
        let reindexes = |what, name| Effect::Reindexes { what, name };
        let creates = |name, table| Effect::CreatesIndex { name, table };
        let cases = [
            ("CREATE INDEX CONCURRENTLY i ON t (a)", creates("i", "t")),
            (
                "create unique index concurrently if not exists \"I x\" on only s.\"T\" (a)",
                creates("\"I x\"", "s.\"T\""),
            ),
            ("CREATE INDEX CONCURRENTLY /* why */ i ON t USING gin (a)", creates("i", "t")),
            ("CREATE INDEX CONCURRENTLY ON t (a)", Effect::Unknown),
            ("DROP INDEX CONCURRENTLY i", Effect::DropsIndex { name: "i" }),
            ("DROP INDEX CONCURRENTLY IF EXISTS s.i CASCADE", Effect::DropsIndex { name: "s.i" }),
            ("DROP INDEX CONCURRENTLY i, j", Effect::Unknown),
            ("REINDEX INDEX CONCURRENTLY s.i", reindexes(Reindexed::Index, "s.i")),
            ("reindex (verbose, concurrently) table \"T\"", reindexes(Reindexed::Table, "\"T\"")),
            ("REINDEX SCHEMA CONCURRENTLY s", reindexes(Reindexed::Schema, "s")),
            ("REINDEX (CONCURRENTLY) DATABASE", reindexes(Reindexed::Database, "")),
            ("REINDEX SCHEMA s", Effect::Repeatable),
            ("VACUUM t", Effect::Repeatable),
            ("ALTER SYSTEM SET work_mem = '1MB'", Effect::Repeatable),
            ("CREATE DATABASE d", Effect::Unknown),
        ];
        for (statement, expected) in cases {
            assert_eq!(effect(statement), expected, "{statement}");
        }
    }
}
