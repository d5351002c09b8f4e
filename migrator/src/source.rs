//! Migrations that are called: those of diesel's `MigrationSource`, of which nothing can be seen but names, and a host's own code.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use diesel::connection::LoadConnection;
use diesel::migration::{Migration, MigrationSource};
use migrator_source::layout::Layout;
use migrator_source::pack::Packed;
use migrator_source::sql::Mode;

use crate::dialect::Dialect;
use crate::error::{Error, panic_text};
use crate::migration::{MigrationSet, Way};

/// What a foreign migration, or its source, says went wrong.
pub(crate) type Words = Box<dyn StdError + Send + Sync>;

/// Runs the migration of a version, one way or the other, as its source gave it.
pub(crate) type Opened<C> = dyn Fn(&mut C, &str, Way) -> Result<(), Words>;

/// A migration in Rust.
pub(crate) type Code<C> = dyn Fn(&mut C) -> Result<(), Words> + Send + Sync;

type Open<C> = dyn Fn() -> Result<Box<Opened<C>>, Words> + Send + Sync;

/// What runs the migrations that have no script; opened by each run that has work to do.
pub(crate) struct Source<C>(Arc<Open<C>>);

impl<C> Clone for Source<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Source<C> {
    pub(crate) fn open(&self) -> Result<Box<Opened<C>>, Error> {
        (self.0)().map_err(unreadable)
    }
}

impl<C: 'static> Source<C> {
    /// Adds one migration in Rust, its up and its down, to a source, if there is one.
    pub(crate) fn with_code(source: Option<Self>, version: String, code: [Option<Arc<Code<C>>>; 2]) -> Self {
        Self(Arc::new(move || {
            let others = source.as_ref().map(|source| (source.0)()).transpose()?;
            let (version, [up, down]) = (version.clone(), code.clone());
            let opened = move |conn: &mut C, asked: &str, way: Way| -> Result<(), Words> {
                let mine = if way == Way::Up { &up } else { &down };
                match (&others, mine) {
                    (_, Some(code)) if asked == version => code(conn),
                    (Some(others), _) if asked != version => others(conn, asked, way),
                    _ => Err("nothing has its code".into()),
                }
            };
            Ok(Box::new(opened) as Box<Opened<C>>)
        }))
    }
}

impl<C: LoadConnection<Backend: Dialect> + 'static> Source<C> {
    /// Asks a source for its migrations: the set of their names, and how they are run.
    pub(crate) fn new<S>(source: S) -> Result<(MigrationSet, Self), Error>
    where
        S: MigrationSource<C::Backend> + Send + Sync + 'static,
    {
        let set = names(&source.migrations().map_err(unreadable)?)?;
        let open = move || {
            let migrations = source.migrations()?.into_iter();
            let migrations: HashMap<String, Box<dyn Migration<C::Backend>>> =
                migrations.map(|migration| (migration.name().version().to_string(), migration)).collect();
            let opened = move |conn: &mut C, version: &str, way: Way| -> Result<(), Words> {
                let migration = migrations.get(version).ok_or("its source has it no more")?;
                if way == Way::Up { migration.run(conn) } else { migration.revert(conn) }
            };
            Ok(Box::new(opened) as Box<Opened<C>>)
        };
        Ok((set, Self(Arc::new(open))))
    }
}

/// A host's function as a migration in Rust, or as the way down of one.
pub(crate) fn code<C, E: Into<Words>>(run: impl Fn(&mut C) -> Result<(), E> + Send + Sync + 'static) -> Arc<Code<C>> {
    Arc::new(move |conn: &mut C| caught(|| run(conn).map_err(Into::into)))
}

/// A panic is an error of the migration, and no reason for the process to end.
fn caught(run: impl FnOnce() -> Result<(), Words>) -> Result<(), Words> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_text(panic.as_ref())).into()))
}

/// The set that a source's names are, in the order in which diesel's own runner takes them.
fn names<DB: Dialect>(migrations: &[Box<dyn Migration<DB>>]) -> Result<MigrationSet, Error> {
    let faulty = |message: String| Err(Error::new("folder", message, "give each migration a version of its own"));
    let mut names: Vec<(String, String, Mode)> = Vec::with_capacity(migrations.len());
    for migration in migrations {
        let (version, name) = (migration.name().version().to_string(), migration.name().to_string());
        let mode = if migration.metadata().run_in_transaction() { Mode::Transaction } else { Mode::NoTransaction };
        let longest = Layout::Diesel.longest_version();
        if version.is_empty() || version.chars().count() > longest {
            return faulty(format!("the version of `{name}` is not 1 to {longest} characters long"));
        }
        let name = if name.is_empty() { version.clone() } else { name };
        names.push((version, name, mode));
    }
    names.sort_by(|(a, ..), (b, ..)| Layout::Diesel.order(a, b));
    if let Some(twice) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let [(version, one, _), (_, other, _)] = [&twice[0], &twice[1]];
        return faulty(format!("two migrations have the version {version}: {one} and {other}"));
    }
    let packed = Packed::opaque(names);
    packed.map(MigrationSet::opaque).map_err(|error| Error::new("folder", error, "give the migration a shorter name"))
}

fn unreadable(words: Words) -> Error {
    Error::new("folder", "the source of the migrations cannot be read", "correct it, then try again").with_boxed(words)
}
