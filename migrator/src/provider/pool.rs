//! The pool that a service works with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as ConnectError, HandleError, Pool, PooledConnection, R2D2Connection,
};
use migrator_source::sql::SqlDialect;

use super::config::Adapt;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::health;
use crate::session::{Step, send};
use crate::url::Url;

/// How the pool is made.
pub(super) struct Options<C: R2D2Connection + 'static> {
    pub(super) url: Url,
    pub(super) size: u32,
    pub(super) timeout: Duration,
    pub(super) busy_timeout: Duration,
    pub(super) on_connect: Step<C>,
    pub(super) adapt: Adapt<diesel::r2d2::Builder<ConnectionManager<C>>>,
}

/// A pool, and the URL whose secrets its errors must not show.
pub(super) struct Serving<C: R2D2Connection + 'static> {
    pub(super) pool: Pool<ConnectionManager<C>>,
    url: Arc<Url>,
    /// How many wait for a connection; the pool itself does not tell.
    waiting: Arc<AtomicU32>,
}

impl<C: R2D2Connection + 'static> Clone for Serving<C> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), url: Arc::clone(&self.url), waiting: Arc::clone(&self.waiting) }
    }
}

impl<C: R2D2Connection + 'static> Serving<C> {
    /// How many connections there are, and who waits for one.
    pub(super) fn figures(&self) -> health::Pool {
        let state = self.pool.state();
        health::Pool {
            size: self.pool.max_size(),
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// The file of a SQLite database.
    pub(super) fn file(&self) -> Option<String> {
        (self.url.dialect() == SqlDialect::Sqlite).then(|| self.url.text().to_owned())
    }

    /// Whether every connection that there may be is in use.
    pub(super) fn is_exhausted(&self) -> bool {
        let health::Pool { size, in_use, .. } = self.figures();
        in_use >= size
    }
}

impl<C: R2D2Connection + LoadConnection<Backend: Dialect> + 'static> Serving<C> {
    /// Makes the pool; the first connection is made by whoever asks for one.
    pub(super) fn new(options: Options<C>) -> Self {
        let Options { url, size, timeout, busy_timeout, on_connect, adapt } = options;
        let url = Arc::new(url);
        let mut builder = Pool::builder()
            .max_size(size)
            // Made when they are asked for, and never behind the service's back: processes that ended while a thread of the pool
            // connected to PostgreSQL crashed now and then.
            .min_idle(Some(0))
            .connection_timeout(timeout)
            .connection_customizer(Box::new(SetUp { busy_timeout, on_connect }))
            .error_handler(Box::new(Tell(Arc::clone(&url))));
        if let Some(adapt) = adapt {
            builder = adapt(builder);
        }
        if url.is_in_memory() {
            // A second connection would see another database, and closing the only one would end it.
            builder = builder.max_size(1).min_idle(Some(1)).idle_timeout(None).max_lifetime(None);
        }
        let pool = builder.build_unchecked(ConnectionManager::new(url.text()));
        Self { pool, url, waiting: Arc::default() }
    }

    /// A connection, within the pool's time.
    pub(super) fn get(&self) -> Result<PooledConnection<ConnectionManager<C>>, Error> {
        self.get_within(self.timeout())
    }

    /// How long whoever asks for a connection waits.
    pub(super) fn timeout(&self) -> Duration {
        self.pool.connection_timeout()
    }

    pub(super) fn get_within(&self, time: Duration) -> Result<PooledConnection<ConnectionManager<C>>, Error> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let got = self.pool.get_timeout(time);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        got.map_err(|error| {
            let health::Pool { size, in_use, .. } = self.figures();
            let message = format!("no connection within {} ms: {in_use} of {size} are in use", time.as_millis());
            let remedy = if in_use < size {
                "check that the database is up"
            } else {
                "give connections back sooner, or have more of them: MIGRATOR_POOL_SIZE (Config::pool_size)"
            };
            let words = diesel::ConnectionError::BadConnection(self.url.scrub(&error.to_string()));
            Error::new("pool_timeout", message, remedy).with_source(words)
        })
    }
}

/// Sets a new connection up.
struct SetUp<C> {
    busy_timeout: Duration,
    on_connect: Step<C>,
}

impl<C: R2D2Connection + LoadConnection<Backend: Dialect> + 'static> CustomizeConnection<C, ConnectError> for SetUp<C> {
    fn on_acquire(&self, conn: &mut C) -> Result<(), ConnectError> {
        let patience = C::Backend::patience(conn, self.busy_timeout)?;
        send(conn, &patience.enter)?;
        Ok(self.on_connect.run(conn)?)
    }
}

impl<C> fmt::Debug for SetUp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetUp").field("busy_timeout", &self.busy_timeout).finish_non_exhaustive()
    }
}

/// Tells why a connection could not be made; the pool tries again.
#[derive(Debug)]
struct Tell(Arc<Url>);

impl HandleError<ConnectError> for Tell {
    fn handle_error(&self, error: ConnectError) {
        let error = self.0.scrub(&error.to_string());
        tracing::warn!(target: "migrator", error, "the pool could not connect");
    }
}
