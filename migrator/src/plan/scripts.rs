//! The scripts of a set, each read once, however often it is decided what runs.

use migrator_source::sql::{Script, SqlDialect};

use super::script;
use crate::error::Error;
use crate::migration::{Migration, MigrationSet};

/// A set, and those of its scripts that were read: a run decides before the lock and under it, and then carries out.
pub(crate) struct Scripts<'a> {
    pub(crate) set: &'a MigrationSet,
    dialect: SqlDialect,
    /// By position.
    read: Vec<Option<Script<'a>>>,
}

impl<'a> Scripts<'a> {
    pub(crate) fn new(set: &'a MigrationSet, dialect: SqlDialect) -> Self {
        Self { set, dialect, read: vec![None; set.len()] }
    }

    /// The statements of the up script of one of the set's migrations.
    ///
    /// # Errors
    /// As [`script`].
    pub(crate) fn read(&mut self, migration: &Migration<'a>) -> Result<&Script<'a>, Error> {
        let place = &mut self.read[migration.position()];
        match place {
            Some(script) => Ok(script),
            None => Ok(place.insert(script(migration, self.dialect)?)),
        }
    }

    /// The script of a step of a plan that was made with these.
    pub(crate) fn of(&self, step: &super::Step) -> &Script<'a> {
        match &self.read[step.position] {
            Some(script) => script,
            None => unreachable!("a plan reads the script of each of its steps"),
        }
    }
}
