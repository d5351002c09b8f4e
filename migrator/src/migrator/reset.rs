//! The verb `reset`: an empty schema.

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use crate::contents::Contents;
use crate::dialect::{Dialect, Facts, LockKey, Look, Work, refused};
use crate::error::Error;
use crate::guard::Act;
use crate::history::{self, Home, META};
use crate::lock::{self, FileLock, Keep, check_writable};
use crate::session::with_session;
use crate::status;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// What a [`reset`](Self::reset) would drop, with the rows of each table counted. It reads only, and is refused where a reset is.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    pub fn contents(&self, conn: &mut C) -> Result<Contents, Error> {
        let facts = self.facts_to_reset(conn)?;
        let mut contents = held::<C>(conn, &facts)?;
        for table in contents.objects.iter_mut().filter(|object| object.kind == "table") {
            // A table that cannot be read can still be dropped.
            let counted = C::Backend::rows(conn, &C::Backend::count(&table.ident));
            table.rows = counted.ok().and_then(|rows| rows.first()?.number(0));
        }
        Ok(contents)
    }

    /// Drops everything in the schema of the history: tables with their rows, views, sequences, routines, types, and the history
    /// itself, with the mark. It asks nobody. It is for development and test; on anything else it wants the database's name typed back
    /// ([`confirm`](Self::confirm)).
    ///
    /// On PostgreSQL and SQLite all of it goes or nothing. On MySQL and MariaDB each object goes by itself; what is left when that is
    /// cut off is refused by a run (`history_tampered`), and another reset ends it. PostgreSQL's extensions stay, as do other
    /// schemas. Others may be connected; what they hold is waited for as a migration waits.
    ///
    /// # Errors
    /// `development_only` when nobody says what the database is for; `not_confirmed` on production and staging, when its name was not typed
    /// back; `environment_mismatch` when the mark and [`environment`](Self::environment) differ; `reset_refused` when something of another schema
    /// hangs on this one, or something new is there afterwards; `system_database` when the database is the server's own; `no_schema`,
    /// `read_only` and `unsupported` when it cannot be reset at all; and as a run when the lock is not to be had.
    pub fn reset(&self, conn: &mut C) -> Result<Contents, Error> {
        let facts = self.facts_to_reset(conn)?;
        check_writable(&facts, "there is something to drop")?;
        let home = Home { schema: facts.schema.clone(), set_name: self.set_name.clone() };
        let key = LockKey::new(&facts, &home);
        let steps = [&self.setup, &self.teardown];
        with_session(conn, steps, self.statement_lock_timeout, Work::Migrations, &self.wait, |conn, _| {
            let is_needed = C::Backend::LOCK_IS_TRANSACTION && FileLock::is_there(&facts);
            let _until_dropped = match is_needed {
                true => Some(FileLock::acquire(conn, &key, &facts, &self.wait)?),
                false => None,
            };
            lock::with_lock(conn, &key, &facts, &self.wait, |conn, _| {
                let dropped = self.drop_all(conn, &facts, &key);
                (if dropped.is_ok() { Keep::All } else { Keep::Nothing }, dropped)
            })?
        })
    }

    /// Looks again, now that nobody else migrates, and drops what is there.
    fn drop_all(&self, conn: &mut C, before: &Facts, key: &LockKey) -> Result<Contents, Error> {
        let facts = C::Backend::facts(conn, Some(&before.schema), Look::First)
            .map_err(|error| refused::<C::Backend>("tell what it is", error))?;
        self.guard(conn, &facts, Act::Reset)?;
        let contents = held::<C>(conn, &facts)?;
        let mut sql: Vec<&str> = contents.objects.iter().map(|object| object.sql.as_str()).collect();
        if sql.is_empty() {
            return Ok(contents);
        }
        // What is cut off there must not look like a database in which nothing is pending.
        let spoil = history::spoil::<C::Backend>(&facts);
        if C::Backend::SQL == SqlDialect::Mysql && facts.has_table(META) {
            sql.insert(0, &spoil);
        }
        if let Some(error) = lock::lost(conn, key) {
            return Err(error);
        }
        tracing::info!(target: "migrator", database = %facts.database, "dropping {contents}");
        // One message: PostgreSQL takes it as one transaction, and MySQL carries it out to its end.
        if let Err(error) = conn.batch_execute(&sql.join(";\n")) {
            return Err(refused::<C::Backend>("drop all of it", error)
                .with_remedy("see what it says; the role must own what is dropped. Then reset again"));
        }
        let left = held::<C>(conn, &facts)?;
        let telling = |error| refused::<C::Backend>("tell what is left", error);
        let mut tables = C::Backend::facts(conn, Some(&before.schema), Look::Again).map_err(telling)?.tables;
        let extended = C::Backend::extended(conn, &before.schema).map_err(telling)?;
        tables.retain(|table| !extended.contains(table));
        if left.is_empty() && tables.is_empty() {
            return Ok(contents);
        }
        // Two ways of asking: what the one overlooks the other one sees.
        let names = left.names().map(|(_, name)| name).chain(tables.iter().map(String::as_str));
        let message = format!("what was there is dropped, and this is there now: {}", status::list(names));
        Err(Error::new("reset_refused", message, "stop what makes it, then reset again"))
    }

    /// What the database is, when a reset may begin in it. It does not read the history, which may be broken.
    fn facts_to_reset(&self, conn: &mut C) -> Result<Facts, Error> {
        let facts = self.facts(conn)?;
        if facts.schema.is_empty() {
            let remedy = "name a database in the URL, or a schema that exists";
            return Err(Error::new(
                "no_schema",
                "the connection has no current schema, so nothing is to be reset",
                remedy,
            ));
        }
        if C::Backend::is_system(&facts) {
            return Err(Error::system_database(&facts.database, &facts.schema));
        }
        self.guard(conn, &facts, Act::Reset)?;
        Ok(facts)
    }
}

fn held<C: LoadConnection<Backend: Dialect>>(conn: &mut C, facts: &Facts) -> Result<Contents, Error> {
    let contents = C::Backend::contents(conn, &facts.schema)
        .map_err(|error| refused::<C::Backend>("list what it holds", error))?;
    if contents.outside.is_empty() {
        return Ok(contents);
    }
    let outside = status::list(contents.outside.iter().map(String::as_str));
    let message = format!("what is not in {} hangs on what is: {outside}", facts.schema);
    Err(Error::new("reset_refused", message, "drop that first, when nobody needs it; then reset again"))
}
