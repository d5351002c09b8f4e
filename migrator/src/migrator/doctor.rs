//! The verb `doctor`: proves on this very stack what a run relies on.

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use super::guarding::environment;
use super::sessions::are_shared;
use crate::checkup::{Check, Checkup, Setting, Verdict};
use crate::dialect::{Asked, Class, Dialect, Facts, LockKey, class, refused, table};
use crate::error::Error;
use crate::history::{self, HISTORY, Home, META, PROBE};
use crate::lock::{self, Keep};
use crate::session;
use crate::status;

/// Names of checks that decide what else is tried.
const SERVER: &str = "server";
const LOCK: &str = "lock";

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Proves what a run relies on, and says what is not so and what to do: two sessions really contend for a lock, a table is really
    /// made, altered and dropped, and what the server says of itself is read. It leaves nothing behind.
    ///
    /// | check | fails, or warns, when |
    /// |---|---|
    /// | `server` | it only reads, its locks exclude nobody, the database is the server's own |
    /// | `environment` | the mark is another one than [`environment`](Self::environment) says; nobody says anything |
    /// | `sessions` | a pooler between here and the server gives one session to two clients |
    /// | `lock` | two sessions get it at once, or the second does not get it when the first gave it back |
    /// | `privileges` | the role may not do what migrations do |
    /// | `owners` | PostgreSQL: a table of the schema is another role's, so that it cannot be altered |
    /// | `durability` | what is committed may not outlast a crash |
    ///
    /// The second session comes from [`reconnect`](Self::reconnect); without it, what needs two is a warning. The lock is one of its own on
    /// PostgreSQL, MySQL and MariaDB, so that a checkup stops no run; on SQLite it is the file's write lock, for a moment. The table is
    /// called `__migrator_doctor`; on MySQL and MariaDB, where it cannot be made in a transaction, the next checkup takes away what a killed
    /// one left.
    ///
    /// # Errors
    /// When a check could not be made: the database cannot be asked, or the lock is not to be had.
    pub fn doctor(&self, conn: &mut C) -> Result<Checkup, Error> {
        let facts = self.facts(conn)?;
        let mut checks = vec![server::<C>(&facts)];
        let marks = history::marks(conn, &facts)?;
        checks.push(environment(self.environment, &marks));
        let can_write = checks.iter().all(|check| check.name != SERVER || check.verdict == Verdict::Pass);
        if can_write {
            self.with_two_sessions(conn, &facts, &mut checks)?;
        }
        if let Some(owners) = self.owners(conn, &facts)? {
            checks.push(owners);
        }
        checks.push(durability(conn)?);
        Ok(Checkup { checks })
    }

    fn with_two_sessions(&self, conn: &mut C, facts: &Facts, checks: &mut Vec<Check>) -> Result<(), Error> {
        let second = match &self.connect {
            Some(connect) if facts.database != ":memory:" => Some(connect()),
            _ => None,
        };
        let mut second = second.transpose().map_err(|error| {
            let remedy = "check that the server has a connection to spare";
            Error::new("connection_failed", "there is no second session to prove the lock with", remedy)
                .with_source(error)
        })?;
        let pooled = match &mut second {
            Some(second) => sessions(conn, second)?,
            None => None,
        };
        let is_pooled = pooled.as_ref().is_some_and(|check| check.verdict != Verdict::Pass);
        checks.extend(pooled);
        if is_pooled {
            // A lock that was taken there would stay with the pooler's connection, where nobody can give it back.
            let help = "connect directly, then ask again";
            checks.push(Check::warn(LOCK, "not tried: behind a pooler it would be left behind", help));
            checks.push(Check::warn("privileges", "not tried", help));
            return Ok(());
        }
        let home = Home { schema: facts.schema.clone(), set_name: self.set_name.clone() };
        let key = LockKey::of_doctor(facts, &home);
        let mut found = Vec::new();
        let locked = lock::with_lock(conn, &key, facts, &self.wait, |conn, _| {
            let mut look = || -> QueryResult<()> {
                found.push(match &mut second {
                    Some(second) => contended(conn, second, &key)?,
                    None => Check::warn(
                        LOCK,
                        "it was given; whether it keeps others out needs a second session",
                        "give Migrator::reconnect, and a database that two can connect to",
                    ),
                });
                found.push(privileges(conn, facts)?);
                Ok(())
            };
            (Keep::Nothing, look())
        });
        match locked {
            Ok(looked) => looked.map_err(|error| refused::<C::Backend>("be looked at", error))?,
            Err(error) if error.code() == "read_only" => {
                found.push(Check::fail(LOCK, error.to_string(), error.remedy()))
            }
            Err(error) => return Err(error),
        }
        if let Some(second) = &mut second
            && let Some(last) = found.first_mut().filter(|check| check.verdict == Verdict::Pass && check.name == LOCK)
            && !given_back(second, &key).map_err(|error| refused::<C::Backend>("give the lock", error))?
        {
            let help = "look for what keeps the session, or its transaction, open behind the client's back";
            *last = Check::fail(LOCK, "it was given back, and another session does not get it", help);
        }
        checks.extend(found);
        Ok(())
    }

    fn owners(&self, conn: &mut C, facts: &Facts) -> Result<Option<Check>, Error> {
        let others = C::Backend::others(conn, &facts.schema)
            .map_err(|error| refused::<C::Backend>("tell whose its tables are", error))?;
        Ok(others.map(|others| match others.is_empty() {
            true => Check::pass("owners", "the role may alter every table of the schema"),
            false => {
                let message = format!("it may not alter {}", status::list(others.iter().map(String::as_str)));
                Check::warn(
                    "owners",
                    message,
                    "migrate as the owner (MIGRATION_DATABASE_URL), or GRANT the owner's role",
                )
            }
        }))
    }
}

