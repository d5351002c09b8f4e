//! What migrations need of their database that travel several in one message.

/// What migrations need that travel together in one message.
#[derive(Debug, Clone)]
pub struct Together {
    /// Whether the database holds no function that could change the session behind a plain statement.
    pub(crate) quiet: bool,
    /// Whether it holds no table but those that were named, so that nobody waits for what a long transaction locks.
    pub(crate) empty: bool,
    /// How many statements may share a transaction: each may take some six of the locks of which the server has a fixed number.
    pub(crate) most_sharing: usize,
    /// A condition that holds while nobody else has the lock, and keeps it so until the end of the transaction.
    pub(crate) owned: String,
    /// An expression: the milliseconds since the time that this is the column of, or the message's begin.
    pub(crate) elapsed: fn(&str) -> String,
    /// Column types of the parameters of a prepared statement: a number, a text.
    pub(crate) types: [&'static str; 2],
    /// Where several share a transaction: a query that notes the moment, until the end of the transaction.
    pub(crate) note: &'static str,
    /// SQL that has checked what a COMMIT would check.
    pub(crate) check: &'static str,
    /// A query for what was noted, to join the records with. It must not be read anew for each of them.
    pub(crate) noted: &'static str,
    /// Expressions over it for the one whose number, from 1, this column has: the milliseconds that it took, the moment of its end.
    /// The first moment is the begin.
    pub(crate) took_and_at: fn(&str) -> [String; 2],
}
