//! The verb `setup`: from no database at all to one that is migrated and seeded, for development and test.

use std::fmt;
use std::path::Path;

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use super::Migrator;
use crate::dialect::{Dialect, refused};
use crate::error::Error;
use crate::guard::{self, Act, Facing};
use crate::report::Report;
use crate::seed::{Seed, SeedReport};
use crate::url::Url;

const SETUP: Act = Act::Develop("setup");

/// What a [setup](Migrator::setup) did; it prints itself.
#[derive(Debug)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Setup {
    /// The database that was made; `None` when it was there.
    pub made: Option<String>,
    /// What was applied.
    pub run: Report,
    /// What was seeded; `None` without seeds.
    pub seeds: Option<SeedReport>,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(made) = &self.made {
            writeln!(f, "made the database {made}")?;
        }
        self.run.fmt(f)?;
        self.seeds.iter().try_for_each(|seeds| write!(f, "\n{seeds}"))
    }
}

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Makes the database that this URL names when it is missing, applies what is pending, and seeds it. For development and test.
    ///
    /// # Errors
    /// `development_only` when the process or the database says that it is neither development nor test; and as
    /// [`create_database`](Self::create_database), [`run`](Self::run) and [`seed`](Self::seed). A database that was made before the error stays.
    pub fn setup(&self, url: &str, seeds: &[Seed<C>]) -> Result<Setup, Error> {
        let made = self.create_database(url)?;
        let mut conn = Url::parse(url)?.establish()?;
        let seen = self.read(&mut conn)?;
        self.guard(&mut conn, &seen.facts, SETUP)?;
        let run = self.run(&mut conn)?;
        let seeds = if seeds.is_empty() { None } else { Some(self.seed(&mut conn, seeds)?) };
        Ok(Setup { made, run, seeds })
    }

    /// Makes the database that this URL names, and returns its name; `None` when it is there. For development and test.
    ///
    /// PostgreSQL is asked over its database `postgres` or `template1`, MySQL and MariaDB (which get `utf8mb4`) over
    /// `information_schema`; SQLite's file comes with the first connection, and its folder has to be there.
    ///
    /// # Errors
    /// `development_only` when the process says that it is for neither; when the server is not to be reached, or refuses.
    pub fn create_database(&self, url: &str) -> Result<Option<String>, Error> {
        let url = Url::parse(url)?;
        self.check_set()?;
        let name = url.database();
        let facing = Facing { database: &name, declared: self.environment, marked: None, confirmed: None };
        guard::allow(SETUP, facing)?;
        Ok(is_made::<C>(&url, &name)?.then_some(name))
    }
}

/// Connects to the database, which is made when it is missing; and says whether it was.
fn is_made<C: LoadConnection<Backend: Dialect>>(url: &Url, name: &str) -> Result<bool, Error> {
    if C::Backend::SQL == SqlDialect::Sqlite {
        let is_new = !url.is_in_memory() && !Path::new(name).exists();
        return url.establish::<C>().map(|_| is_new);
    }
    let Err(refusal) = url.establish::<C>() else { return Ok(false) };
    // Whether it is missing the catalogue says, over a database that every server has; not the words of the refusal.
    let homes: &[&str] = match C::Backend::SQL {
        SqlDialect::Postgres => &["postgres", "template1"],
        _ => &["information_schema"],
    };
    let home = homes.iter().find_map(|home| url.with_database(home).ok()?.establish::<C>().ok());
    let Some(mut home) = home.filter(|_| !name.is_empty()) else { return Err(refusal) };
    if is_there(&mut home, name)? {
        return Err(refusal);
    }
    let options = if C::Backend::SQL == SqlDialect::Mysql { " CHARACTER SET utf8mb4" } else { "" };
    match home.batch_execute(&format!("CREATE DATABASE {}{options}", C::Backend::ident(name))) {
        Ok(()) => Ok(true),
        // Another setup was faster.
        Err(_) if is_there(&mut home, name)? => Ok(false),
        Err(error) => {
            let remedy = "name a role that may create databases, or have the database made";
            Err(refused::<C::Backend>(&format!("make the database {name}"), error).with_remedy(remedy))
        }
    }
}

fn is_there<C: LoadConnection<Backend: Dialect>>(home: &mut C, name: &str) -> Result<bool, Error> {
    let name = C::Backend::literal(name);
    let sql = match C::Backend::SQL {
        SqlDialect::Mysql => format!("SELECT '1' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}"),
        _ => format!("SELECT '1' FROM pg_catalog.pg_database WHERE datname = {name}"),
    };
    let rows = C::Backend::rows(home, &sql).map_err(|error| refused::<C::Backend>("list its databases", error))?;
    Ok(!rows.is_empty())
}
