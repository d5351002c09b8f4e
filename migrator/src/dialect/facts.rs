//! What there is to know of a database before anything is decided.

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Whether a transaction is open without diesel's knowing, too.
    First,
    /// That was asked before; or what failed before would have ended it, so that nothing could be read now.
    Again,
    /// As `Again`, and what room there is for many migrations at once.
    ForMany,
}

/// What there is to know of a database before anything is decided.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Its name, or the file of a SQLite database.
    pub(crate) database: String,
    /// The schema in which the history lives.
    pub(crate) schema: String,
    /// Why it cannot be written to, when it cannot.
    pub(crate) read_only: Option<String>,
    /// Whether a transaction is open on the connection.
    pub(crate) in_transaction: bool,
    /// Why its migration lock could not be trusted, when it could not.
    pub(crate) unsupported: Option<String>,
    /// How many bytes a message to it may have, where it bounds them.
    pub(crate) longest_message: Option<usize>,
    /// When the server started, in seconds of its own clock, where a restart can leave a statement in doubt.
    pub(crate) started: Option<i64>,
    /// The tables of the schema. Those of extensions are among them.
    pub(crate) tables: Vec<String>,
    /// Where it was asked for and is told.
    pub(crate) room: Option<Room>,
}

impl Facts {
    pub(crate) fn has_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table == name)
    }
}

/// What a database has that migrations could meet which travel together.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "PostgreSQL alone looks at it"))]
pub struct Room {
    /// Whether a backslash in a text is one, as the scripts are split.
    pub(crate) conforms: bool,
    /// Whether somebody made a function.
    pub(crate) has_functions: bool,
    /// How many of its tables, of every schema, are not ours.
    pub(crate) tables: u64,
    /// How many statements may share a transaction.
    pub(crate) most_sharing: usize,
}
