//! One run with work to do: turns under the lock, until it is done or stopped.

use diesel::connection::LoadConnection;

use super::Migrator;
use super::verbs::run_id;
use crate::apply::{self, Grouping, Run, Stop};
use crate::dialect::{Dialect, Facts, LockKey, Session, refused};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::Event;
use crate::history::{self, Home, Writer};
use crate::lock::{self, FileLock, Keep};
use crate::plan::{self, Target};
use crate::record::History;
use crate::report::Report;

/// One run with work to do, inside of its session.
pub(super) struct Job<'a, C> {
    pub(super) migrator: &'a Migrator<C>,
    pub(super) facts: &'a Facts,
    pub(super) home: &'a Home,
    pub(super) key: &'a LockKey,
    pub(super) restore: &'a Session,
    pub(super) target: &'a Target,
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
    pub(super) fn run(&self, conn: &mut C, needs_file: bool, report: &mut Report) -> Result<(), Error> {
        let (mut grouping, mut needs_file) = (Grouping::All, needs_file);
        let mut file = None;
        let wait = &self.migrator.wait;
        loop {
            if needs_file && file.is_none() {
                file = Some(FileLock::acquire(conn, self.key, self.facts, wait)?);
            }
            let span = tracing::info_span!(target: "migrator", "migrator.lock");
            let turn = span.in_scope(|| {
                lock::with_lock(conn, self.key, self.facts, wait, |conn, waited| {
                    report.lock_wait += waited;
                    wait.hook.emit(Event::Locked { waited });
                    match self.turn(conn, grouping, file.is_some(), report) {
                        // What the run did before it stopped is kept; it is recorded.
                        Ok(turn @ (Turn::Done | Turn::Stopped(_))) => (Keep::All, Ok(turn)),
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

    /// Reads the history again, decides again, and carries the decision out.
    fn turn(&self, conn: &mut C, grouping: Grouping, has_file: bool, report: &mut Report) -> Result<Turn, Error> {
        let migrator = self.migrator;
        let facts = C::Backend::facts(conn, migrator.schema.as_deref().or(Some(&self.home.schema)))
            .map_err(|error| refused::<C::Backend>("tell what it is", error))?;
        let history = history::load(conn, &facts, self.home)?;
        let known = history.clone().unwrap_or_default();
        let given = migrator.given(conn, &facts, &known)?;
        let plan = plan::plan(&migrator.set, &known, self.target, given)?;
        if !has_file && migrator.needs_file(&known, &plan) {
            return Ok(Turn::Again(grouping, true));
        }
        if !plan.is_empty() {
            self.back_up(conn, history.as_ref(), report)?;
        }
        let marked = migrator.environment.map(Environment::name);
        if let Err(error) = history::prepare(conn, self.home, history.as_ref(), marked) {
            // Another set has a lock of its own, and may have made the tables at the same moment.
            let made = history.is_none() && history::exists(conn, self.home);
            let again = made.then(|| history::prepare(conn, self.home, Some(&History::default()), marked));
            again.unwrap_or(Err(error)).map_err(|error| {
                let remedy =
                    "the role needs the right to create tables in the schema once; or let the owner run the migrations";
                refused::<C::Backend>("make the history tables", error).with_remedy(remedy)
            })?;
        }
        plan.warnings.iter().for_each(|warning| migrator.warn(report, warning.clone()));
        // What an earlier turn of this run committed is this run's.
        report.skipped = plan.skipped.saturating_sub(report.committed);
        report.run_id = run_id();
        report.forget();
        migrator.wait.hook.emit(Event::Planned { steps: plan.steps.len() });
        let run_id = report.run_id.clone();
        let writer = Writer::new::<C::Backend>(self.home, &migrator.set, history.as_ref(), self.key, &run_id, &facts)
            .acting_as(&self.restore.myself);
        let mut run = Run {
            set: &migrator.set,
            facts: self.facts,
            key: self.key,
            wait: &migrator.wait,
            restore: &self.restore.leave,
            grouping,
            writer,
            report,
        };
        match apply::apply(conn, &mut run, &plan) {
            Ok(()) => Ok(Turn::Done),
            Err(Stop::Error(error)) => Ok(Turn::Stopped(error)),
            Err(Stop::Again(grouping)) => Ok(Turn::Again(grouping, false)),
        }
    }
}
