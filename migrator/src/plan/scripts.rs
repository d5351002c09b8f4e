//! The scripts of a set, each read once, however often it is decided what runs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use migrator_source::sql::{Script, SqlDialect};

use super::script;
use crate::error::Error;
use crate::migration::{Migration, MigrationSet, Way};

/// A set, and those of its scripts that were read: a run decides before the lock and under it, and then carries out.
pub(crate) struct Scripts<'a> {
    pub(crate) set: &'a MigrationSet,
    dialect: SqlDialect,
    /// The up scripts, by position.
    read: Vec<Option<Script<'a>>>,
    /// The few down scripts, by position.
    down: HashMap<usize, Script<'a>>,
}

impl<'a> Scripts<'a> {
    pub(crate) fn new(set: &'a MigrationSet, dialect: SqlDialect) -> Self {
        Self { set, dialect, read: vec![None; set.len()], down: HashMap::new() }
    }

    /// The statements of a script of one of the set's migrations.
    ///
    /// # Errors
    /// As [`script`].
    pub(crate) fn read(&mut self, migration: &Migration<'a>, way: Way) -> Result<&Script<'a>, Error> {
        if way == Way::Down {
            return Ok(match self.down.entry(migration.position()) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(place) => place.insert(script(migration, way, self.dialect)?),
            });
        }
        let place = &mut self.read[migration.position()];
        match place {
            Some(script) => Ok(script),
            None => Ok(place.insert(script(migration, way, self.dialect)?)),
        }
    }

    /// The script of a step of a plan that was made with these.
    pub(crate) fn of(&self, step: &super::Step) -> &Script<'a> {
        let read = match step.way {
            Way::Up => self.read[step.position].as_ref(),
            Way::Down => self.down.get(&step.position),
        };
        match read {
            Some(script) => script,
            None => unreachable!("a plan reads the script of each of its steps"),
        }
    }
}
