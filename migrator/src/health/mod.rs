//! What probes ask: whether a service has come up, whether it lives, and whether it can be given requests.
//!
//! [`DbProvider::health`](crate::DbProvider::health) gives a [`Health`], which every framework can mount;
//! [`Verdict`] has the table of all answers.

#[cfg(feature = "serde")]
mod document;
mod progress;
mod reading;
mod report;
#[cfg(test)]
mod table;
mod verdict;
mod watch;
#[cfg(test)]
mod watched;
mod worker;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::progress::Track;
pub use self::progress::{Progress, StepProgress, StepState};
pub use self::reading::Pool;
pub(crate) use self::reading::{Migrations, Reading, Stand, migrations};
pub use self::report::{Fault, HealthReport, Schema};
pub use self::verdict::{Outcome, Probe, Verdict};
use self::watch::{Asker, Watch};
pub(crate) use self::worker::Pulse;
pub use self::worker::Worker;
use crate::error::{Error, panic_text};
use crate::provider_state::ProviderState;
use crate::seed::SeedStatus;
use crate::status::Status;

/// Answers the probes of an orchestrator for one database. Cheap to clone, and kept for as long as one likes.
///
/// ```no_run
/// # use diesel::prelude::*;
/// # use migrator::{DbProvider, MigrationSet, embed_migrations};
/// # static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
/// static DB: DbProvider<SqliteConnection> = DbProvider::new(&MIGRATIONS);
///
/// let health = DB.health(); // also before the init
/// let verdict = health.readiness();
/// assert_eq!(verdict.http_status(), 503);
/// assert_eq!(verdict.code, "not_started");
/// ```
///
/// It never writes, works for a role that may only SELECT, and never waits longer than its [bound](Self::bound), whatever the
/// database does. All handles of a provider share one reading of the database, over one connection of the pool, on a
/// thread of its own: at most one is under way, everybody who asks meanwhile gets what it finds, and it is given out for a second,
/// or until the provider's state changes. Until an init succeeded no database is asked at all: the state says everything.
///
/// A thread that waits for a server which never answers stays behind, with its connection, until the network gives up. After 15
/// seconds another one is tried, and there are never more than three.
#[derive(Clone)]
pub struct Health {
    subject: Arc<dyn Subject>,
    bound: Duration,
    details: Details,
    identity: Identity,
}

/// Whether what is sent over the network has details: the words of the database, remedies, who holds the lock. They can name
/// users, hosts, files, and what a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Details {
    /// They stay in the process. The default.
    #[default]
    Hidden,
    /// They are sent: only whoever runs the service can reach it.
    Shown,
}

/// What a service says of itself.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Identity {
    /// Its public version.
    pub version: Option<Arc<str>>,
    /// The release that runs.
    pub release: Option<Arc<str>>,
    /// What it is called.
    pub name: Option<Arc<str>>,
}

/// How long an answer takes at most, unless the host says otherwise.
const BOUND: Duration = Duration::from_secs(2);

/// What is asked for its health.
pub(crate) trait Subject: Send + Sync {
    /// Where the process stands. Asks nobody.
    fn stand(&self) -> Stand;
    /// Reads the database, and may take as long as it takes; it should not want to wait for longer than the bound.
    fn read(&self, bound: Duration) -> Reading;
    /// Reads where each migration and each seed stands, as [`read`](Self::read).
    fn list(&self, bound: Duration) -> Result<Overview, Error>;
    /// What the last init did. Asks nobody.
    fn progress(&self) -> Progress;
    /// Looks how old the newest backup is, where somebody knows it. A folder can be on a disk that does not answer.
    fn backup_age(&self) -> Option<Duration>;
    /// Who sees to it that nothing is read twice at the same time.
    fn watches(&self) -> &Watches;
}

/// Who sees to it that nothing is read twice at the same time.
pub(crate) struct Watches {
    readings: Arc<Watch<Reading>>,
    lists: Arc<Watch<Result<Overview, Error>>>,
    ages: Arc<Watch<Option<Duration>>>,
}

impl Watches {
    pub(crate) fn new() -> Self {
        Self { readings: Arc::new(Watch::new()), lists: Arc::new(Watch::new()), ages: Arc::new(Watch::new()) }
    }
}

/// Where each migration and each seed stands.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Overview {
    /// Where each migration stands. It names the database, and has the database's words for what failed.
    pub migrations: Status,
    /// Where each seed stands, by the ledger. A failed one has the database's words.
    pub seeds: Vec<SeedStatus>,
}

impl Overview {
    /// The same without what only whoever runs the service should see: which database it is, what it
    /// said, and who was connected from where.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.migrations.database.clear();
        for row in &mut self.migrations.migrations {
            row.error = None;
            if let Some(record) = &mut row.recorded {
                (record.by, record.host) = (None, None);
            }
        }
        // It can say who holds the lock.
        self.migrations.problems.iter_mut().for_each(|problem| problem.message.clear());
        self.seeds.iter_mut().for_each(|seed| seed.error = None);
        self
    }
}

type Read<T> = Arc<dyn Fn() -> T + Send + Sync>;

impl Health {
    pub(crate) fn of(subject: Arc<dyn Subject>) -> Self {
        Self { subject, bound: BOUND, details: Details::default(), identity: Identity::default() }
    }

