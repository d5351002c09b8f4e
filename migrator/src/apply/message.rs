//! Many pending migrations on MySQL: several in one message, each statement followed by its record.
//!
//! The server carries a message out in order, also when its client is gone, and stops at the first error. So each intent is on disk
//! before its statement, and each record behind it, as when they go alone; only the way between client and server is saved, and a
//! commit where the record of one migration and the intent of the next share it.
//!
//! A message that fails is not sent again. The records tell how far it came, and the migration in which it stopped goes on by itself,
//! with the error that was met, from there; a script in a transaction from its begin, if it can be tried again.

use std::fmt::Write;

use migrator_source::sql::{Kind, Mode, Script, Statement};

use super::outside::{planned, took};
use super::{Run, applied};
use crate::dialect::Dialect;
use crate::history::{Ahead, Written, enclosed};
use crate::migration::Migration;
use crate::plan::Step;

/// How long a message goes on before it stops behind a statement, so that a run that is interrupted ends soon, in microseconds.
const PATIENCE: u32 = 1_000_000;

/// One migration that travels.
#[derive(Clone, Copy)]
pub(super) struct Traveller<'a> {
    pub(super) step: &'a Step,
    pub(super) migration: Migration<'a>,
    pub(super) script: &'a Script<'a>,
}

impl Traveller<'_> {
    /// Whether its statements are recorded one by one.
    fn is_in_parts(&self) -> bool {
        self.script.mode() == Mode::NoTransaction
    }
}

/// What has one record behind it: a script in a transaction, or a statement outside of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Which traveller it is of.
    of: usize,
    /// Which statement of its script it is; `None` for the whole of a script in a transaction.
    statement: Option<usize>,
    /// Whether it commits by itself, before its record is written.
    commits: bool,
    /// How many records of the message are there when its migration was begun, and when it is recorded.
    records: [usize; 2],
}

/// A message, and what to make of how far it came.
pub(super) struct Message {
    pub(super) sql: String,
    pub(super) written: Vec<Written>,
    parts: Vec<Part>,
}

/// Where a message stopped, in the first migration that did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// In front of a script.
    Before,
    /// At this statement of a script, which did not take; nor did those in front of it, where the script is a transaction.
    At(usize, Why),
    /// Behind this statement of a script, which took and is not recorded.
    Unrecorded(usize),
}

impl Stopped {
    /// Whether a record failed together with what it records.
    pub(super) fn is_of_record(self) -> bool {
        matches!(self, Self::At(_, Why::Record))
    }
}

/// Why a statement did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It was not sent: the message had gone on for long enough.
    Late,
    /// It failed.
    Failed,
    /// Its record failed, in the same transaction.
    Record,
}

impl Message {
    /// With all of them.
    pub(super) fn of<D: Dialect>(run: &Run<'_>, travellers: &[Traveller<'_>]) -> Self {
        let ahead = run.writer.write_ahead::<D>();
        let mut build = Build { run, ahead, sql: String::new(), parts: Vec::new() };
        build.sql.push_str(
            "SET @migrator_came_to = 0, @migrator_began = UTC_TIMESTAMP(6), @migrator_since = UTC_TIMESTAMP(6);",
        );
        if let Some(planned) = build.planned(travellers.first()) {
            build.sql.push_str(&enclosed(&planned));
        }
        for of in 0..travellers.len() {
            match travellers[of].is_in_parts() {
                true => build.parts(travellers, of),
                false => build.whole(travellers, of),
            }
        }
        Self { sql: build.sql, parts: build.parts, written: build.ahead.written() }
    }

    /// For each traveller, how many records are there when it is recorded.
    pub(super) fn ends(&self) -> Vec<usize> {
        let last = |of: &[Part]| of.last().map(|part| part.records[1]);
        self.parts.chunk_by(|one, next| one.of == next.of).filter_map(last).collect()
    }

    /// Where it stopped, when so many of its records are there and it said to have come so far; `None` when all of it is done.
    ///
    /// What it says is the number of the last part that took, below zero when it was too late for another one, and how many statements
    /// of the next part took, when that is a whole script.
    pub(super) fn stopped(&self, records: usize, came_to: i64, statements: usize) -> Option<Stopped> {
        let at = self.parts.iter().position(|part| part.records[1] > records)?;
        let part = self.parts[at];
        if part.records[0] > records {
            return Some(Stopped::Before);
        }
        let took = came_to.unsigned_abs() > at as u64;
        Some(match (took, part.statement) {
            (true, Some(statement)) if part.commits => Stopped::Unrecorded(statement),
            (true, statement) => Stopped::At(statement.unwrap_or(0), Why::Record),
            (false, None) if came_to < 0 => Stopped::Before,
            (false, Some(statement)) if came_to < 0 => Stopped::At(statement, Why::Late),
            (false, statement) => Stopped::At(statement.unwrap_or(statements), Why::Failed),
        })
    }
}

struct Build<'a, 'r, D> {
    run: &'a Run<'r>,
    ahead: Ahead<D>,
    sql: String,
    parts: Vec<Part>,
}

impl<D: Dialect> Build<'_, '_, D> {
    /// The intent of a migration, when it has one.
    fn planned(&mut self, traveller: Option<&Traveller<'_>>) -> Option<String> {
        let Traveller { step, migration, script } = traveller.filter(|traveller| traveller.is_in_parts())?;
        let planned = planned(self.run, step, migration, script);
        Some(self.ahead.next(&planned, None))
    }

