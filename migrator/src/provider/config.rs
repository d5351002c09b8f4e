//! What a [`DbProvider`](super::DbProvider) is told: from the environment, or by the host.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::r2d2::{Builder, ConnectionManager, R2D2Connection};
use migrator_source::sql::SqlDialect;

use crate::dialect::Dialect;
use crate::environment::Environment;
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::migrator::Migrator;
use crate::mode::ServiceMode;
use crate::session::{SessionStep, Step};
use crate::url::Url;

/// What a [`DbProvider`](crate::DbProvider) needs to know.
///
/// | option | variable | default |
/// |---|---|---|
/// | [`new`](Self::new) | `DATABASE_URL` | none: it has to be given |
/// | [`migration_url`](Self::migration_url) | `MIGRATION_DATABASE_URL` | the URL above |
/// | [`mode`](Self::mode) | `MIGRATOR_MODE` | `migrate-and-serve` |
/// | [`environment`](Self::environment) | `MIGRATOR_ENV` | none |
/// | [`connect_timeout`](Self::connect_timeout) | `MIGRATOR_CONNECT_TIMEOUT` | 60 seconds |
/// | [`wait_timeout`](Self::wait_timeout) | `MIGRATOR_WAIT_TIMEOUT` | 10 minutes |
/// | [`shutdown_timeout`](Self::shutdown_timeout) | `MIGRATOR_SHUTDOWN_TIMEOUT` | 20 seconds |
/// | [`Migrator::lock_timeout`] through [`migrator`](Self::migrator) | `MIGRATOR_LOCK_TIMEOUT` | 5 minutes |
/// | [`pool_size`](Self::pool_size) | `MIGRATOR_POOL_SIZE` | 10 connections |
/// | [`pool_timeout`](Self::pool_timeout) | `MIGRATOR_POOL_TIMEOUT` | 5 seconds |
/// | [`busy_timeout`](Self::busy_timeout) | `MIGRATOR_BUSY_TIMEOUT` | 5 seconds |
/// | [`on_connect`](Self::on_connect) | | nothing |
///
/// A time is written `250ms`, `30s`, `5m` or `1h 30m`. A variable that is set to nothing counts as not set.
///
/// It holds passwords and never shows them: its `Debug` has the URLs without password and query.
pub struct Config<C: R2D2Connection + 'static> {
    pub(super) url: Named,
    pub(super) migration_url: Option<Named>,
    pub(super) mode: ServiceMode,
    pub(super) environment: Option<Environment>,
    pub(super) connect_timeout: Duration,
    pub(super) wait_timeout: Duration,
    pub(super) shutdown_timeout: Duration,
    pub(super) lock_timeout: Option<Duration>,
    pub(super) pool_size: u32,
    pub(super) pool_timeout: Duration,
    pub(super) busy_timeout: Duration,
    pub(super) on_connect: Step<C>,
    pub(super) hook: Hook,
    pub(super) migrator: Adapt<Migrator<C>>,
    pub(super) pool: Adapt<Builder<ConnectionManager<C>>>,
}

/// What the host makes of something that is set up for it.
pub(super) type Adapt<T> = Option<Box<dyn FnOnce(T) -> T + Send>>;

/// A URL, and where it came from.
#[derive(Clone)]
pub(super) struct Named {
    text: String,
    name: &'static str,
}

