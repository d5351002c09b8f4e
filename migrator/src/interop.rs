//! A set as diesel's own `MigrationSource`, so that it runs under diesel's harness too.

use std::fmt;

use diesel::backend::Backend;
use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationSource, MigrationVersion};
use migrator_source::sql::{Mode, Script, SqlDialect};

use crate::dialect::Dialect;
use crate::migration::{Migration, MigrationSet, Way};

impl<DB: Dialect> MigrationSource<DB> for &MigrationSet {
    fn migrations(&self) -> migration::Result<Vec<Box<dyn migration::Migration<DB>>>> {
        let boxed = self.iter().map(|migration| Box::new(Harnessed::new(self, &migration, DB::SQL)) as _);
        Ok(boxed.collect())
    }
}

/// One migration under diesel's harness.
struct Harnessed {
    set: MigrationSet,
    position: usize,
    name: Name,
    metadata: Metadata,
    dialect: SqlDialect,
}

struct Name {
    name: String,
    version: String,
}

struct Metadata(Mode);

impl Harnessed {
    fn new(set: &MigrationSet, migration: &Migration<'_>, dialect: SqlDialect) -> Self {
        let script = Script::parse(migration.up(), dialect, migration.declared(Way::Up));
        // On MySQL diesel's harness opens its transaction for every migration; DDL ends it there as ever.
        let mode = match (dialect, script) {
            (SqlDialect::Mysql, _) | (_, Err(_)) => Mode::Transaction,
            (_, Ok(script)) => script.mode(),
        };
        Self {
            set: set.clone(),
            position: migration.position(),
            name: Name { name: migration.name().to_owned(), version: migration.version().to_owned() },
            metadata: Metadata(mode),
            dialect,
        }
    }

    /// Sends a script statement by statement: an empty text never reaches a client, and a script without a transaction is none.
    fn execute<DB: Backend>(
        &self,
        conn: &mut dyn BoxableConnection<DB>,
        script: &str,
        declared: Option<Mode>,
    ) -> migration::Result<()> {
        let script = Script::parse(script, self.dialect, declared).map_err(|faults| {
            let texts: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.code, fault.message)).collect();
            format!("{}: {}", self.name.name, texts.join("; "))
        })?;
        for statement in script.statements() {
            conn.batch_execute(statement.text)?;
        }
        Ok(())
    }
}

impl<DB: Backend> migration::Migration<DB> for Harnessed {
    fn run(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        let migration = self.set.at(self.position);
        self.execute(conn, migration.up(), migration.declared(Way::Up))
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        let migration = self.set.at(self.position);
        match migration.down().filter(|_| migration.is_reversible()) {
            Some(down) => self.execute(conn, down, migration.declared(Way::Down)),
            None => Err(format!("{} has no down script that can run", migration.name()).into()),
        }
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        &self.metadata
    }

    fn name(&self) -> &dyn MigrationName {
        &self.name
    }
}

impl MigrationName for Name {
    fn version(&self) -> MigrationVersion<'_> {
        MigrationVersion::from(&self.version)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl MigrationMetadata for Metadata {
    fn run_in_transaction(&self) -> bool {
        self.0 == Mode::Transaction
    }
}
