//! Where a verb that can destroy begins, and the mark that it asks for.

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use super::verbs::run_id;
use crate::checkup::Check;
use crate::dialect::{Dialect, Facts, LockKey, Look, refused};
use crate::environment::Environment;
use crate::error::Error;
use crate::guard::{self, Act, Facing};
use crate::history::{self, Rows, Writer};
use crate::lock::{self, Keep, check_writable};
use crate::status;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Refuses what may not begin here. Each verb that can destroy calls it first.
    pub(super) fn guard(&self, conn: &mut C, facts: &Facts, act: Act) -> Result<(), Error> {
        let marks = history::marks(conn, facts)?;
        guard::allow(act, self.facing(facts, &marks))
    }

    fn facing<'a>(&'a self, facts: &'a Facts, marks: &'a [String]) -> Facing<'a> {
        Facing {
            // MySQL calls a database what the others call a schema.
            database: if C::Backend::SQL == SqlDialect::Mysql { &facts.schema } else { &facts.database },
            declared: self.environment,
            marked: guard::strictest(marks),
            confirmed: self.confirmed.as_deref(),
        }
    }

    /// Marks what this database is for, and returns what it was marked as before.
    ///
    /// The first run that is told an [`environment`](Self::environment) does so by itself. A process that is told otherwise is
    /// refused every verb that destroys, and `reset` wants the database's name outside of development and test. It makes our tables where they are
    /// missing. Where several sets have their history in one place, each is marked. Where the set has a history, the mark is an event of it,
    /// with what the database was marked as before.
    ///
    /// # Errors
    /// When the mark protects less than the one of production or staging that is there, and the database's name was not typed back
    /// ([`confirm`](Self::confirm)); when a hand changed the history; when the database is not empty and has no history; when the lock is not to be had.
    pub fn mark(&self, conn: &mut C, environment: Environment) -> Result<Option<String>, Error> {
        let seen = self.read_for_the_lock(conn)?;
        self.check_place(conn, &seen)?;
        self.guard(conn, &seen.facts, Act::Mark(environment))?;
        check_writable(&seen.facts, "there is a mark to write")?;
        let key = LockKey::new(&seen.facts, &seen.home);
        let _until_marked = self.lock_file(conn, &seen, &key)?;
        lock::with_lock(conn, &key, &seen.facts, &self.wait, |conn, _| {
            let mut mark = || {
                let mut seen = self.look(conn, Some(&seen), Look::Again)?;
                let marks = history::marks(conn, &seen.facts)?;
                guard::allow(Act::Mark(environment), self.facing(&seen.facts, &marks))?;
                let before = guard::strictest(&marks).map(str::to_owned);
                // A record more would move the meta row along, and what a hand did would no longer show.
                let known = seen.history.clone().unwrap_or_default();
                if let Some(problem) = status::tampered(&known, self.set.layout()) {
                    return Err(Error::new(problem.code, problem.message, problem.help));
                }
                self.prepare(conn, &mut seen, Some(environment))?;
                let (home, history, facts) = (&seen.home, seen.history.as_ref(), &seen.facts);
                let (run_id, origin) = (run_id(), self.origin());
                let mut writer = Writer::new::<C::Backend>(home, &self.set, history, &key, &run_id, &origin, facts)
                    .keeping(seen.ledger.as_ref(), &known);
                writer
                    .mark(conn, Rows::All, before.as_deref(), environment.name())
                    .map_err(|error| refused::<C::Backend>("mark it", error))?;
                Ok(before)
            };
            let marked = mark();
            (if marked.is_ok() { Keep::All } else { Keep::Nothing }, marked)
        })?
    }
}

/// Whether the mark says what this process is told.
pub(super) fn environment(declared: Option<Environment>, marks: &[String]) -> Check {
    const NAME: &str = "environment";
    match (declared, guard::strictest(marks)) {
        (Some(mine), Some(marked)) if mine.name() != marked => Check::fail(
            NAME,
            format!("the database is marked {marked}, and this process is told that it is {mine}"),
            format!("check that it is the right database; `migrator mark {mine}` changes the mark on purpose"),
        ),
        (_, Some(marked)) => Check::pass(NAME, format!("the database is marked {marked}")),
        (Some(mine), None) => {
            Check::pass(NAME, format!("not marked yet; the next run that applies something marks it {mine}"))
        }
        (None, None) => Check::warn(
            NAME,
            "nobody says what the database is for, so nothing that can destroy is refused but a reset",
            "say it once: `migrator mark ENV`, or set MIGRATOR_ENV",
        ),
    }
}
