//! The provider: what a service sees of its database from its start to its end.

mod asynchronous;
mod boot;
mod config;
mod cost;
mod end;
mod modes;
mod seeding;
mod waits;

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use diesel::connection::LoadConnection;
use diesel::r2d2::R2D2Connection;
use migrator::{Config, DbProvider, Dialect, Event, MigrationSet, ProviderState, Seed};
use migrator_tests::wait;

use crate::folder::Folder;
use crate::seeds::{TABLES, list};

/// A provider as a `static` of a service; the set of one test lives as long as the tests.
pub(crate) fn provider<C: R2D2Connection + 'static>(set: &MigrationSet) -> DbProvider<C> {
    DbProvider::new(Box::leak(Box::new(set.clone())))
}

/// The set of a service that has seeds.
pub(crate) fn seeded() -> MigrationSet {
    Folder::of(&[("01_tables", TABLES)]).set()
}

/// A provider of that service.
pub(crate) fn seeding<C: R2D2Connection + 'static>(seeds: impl Into<Vec<Seed<C>>>) -> DbProvider<C> {
    provider(&seeded()).seeds(list(seeds))
}

/// Every state that a provider was in, as the host was told.
#[derive(Clone, Default)]
pub(crate) struct States(Arc<(Mutex<Vec<ProviderState>>, Condvar)>);

impl States {
    /// Listens; `then` is called with each event too, on the provider's own thread.
    pub(crate) fn of<C>(config: Config<C>, then: impl Fn(&Event<'_>) + Send + Sync + 'static) -> (Config<C>, Self)
    where
        C: R2D2Connection + LoadConnection<Backend: Dialect> + 'static,
    {
        let states = Self::default();
        let (mine, told) = (states.clone(), Mutex::new(None));
        let config = config.on_event(move |ref event| {
            if let Event::State { from, to } = *event {
                let mut last = told.lock().unwrap_or_else(PoisonError::into_inner);
                let begins = last.as_ref().is_none_or(|last| last == from);
                assert!(begins, "each change begins where the last one ended: {last:?}, {from:?}");
                *last = Some(to.clone());
                mine.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(to.clone());
                mine.0.1.notify_all();
            }
            then(event);
        });
        (config, states)
    }

    pub(crate) fn all(&self) -> Vec<ProviderState> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Their names, without repetitions.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.all().iter().map(ProviderState::name).collect();
        names.dedup();
        names
    }

    /// Waits for a state.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&ProviderState) -> bool) {
        let states = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(states, wait::DEADLINE, |states| !states.iter().any(&is));
        let (states, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "waited for {what}, and saw {states:#?}");
    }
}

/// Something that happens once, on another thread.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(open, wait::DEADLINE, |open| !*open);
        assert!(!waited.unwrap_or_else(PoisonError::into_inner).1.timed_out(), "the gate stays closed");
    }
}
