//! What a provider tells of its health: where it stands, and what its pool's connections read.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::LoadConnection;
use diesel::r2d2::{ConnectionManager, PooledConnection, R2D2Connection};

use super::DbProvider;
use super::flight::Flight;
use super::seeding;
use crate::dialect::Dialect;
use crate::error::Error;
use crate::health::{Health, Overview, Progress, Reading, Stand, Subject, Watches};
use crate::migration::MigrationSet;
use crate::migrator::Migrator;
use crate::provider_state::ProviderState;
use crate::seed::Seed;

impl<C> DbProvider<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// What answers the probes of an orchestrator, from before the init to after the shutdown. It never writes, and never waits for
    /// longer than its bound. All handles share what they read.
    pub fn health(&self) -> Health {
        Health::of(Arc::new(Probed { flight: Arc::clone(self.flight()), set: self.set, seeds: self.seeds }))
    }
}

/// A provider, for a handle that outlives it.
struct Probed<C: R2D2Connection + 'static> {
    flight: Arc<Flight<C>>,
    set: &'static MigrationSet,
    seeds: &'static [Seed<C>],
}

impl<C> Probed<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    /// A connection of the pool, in time to use it, and a migrator that is not more patient than that.
    fn open(&self, bound: Duration) -> Result<(PooledConnection<ConnectionManager<C>>, Migrator<C>), Error> {
        let serving = self.flight.pool()?;
        let conn = serving.get_within(bound * 3 / 4).map_err(|error| {
            let code = if serving.is_exhausted() { "pool_exhausted" } else { "database_unavailable" };
            let (message, remedy) = (error.message().to_owned(), error.remedy().to_owned());
            error.into_another(code, message, remedy)
        })?;
        let migrator = self.flight.migrator().unwrap_or_else(|| Migrator::new(self.set));
        Ok((conn, migrator.lock_timeout(bound)))
    }

    fn look(&self, bound: Duration) -> Result<Reading, Error> {
        let (mut conn, migrator) = self.open(bound)?;
        let mut reading = migrator.reading(&mut *conn)?;
        // While nothing is missing nobody is asked: what holds stays.
        if let ProviderState::Degraded { seeds, .. } = self.flight.state() {
            reading.missing = seeding::now(&seeds, &migrator.seed_status(&mut *conn, self.seeds)?);
        }
        Ok(reading)
    }
}

impl<C> Subject for Probed<C>
where
    C: R2D2Connection + LoadConnection<Backend: Dialect> + Send + 'static,
{
    fn stand(&self) -> Stand {
        self.flight.stand()
    }

    fn read(&self, bound: Duration) -> Reading {
        self.look(bound).unwrap_or_else(Reading::trouble)
    }

    fn list(&self, bound: Duration) -> Result<Overview, Error> {
        let (mut conn, migrator) = self.open(bound)?;
        let migrations = migrator.status(&mut *conn)?;
        let seeds = if self.seeds.is_empty() { Vec::new() } else { migrator.seed_status(&mut *conn, self.seeds)? };
        Ok(Overview { migrations, seeds })
    }

    fn progress(&self) -> Progress {
        self.flight.track.progress()
    }

    fn backup_age(&self) -> Option<Duration> {
        let file = self.flight.pool().ok().and_then(|serving| serving.file());
        self.flight.migrator()?.backup_age(file.as_deref())
    }

    fn watches(&self) -> &Watches {
        &self.flight.watches
    }
}
