//! The verbs that undo: revert, and redo.

use std::time::Instant;

use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::{Dialect, Look, depth};
use crate::error::Error;
use crate::migration::Way;
use crate::plan::{Goal, Target};
use crate::report::Report;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Undoes what is applied, newest first, by the down scripts: so many migrations ([`Target::Steps`]), or all that are newer than
    /// one, which is kept ([`Target::Version`]). [`Target::Latest`] keeps the whole set.
    ///
    /// The lock, the session and the records are those of a [`run`](Self::run). A down script runs in a transaction with its
    /// record wherever the database can. Where it cannot, each statement is recorded, and a revert that stopped half-way goes on at
    /// its statement when it is called again; until then, or until [`resolve`](Self::resolve) says what is true, nothing is applied.
    ///
    /// On production it wants [`confirm`](Self::confirm).
    ///
    /// # Errors
    /// Before anything is changed: `environment_mismatch` and `not_confirmed`, when the guard refuses it; `no_way_down`, which names
    /// each migration that has no down script, or none that can run;
    /// `failed`, when a migration is half applied. Half-way: when a statement fails; then the error carries the
    /// [report](Error::report) of what was undone before.
    pub fn revert(&self, conn: &mut C, target: Target) -> Result<Report, Error> {
        self.undo(conn, &Goal::Revert(target))
    }

    /// Undoes the last applied migration and applies it again, under one lock.
    ///
    /// The text that it has now is applied, so this takes in an edit of what was not released yet.
    ///
    /// # Errors
    /// As [`revert`](Self::revert) and [`run`](Self::run). What was undone stays so when applying it again fails; a run goes on.
    pub fn redo(&self, conn: &mut C) -> Result<Report, Error> {
        self.undo(conn, &Goal::Redo)
    }

    /// Where everything that undoes migrations begins.
    fn undo(&self, conn: &mut C, goal: &Goal) -> Result<Report, Error> {
        let span = tracing::info_span!(target: "migrator", "migrator.revert", ?goal);
        let _in_revert = span.enter();
        let start = Instant::now();
        self.check_set()?;
        if depth(conn) > 0 {
            return Err(Error::open_transaction());
        }
        self.carried(conn, goal, Report { way: Way::Down, ..Report::default() }, Look::First, start)
    }
}
