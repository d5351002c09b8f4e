//! The only seam between the databases: one trait on diesel's backend type, SQL as text.
//!
//! Everything that is read comes back as text cells, so that nothing above this module knows a database's types. Each
//! dialect's file has the same functions in the same order.

#[cfg(any(feature = "postgres", feature = "mysql"))]
mod blockers;
mod facts;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod presence;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;
mod together;

use std::time::Duration;

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::{LoadConnection, TransactionManager};
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::result::Error as DatabaseError;
use diesel::row::{Field, NamedRow, Row};
use diesel::sql_types::Text;
use migrator_source::sql::SqlDialect;

pub(crate) use self::facts::{Facts, Look, Room};
pub(crate) use self::session::{Session, Work};
pub(crate) use self::together::Together;
use crate::checkup::Setting;
use crate::contents::Contents;
use crate::error::Error;

/// A database that migrations can run on: diesel's `Sqlite`, `Pg` and `Mysql`, each with its feature.
///
/// It is the bound on every verb (`C: LoadConnection<Backend: Dialect>`) and cannot be implemented elsewhere.
pub trait Dialect: Backend + sealed::Sealed + 'static {
    /// The SQL that it speaks.
    #[doc(hidden)]
    const SQL: SqlDialect;
    /// Whether the migration lock is a transaction, and migrations are savepoints in it.
    #[doc(hidden)]
    const LOCK_IS_TRANSACTION: bool;
    /// Column types for: a word in a key, a number, a text, a time; a word of at most 64 characters, and of at most 255, in a table
    /// that has no others.
    #[doc(hidden)]
    const TYPES: [&'static str; 6];
    /// Expressions for: the present moment, who is connected.
    #[doc(hidden)]
    const NOW_AND_USER: [&'static str; 2];

    /// What stands behind the columns of a `CREATE TABLE`.
    #[doc(hidden)]
    const TABLE_OPTIONS: &'static str;
    /// At the begin of a transaction: it does not wait for the disk. The next that does takes it along.
    #[doc(hidden)]
    const HASTEN: &'static str;
    /// As [`HASTEN`](Self::HASTEN), for every transaction until the session is restored.
    const HASTEN_ALL: &'static str;

    /// Runs one query and returns its rows, in one round trip.
    #[doc(hidden)]
    fn rows<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<Vec<Cells>>;
    /// Runs one statement and returns how many rows it touched, as the database counts.
    #[doc(hidden)]
    fn execute<C: LoadConnection<Backend = Self>>(conn: &mut C, sql: &str) -> QueryResult<usize>;
    /// A text as a literal, whatever the session's settings.
    #[doc(hidden)]
    fn literal(text: &str) -> String;
    /// A number as a literal that a column of any type takes, and can be compared with.
    #[doc(hidden)]
    fn number(number: &str) -> String;
    /// A name as an identifier.
    #[doc(hidden)]
    fn ident(name: &str) -> String;
    /// An expression that gives a number or text column as text, or a time column as RFC 3339 in UTC.
    #[doc(hidden)]
    fn text(column: &str, time: bool) -> String;
    /// An expression for the moment that is so far from now.
    #[doc(hidden)]
    fn after(wait: Duration) -> String;
    /// An expression that gives as text in how many milliseconds the time in a column comes; below zero when it has passed.
    #[doc(hidden)]
    fn until(column: &str) -> String;
    /// A condition that holds when a column has another value; NULL is a value.
    #[doc(hidden)]
    fn differs(column: &str, value: &str) -> String;
    /// What stands behind an INSERT so that it changes these columns where a row with its key is there already.
    #[doc(hidden)]
    fn upsert(key: &[&str], columns: &[&str]) -> String;
    /// An expression that gives a column of any type as text; equal texts are equal values.
    #[doc(hidden)]
    fn shown(column: &str) -> String;
    /// The schema that the history lives in, as an expression.
    #[doc(hidden)]
    fn here() -> &'static str;
    /// An expression that gives an item of each row of a tool's table, with `/` between them; NULL, or an error, when there is no
    /// such table in the schema (without one in the current schema). `which` is nothing, or a condition with its WHERE.
    #[doc(hidden)]
    fn list(schema: Option<&str>, table: &str, item: &str, which: &str) -> String;
    /// What there is to know before anything is decided.
    #[doc(hidden)]
    fn facts<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: Option<&str>, look: Look) -> QueryResult<Facts>;
    /// The tables of the schema that an extension made.
    #[doc(hidden)]
    fn extended<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Vec<String>>;
    /// Whether the database is the server's own, in which nobody migrates.
    #[doc(hidden)]
    fn is_system(facts: &Facts) -> bool;
    /// Everything in a schema that is no part of an extension, in the order in which it is dropped.
    #[doc(hidden)]
    fn contents<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Contents>;
    /// Tables of the schema that this role may not alter, where the catalogue tells.
    #[doc(hidden)]
    fn others<C: LoadConnection<Backend = Self>>(conn: &mut C, schema: &str) -> QueryResult<Option<Vec<String>>>;
    /// What says whether a commit outlasts a crash.
    #[doc(hidden)]
    fn settings<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Setting>>;
    /// A query for the number of rows of a table, as text.
    #[doc(hidden)]
    fn count(table: &str) -> String;
    /// A query for the column names of a table.
    #[doc(hidden)]
    fn columns(schema: &str, table: &str) -> String;
    /// A query for the column names of a table as a statement would find it: `table`, or `schema.table`.
    #[doc(hidden)]
    fn columns_here(table: &str) -> String;
    /// What the session is set to, as the SQL that changes it for a run and back.
    #[doc(hidden)]
    fn session<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        lock_timeout: Duration,
        work: Work,
    ) -> QueryResult<Session>;
    /// What makes a session wait, instead of failing, where a writer keeps readers out for a moment.
    #[doc(hidden)]
    fn patience<C: LoadConnection<Backend = Self>>(conn: &mut C, wait: Duration) -> QueryResult<Session>;
    /// Asks for the migration lock once, without waiting.
    #[doc(hidden)]
    fn try_lock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey) -> QueryResult<Asked>;
    /// Gives the migration lock back; `keep` says whether what a transaction that is the lock holds is kept.
    #[doc(hidden)]
    fn unlock<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, keep: bool) -> QueryResult<()>;
    /// The rows that break a foreign key, where the database does not check while it runs.
    #[doc(hidden)]
    fn violations<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Vec<Violations>>;
    /// An expression for what the catalogue says before a statement, where that will tell whether it took.
    #[doc(hidden)]
    fn before(statement: &str) -> Option<String>;
    /// Whether a statement that runs outside of every transaction took, as far as the catalogue tells, which said so `before`.
    #[doc(hidden)]
    fn outcome<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        statement: &str,
        before: Option<&str>,
    ) -> QueryResult<Outcome>;
    /// A condition that holds while this very connection holds the lock.
    #[doc(hidden)]
    fn owned(key: &LockKey) -> String;
    /// What migrations need that travel together in one message. `None` where they do not. What was seen of the
    /// `room` that they have is not asked again.
    #[doc(hidden)]
    fn together<C: LoadConnection<Backend = Self>>(
        conn: &mut C,
        key: &LockKey,
        room: Option<Room>,
    ) -> QueryResult<Option<Together>>;
    /// Who holds the lock, as far as the database tells.
    #[doc(hidden)]
    fn holder<C: LoadConnection<Backend = Self>>(conn: &mut C, key: &LockKey, facts: &Facts) -> Option<String>;
    /// Who may hold what this statement waited for in vain, and how each is ended, as far as the database tells.
    #[doc(hidden)]
    fn blockers<C: LoadConnection<Backend = Self>>(conn: &mut C, statement: &str) -> QueryResult<Vec<String>>;
    /// The database's name for this session, where a statement in it can be cancelled from another.
    #[doc(hidden)]
    fn myself<C: LoadConnection<Backend = Self>>(conn: &mut C) -> QueryResult<Option<String>>;
    /// Cancels the statement that a session executes.
    #[doc(hidden)]
    fn cancel<C: LoadConnection<Backend = Self>>(conn: &mut C, session: &str) -> QueryResult<()>;
    /// What kind of failure the database's words (in English) mean.
    #[doc(hidden)]
    fn class(words: &str) -> Class;
    /// Whether a connection was refused because the database is not up yet, or not free, so that it may be there later.
    #[doc(hidden)]
    fn comes_up(words: &str) -> bool;
}