fn server<C: LoadConnection<Backend: Dialect>>(facts: &Facts) -> Check {
    let what = format!("{}, {}, schema {}", C::Backend::SQL, facts.database, facts.schema);
    match (&facts.unsupported, &facts.read_only) {
        _ if facts.schema.is_empty() => Check::fail(
            SERVER,
            format!("{what}: there is no schema to work in"),
            "name a database, or a schema that exists",
        ),
        _ if C::Backend::is_system(facts) => {
            Check::fail(SERVER, format!("{what}: it is the server's own"), "name the application's database")
        }
        (Some(reason), _) => Check::fail(
            SERVER,
            format!("{what}: {reason}"),
            "let a single job run the migrations, on a server with a lock that holds",
        ),
        (_, Some(reason)) => {
            Check::fail(SERVER, format!("{what}: {reason}"), "connect to the primary, as a role that may write")
        }
        (None, None) => Check::pass(SERVER, what),
    }
}

/// Whether two clients have two sessions.
fn sessions<C: LoadConnection<Backend: Dialect>>(conn: &mut C, second: &mut C) -> Result<Option<Check>, Error> {
    let asking = |error| refused::<C::Backend>("tell the session's number", error);
    Ok(are_shared(conn, second).map_err(asking)?.map(|shared| match shared {
        false => Check::pass("sessions", "each connection is a session of its own"),
        true => {
            let pooler = lock::pooler();
            Check::fail("sessions", pooler.message().to_owned(), pooler.remedy())
        }
    }))
}

/// While the first session holds the lock, it knows so, and the second does not get it.
fn contended<C>(conn: &mut C, second: &mut C, key: &LockKey) -> QueryResult<Check>
where
    C: LoadConnection<Backend: Dialect>,
{
    if lock::lost(conn, key).is_some() {
        let help = "connect directly to the server that the migrations run on";
        return Ok(Check::fail(LOCK, "it was given, and the session that has it does not hold it", help));
    }
    if C::Backend::try_lock(second, key)? == Asked::Granted {
        C::Backend::unlock(second, key, false)?;
        let help = "let a single job run the migrations; here two would run at once";
        return Ok(Check::fail(LOCK, "two sessions got it at once", help));
    }
    Ok(Check::pass(LOCK, "of two sessions one gets it, and the other one when it was given back"))
}

fn given_back<C: LoadConnection<Backend: Dialect>>(second: &mut C, key: &LockKey) -> QueryResult<bool> {
    let given = C::Backend::try_lock(second, key)? == Asked::Granted;
    if given {
        C::Backend::unlock(second, key, false)?;
    }
    Ok(given)
}

