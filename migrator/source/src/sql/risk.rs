//! What a statement can do to data and to those who use it, as far as its words tell.

use super::SqlDialect;
use super::kind::Head;

/// What a statement can do to data and to those who use it, as far as its words tell: what a trigger or a function does in its
/// place is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Risk {
    /// Nothing that is not asked for.
    None,
    /// Whoever uses the table waits until it is done, on a large table for long.
    Locks,
    /// Data that is there is gone afterwards.
    Destroys,
}

impl Risk {
    /// The word for it in a plan: `none`, `locks` or `destroys`.
    pub const fn name(self) -> &'static str {
        match self {
            Risk::None => "none",
            Risk::Locks => "locks",
            Risk::Destroys => "destroys",
        }
    }
}

const DESTROYS: &[&[&str]] = &[
    &["TRUNCATE"],
    &["DROP", "TABLE"],
    &["DROP", "SCHEMA"],
    &["DROP", "DATABASE"],
    &["DROP", "FOREIGN", "TABLE"],
    &["DROP", "MATERIALIZED", "VIEW"],
    &["DROP", "OWNED"],
];

/// PostgreSQL: readers or writers of the table wait.
const POSTGRES_LOCKS: &[&[&str]] = &[
    &["ALTER", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["DROP", "INDEX"],
    &["REINDEX"],
    &["CLUSTER"],
    &["LOCK"],
    &["VACUUM", "FULL"],
    &["REFRESH", "MATERIALIZED", "VIEW"],
    &["CREATE", "TRIGGER"],
    &["DROP", "TRIGGER"],
];

const MYSQL_LOCKS: &[&[&str]] = &[
    &["ALTER", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["CREATE", "FULLTEXT", "INDEX"],
    &["CREATE", "SPATIAL", "INDEX"],
    &["DROP", "INDEX"],
    &["OPTIMIZE"],
    &["RENAME", "TABLE"],
    &["LOCK"],
];

/// Behind the `DROP` of an `ALTER TABLE`: what is no data.
const NO_DATA: &[&str] =
    &["CONSTRAINT", "INDEX", "KEY", "FOREIGN", "PRIMARY", "CHECK", "DEFAULT", "NOT", "IDENTITY", "EXPRESSION"];

impl Head<'_> {
    pub(super) fn risk(&self, dialect: SqlDialect) -> Risk {
        let is_table = self.starts(&[&["ALTER", "TABLE"]]);
        let every_row = self.starts(&[&["DELETE"], &["UPDATE"]]) && !self.has("WHERE");
        if self.starts(DESTROYS) || every_row || is_table && self.drops_data() {
            return Risk::Destroys;
        }
        let locks = match dialect {
            // A writer locks the whole file, whatever it writes.
            SqlDialect::Sqlite => false,
            SqlDialect::Postgres => self.starts(POSTGRES_LOCKS) && !self.has("CONCURRENTLY"),
            SqlDialect::Mysql => self.starts(MYSQL_LOCKS),
        };
        if locks { Risk::Locks } else { Risk::None }
    }

    fn drops_data(&self) -> bool {
        let drops = self.places("DROP");
        drops.into_iter().any(|at| !NO_DATA.iter().any(|word| self.is(at + 1, word)))
    }
}