/// What is answered to who asks for the lock once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is the asker's.
    Granted,
    /// Another session has it.
    Held,
    /// This very session had it before: it was granted to another client, behind a pooler that shares sessions. A server grants it
    /// twice, so that two would run at once.
    HeldHere,
}

mod sealed {
    pub trait Sealed {}
    #[cfg(feature = "sqlite")]
    impl Sealed for diesel::sqlite::Sqlite {}
    #[cfg(feature = "postgres")]
    impl Sealed for diesel::pg::Pg {}
    #[cfg(feature = "mysql")]
    impl Sealed for diesel::mysql::Mysql {}
}

/// A row whose cells are all text.
#[derive(Debug)]
pub struct Cells(Vec<Option<String>>);

impl Cells {
    /// The text of a cell; empty for NULL.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.optional(at).unwrap_or("")
    }

    pub(crate) fn optional(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, at: usize) -> Option<T> {
        self.optional(at)?.parse().ok()
    }

    /// Whether a condition held: databases write it as `1`, `t` or `true`.
    pub(crate) fn holds(&self, at: usize) -> bool {
        matches!(self.text(at), "1" | "t" | "true" | "ON" | "on")
    }
}

impl<DB: Backend> QueryableByName<DB> for Cells
where
    String: FromSql<Text, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        let cells = (0..row.field_count()).map(|at| {
            let field = Row::get(row, at).ok_or("a column is gone")?;
            field.value().map(|value| <String as FromSql<Text, DB>>::from_sql(value)).transpose()
        });
        cells.collect::<deserialize::Result<Vec<_>>>().map(Self)
    }
}

/// How many rows of one table break a foreign key to one other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations {
    pub(crate) what: String,
    pub(crate) count: u64,
}

