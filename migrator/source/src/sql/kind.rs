//! What a statement is, by its first words.

use super::lex::{Token, TokenKind};
use super::{Kind, Risk, SqlDialect};

/// What one statement is for the script it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) kind: Kind,
    pub(super) control: Option<Control>,
    /// A session statement that means the same in front of BEGIN as behind it.
    pub(super) movable: bool,
    pub(super) risk: Risk,
}

/// How a statement controls the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// A plain BEGIN.
    Open,
    /// A plain COMMIT.
    Close,
    /// Everything else: ROLLBACK, XA, an isolation level that would be lost with its BEGIN.
    Other,
}

/// The tokens of a statement that tell its class: the first ones, and of the others those outside of parentheses.
///
/// An INSERT of a million rows keeps two tokens a row and no value.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    tokens: Vec<Token<'a>>,
}

/// How many tokens are kept although they stand in parentheses, as in `REINDEX (CONCURRENTLY) TABLE t`.
const FIRST: usize = 64;

/// PostgreSQL: begins of statements that it refuses in a transaction block.
const POSTGRES_ALONE: &[&[&str]] = &[
    &["VACUUM"],
    &["CREATE", "DATABASE"],
    &["DROP", "DATABASE"],
    &["CREATE", "TABLESPACE"],
    &["DROP", "TABLESPACE"],
    &["ALTER", "SYSTEM"],
    &["CREATE", "SUBSCRIPTION"],
    &["DROP", "SUBSCRIPTION"],
    &["CREATE", "INDEX", "CONCURRENTLY"],
    &["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY"],
    &["DROP", "INDEX", "CONCURRENTLY"],
    &["DISCARD", "ALL"],
];

/// PostgreSQL: begins of statements that change the session only. pg_dump writes set_config.
const POSTGRES_SESSION: &[&[&str]] = &[
    &["SET"],
    &["RESET"],
    &["PREPARE"],
    &["DEALLOCATE"],
    &["DISCARD"],
    &["LISTEN"],
    &["UNLISTEN"],
    &["LOAD"],
    &["SELECT", "set_config", "("],
    &["SELECT", "pg_catalog", ".", "set_config", "("],
];

/// SQLite: pragmas that fail in a transaction, or change nothing there without saying so, when they are given a value.
const SQLITE_ALONE_PRAGMAS: &[&str] = &["journal_mode", "synchronous"];

/// MySQL: begins of statements that neither commit nor change the session. Everything that is in no list commits.
const MYSQL_PLAIN: &[&[&str]] = &[
    &["SELECT"],
    &["INSERT"],
    &["UPDATE"],
    &["DELETE"],
    &["REPLACE"],
    &["WITH"],
    &["VALUES"],
    &["TABLE"],
    &["DO"],
    &["SHOW"],
    &["DESCRIBE"],
    &["DESC"],
    &["EXPLAIN"],
    &["HELP"],
    &["HANDLER"],
    &["SIGNAL"],
    &["RESIGNAL"],
    &["GET"],
    &["CHECKSUM"],
    &["LOAD", "DATA"],
    &["LOAD", "XML"],
    &["SAVEPOINT"],
    &["RELEASE", "SAVEPOINT"],
    &["ROLLBACK"],
    // Not rolled back, but not committing either.
    &["CREATE", "TEMPORARY", "TABLE"],
    &["CREATE", "OR", "REPLACE", "TEMPORARY", "TABLE"],
    &["DROP", "TEMPORARY", "TABLE"],
    // MariaDB's EXPLAIN that runs the statement.
    &["ANALYZE", "SELECT"],
    &["ANALYZE", "UPDATE"],
    &["ANALYZE", "DELETE"],
    &["ANALYZE", "INSERT"],
    &["ANALYZE", "FORMAT"],
];

const MYSQL_SESSION: &[&[&str]] = &[&["SET"], &["USE"], &["PREPARE"], &["DEALLOCATE", "PREPARE"], &["DROP", "PREPARE"]];

/// MySQL: begins with SET, but writes the tables of grants.
const MYSQL_SET_COMMITS: &[&[&str]] = &[&["SET", "PASSWORD"], &["SET", "DEFAULT", "ROLE"]];

impl<'a> Head<'a> {
    /// Takes the next token, which stands in so many parentheses.
    pub(super) fn push(&mut self, token: &Token<'a>, parentheses: usize) {
        let hint = matches!(token.kind, TokenKind::HintOpen | TokenKind::HintClose);
        if !hint && (parentheses == 0 || self.tokens.len() < FIRST) {
            self.tokens.push(*token);
        }
    }

