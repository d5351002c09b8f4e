//! One run with work to do: turns under the lock, until it is done or stopped.

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use super::seen::Seen;
use super::verbs::run_id;
use crate::apply::{self, Grouping, Run, Stop};
use crate::dialect::{Dialect, LockKey, Look, Session, refused};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::Event;
use crate::history::{Rows, Writer};
use crate::lock::{self, FileLock, Keep};
use crate::plan::{Goal, Plan, Scripts};
use crate::report::Report;
use crate::source::Source;

/// One run with work to do, inside of its session.
pub(super) struct Job<'a, C> {
    pub(super) migrator: &'a Migrator<C>,
    pub(super) seen: &'a Seen,
    pub(super) key: &'a LockKey,
    pub(super) session: &'a Session,
    pub(super) goal: &'a Goal,
    /// How much to look at under the lock.
    pub(super) look: Look,
    /// What was decided before the lock.
    pub(super) plan: &'a Plan,
}

/// How one turn under the lock ended.
enum Turn {
    Done,
    Stopped(Error),
    /// Again, with this grouping, and with the lock file held.
    Again(Grouping, bool),
}

impl<C: LoadConnection<Backend: Dialect>> Job<'_, C> {
    /// Takes the lock, as often as it needs to, and does the work under it.
    pub(super) fn run(
        &self,
        conn: &mut C,
        scripts: &mut Scripts<'_>,
        needs_file: bool,
        report: &mut Report,
    ) -> Result<(), Error> {
        let (mut grouping, mut needs_file) = (Grouping::All, needs_file);
        let mut file = None;
        let wait = &self.migrator.wait;
        loop {
            if needs_file && file.is_none() {
                file = Some(FileLock::acquire(conn, self.key, &self.seen.facts, wait)?);
            }
            let span = tracing::info_span!(target: "migrator", "migrator.lock");
            let turn = span.in_scope(|| {
                lock::with_lock(conn, self.key, &self.seen.facts, wait, |conn, waited| {
                    report.lock_wait += waited;
                    wait.hook.emit(Event::Locked { waited });
                    match self.turn(conn, scripts, grouping, file.is_some(), report) {
                        // What the run did before it stopped is kept; it is recorded.
                        Ok(turn @ (Turn::Done | Turn::Stopped(_))) => (Keep::AllAndLeave(self.session), Ok(turn)),
                        Ok(turn) => (Keep::Nothing, Ok(turn)),
                        Err(error) => (Keep::Nothing, Err(error)),
                    }
                })
            });
            match turn {
                Ok(Ok(Turn::Done)) => {
                    report.flush(&wait.hook);
                    return Ok(());
                }
                Ok(Ok(Turn::Stopped(error))) => {
                    report.flush(&wait.hook);
                    return Err(error);
                }
                Ok(Ok(Turn::Again(next, with_file))) => (grouping, needs_file) = (next, needs_file || with_file),
                Ok(Err(error)) => return Err(error),
                Err(error) => {
                    // The transaction that held the run could not be committed: nothing of it is there.
                    report.forget();
                    return Err(error);
                }
            }
        }
    }

    /// Whether what was decided before the lock is what would be decided again: nothing was recorded then, and nothing is now.
    fn still_holds(&self, seen: &Seen, report: &Report) -> bool {
        let is_first = report.run_id.is_empty() && matches!(self.goal, Goal::Apply(_));
        is_first && self.seen.is_bare() && seen.is_bare()
    }

    /// Reads the history again, decides again, and carries the decision out.
    fn turn(
        &self,
        conn: &mut C,
        scripts: &mut Scripts<'_>,
        grouping: Grouping,
        has_file: bool,
        report: &mut Report,
    ) -> Result<Turn, Error> {
        let migrator = self.migrator;
        let mut seen = migrator.look(conn, Some(self.seen), self.look)?;
        let known = seen.known().unwrap_or_default();
        let given = migrator.given(conn, &seen.facts, &known)?;
        let mut chosen = report.chosen.clone();
        let again;
        let plan = if self.still_holds(&seen, report) {
            self.plan
        } else {
            again = self.goal.plan(scripts, &known, &mut chosen, &report.run_id, given)?;
            &again
        };
        if !has_file && migrator.needs_file(&known, plan) {
            return Ok(Turn::Again(grouping, true));
        }
        report.chosen = chosen;
        if !plan.is_empty() {
            self.back_up(conn, seen.known().as_ref(), report)?;
        }
        let told = seen.told(true);
        // With what is written first: what cannot be written leaves no tables, and on PostgreSQL they take no message of their own.
        let makes_tables = seen.is_bare()
            && !plan.is_empty()
            && match C::Backend::SQL {
                SqlDialect::Sqlite => seen.ledger.is_none(),
                SqlDialect::Postgres => true,
                SqlDialect::Mysql => false,
            };
        if !makes_tables {
            migrator.prepare(conn, &mut seen, migrator.environment)?;
        }
        plan.warnings.iter().for_each(|warning| migrator.warn(report, warning.clone()));
        report.forget();
        if report.run_id.is_empty() {
            report.run_id = run_id();
        }
        // What an earlier turn of this run committed is this run's, also when the answer was lost with its connection.
        let found = report.recognise(&known);
        report.skipped = plan.skipped.saturating_sub(report.applied.len());
        migrator.wait.hook.emit(Event::Planned { steps: plan.steps.len() });
        let run_id = report.run_id.clone();
        let history = seen.history.as_ref();
        let (set, origin, facts) = (&migrator.set, migrator.origin(), &seen.facts);
        let mut writer = Writer::new::<C::Backend>(&seen.home, set, history, self.key, &run_id, &origin, facts)
            .acting_as(&self.session.myself)
            .keeping(seen.ledger.as_ref(), &known);
        if found > 0 {
            let settling = |error| refused::<C::Backend>("have what took on disk", error);
            writer.settle(conn).map_err(settling)?;
            report.flush(&migrator.wait.hook);
        }
        if let Some(environment) = seen.first_mark(migrator.environment) {
            let marking = |error| refused::<C::Backend>("mark it", error);
            writer.mark(conn, Rows::Own, None, environment).map_err(marking)?;
        }
        if makes_tables {
            writer = writer.making_tables(migrator.environment.map(Environment::name));
        }
        if !seen.turns.is_empty() {
            let adopting = |error| refused::<C::Backend>("record what another tool did", error);
            writer.adopt(conn, &seen.turns).map_err(adopting)?;
        }
        told.into_iter().for_each(|told| migrator.warn(report, told));
        if plan.is_empty() {
            return Ok(Turn::Done);
        }
        let mut run = Run {
            scripts,
            facts: &self.seen.facts,
            key: self.key,
            wait: &migrator.wait,
            session: self.session,
            // A backup may have taken long.
            room: seen.facts.room.filter(|_| migrator.backup.is_none()),
            reconnects: migrator.connect.is_some(),
            grouping,
            is_empty: facts.tables.is_empty(),
            writer,
            report,
        };
        let source = migrator.source.as_ref().map(Source::open).transpose()?;
        match apply::apply(conn, &mut run, plan, source.as_deref()) {
            Ok(()) => Ok(Turn::Done),
            Err(Stop::Error(error)) => Ok(Turn::Stopped(error)),
            Err(Stop::Undone(error)) => {
                report.forget();
                Err(error)
            }
            Err(Stop::Again(grouping)) => Ok(Turn::Again(grouping, false)),
        }
    }
}
