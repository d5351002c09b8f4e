//! Where a test's database lies, what it is copied from, and how it goes away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use crate::dialect::{Dialect, Facts, LockKey, refused};
use crate::error::Error;
use crate::history::Home;
use crate::lock::{self, Keep, Wait};
use crate::url::Url;

/// How long another test may take to make what is copied.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What a database that can be copied belongs to: a test binary, one build of it, and what is in it. Each is hexadecimal.
pub(super) struct Key {
    pub(super) binary: String,
    pub(super) build: String,
    pub(super) content: String,
}

impl Key {
    /// What the names of all copies' originals of this test binary begin with.
    fn prefix(&self) -> String {
        format!("migrator_template_{}_", self.binary)
    }

    fn name(&self) -> String {
        format!("{}{}_{}", self.prefix(), self.build, self.content)
    }
}

/// Removes a database when it is dropped.
pub(super) struct Place(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(remove) = self.0.take() {
            remove();
        }
    }
}

/// Makes a database; `fill` migrates and seeds one.
pub(super) fn make<C>(server: &Url, key: &Key, fill: impl Fn(&Url) -> Result<(), Error>) -> Result<(Url, Place), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    match C::Backend::SQL {
        SqlDialect::Sqlite => copied_file(server, key, fill),
        SqlDialect::Postgres => cloned::<C>(server, key, fill),
        SqlDialect::Mysql => filled::<C>(server, fill),
    }
}

/// A name that no other test has.
fn own_name() -> String {
    format!("migrator_test_{:x}_{:016x}", std::process::id(), fastrand::u64(..))
}

fn copied_file(server: &Url, key: &Key, fill: impl Fn(&Url) -> Result<(), Error>) -> Result<(Url, Place), Error> {
    let dir = match server.text() {
        "" => std::env::temp_dir(),
        dir => PathBuf::from(dir),
    };
    let io = |what: &str, path: &Path, error: std::io::Error| {
        let message = format!("{} cannot be {what}", path.display());
        Error::new("test_database", message, "check the directory, and that there is room").with_source(error)
    };
    let original = dir.join(key.name()).with_extension("db");
    if !original.exists() {
        // Several tests may do so at once; the last one's stays, and they are the same.
        let (new, url) = file(&dir)?;
        let unfinished = removed(new.clone());
        fill(&url)?;
        fs::rename(&new, &original).map_err(|error| io("renamed", &new, error))?;
        drop(unfinished);
        let old = fs::read_dir(&dir).into_iter().flatten().flatten().map(|item| item.path());
        let of_older_build = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            name.strip_prefix(&key.prefix()).is_some_and(|rest| !rest.starts_with(&key.build))
        };
        old.filter(of_older_build).for_each(|path| remove_file(&path));
    }
    let (path, url) = file(&dir)?;
    let place = removed(path.clone());
    fs::copy(&original, &path).map_err(|error| io("made", &path, error))?;
    Ok((url, place))
}

fn removed(path: PathBuf) -> Place {
    Place(Some(Box::new(move || remove_file(&path))))
}

fn file(dir: &Path) -> Result<(PathBuf, Url), Error> {
    let path = dir.join(own_name()).with_extension("db");
    let url = Url::parse(&format!("sqlite:{}", path.display()))?;
    Ok((path, url))
}

/// Removes a SQLite database and what lies beside it.
fn remove_file(path: &Path) {
    for beside in ["", "-wal", "-shm", "-journal", "-migrator-lock"] {
        let mut name = path.as_os_str().to_owned();
        name.push(beside);
        let _it_may_not_be_there = fs::remove_file(name);
    }
}

fn cloned<C>(server: &Url, key: &Key, fill: impl Fn(&Url) -> Result<(), Error>) -> Result<(Url, Place), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let mut conn = server.establish::<C>()?;
    let template = key.name();
    if !exists(&mut conn, &template)? {
        let home = Home { schema: "template".to_owned(), set_name: template.clone() };
        let (facts, wait) = (Facts::default(), Wait { timeout: PATIENCE, ..Wait::default() });
        lock::with_lock(&mut conn, &LockKey::new(&facts, &home), &facts, &wait, |conn, _| {
            // Another test may have made it meanwhile.
            let made = exists(conn, &template).and_then(|exists| match exists {
                true => Ok(()),
                false => make_template(conn, server, key, fill),
            });
            (Keep::All, made)
        })??;
    }
    let name = own_name();
    tell(&mut conn, "make a test's database", &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
    Ok((server.with_database(&name)?, dropped::<C>(server, name)))
}

/// Fills a database, and gives it the template's name when that is done: what has the name is whole.
fn make_template<C>(
    conn: &mut C,
    server: &Url,
    key: &Key,
    fill: impl Fn(&Url) -> Result<(), Error>,
) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let (name, new) = (key.name(), own_name());
    tell(conn, "make a template", &format!("CREATE DATABASE {new}"))?;
    let unfinished = dropped::<C>(server, new.clone());
    fill(&server.with_database(&new)?)?;
    tell(conn, "name a template", &format!("ALTER DATABASE {new} RENAME TO {name}"))?;
    drop(unfinished);
    let sql =
        format!("SELECT datname::text FROM pg_database WHERE datname LIKE '{}%'", key.prefix().replace('_', "\\_"));
    let older = rows(conn, &sql)?;
    for older in older.iter().filter(|older| !older.starts_with(&format!("{}{}", key.prefix(), key.build))) {
        // The other build may still run its tests.
        let _in_use = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {older}"));
    }
    Ok(())
}

fn filled<C>(server: &Url, fill: impl Fn(&Url) -> Result<(), Error>) -> Result<(Url, Place), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let name = own_name();
    tell(&mut server.establish::<C>()?, "make a test's database", &format!("CREATE DATABASE {name}"))?;
    let place = dropped::<C>(server, name.clone());
    let url = server.with_database(&name)?;
    fill(&url)?;
    Ok((url, place))
}

fn dropped<C>(server: &Url, name: String) -> Place
where
    C: LoadConnection<Backend: Dialect>,
{
    let server = server.clone();
    Place(Some(Box::new(move || {
        let Ok(mut conn) = server.establish::<C>() else { return };
        let force = if C::Backend::SQL == SqlDialect::Postgres { " WITH (FORCE)" } else { "" };
        if conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name}{force}")).is_err() {
            // PostgreSQL 12 has no FORCE. A second failure has nobody to be told to: the test has ended.
            let _left_behind = conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name}"));
        }
    })))
}

fn exists<C>(conn: &mut C, name: &str) -> Result<bool, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    rows(conn, &format!("SELECT datname::text FROM pg_database WHERE datname = '{name}'")).map(|rows| !rows.is_empty())
}

fn rows<C>(conn: &mut C, sql: &str) -> Result<Vec<String>, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let rows = C::Backend::rows(conn, sql).map_err(|error| refused::<C::Backend>("list its databases", error))?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

fn tell<C>(conn: &mut C, doing: &str, sql: &str) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    conn.batch_execute(sql)
        .map_err(|error| refused::<C::Backend>(doing, error).with_remedy("name a role that may create databases"))
}