impl Named {
    /// Reads the URL, which has to be one for this kind of connection.
    pub(super) fn parse<C: LoadConnection<Backend: Dialect>>(&self) -> Result<Url, Error> {
        let url = Url::parse(&self.text).map_err(|error| error.about(self.name))?;
        if url.dialect() != C::Backend::SQL {
            let scheme = match self.text.split_once("://") {
                Some((scheme, _)) => format!("begins with `{scheme}://`, which is {}", url.dialect()),
                None => format!("names a file, which is {}", url.dialect()),
            };
            let message = format!("{} {scheme}, and the service connects to {}", self.name, C::Backend::SQL);
            let remedy = format!("write {}, or build the service for {}", example(C::Backend::SQL), url.dialect());
            return Err(Error::new("scheme_mismatch", message, remedy));
        }
        Ok(url)
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

fn example(dialect: SqlDialect) -> &'static str {
    match dialect {
        SqlDialect::Sqlite => "sqlite:PATH",
        SqlDialect::Postgres => "postgres://…",
        SqlDialect::Mysql => "mysql://…",
    }
}

const URL: &str = "DATABASE_URL";
const MIGRATION_URL: &str = "MIGRATION_DATABASE_URL";

impl<C: R2D2Connection + LoadConnection<Backend: Dialect> + 'static> Config<C> {
    /// Everything at its default, but the database: `sqlite:PATH`, `postgres://…`, `mysql://…` and their like.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: Named { text: url.into(), name: URL },
            migration_url: None,
            mode: ServiceMode::default(),
            environment: None,
            connect_timeout: Duration::from_secs(60),
            wait_timeout: Duration::from_secs(10 * 60),
            shutdown_timeout: Duration::from_secs(20),
            lock_timeout: None,
            pool_size: 10,
            pool_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            on_connect: Step::Nothing,
            hook: Hook::default(),
            migrator: None,
            pool: None,
        }
    }

    /// Reads the variables that the table above names.
    ///
    /// # Errors
    /// `config` when a variable is missing or its value is none, `scheme_mismatch`, `unknown_scheme` and `invalid_url` for a URL.
    /// Each names the variable, and no secret.
    pub fn from_env() -> Result<Self, Error> {
        Self::read(|name| match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(wrong(name, "it is not UTF-8")),
        })
    }

    /// As [`from_env`](Self::from_env), from wherever the host keeps its settings.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(mut get: impl FnMut(&str) -> Option<String>) -> Result<Self, Error> {
        Self::read(|name| Ok(get(name)))
    }

    fn read(mut get: impl FnMut(&str) -> Result<Option<String>, Error>) -> Result<Self, Error> {
        let mut get = |name: &str| Ok::<_, Error>(get(name)?.filter(|value| !value.is_empty()));
        let url = get(URL)?.ok_or_else(|| {
            Error::new("config", format!("{URL} is not set"), format!("set {URL} to {}", example(C::Backend::SQL)))
        })?;
        let mut config = Self::new(url);
        config.migration_url = get(MIGRATION_URL)?.map(|text| Named { text, name: MIGRATION_URL });
        config.url.parse::<C>()?;
        config.migration_url.as_ref().map(Named::parse::<C>).transpose()?;
        if let Some(mode) = get("MIGRATOR_MODE")? {
            config.mode = one_of("MIGRATOR_MODE", &mode, ServiceMode::ALL.map(ServiceMode::name))?;
        }
        if let Some(environment) = get("MIGRATOR_ENV")? {
            config.environment = Some(one_of("MIGRATOR_ENV", &environment, Environment::ALL.map(Environment::name))?);
        }
        if let Some(size) = get("MIGRATOR_POOL_SIZE")? {
            config.pool_size = size
                .parse()
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| wrong("MIGRATOR_POOL_SIZE", "it is no number of connections, from 1"))?;
        }
        let mut time = |name: &'static str| get(name)?.map(|value| duration(name, &value)).transpose();
        config.lock_timeout = time("MIGRATOR_LOCK_TIMEOUT")?;
        for (name, option) in [
            ("MIGRATOR_CONNECT_TIMEOUT", &mut config.connect_timeout),
            ("MIGRATOR_WAIT_TIMEOUT", &mut config.wait_timeout),
            ("MIGRATOR_SHUTDOWN_TIMEOUT", &mut config.shutdown_timeout),
            ("MIGRATOR_POOL_TIMEOUT", &mut config.pool_timeout),
            ("MIGRATOR_BUSY_TIMEOUT", &mut config.busy_timeout),
        ] {
            if let Some(value) = time(name)? {
                *option = value;
            }
        }
        Ok(config)
    }

    /// The URL of the role that owns the schema: it migrates and seeds, over a connection that is closed afterwards, and is
    /// forgotten when no seed is left to try. Default: the URL that the service works with.
    #[must_use]
    pub fn migration_url(mut self, url: impl Into<String>) -> Self {
        self.migration_url = Some(Named { text: url.into(), name: MIGRATION_URL });
        self
    }

    /// What this process does with the database. Default: migrate and serve.
    #[must_use]
    pub fn mode(mut self, mode: ServiceMode) -> Self {
        self.mode = mode;
        self
    }

    /// What this process takes the database for: [`Migrator::environment`]. Default: nothing.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// How long an init waits for a database that is not up. Default: 60 seconds.
    ///
    /// It asks again after 250 ms, doubled each time up to 5 s, ± 50 %. A wrong password or an unknown database is not waited
    /// for. The time begins anew when a connection is lost.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long [`ServiceMode::WaitOnly`] waits for another process to migrate. Default: 10 minutes.
    #[must_use]
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = timeout;
        self
    }

    /// How long [`shutdown`](crate::DbProvider::shutdown) waits for what runs. Default: 20 seconds.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// How many connections the pool has at most. Default: 10. They are made when they are asked for, and closed after ten
    /// minutes without work. A SQLite database in memory has one only, which is never closed.
    #[must_use]
    pub fn pool_size(mut self, size: u32) -> Self {
        self.pool_size = size.max(1);
        self
    }

    /// How long [`get`](crate::DbProvider::get) waits for a connection. Default: 5 seconds.
    #[must_use]
    pub fn pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool_timeout = timeout;
        self
    }

    /// SQLite: how long a statement of the service waits for another writer (`PRAGMA busy_timeout`). Default: 5 seconds; SQLite's own
    /// is not to wait at all. Of the other pragmas none is touched: `foreign_keys` is as the build has it (on with the feature
    /// `bundled`), and for WAL there is [`on_connect`](Self::on_connect).
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Runs something on each new connection of the pool: SQL, or a closure. Default: nothing.
    ///
    /// For SQLite with several writers: `.on_connect("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")`. The migrating
    /// connection has [`Migrator::session`].
    #[must_use]
    pub fn on_connect(mut self, step: impl SessionStep<C>) -> Self {
        self.on_connect = step.into_step();
        self
    }

    /// Is told each change of state, and what a run tells ([`Migrator::on_event`]). A hook that panics fails the init.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Hook(Some(Arc::new(hook)));
        self
    }

    /// Sets the options of the [`Migrator`] that it works with. Its [`interrupt`](Migrator::interrupt) is the provider's own; a
    /// [`pause`](Migrator::pause) of the host's is not ended by a shutdown.
    #[must_use]
    pub fn migrator(mut self, adapt: impl FnOnce(Migrator<C>) -> Migrator<C> + Send + 'static) -> Self {
        self.migrator = Some(Box::new(adapt));
        self
    }

    /// Sets further options of the pool, such as the lifetime of its connections.
    #[must_use]
    pub fn pool(
        mut self,
        adapt: impl FnOnce(Builder<ConnectionManager<C>>) -> Builder<ConnectionManager<C>> + Send + 'static,
    ) -> Self {
        self.pool = Some(Box::new(adapt));
        self
    }
}

