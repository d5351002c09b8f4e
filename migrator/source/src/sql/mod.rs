//! SQL scripts: the statements in them, how each must run, and the faults that are refused before anything runs.
//!
//! A script is split, never rewritten: a [`Statement`] is a slice of the script from its first token to its last. What
//! lies between statements is white space, comments and `;`. PostgreSQL refuses an empty query and diesel crashes on
//! one with MySQL, so a script of comments has no statement instead of an empty one.
//!
//! The settings that change how a server reads quotes are taken at their defaults: PostgreSQL's
//! `standard_conforming_strings` on, MySQL's `NO_BACKSLASH_ESCAPES` off.

mod body;
mod change;
mod directive;
mod effect;
mod fault;
mod kind;
mod lex;
mod mode;
mod program;
mod quiet;
mod risk;
mod split;

pub use change::{Change, Part, changes};
pub use effect::{Effect, Reindexed, effect};
pub use fault::Fault;
pub use quiet::{is_quiet, is_quiet_on_mysql};
pub use risk::Risk;

/// The SQL that a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlDialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

impl SqlDialect {
    /// Every dialect.
    pub const ALL: &'static [SqlDialect] = &[SqlDialect::Sqlite, SqlDialect::Postgres, SqlDialect::Mysql];

    /// The name by which options and messages call it: `sqlite`, `postgres` or `mysql`.
    pub const fn name(self) -> &'static str {
        match self {
            SqlDialect::Sqlite => "sqlite",
            SqlDialect::Postgres => "postgres",
            SqlDialect::Mysql => "mysql",
        }
    }
}

impl std::fmt::Display for SqlDialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for SqlDialect {
    type Err = UnknownDialect;

    /// Reads a [`name`](SqlDialect::name), or `postgresql` or `mariadb`, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        match name.to_ascii_lowercase().as_str() {
            "sqlite" => Ok(SqlDialect::Sqlite),
            "postgres" | "postgresql" => Ok(SqlDialect::Postgres),
            "mysql" | "mariadb" => Ok(SqlDialect::Mysql),
            _ => Err(UnknownDialect { name: name.to_owned() }),
        }
    }
}

/// The name is that of no [`SqlDialect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDialect {
    name: String,
}

impl std::fmt::Display for UnknownDialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.name;
        write!(f, "unknown SQL dialect `{name}`: write sqlite, postgres (or postgresql), or mysql (or mariadb)")
    }
}

impl std::error::Error for UnknownDialect {}

/// Whether a script runs inside of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// All of its statements and the record of it are committed together.
    Transaction,
    /// Each statement is committed and recorded by itself.
    NoTransaction,
}

/// What running a statement means for the transaction and the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Changes schema or data and can be rolled back.
    Plain,
    /// Changes only the session, so it is repeated when a script is resumed in a new one.
    Session,
    /// Commits whatever is open. In MySQL every statement that is not known to do otherwise: DDL does, and what an
    /// EXECUTE or a CALL runs cannot be seen.
    Commits,
    /// Is refused inside of a transaction, or does nothing there, as SQLite's `PRAGMA journal_mode`.
    Alone,
}

/// One statement of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// What is sent: from the first token to the last, comments between them included, without the `;`.
    pub text: &'a str,
    /// The byte of the script where it begins.
    pub start: usize,
    /// What running it means.
    pub kind: Kind,
    /// What it can do to data and to those who use it.
    pub risk: Risk,
}

/// A script whose statements can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script<'a> {
    statements: Vec<Statement<'a>>,
    mode: Mode,
    breaks_before: Option<&'a str>,
}

impl<'a> Script<'a> {
    /// Reads a script. `declared` is what is said about it elsewhere, as in diesel's `metadata.toml`.
    ///
    /// Reading takes time and memory in proportion to the text. A byte order mark at the begin is passed over.
    ///
    /// # Errors
    /// Every fault, in the order of the script.
    pub fn parse(text: &'a str, dialect: SqlDialect, declared: Option<Mode>) -> Result<Script<'a>, Vec<Fault>> {
        let split::Pieces { pieces, directives, mut faults } = split::split(text, dialect);
        let first = pieces.first().map(|piece| piece.start);
        let directed = directives.iter().any(|directive| directive.asks_for_no_transaction(first));
        faults.extend(directives.iter().filter_map(|directive| directive.fault(first)));

        let asked = mode::Asked { in_script: directed || directive::begins_with_sqlx_mark(text), declared };
        let mode = mode::mode(&pieces, asked);
        let pair = mode::enclosing_pair(&pieces, mode);
        faults.extend(mode::faults(&pieces, mode, pair, asked));
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.offset);
            return Err(faults);
        }
        let statements = pieces.into_iter().filter(|piece| piece.class.control.is_none());
        let statements = statements.map(|piece| Statement {
            text: piece.text,
            start: piece.start,
            kind: piece.class.kind,
            risk: piece.class.risk,
        });
        let breaks_before = directives.iter().find_map(directive::Directive::breaks_before);
        Ok(Script { statements: statements.collect(), mode, breaks_before })
    }

    /// The statements, in order, without a BEGIN and COMMIT that enclose the script.
    pub fn statements(&self) -> &[Statement<'a>] {
        &self.statements
    }

    /// How it runs.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The version before which it breaks binaries, as its directive says: `-- migrator: breaks-before VERSION`.
    pub fn breaks_before(&self) -> Option<&'a str> {
        self.breaks_before
    }

    /// Whether there is nothing to run: no text, or white space and comments only.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

/// A place in a text, as editors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// The place of the byte `offset`. An offset behind the end is the end; one within a character is its begin.
pub fn position(text: &str, offset: usize) -> Position {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |found| found + 1);
    Position {
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