    /// How long an answer takes at most. Default: 2 seconds. What asks has to be more patient: Kubernetes' `timeoutSeconds` is 1 by
    /// default.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Whether the pages of the feature `http` have details. Default: no. What the functions here return always has them.
    #[must_use]
    pub fn details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// What the report calls the service: `serviceId`. Default: nothing.
    #[must_use]
    pub fn service_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.identity.name = Some(id.into());
        self
    }

    /// The release that runs: `releaseId`. Default: nothing.
    #[must_use]
    pub fn release_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.identity.release = Some(id.into());
        self
    }

    /// The public version of the service: `version`. Default: nothing.
    #[must_use]
    pub fn version(mut self, version: impl Into<Arc<str>>) -> Self {
        self.identity.version = Some(version.into());
        self
    }

    /// Where the provider stands. Asks nobody and never waits.
    pub fn state(&self) -> ProviderState {
        self.subject.stand().state
    }

    /// What the last init did to the migrations so far, as its run told. Asks nobody and never waits.
    pub fn progress(&self) -> Progress {
        self.subject.progress()
    }

    /// Whether the service has come up: no until an init succeeded. Asks nobody and never waits.
    pub fn startup(&self) -> Verdict {
        verdict::startup(&self.subject.stand())
    }

    /// Whether the service lives: no only when the worker for background seeds panicked or hangs. A restart repairs neither a
    /// migration nor a database, so it does not look at them. Asks nobody and never waits.
    pub fn liveness(&self) -> Verdict {
        verdict::liveness(&self.subject.stand())
    }

    /// Whether the service can be given requests, within the [bound](Self::bound).
    pub fn readiness(&self) -> Verdict {
        let reading = self.reading();
        verdict::readiness(&self.subject.stand(), reading.as_deref())
    }

    /// As [`readiness`](Self::readiness), without blocking a thread, on every kind of runtime.
    pub async fn readiness_async(&self) -> Verdict {
        let reading = self.reading_async().await;
        verdict::readiness(&self.subject.stand(), reading.as_deref())
    }

    /// Everything there is to say, within the [bound](Self::bound).
    pub fn report(&self) -> HealthReport {
        let (asker, age) = self.ages();
        let reading = self.reading();
        let age = self.subject.watches().ages.ask(asker, &age);
        self.put_together(reading.as_deref(), age.as_deref())
    }

    /// As [`report`](Self::report), without blocking a thread, on every kind of runtime.
    pub async fn report_async(&self) -> HealthReport {
        let (asker, age) = self.ages();
        let reading = self.reading_async().await;
        let age = self.subject.watches().ages.ask_async(asker, &age).await;
        self.put_together(reading.as_deref(), age.as_deref())
    }

    /// Where each migration and each seed stands, within the [bound](Self::bound), at most a second old.
    ///
    /// # Errors
    /// Why there is no connection, as [`DbProvider::get`](crate::DbProvider::get) says it; `database_timeout` when nothing was read
    /// in time; what the database says.
    pub fn overview(&self) -> Result<Overview, Error> {
        let (asker, list) = self.lists()?;
        told(self.subject.watches().lists.ask(asker, &list))
    }

    /// As [`overview`](Self::overview), without blocking a thread, on every kind of runtime.
    ///
    /// # Errors
    /// As [`overview`](Self::overview).
    pub async fn overview_async(&self) -> Result<Overview, Error> {
        let (asker, list) = self.lists()?;
        told(self.subject.watches().lists.ask_async(asker, &list).await)
    }

    /// Whether pages have details.
    #[cfg(feature = "http")]
    pub(crate) fn shows(&self) -> Details {
        self.details
    }

    /// How long an answer takes at most.
    #[cfg(feature = "http")]
    pub(crate) fn patience(&self) -> Duration {
        self.bound
    }

    fn reading(&self) -> Option<Arc<Reading>> {
        let (asker, read) = self.readings()?;
        self.subject.watches().readings.ask(asker, &read)
    }

    async fn reading_async(&self) -> Option<Arc<Reading>> {
        let (asker, read) = self.readings()?;
        self.subject.watches().readings.ask_async(asker, &read).await
    }

    /// Who asks for a reading, and how it is made; `None` while the state says it all.
    fn readings(&self) -> Option<(Asker, Read<Reading>)> {
        let stand = self.subject.stand();
        let (subject, bound) = (Arc::clone(&self.subject), self.bound);
        let read = move || caught(|| subject.read(bound)).unwrap_or_else(Reading::trouble);
        stand.asks().then(|| (Asker::now(stand.epoch, bound), Arc::new(read) as Read<_>))
    }

    fn ages(&self) -> (Asker, Read<Option<Duration>>) {
        let subject = Arc::clone(&self.subject);
        (Asker::now(0, self.bound), Arc::new(move || subject.backup_age()))
    }

    fn put_together(&self, reading: Option<&Reading>, age: Option<&Option<Duration>>) -> HealthReport {
        let report = HealthReport::of(&self.subject.stand(), reading, self.identity.clone());
        HealthReport { backup_age: age.copied().flatten(), ..report }
    }

    fn lists(&self) -> Result<(Asker, Read<Result<Overview, Error>>), Error> {
        let stand = self.subject.stand();
        let (subject, bound) = (Arc::clone(&self.subject), self.bound);
        if !stand.asks() {
            let Verdict { code, message, .. } = verdict::readiness(&stand, None);
            return Err(Error::new(code, message, "ask again when init has returned"));
        }
        let list = move || caught(|| subject.list(bound)).and_then(|listed| listed);
        Ok((Asker::now(stand.epoch, bound), Arc::new(list)))
    }
}

/// What a host's code on the way panicked with is an answer as well.
fn caught<T>(read: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let message = format!("looking at the database panicked: {}", panic_text(&*panic));
        Error::new("panicked", message, "correct the hook or the session step that panicked")
    })
}

fn told(listed: Option<Arc<Result<Overview, Error>>>) -> Result<Overview, Error> {
    let silent =
        || Error::new("database_timeout", "the database does not answer in time", "check that the database is up");
    listed.map_or_else(|| Err(silent()), |listed| Result::clone(&listed))
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("state", &self.state()).field("bound", &self.bound).finish_non_exhaustive()
    }
}
