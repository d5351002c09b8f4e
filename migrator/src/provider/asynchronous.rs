//! The same for async services: what may block runs where blocking is allowed.

use std::sync::Arc;

use diesel::connection::LoadConnection;
use diesel::r2d2::{ConnectionManager, PooledConnection, R2D2Connection};
use tokio::task::{JoinError, spawn_blocking};

use super::flight::shut_down;
use super::{Config, DbProvider, InitReport, initialise};
use crate::dialect::Dialect;
use crate::error::Error;

impl<C> DbProvider<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// As [`init`](Self::init), without blocking a thread of the runtime, on every kind of runtime. An init whose future is dropped
    /// goes on; the next call waits for its outcome.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub async fn init_async(&self, config: Config<C>) -> Result<InitReport, Error> {
        let (flight, set, seeds) = (Arc::clone(self.flight()), self.set, self.seeds);
        spawn_blocking(move || initialise(&flight, set, seeds, config)).await.unwrap_or_else(|error| Err(ended(&error)))
    }

    /// As [`get`](Self::get), without blocking a thread of the runtime. Queries on the connection do block: they belong into
    /// `tokio::task::spawn_blocking` too.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_async(&self) -> Result<PooledConnection<ConnectionManager<C>>, Error> {
        let serving = self.flight().pool()?;
        spawn_blocking(move || serving.get()).await.unwrap_or_else(|error| Err(ended(&error)))
    }

    /// As [`shutdown`](Self::shutdown), without blocking a thread of the runtime.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    pub async fn shutdown_async(&self) -> Result<(), Error> {
        let (flight, set) = (Arc::clone(self.flight()), self.set);
        spawn_blocking(move || super::shut_down(&flight, set)).await.unwrap_or_else(|error| Err(ended(&error)))
    }
}

/// The runtime ended before the work began.
fn ended(error: &JoinError) -> Error {
    tracing::warn!(target: "migrator", %error, "the runtime ended");
    shut_down()
}
