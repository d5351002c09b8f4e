//! The facade: options, then a verb.

mod back_up;
mod code;
mod copy;
mod doctor;
mod guarding;
mod health;
mod job;
mod reconnect;
mod reset;
mod revert;
mod seeding;
mod seen;
mod sessions;
mod settling;
mod setup;
mod verbs;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionResult;
use diesel::connection::LoadConnection;
use diesel::migration::MigrationSource;

use self::reconnect::Connect;
pub use self::setup::Setup;
use crate::backup::Backup;
use crate::dialect::Dialect;
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::interrupt::Interrupt;
use crate::lock::Wait;
use crate::migration::MigrationSet;
use crate::origin::Origin;
use crate::plan::{Policies, Policy};
use crate::seeding::{Pause, Retry, Tries};
use crate::session::{SessionStep, Step};
use crate::source::Source;

/// Brings a database to where a [`MigrationSet`] is: options first, then a verb.
///
/// ```no_run
/// # use diesel::prelude::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let migrations = migrator::MigrationSet::from_path("migrations")?;
/// let mut conn = SqliteConnection::establish("app.db")?;
/// let report = migrator::Migrator::new(&migrations).run(&mut conn)?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
///
/// A verb takes any diesel connection: plain, pooled by r2d2, or a wrapped one of diesel-async. It must not be inside of a
/// transaction when the verb writes.
///
/// In an async service, call it from `tokio::task::spawn_blocking`: that is safe on every runtime, where diesel-async's own harness,
/// which blocks in place, panics on a current-thread one.
///
/// | option | default |
/// |---|---|
/// | [`lock_timeout`](Self::lock_timeout) | 5 minutes |
/// | [`statement_lock_timeout`](Self::statement_lock_timeout) | 5 seconds, 5 tries |
/// | [`changed`](Self::changed), [`missing`](Self::missing), [`out_of_order`](Self::out_of_order), [`failed`](Self::failed) | [`Policy::Refuse`] |
/// | [`ahead`](Self::ahead) | [`Policy::Warn`] |
/// | [`non_empty`](Self::non_empty) | [`Policy::Refuse`] |
/// | [`backup_before`](Self::backup_before) | none |
/// | [`application`](Self::application) | the package that embedded the set, else the executable's name |
/// | [`serves_from`](Self::serves_from) | the last migration of the set |
/// | [`schema`](Self::schema) | the connection's current schema |
/// | [`set_name`](Self::set_name) | empty |
/// | [`reconnect`](Self::reconnect) | none: a lost connection is an error |
/// | [`seed_attempts`](Self::seed_attempts), [`seed_deadline`](Self::seed_deadline) | 10, 5 minutes |
pub struct Migrator<C> {
    set: MigrationSet,
    schema: Option<String>,
    set_name: String,
    wait: Wait,
    statement_lock_timeout: Duration,
    policies: Policies,
    non_empty: Policy,
    serves_from: Option<String>,
    environment: Option<Environment>,
    /// The program, as it calls itself.
    application: Option<String>,
    /// The database's name, as somebody typed it back.
    confirmed: Option<String>,
    backup: Option<Backup>,
    retry: Retry,
    pause: Pause,
    tried: Tries,
    setup: Step<C>,
    teardown: Step<C>,
    connect: Option<Connect<C>>,
    /// How a second connection is made, to find a pooler by, where a lost one is not to be replaced.
    second: Option<Connect<C>>,
    source: Option<Source<C>>,
    /// What was embedded, without migrations in Rust.
    files: MigrationSet,
    /// Why a migration in Rust is refused; the first verb says so.
    fault: Option<String>,
}

impl<C> Migrator<C> {
    /// A migrator with every option at its default.
    pub fn new(set: &MigrationSet) -> Self {
        Self {
            set: set.clone(),
            source: None,
            files: set.clone(),
            fault: None,
            schema: None,
            set_name: String::new(),
            wait: Wait { timeout: Duration::from_secs(5 * 60), ..Wait::default() },
            statement_lock_timeout: Duration::from_secs(5),
            policies: Policies::default(),
            non_empty: Policy::Refuse,
            serves_from: None,
            environment: None,
            application: None,
            confirmed: None,
            backup: None,
            retry: Retry::default(),
            pause: Pause::default(),
            tried: Tries::default(),
            setup: Step::Nothing,
            teardown: Step::Nothing,
            connect: None,
            second: None,
        }
    }

