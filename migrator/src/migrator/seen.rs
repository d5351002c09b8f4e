//! What a verb finds before it decides: the database, our history, and the table of the layout's own tool.

use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::{Dialect, Facts, LockKey, Look, depth, refused};
use crate::environment::Environment;
use crate::error::Error;
use crate::history::{self, Home};
use crate::ledgers::{self, Ledger, Taken, Tool};
use crate::lock::FileLock;
use crate::migration::Migration;
use crate::plan;
use crate::record::{History, Record};
use crate::session;
use crate::turns;

/// What a verb finds.
pub(super) struct Seen {
    pub(super) facts: Facts,
    pub(super) home: Home,
    /// Ours, as it is recorded; `None` where there is none.
    pub(super) history: Option<History>,
    /// `None` where no tool's table is kept in step.
    pub(super) ledger: Option<Ledger>,
    /// The table of another tool that is taken over now, for once.
    pub(super) taken: Option<&'static str>,
    /// What the tool did since the last record.
    pub(super) turns: Vec<Record>,
}

impl Seen {
    /// What the database went through, as our history and the tool's table say together. The tool's alone counts as a history.
    pub(super) fn known(&self) -> Option<History> {
        if self.history.is_none() && self.turns.is_empty() {
            return None;
        }
        Some(History { turns: self.turns.clone(), ..self.history.clone().unwrap_or_default() })
    }

    /// Whether there is neither our history nor a tool's table, to be kept in step or taken over.
    pub(super) fn is_bare(&self) -> bool {
        self.history.is_none()
            && self.ledger.as_ref().is_none_or(|ledger| ledger.rows().is_none())
            && self.turns.is_empty()
    }

    /// What the database is marked as.
    pub(super) fn environment(&self) -> Option<String> {
        self.history.as_ref()?.meta.as_ref()?.environment.clone()
    }

