//! SQL scripts: the statements in them, how each must run, and the faults that are refused before anything runs.

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
