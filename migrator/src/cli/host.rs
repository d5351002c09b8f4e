//! Where the commands get what they work with: a program's migrations, its seeds, and a connection to the database.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use diesel::connection::LoadConnection;

use super::global::{Directory, Global};
use super::progress::Progress;
use super::{output, signals};
use crate::url::Url;
use crate::{Dialect, Error, Event, Interrupt, MigrationSet, Migrator, Seed, SqlDialect};

/// A program that has the commands.
pub(super) trait Host {
    /// The database that is named.
    fn url(&self, global: &Global) -> Result<Url, Error>;
    /// The migrations directory.
    fn directory(&self, global: &Global) -> Directory;
    /// Connects, and carries out a verb.
    fn on(&self, global: &Global, verb: impl Verb) -> Result<ExitCode, Error>;
}

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing is written; not even an empty SQLite file is made.
    Read,
    /// Nothing stays in the database of what is written, and a signal waits until all is put away. A SQLite file that is missing is an error.
    Examine,
    /// The database may be changed.
    Write,
    /// It may be changed, and is made when it is missing.
    Make,
}

/// How a verb looks at the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Nothing is done with a directory that has a fault.
    Needed,
    /// It is done without them where the directory has a fault.
    Wanted,
    Not,
}

/// Something to do on a database, whatever database it is.
pub(super) trait Verb {
    fn purpose(&self) -> Purpose;
    /// How it looks at the migrations.
    fn reads_the_set(&self) -> Reading {
        Reading::Needed
    }
    /// Connects. What only reads makes no file.
    fn connect<C>(&self, url: &Url) -> Result<C, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        match self.purpose() {
            Purpose::Read if is_missing(url) => Url::parse(":memory:")?.establish(),
            // What is examined or copied must be there: another one would pass in its place.
            Purpose::Examine if is_missing(url) => {
                let message = format!("{url} is not there");
                Err(Error::new("database_unavailable", message, "correct the path; migrator run makes it"))
            }
            _ => url.establish(),
        }
    }
    fn call<C>(self, on: On<'_, C>) -> Result<ExitCode, Error>
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static;
}

/// What a verb works with.
pub(super) struct On<'a, C: 'static> {
    pub(super) global: &'a Global,
    pub(super) url: &'a Url,
    pub(super) set: &'a MigrationSet,
    /// With every option that was asked for.
    pub(super) migrator: Migrator<C>,
    pub(super) conn: C,
    /// The database, where it was made now.
    pub(super) made: Option<String>,
    /// What the program embeds; none in the tool.
    pub(super) seeds: &'a [Seed<C>],
}

/// Connects to a database of this kind, and carries out a verb.
pub(super) fn connect<C, V>(
    global: &Global,
    url: &Url,
    migrator: Migrator<C>,
    seeds: &[Seed<C>],
    verb: V,
) -> Result<ExitCode, Error>
where
    C: LoadConnection<Backend: Dialect> + Send + 'static,
    V: Verb,
{
    let set = migrator.set().clone();
    if !global.quiet {
        set.warnings().for_each(output::warning);
        if verb.purpose() != Purpose::Read {
            output::note(&format!("database: {url}"));
        }
    }
    let migrator = global.adapt(migrator);
    if matches!(verb.purpose(), Purpose::Write | Purpose::Make) && is_missing(url) {
        // Connecting makes the file, also for migrations that are another database's.
        migrator.check_set()?;
    }
    let made = if verb.purpose() == Purpose::Make { migrator.create_database(url.text())? } else { None };
    let conn = verb.connect::<C>(url)?;
    let (text, interrupt) = (url.text().to_owned(), Interrupt::new());
    let mut migrator = migrator.reconnect(move || C::establish(&text)).interrupt(&interrupt);
    migrator = migrator.pausing_with(&interrupt);
    let followed = (!global.quiet).then(|| Progress::of::<C>(url, &interrupt));
    if let Some(progress) = &followed {
        migrator = migrator.also_on_event(progress.hear());
    }
    let failed = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&failed);
    migrator = migrator.also_on_event(move |event| {
        if matches!(event, Event::Failed { .. }) {
            hears.store(true, Ordering::SeqCst);
        }
    });
    let (theirs, canceller) = (url.clone(), Migrator::<C>::new(&set).interrupt(&interrupt));
    let writes = verb.purpose() != Purpose::Read;
    let _working = writes.then(|| signals::working(move || end(&theirs, &canceller, &interrupt, &failed)));
    verb.call(On { global, url, set: &set, migrator, conn, made, seeds })
}

/// Ends a run: before its next statement, and where the database can, in the middle of one.
fn end<C>(url: &Url, migrator: &Migrator<C>, interrupt: &Interrupt, failed: &AtomicBool)
where
    C: LoadConnection<Backend: Dialect>,
{
    interrupt.stop();
    // A statement that starts at this very moment is not met the first time. One that failed is being recorded: that is left alone.
    while C::Backend::SQL != SqlDialect::Sqlite && interrupt.has_sessions() && !failed.load(Ordering::SeqCst) {
        let cancelled = url.establish::<C>().and_then(|mut conn| migrator.cancel(&mut conn));
        if let Err(error) = cancelled {
            output::warning(&format!("the statement is not cancelled, and is waited for: {error}"));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Whether it is a file of SQLite that connecting would make.
pub(super) fn is_missing(url: &Url) -> bool {
    let is_file = url.dialect() == SqlDialect::Sqlite && !url.is_in_memory() && !url.text().starts_with("file:");
    is_file && !Path::new(url.text()).exists()
}