    /// As what the first run marks the database that is told so, where that is to be recorded.
    pub(super) fn first_mark(&self, declared: Option<Environment>) -> Option<&'static str> {
        let unmarked = self.history.as_ref().filter(|history| !history.records.is_empty());
        let unmarked = unmarked.and_then(|history| history.meta.as_ref()).filter(|meta| meta.environment.is_none());
        declared.filter(|_| unmarked.is_some()).map(Environment::name)
    }

    /// Whether a run has something to write although nothing is pending.
    pub(super) fn is_out_of_step(&self) -> bool {
        !self.turns.is_empty() || self.has_lost_table()
    }

    /// Whether the tool's table is gone, or was never made, while our history says what it held.
    pub(super) fn has_lost_table(&self) -> bool {
        let is_gone = self.ledger.as_ref().is_some_and(|ledger| ledger.rows().is_none());
        is_gone && self.history.as_ref().is_some_and(|history| !history.records.is_empty())
    }

    /// Whether the tool's table is there and says that nothing is applied, which our history does not say.
    pub(super) fn is_emptied(&self) -> bool {
        self.ledger.as_ref().and_then(Ledger::rows).is_some_and(<[_]>::is_empty) && !self.turns.is_empty()
    }

    /// The table that says what another tool did.
    pub(super) fn told_by(&self) -> &'static str {
        self.taken.or(self.ledger.as_ref().map(Ledger::name)).unwrap_or("")
    }

    /// What the tool did, in words; `recorded` says whether it is in our history now.
    pub(super) fn told(&self, recorded: bool) -> Vec<String> {
        let mut told = turns::told(&self.turns, self.told_by(), recorded);
        if self.has_lost_table() {
            let verb = if recorded { "was made again" } else { "is to be made again" };
            told.push(format!("the table {} was gone, and {verb} from our history", self.told_by()));
        }
        told
    }
}

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Reads what there is to know.
    pub(super) fn read(&self, conn: &mut C) -> Result<Seen, Error> {
        self.patiently(conn, |conn| self.read_now(conn, Look::First))
    }

    /// Reads what there is to know, for a verb that goes on under the lock whatever is pending.
    pub(super) fn read_for_the_lock(&self, conn: &mut C) -> Result<Seen, Error> {
        self.check_set()?;
        if depth(conn) > 0 {
            return Err(Error::open_transaction());
        }
        let seen = self.read(conn)?;
        if seen.facts.in_transaction {
            return Err(Error::open_transaction());
        }
        Ok(seen)
    }

    /// What the database is, without a look at the history, which may be broken.
    pub(super) fn facts(&self, conn: &mut C) -> Result<Facts, Error> {
        self.check_set()?;
        if depth(conn) > 0 {
            return Err(Error::open_transaction());
        }
        let facts = self.patiently(conn, |conn| {
            C::Backend::facts(conn, self.schema.as_deref(), Look::First)
                .map_err(|error| refused::<C::Backend>("tell what it is", error))
        })?;
        if facts.in_transaction {
            return Err(Error::open_transaction());
        }
        Ok(facts)
    }

    /// Whoever runs statements outside of the transaction that is the lock holds the file instead: it is waited for.
    pub(super) fn lock_file(&self, conn: &mut C, seen: &Seen, key: &LockKey) -> Result<Option<FileLock>, Error> {
        match C::Backend::LOCK_IS_TRANSACTION && FileLock::is_there(&seen.facts) {
            true => FileLock::acquire(conn, key, &seen.facts, &self.wait).map(Some),
            false => Ok(None),
        }
    }

    /// Reads; a writer that keeps readers out for a moment is waited for.
    pub(super) fn patiently<R>(&self, conn: &mut C, read: impl FnOnce(&mut C) -> Result<R, Error>) -> Result<R, Error> {
        let telling =
            |error| refused::<C::Backend>("tell what it is", error).with_remedy("check that the database is up");
        let patience = C::Backend::patience(conn, self.wait.timeout).map_err(telling)?;
        session::send(conn, &patience.enter).map_err(telling)?;
        let read = read(conn);
        session::send(conn, &patience.leave).map_err(telling)?;
        read
    }

    pub(super) fn read_now(&self, conn: &mut C, look: Look) -> Result<Seen, Error> {
        let mut before = None;
        loop {
            let read = self.look(conn, None, look);
            // These are several queries. What a run commits between two of them looks like a hand's work, or another tool's; what
            // they did is still the same at a second look.
            let found = match &read {
                Err(error) if error.code() == "history_tampered" => Some((None, 0, 0)),
                Ok(Seen { history: Some(history), turns, .. })
                    if !turns.is_empty() || history.tampered(self.set.layout()).is_some() =>
                {
                    let meta = history.meta.as_ref().map(|meta| meta.sequence);
                    Some((meta, history.records.len(), turns.len()))
                }
                _ => None,
            };
            if found.is_none() || found == before {
                return read;
            }
            before = found;
        }
    }

    /// Looks once. What was seen before says where: a session's set-up may have moved the current schema.
    pub(super) fn look(&self, conn: &mut C, before: Option<&Seen>, look: Look) -> Result<Seen, Error> {
        let telling =
            |error| refused::<C::Backend>("tell what it is", error).with_remedy("check that the database is up");
        let pinned = before.map(|before| before.home.schema.as_str());
        let mut facts = C::Backend::facts(conn, self.schema.as_deref().or(pinned), look).map_err(telling)?;
        if facts.schema.is_empty() {
            let remedy =
                "name a database in the URL, or a schema that exists in the search path or in Migrator::schema";
            return Err(Error::new(
                "no_schema",
                "the connection has no current schema, so the history has no home",
                remedy,
            ));
        }
        let home = Home { schema: facts.schema.clone(), set_name: self.set_name.clone() };
        let mut history = history::load(conn, &facts, &home);
        if history.is_err() && history::exists(conn, &home) {
            // Another set, which has a lock of its own, made the second of our tables between the two queries.
            facts = C::Backend::facts(conn, Some(&home.schema), look).map_err(telling)?;
            history = history::load(conn, &facts, &home);
        }
        let history = history?;
        let tool = Tool::of(&self.set, &self.set_name);
        let ledger = tool.map(|tool| Ledger::load(conn, tool, &self.set, &facts)).transpose()?;
        let is_first = history.as_ref().is_none_or(|history| history.records.is_empty());
        let taken = match is_first && self.set_name.is_empty() {
            true => ledgers::take_over(conn, &facts, &self.set)?,
            false => None,
        };
        let rows = ledger.as_ref().and_then(Ledger::rows).or(taken.as_ref().map(|taken| &*taken.rows));
        let nothing = History::default();
        let turns = rows.map_or_else(Vec::new, |rows| {
            let breaks = |migration: &Migration<'_>| plan::breaks_before(migration, C::Backend::SQL);
            turns::turns(&self.set, history.as_ref().unwrap_or(&nothing), rows, breaks)
        });
        let taken = taken.map(|Taken { table, .. }| table);
        Ok(Seen { facts, home, history, ledger, taken, turns })
    }

    /// Makes our tables, and the tool's, what this version needs. Call it under the lock.
    pub(super) fn prepare(&self, conn: &mut C, seen: &mut Seen, environment: Option<Environment>) -> Result<(), Error> {
        let marked = environment.map(Environment::name);
        let history = seen.history.as_ref();
        history::in_time(conn, &self.wait, |conn| {
            history::make(conn, &seen.home, history, marked)?;
            seen.ledger.as_mut().map_or(Ok(()), |ledger| ledger.make(conn, history))
        })
    }
}
