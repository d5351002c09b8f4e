//! How the session of a run is set up, and left as it was.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use super::LockKey;

/// The SQL that sets a session up for a run, and that makes it what it was when it was asked for.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub(crate) enter: String,
    pub(crate) leave: String,
    /// What only the host may have back, behind `leave` at the end: between scripts the run would not stand it.
    pub(crate) host: &'static str,
    /// In front of a record and until the end of its transaction: who the session is, whatever role a script took.
    pub(crate) myself: String,
    /// The database's name for the session, where the same query told.
    pub(crate) name: Option<String>,
    /// Where `leave` undoes only what the run itself set: what undoes anything that a script may have set, once it was asked for.
    pub(crate) whole: Option<OnceCell<String>>,
    /// The SQL that gives the lock back, where `leave` can stand behind it in one message.
    pub(crate) unlock: Option<fn(&LockKey) -> String>,
    /// Whether `leave` was sent already, behind that.
    pub(crate) left: Cell<bool>,
}

impl Session {
    /// The SQL that gives the lock back and leaves the session, in one message: where nothing but the run itself changed anything. The lock
    /// is first: what the session was set to may be a deadline, which is not the run's.
    pub(crate) fn parting(&self, key: &LockKey) -> Option<String> {
        let is_unchanged = self.whole.as_ref().is_some_and(|whole| whole.get().is_none());
        self.unlock.filter(|_| is_unchanged).map(|unlock| unlock(key) + &self.leave)
    }

    /// The SQL that undoes what a script changed in the session.
    pub(crate) fn restore(&self) -> &str {
        match &self.whole {
            Some(whole) => whole.get().map_or("", String::as_str),
            None => &self.leave,
        }
    }
}

/// What a session is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Migrations: no statement has a deadline, and SQLite checks foreign keys at the end only.
    Migrations,
    /// Migrations of which none is known to change the session, so that nobody needs to know all that it is set to.
    Quiet,
    /// Nothing more: only to know what undoes whatever is changed from now on.
    Afterwards,
    /// A seed, whose statements may take so long.
    Seed(Duration),
}