    /// A migrator of migrations that are not ours: those of diesel_migrations, or code that implements diesel's `Migration`.
    ///
    /// The lock, the history, the rules and diesel's table are the same as for a set. But nothing of such a migration can be seen
    /// except its name: it has no checksum, so that an edit is not noticed, no statements in a plan, and it runs whole or not at
    /// all. It runs in a transaction with its record, unless its metadata says no. Where it does, and always on MySQL, the
    /// intent is recorded first; one that fails there, or is killed, is [failed](crate::State::Failed) until
    /// [`resolve`](Self::resolve) says what is true, except when it failed and was rolled back before anything was committed.
    ///
    /// The source is asked for its migrations now, and once more by each run that has work to do.
    ///
    /// ```no_run
    /// # use diesel::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # struct Migrations;
    /// # impl diesel::migration::MigrationSource<diesel::sqlite::Sqlite> for Migrations {
    /// #     fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn diesel::migration::Migration<diesel::sqlite::Sqlite>>>> {
    /// #         Ok(Vec::new())
    /// #     }
    /// # }
    /// # const MIGRATIONS: Migrations = Migrations;
    /// // const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!();
    /// let mut conn = SqliteConnection::establish("app.db")?;
    /// migrator::Migrator::from_source(MIGRATIONS)?.run(&mut conn)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the source cannot be read, or two of its migrations have one version.
    pub fn from_source<S>(source: S) -> Result<Self, Error>
    where
        C: LoadConnection<Backend: Dialect> + 'static,
        S: MigrationSource<C::Backend> + Send + Sync + 'static,
    {
        let (set, source) = Source::new(source)?;
        Ok(Self { source: Some(source), ..Self::new(&set) })
    }