/// Whether a statement took, as far as the catalogue tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It took.
    Took,
    /// It did not, or it can be done twice.
    DidNot,
    /// It left something unusable, which these statements remove.
    Broken(Vec<String>),
    /// The catalogue does not tell.
    Unknown,
}

/// The name of a migration lock.
#[derive(Debug, Clone)]
pub struct LockKey {
    /// The lock as a number of 64 bits, for PostgreSQL.
    pub number: i64,
    /// The lock as a name of at most 64 characters, for MySQL.
    pub name: String,
}

/// What kind of failure a database reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Somebody else holds what the statement needs. The transaction can be tried again.
    Busy,
    /// A deadlock or a serialization failure. The transaction can be tried again.
    Conflict,
    /// The connection is gone.
    Connection,
    /// The database, or the role, only reads.
    ReadOnly,
    /// No space is left.
    DiskFull,
    /// The role lacks a privilege.
    Permission,
    /// A transaction was open on the connection.
    Nested,
    /// Anything else; trying again does not help.
    Permanent,
}

impl Class {
    /// The code of a failure that no script is to blame for.
    pub(crate) fn code(self) -> Option<&'static str> {
        match self {
            Self::Connection => Some("connection_lost"),
            Self::ReadOnly => Some("read_only"),
            Self::DiskFull => Some("disk_full"),
            Self::Permission => Some("permission_denied"),
            Self::Busy | Self::Conflict | Self::Nested | Self::Permanent => None,
        }
    }

    /// What to call a reason to try again.
    pub(crate) fn name(self) -> &'static str {
        if self == Self::Conflict { "conflict" } else { "busy" }
    }

    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Busy | Self::Conflict => "others hold what it needs: run again when they are done",
            Self::Connection => "run again: what was committed is recorded, the rest is taken up where it stopped",
            Self::ReadOnly => "connect to the primary, as a role that may write",
            Self::DiskFull => "make room, then run again",
            Self::Permission => {
                "migrate as the owner, or grant the role what the statement needs (migrator doctor tells what)"
            }
            Self::Nested | Self::Permanent => {
                "correct what the database names, then run again: it goes on where it stopped"
            }
        }
    }

    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Busy | Self::Conflict)
    }

    /// Finds the first class of which one of the texts occurs.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
        expect(dead_code, reason = "a build without a database has no dialect")
    )]
    fn find(words: &str, table: &[(Self, &[&str])]) -> Self {
        let words = words.to_lowercase();
        let hit = table.iter().find(|(_, texts)| texts.iter().any(|text| words.contains(text)));
        hit.map_or(Self::Permanent, |(class, _)| *class)
    }
}

/// What kind of failure an error of diesel is.
pub(crate) fn class<D: Dialect>(error: &DatabaseError) -> Class {
    use diesel::result::DatabaseErrorKind::{ClosedConnection, ReadOnlyTransaction, SerializationFailure};
    match error {
        DatabaseError::DatabaseError(SerializationFailure, _) => Class::Conflict,
        DatabaseError::DatabaseError(ReadOnlyTransaction, _) => Class::ReadOnly,
        DatabaseError::DatabaseError(ClosedConnection, _) | DatabaseError::BrokenTransactionManager => {
            Class::Connection
        }
        error => D::class(&error.to_string()),
    }
}

/// An error of the database outside of any migration's script.
pub(crate) fn refused<D: Dialect>(doing: &str, error: DatabaseError) -> Error {
    let class = class::<D>(&error);
    if class == Class::Nested {
        return Error::open_transaction();
    }
    let message = format!("the database refused to {doing}");
    Error::new(class.code().unwrap_or("database"), message, class.remedy()).with_database(error)
}

/// How many transactions and savepoints diesel knows to be open.
pub(crate) fn depth<C: LoadConnection>(conn: &mut C) -> u32 {
    let status = C::TransactionManager::transaction_manager_status_mut(conn);
    status.transaction_depth().ok().flatten().map_or(0, std::num::NonZeroU32::get)
}

/// `schema.table`, both quoted.
pub(crate) fn table<D: Dialect>(schema: &str, name: &str) -> String {
    format!("{}.{}", D::ident(schema), D::ident(name))
}

/// `ON CONFLICT …`, as PostgreSQL and SQLite have it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn on_conflict<D: Dialect>(key: &[&str], columns: &[&str]) -> String {
    let key: Vec<String> = key.iter().map(|column| D::ident(column)).collect();
    let columns: Vec<String> = columns.iter().map(|column| format!("{0} = excluded.{0}", D::ident(column))).collect();
    format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), columns.join(", "))
}

/// Doubles a quote character and puts it around.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "mysql")),
    expect(dead_code, reason = "a build without a database has no dialect")
)]
fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    // Hardly any text has one.
    if !text.as_bytes().contains(&(quote as u8)) {
        quoted.push_str(text);
        quoted.push(quote);
        return quoted;
    }
    for (at, part) in text.split(quote).enumerate() {
        if at > 0 {
            quoted.extend([quote, quote]);
        }
        quoted.push_str(part);
    }
    quoted.push(quote);
    quoted
}