    /// The record that ends a migration, and in the same transaction the intent of the next.
    fn done(&mut self, travellers: &[Traveller<'_>], of: usize) -> String {
        let Traveller { migration, script, .. } = &travellers[of];
        let (record, took) = (applied(self.run, migration, script), Some("@migrator_took"));
        let next = travellers.get(of + 1);
        let ends = match next.is_some_and(Traveller::is_in_parts) {
            true => self.ahead.next_in_front(&record, took),
            false => self.ahead.next(&record, took),
        };
        self.recorded();
        format!("{}\n{ends}{}", self.run.session.restore(), self.planned(next).unwrap_or_default())
    }

    /// The last part is recorded by the last record.
    fn recorded(&mut self) {
        if let Some(part) = self.parts.last_mut() {
            part.records[1] = self.ahead.count();
        }
    }

    /// A script in a transaction with its record.
    fn whole(&mut self, travellers: &[Traveller<'_>], of: usize) {
        self.parts.push(Part { of, statement: None, commits: false, records: [self.ahead.count(); 2] });
        self.sql.push_str("BEGIN;SET @migrator_statements = 0;");
        for (at, statement) in travellers[of].script.statements().iter().enumerate() {
            if at > 0 {
                let _infallible = write!(self.sql, "SET @migrator_statements = {at};");
            }
            self.statement(statement);
        }
        self.came_here(true);
        let record = self.done(travellers, of);
        self.commit(&record, of + 1 == travellers.len());
    }

    /// A script whose statements are recorded one by one.
    fn parts(&mut self, travellers: &[Traveller<'_>], of: usize) {
        let Traveller { step, migration, script } = &travellers[of];
        let (count, begun) = (script.statements().len(), self.ahead.count());
        for (at, statement) in script.statements().iter().enumerate() {
            let (is_last, commits) = (at + 1 == count, statement.kind == Kind::Commits);
            self.parts.push(Part { of, statement: Some(at), commits, records: [begun; 2] });
            self.sql.push_str(if commits { "" } else { "BEGIN;" });
            self.statement(statement);
            self.came_here(is_last);
            self.sql.push_str(if commits { "BEGIN;" } else { "" });
            let record = if is_last {
                self.done(travellers, of)
            } else {
                let record = self.ahead.next(&took(self.run, step, migration, script, at + 1), None);
                self.recorded();
                record
            };
            self.commit(&record, is_last && of + 1 == travellers.len());
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        tracing::trace!(target: "migrator", sql = statement.text, "statement");
        let _infallible = write!(self.sql, "\n{}\n;", statement.text);
    }

    /// Says that the last part took, and behind a migration how long that took.
    fn came_here(&mut self, is_done: bool) {
        let number = self.parts.len();
        let since = |moment: &str| format!("TIMESTAMPDIFF(MICROSECOND, {moment}, UTC_TIMESTAMP(6))");
        let late = since("@migrator_began");
        let _infallible = write!(self.sql, "SET @migrator_came_to = IF({late} > {PATIENCE}, -{number}, {number})");
        if is_done {
            let took = since("@migrator_since");
            let _infallible =
                write!(self.sql, ", @migrator_took = {took} DIV 1000, @migrator_since = UTC_TIMESTAMP(6)");
        }
        self.sql.push(';');
    }

    /// Behind a record the message stops when it is old: by a number that no type holds, an error whatever `sql_mode` says.
    fn commit(&mut self, record: &str, is_last: bool) {
        let _infallible = write!(self.sql, "\n{record}\nCOMMIT;");
        if !is_last {
            self.sql.push_str("SET @migrator_goes_on = 18446744073709551615 + (@migrator_came_to < 0);");
        }
    }
}

/// What a message says when it did not come to its end: how far it came, how long the migration took that it stopped in, and how many
/// of its statements took if it is a whole script.
pub(super) const CAME_TO: &str = "SELECT CAST(@migrator_came_to AS CHAR), \
     CAST(TIMESTAMPDIFF(MICROSECOND, @migrator_since, UTC_TIMESTAMP(6)) AS CHAR), CAST(@migrator_statements AS CHAR)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_stopped_is_taken_up_where_it_stopped() {
        let part = |of, statement, commits, records| Part { of, statement, commits, records };
        // DDL and rows; rows in a transaction; DDL. The last intent shares a commit with the record in front of it.
        let parts = vec![
            part(0, Some(0), true, [1, 2]),
            part(0, Some(1), false, [1, 3]),
            part(1, None, false, [3, 4]),
            part(2, Some(0), true, [5, 6]),
        ];
        let message = Message { sql: String::new(), written: Vec::new(), parts };
        assert_eq!(message.ends(), [3, 4, 6]);
        let cases = [
            (0, 0, Some(Stopped::Before)),
            (1, 0, Some(Stopped::At(0, Why::Failed))),
            (1, 1, Some(Stopped::Unrecorded(0))),
            (1, -1, Some(Stopped::Unrecorded(0))),
            (2, 1, Some(Stopped::At(1, Why::Failed))),
            (2, -1, Some(Stopped::At(1, Why::Late))),
            (2, 2, Some(Stopped::At(1, Why::Record))),
            (2, -2, Some(Stopped::At(1, Why::Record))),
            (3, 2, Some(Stopped::At(7, Why::Failed))),
            (3, -2, Some(Stopped::Before)),
            (3, 3, Some(Stopped::At(0, Why::Record))),
            (5, 3, Some(Stopped::At(0, Why::Failed))),
            (5, -3, Some(Stopped::At(0, Why::Late))),
            (5, 4, Some(Stopped::Unrecorded(0))),
            (6, 4, None),
        ];
        for (records, came_to, expected) in cases {
            assert_eq!(message.stopped(records, came_to, 7), expected, "{records} records, {came_to}");
        }
    }
}