    pub(super) fn clear(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether this is PostgreSQL's `COPY … FROM STDIN`.
    pub(super) fn copies_from_stdin(&self) -> bool {
        self.is(0, "COPY") && self.find(&["FROM", "STDIN"])
    }

    /// Whether this is MySQL's `LOCK TABLES`, beside which no table can be used that it does not name.
    pub(super) fn locks_tables(&self) -> bool {
        self.is(0, "LOCK") && (self.is(1, "TABLES") || self.is(1, "TABLE"))
    }

    pub(super) fn classify(&self, dialect: SqlDialect) -> Class {
        let control = self.control(dialect);
        let kind = match dialect {
            SqlDialect::Sqlite => self.sqlite(),
            SqlDialect::Postgres => self.postgres(),
            SqlDialect::Mysql => self.mysql(),
        };
        let movable = kind == Kind::Session && !self.speaks_of_transactions();
        Class { kind, control, movable, risk: self.risk(dialect) }
    }

    /// Where a word stands.
    pub(super) fn places(&self, word: &str) -> Vec<usize> {
        (0..self.tokens.len()).filter(|&index| self.is(index, word)).collect()
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.is(word))
    }

    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.tokens.get(index).is_some_and(|token| token.is(word))
    }

    /// Whether the tokens from `index` on are `words`, where a name behind a `.` counts as a word.
    fn is_at(&self, index: usize, words: &[&str]) -> bool {
        let tokens = self.tokens.get(index..).unwrap_or_default();
        tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.reads(word))
    }

    pub(super) fn starts(&self, lists: &[&[&str]]) -> bool {
        // Hardly one of them has the first word, and the macro runs unoptimised, where a call for each is what costs.
        let Some(first) = self.tokens.first() else { return false };
        let mut at = 0;
        while at < lists.len() {
            if first.reads(lists[at][0]) && self.is_at(0, lists[at]) {
                return true;
            }
            at += 1;
        }
        false
    }

    fn find(&self, words: &[&str]) -> bool {
        (0..self.tokens.len()).any(|index| self.is_at(index, words))
    }

    fn postgres(&self) -> Kind {
        let alone = match () {
            () if self.starts(POSTGRES_ALONE) => true,
            () if self.is(0, "REINDEX") => self.reindex_is_alone(),
            // Without a table: every table that was clustered before.
            () if self.is(0, "CLUSTER") => self.behind_options(1) == self.tokens.len(),
            () if self.starts(&[&["ALTER", "TABLE"]]) => {
                self.find(&["DETACH", "PARTITION"]) && self.tokens.last().is_some_and(|last| last.is("CONCURRENTLY"))
            }
            () if self.starts(&[&["ALTER", "DATABASE"]]) => self.find(&["SET", "TABLESPACE"]),
            () if self.starts(&[&["ALTER", "SUBSCRIPTION"]]) => {
                self.find(&["PUBLICATION"]) && !self.find(&["refresh", "=", "false"])
            }
            () => false,
        };
        match () {
            () if alone => Kind::Alone,
            () if self.starts(POSTGRES_SESSION) => Kind::Session,
            () => Kind::Plain,
        }
    }

    /// `REINDEX [(options)] INDEX | TABLE | SCHEMA | DATABASE | SYSTEM [CONCURRENTLY] name`.
    fn reindex_is_alone(&self) -> bool {
        let what = self.behind_options(1);
        let whole = ["SCHEMA", "DATABASE", "SYSTEM"].iter().any(|word| self.is(what, word));
        let option = (1..what).find(|index| self.is(*index, "CONCURRENTLY"));
        let off = |index: usize| ["false", "off", "0"].iter().any(|word| self.is_at(index + 1, &[word]));
        whole || self.is(what + 1, "CONCURRENTLY") || option.is_some_and(|index| !off(index))
    }

    /// The index behind `VERBOSE` or `( … )` at `index`.
    fn behind_options(&self, index: usize) -> usize {
        if self.is(index, "VERBOSE") {
            return index + 1;
        }
        if !self.is_at(index, &["("]) {
            return index;
        }
        let close = self.tokens[index..].iter().position(|token| token.is_symbol(b')'));
        close.map_or(self.tokens.len(), |found| index + found + 1)
    }

    fn sqlite(&self) -> Kind {
        if self.starts(&[&["VACUUM"], &["DETACH"]]) {
            return Kind::Alone;
        }
        // Allowed in a transaction (tried with SQLite 3.40), and a new session has to attach again.
        if self.is(0, "ATTACH") {
            return Kind::Session;
        }
        if !self.is(0, "PRAGMA") {
            return Kind::Plain;
        }
        let name = if self.is_at(2, &["."]) { 3 } else { 1 };
        let given = self.is_at(name + 1, &["="]) || self.is_at(name + 1, &["("]);
        let alone = given && SQLITE_ALONE_PRAGMAS.iter().any(|word| self.is_at(name, &[word]));
        if alone || self.is_at(name, &["wal_checkpoint"]) { Kind::Alone } else { Kind::Session }
    }

    fn mysql(&self) -> Kind {
        // MariaDB's `SET STATEMENT max_statement_time=1 FOR ALTER TABLE …` is what follows FOR.
        if self.is_at(0, &["SET", "STATEMENT"]) {
            let inner = self.tokens.iter().position(|token| token.is("FOR")).map_or(self.tokens.len(), |at| at + 1);
            return Head { tokens: self.tokens[inner..].to_vec() }.mysql_simple();
        }
        self.mysql_simple()
    }

    fn mysql_simple(&self) -> Kind {
        let query = self.tokens.iter().find(|token| !token.is_symbol(b'('));
        match () {
            () if self.starts(MYSQL_SET_COMMITS) => Kind::Commits,
            () if self.starts(MYSQL_SESSION) => Kind::Session,
            () if query.is_some_and(|token| token.is("SELECT")) && self.assigns_variable() => Kind::Session,
            () if self.starts(MYSQL_PLAIN) => Kind::Plain,
            // `(SELECT …) UNION (SELECT …)`.
            () if query.is_some_and(|token| token.is_any(&["SELECT", "VALUES", "WITH", "TABLE"])) => Kind::Plain,
            () => Kind::Commits,
        }
    }

    /// `SELECT … INTO @x` and `SELECT @x := …`: the EXECUTE that follows in a resumed run needs the variable.
    fn assigns_variable(&self) -> bool {
        let assigns = |window: &[Token<'_>]| window[0].is_symbol(b':') && window[1].is_symbol(b'=');
        self.find(&["INTO", "@"]) || self.tokens.windows(2).any(assigns)
    }

    /// Whether a SET means another transaction inside of one than in front of it: `SET LOCAL` does nothing in front,
    /// and an isolation level set in front is the next transaction's.
    fn speaks_of_transactions(&self) -> bool {
        let named = |token: &Token<'_>| {
            let text = token.text.to_ascii_lowercase();
            text == "transaction" || ["_isolation", "_read_only", "_deferrable"].iter().any(|end| text.ends_with(end))
        };
        let local = self.is(1, "LOCAL") || self.is(1, "CONSTRAINTS");
        self.is(0, "SET") && (local || self.tokens.iter().any(named))
    }

    fn control(&self, dialect: SqlDialect) -> Option<Control> {
        let first = self.tokens.first()?;
        let mysql = dialect == SqlDialect::Mysql;
        if first.is("BEGIN") && !self.is(1, "NOT") || self.is_at(0, &["START", "TRANSACTION"]) {
            let modes: &[&str] = match dialect {
                SqlDialect::Sqlite => &["TRANSACTION", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"],
                _ => &["TRANSACTION", "WORK"],
            };
            return Some(if self.only(modes) { Control::Open } else { Control::Other });
        }
        if first.is("COMMIT") || (!mysql && first.is("END")) {
            return Some(if self.only(&["TRANSACTION", "WORK"]) { Control::Close } else { Control::Other });
        }
        if first.is("ROLLBACK") {
            // `ROLLBACK [WORK | TRANSACTION] TO [SAVEPOINT] x` stays within the transaction.
            let to = if self.is(1, "WORK") || self.is(1, "TRANSACTION") { 2 } else { 1 };
            return (!self.is(to, "TO")).then_some(Control::Other);
        }
        let other = match dialect {
            SqlDialect::Sqlite => false,
            SqlDialect::Postgres => first.is("ABORT") || self.is_at(0, &["PREPARE", "TRANSACTION"]),
            SqlDialect::Mysql => first.is("XA") || (first.is("SET") && self.sets_autocommit()),
        };
        other.then_some(Control::Other)
    }

    fn only(&self, words: &[&str]) -> bool {
        self.tokens[1..].iter().all(|token| token.is_any(words))
    }

    /// `SET autocommit = 0`, also as `@@session.autocommit` and behind other variables; not `SET @autocommit = 0`.
    fn sets_autocommit(&self) -> bool {
        (1..self.tokens.len()).any(|at| {
            let user_variable = self.is_at(at - 1, &["@"]) && !(at > 1 && self.is_at(at - 2, &["@"]));
            let assigned = self.is_at(at + 1, &["="]) || self.is_at(at + 1, &[":", "="]);
            self.is_at(at, &["autocommit"]) && assigned && !user_variable
        })
    }
}
