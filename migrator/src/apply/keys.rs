//! Foreign keys that the database does not check while it runs: what a run broke, and who is to blame.

use diesel::connection::LoadConnection;

use super::{Grouping, Stop};
use crate::dialect::{Dialect, Violations, refused};
use crate::plan::Step;

/// The rows that break a foreign key, where the database does not check while it runs.
pub(super) struct Keys {
    /// What nobody is blamed for.
    pub(super) before: Vec<Violations>,
    /// The verdict on the first migration after which the keys did not hold until now.
    pub(super) broken_since: Option<Grouping>,
}

impl Keys {
    pub(super) fn look<C>(&mut self, conn: &mut C, step: &Step) -> Result<(), Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let broken = grown(&self.before, &violations(conn)?).is_some();
        self.broken_since = if broken { self.broken_since.or(Some(Grouping::of(step))) } else { None };
        Ok(())
    }

    /// Makes sure that nothing new is broken where the run commits.
    pub(super) fn hold<C>(&self, conn: &mut C, grouping: Grouping) -> Result<(), Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        match self.broken_since {
            Some(verdict) => Err(Stop::Again(verdict)),
            None if grouping != Grouping::Watched && grown(&self.before, &violations(conn)?).is_some() => {
                Err(Stop::Again(Grouping::Watched))
            }
            None => Ok(()),
        }
    }

    /// What a script without a transaction broke is committed; it is said, and then it was there before.
    pub(super) fn accept<C>(&mut self, conn: &mut C, name: &str) -> Result<Option<String>, Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let after = violations(conn)?;
        let what = grown(&self.before, &after);
        self.before = after;
        Ok(what.map(|what| format!("{name} ran without a transaction and cannot be undone: {what}")))
    }
}

pub(super) fn violations<C>(conn: &mut C) -> Result<Vec<Violations>, Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    C::Backend::violations(conn).map_err(|error| Stop::Error(refused::<C::Backend>("check the foreign keys", error)))
}

/// What breaks a foreign key now and did not before.
pub(super) fn grown(before: &[Violations], after: &[Violations]) -> Option<String> {
    let known = |what: &str| before.iter().find(|known| known.what == what).map_or(0, |known| known.count);
    let new = after.iter().filter(|violations| violations.count > known(&violations.what)).map(|violations| {
        let count = violations.count - known(&violations.what);
        format!("{count} row{} would break a foreign key: {}", if count == 1 { "" } else { "s" }, violations.what)
    });
    let new: Vec<String> = new.collect();
    (!new.is_empty()).then(|| new.join(", "))
}