/// Makes, alters and drops a table, and asks whether records can be written. Nothing of it stays.
fn privileges<C: LoadConnection<Backend: Dialect>>(conn: &mut C, facts: &Facts) -> QueryResult<Check> {
    let name = |name: &str| table::<C::Backend>(&facts.schema, name);
    let probe = name(PROBE);
    // SQLite names the schema with the index.
    let on = if C::Backend::SQL == SqlDialect::Sqlite { C::Backend::ident(PROBE) } else { probe.clone() };
    let mut steps = vec![
        // Who may not drop makes nothing.
        ("drop tables", format!("DROP TABLE IF EXISTS {probe}")),
        ("make tables", format!("CREATE TABLE {probe} (id INTEGER PRIMARY KEY)")),
        ("write rows", format!("INSERT INTO {probe} VALUES (1)")),
        ("alter tables", format!("ALTER TABLE {probe} ADD COLUMN more INTEGER")),
        ("make indexes", format!("CREATE INDEX {PROBE}_more ON {on} (more)")),
        ("drop tables", format!("DROP TABLE {probe}")),
    ];
    if facts.has_table(HISTORY) && facts.has_table(META) {
        let (history, meta, number) = (name(HISTORY), name(META), C::Backend::ident("sequence"));
        steps.push(("write the history", format!("INSERT INTO {history} SELECT * FROM {history} WHERE 1 = 0")));
        steps.push(("write the history", format!("UPDATE {meta} SET {number} = {number} WHERE 1 = 0")));
    }
    let undoes_ddl = C::Backend::SQL != SqlDialect::Mysql;
    let in_transaction = undoes_ddl && !C::Backend::LOCK_IS_TRANSACTION;
    session::send(conn, if in_transaction { "BEGIN" } else { "" })?;
    let failed = steps.iter().find_map(|(what, sql)| Some((what, conn.batch_execute(sql).err()?)));
    let undone = match (in_transaction, &failed) {
        (true, _) => conn.batch_execute("ROLLBACK"),
        // Where it could not be dropped it was not made.
        (false, Some(_)) if !undoes_ddl => {
            let _it_may_not_be_there = conn.batch_execute(&format!("DROP TABLE IF EXISTS {probe}"));
            Ok(())
        }
        _ => Ok(()),
    };
    let Some((what, error)) = failed else {
        undone?;
        return Ok(Check::pass("privileges", "the role may make, alter, index and drop tables, and write"));
    };
    let class = class::<C::Backend>(&error);
    if class == Class::Connection {
        return Err(error);
    }
    let message = format!("the role could not {what}: {error}");
    let help = match (class, C::Backend::SQL) {
        (Class::Permission, SqlDialect::Postgres) => {
            "GRANT USAGE, CREATE ON SCHEMA … TO the role, which must own what it alters; or migrate as the owner"
        }
        (Class::Permission | Class::ReadOnly, SqlDialect::Sqlite) => {
            "give the process write permission on the file and on its folder"
        }
        (Class::Permission, _) => {
            "GRANT SELECT, INSERT, UPDATE, CREATE, ALTER, DROP, INDEX, REFERENCES ON the database TO the role, or ALL"
        }
        (class, _) => class.remedy(),
    };
    Ok(Check::fail("privileges", message, help))
}

fn durability<C: LoadConnection<Backend: Dialect>>(conn: &mut C) -> Result<Check, Error> {
    let settings = C::Backend::settings(conn).map_err(|error| refused::<C::Backend>("tell its settings", error))?;
    let said = |setting: &Setting| format!("{} = {}", setting.name, setting.value);
    let wrong: Vec<_> = settings.iter().filter_map(|setting| Some((said(setting), setting.wrong?))).collect();
    if wrong.is_empty() {
        let all: Vec<String> = settings.iter().map(said).collect();
        return Ok(Check::pass("durability", format!("what is committed stays: {}", all.join(", "))));
    }
    let (found, help): (Vec<String>, Vec<&str>) = wrong.into_iter().unzip();
    let message = format!("what is committed may be lost in a crash: {}", found.join(", "));
    Ok(Check::warn("durability", message, help.join("; ")))
}
