//! How the session of a run is set up, and left as it was.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

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
    /// Whether `leave` was sent already, behind the lock.
    pub(crate) left: Cell<bool>,
}

impl Session {
    /// The SQL that leaves the session, which can stand behind the lock: where nothing but the run itself changed anything.
    pub(crate) fn parting(&self) -> Option<&str> {
        self.whole.as_ref().is_some_and(|whole| whole.get().is_none()).then_some(&self.leave)
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
    /// A seed, whose statements may take so long.
    Seed(Duration),
}