impl<C: R2D2Connection + 'static> fmt::Debug for Config<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |named: &Named| Url::parse(&named.text).map_or_else(|_| "…".to_owned(), |url| url.to_string());
        f.debug_struct("Config")
            .field("url", &shown(&self.url))
            .field("migration_url", &self.migration_url.as_ref().map(shown))
            .field("mode", &self.mode)
            .field("environment", &self.environment)
            .field("connect_timeout", &self.connect_timeout)
            .field("wait_timeout", &self.wait_timeout)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("pool_size", &self.pool_size)
            .field("pool_timeout", &self.pool_timeout)
            .finish_non_exhaustive()
    }
}

/// A value that is none. What was set is not repeated: somebody may have put a URL there.
fn wrong(name: &str, what: &str) -> Error {
    Error::new("config", format!("{name} has a wrong value: {what}"), format!("correct {name}, or leave it out"))
}

fn one_of<T: FromStr>(name: &str, value: &str, words: [&str; 4]) -> Result<T, Error> {
    value.parse().map_err(|_| wrong(name, &format!("it can be {}", words.join(", "))))
}

fn duration(name: &str, value: &str) -> Result<Duration, Error> {
    humantime::parse_duration(value).map_err(|_| wrong(name, "it is no time such as 250ms, 30s or 5m"))
}