    /// How long a run waits for the migration lock. Default: 5 minutes.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.wait.timeout = timeout;
        self
    }

    /// How long a statement waits for what others hold, before its transaction is rolled back and tried again, five times in
    /// all. Default: 5 seconds. It keeps others from queueing behind a waiting DDL statement. (PostgreSQL `lock_timeout`, MySQL
    /// `lock_wait_timeout`, SQLite `busy_timeout`.) It is at least a millisecond (on MySQL a second) and at most a day.
    #[must_use]
    pub fn statement_lock_timeout(mut self, timeout: Duration) -> Self {
        // PostgreSQL takes 0 for "for ever", and none of them takes more than some weeks.
        self.statement_lock_timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));
        self
    }

    /// The schema (PostgreSQL), or database (MySQL), in which the history lives. Default: the connection's current one. SQLite
    /// has one only.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// Tells apart two sets whose histories share one schema. Default: empty. A name of more than 255 characters is refused by every verb
    /// (`set_name`).
    ///
    /// The table of the layout's own tool (diesel, Prisma) is kept in step for the set without a name: such a tool knows one set only.
    #[must_use]
    pub fn set_name(mut self, name: impl Into<String>) -> Self {
        self.set_name = name.into();
        self
    }

    /// What a run does when a migration that is not applied is older than one that is. Default: refuse.
    #[must_use]
    pub fn out_of_order(mut self, policy: Policy) -> Self {
        self.policies.out_of_order = policy;
        self
    }

    /// What a run does when the text of an applied migration differs from the recorded one. Default: refuse.
    #[must_use]
    pub fn changed(mut self, policy: Policy) -> Self {
        self.policies.changed = policy;
        self
    }

    /// What a run does when an applied migration, older than the set's latest, is not in the set. Default: refuse.
    #[must_use]
    pub fn missing(mut self, policy: Policy) -> Self {
        self.policies.missing = policy;
        self
    }

    /// What a run does when the database is newer than the set. Default: warn, and go on.
    #[must_use]
    pub fn ahead(mut self, policy: Policy) -> Self {
        self.policies.ahead = policy;
        self
    }

    /// What a run does when nobody knows whether a statement of an earlier run took, or when its session kept data that is gone.
    /// Default: refuse. To allow it is to say that running that statement twice does no harm.
    #[must_use]
    pub fn failed(mut self, policy: Policy) -> Self {
        self.policies.failed = policy;
        self
    }

    /// What a run does when the database has tables and no history. Default: refuse, since it may be somebody else's.
    #[must_use]
    pub fn non_empty(mut self, policy: Policy) -> Self {
        self.non_empty = policy;
        self
    }

    /// The oldest migration with which this binary can serve already, while newer ones are pending: its version, its full name, or a
    /// prefix that fits one. Default: the last of the set.
    ///
    /// It changes no run. [`Status::is_servable`](crate::Status::is_servable) goes by it, and so does a process that only waits for
    /// another one to migrate ([`ServiceMode`](crate::ServiceMode)). The other direction, an older binary on a newer database, is for the
    /// newer migration to say, in a comment at the top of its script: `-- migrator: breaks-before VERSION`. Binaries whose last migration
    /// is older than that then refuse to run and to serve, from the moment at which it is about to be applied.
    #[must_use]
    pub fn serves_from(mut self, version: impl Into<String>) -> Self {
        self.serves_from = Some(version.into());
        self
    }

    /// What this process takes the database for. The first run that is told so and has something to write marks the database. Where it is
    /// marked as something else, a run says so, and a verb that destroys is refused; [`mark`](Self::mark) changes the mark.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// What the records of the history call this program: its name and version. Default: those of the package that embedded the set; where
    /// none did, the name of the executable. A control character becomes `?`; what is beyond 255 characters is cut
    /// off.
    ///
    /// ```
    /// # use diesel::prelude::*;
    /// # fn test(migrations: &migrator::MigrationSet) -> migrator::Migrator<SqliteConnection> {
    /// migrator::Migrator::new(migrations).application(concat!("harbour ", env!("CARGO_PKG_VERSION")))
    /// # }
    /// ```
    #[must_use]
    pub fn application(mut self, name_and_version: impl Into<String>) -> Self {
        self.application = Some(name_and_version.into());
        self
    }

    /// The database's name (of SQLite the file's), typed back: wanted on production before anything that can destroy, on staging before a
    /// reset, and to take either mark away. Default: none.
    #[must_use]
    pub fn confirm(mut self, database: impl Into<String>) -> Self {
        self.confirmed = Some(database.into());
        self
    }

    /// Makes a backup before the first change of a run, once, and only when something is pending. When it fails, the run stops and
    /// nothing was changed. Default: none.
    ///
    /// It is made under the migration lock, so that no other run is in it half-way.
    #[must_use]
    pub fn backup_before(mut self, backup: Backup) -> Self {
        self.backup = Some(backup);
        self
    }

    /// Runs something on the migrating connection itself: `setup` before the lock is taken and only when something is
    /// pending, `teardown` after the lock was given back, also after an error or a panic.
    ///
    /// Each is SQL, a closure, or `()`. What the set-up sets in the session is set again after each script; it is not run
    /// again.
    #[must_use]
    pub fn session(mut self, setup: impl SessionStep<C>, teardown: impl SessionStep<C>) -> Self {
        (self.setup, self.teardown) = (setup.into_step(), teardown.into_step());
        self
    }

    /// How a run that loses its connection gets another one. Without it such a run ends with an error, also when the lost answer was
    /// that of its last COMMIT.
    ///
    /// With it the run asks for a connection (for a minute, or the [`lock_timeout`](Self::lock_timeout) when that is less), takes
    /// the lock again, reads what took, and goes on with the rest, as another starter would; it gives up when a new connection is
    /// lost too and brought nothing forward. The new connection stands in the place of the one that the verb was given; what
    /// [`session`](Self::session) sets up is set up there too.
    ///
    /// ```no_run
    /// # use diesel::prelude::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (migrations, url) = (migrator::MigrationSet::from_path("migrations")?, String::new());
    /// let mut conn = SqliteConnection::establish(&url)?;
    /// let migrator = migrator::Migrator::new(&migrations).reconnect(move || SqliteConnection::establish(&url));
    /// migrator.run(&mut conn)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn reconnect(mut self, connect: impl Fn() -> ConnectionResult<C> + Send + Sync + 'static) -> Self {
        self.connect = Some(Arc::new(connect));
        self
    }

    /// Is told each transition of a run.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.wait.hook = Hook(Some(Arc::new(hook)));
        self
    }

    /// What can end a run from another thread. Default: nothing.
    #[must_use]
    pub fn interrupt(mut self, interrupt: &Interrupt) -> Self {
        self.wait.interrupt = interrupt.clone();
        self
    }

    /// What is migrated, code included.
    #[cfg(feature = "cli")]
    pub(crate) fn set(&self) -> &MigrationSet {
        &self.set
    }

    /// SQL for the migrating connection, behind the set-up that is there.
    #[cfg(feature = "cli")]
    pub(crate) fn also_session(mut self, sql: &str) -> Self
    where
        C: LoadConnection + 'static,
    {
        self.setup = self.setup.and(sql.into_step());
        self
    }

    /// As [`on_event`](Self::on_event), beside the hook that is there.
    pub(crate) fn also_on_event(self, hook: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        let Hook(before) = self.wait.hook.clone();
        self.on_event(move |event| {
            hook(event);
            if let Some(before) = &before {
                before(event);
            }
        })
    }
}

impl<C> Migrator<C> {
    /// What the records of a run name as the machine and the program.
    fn origin(&self) -> Origin {
        Origin::here(self.application.as_deref(), &self.files)
    }

    /// The age of the newest backup, where it makes backups and somebody knows it.
    pub(crate) fn backup_age(&self, file: Option<&str>) -> Option<Duration> {
        self.backup.as_ref()?.age(file)
    }

    /// What a database that it brought up to date has: two with the same are the same.
    pub(crate) fn identity(&self) -> String {
        format!("{} {:?} {}", self.set.fingerprint(), self.schema, self.set_name)
    }
}
