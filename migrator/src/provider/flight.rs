//! What the threads of one provider share: its state, one init at a time whose outcome everybody gets, and its end.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use diesel::r2d2::R2D2Connection;

use super::InitReport;
use super::pool::Serving;
use super::seeding::Seeding;
use super::worker::Seeder;
use crate::error::Error;
use crate::event::{Event, Hook};
use crate::health::{Pulse, Stand, Track, Watches};
use crate::interrupt::Interrupt;
use crate::migrator::Migrator;
use crate::provider_state::{Move, ProviderState};
use crate::seed::SeedReport;
use crate::url::Url;

/// What an init came to, once it did.
pub(super) type Outcome = Arc<OnceLock<Result<InitReport, Error>>>;

/// What the threads of one provider share.
pub(super) struct Flight<C: R2D2Connection + 'static> {
    seat: Mutex<Seat<C>>,
    changed: Condvar,
    /// Ends whatever runs, once and for all.
    pub(super) interrupt: Interrupt,
    /// Held by whoever tries seeds outside of an init.
    seeding_turn: Mutex<()>,
    /// What the worker tells of itself.
    pub(super) pulse: Pulse,
    /// What the run of the last init tells.
    pub(super) track: Track,
    /// What is read for the sake of probes.
    pub(super) watches: Watches,
}

struct Seat<C: R2D2Connection + 'static> {
    state: ProviderState,
    /// How often the state changed.
    epoch: u64,
    /// Whether the state was ready once.
    was_ready: bool,
    /// Of the init that runs, or of the last one.
    outcome: Option<Outcome>,
    /// The threads that work: whoever called `init`, and the worker. A shutdown waits for them, unless it is called there.
    working: Vec<ThreadId>,
    worker: Option<JoinHandle<()>>,
    pool: Option<Serving<C>>,
    seeding: Seeding,
    /// Whether the database is newer than this binary.
    ahead: bool,
    /// With the host's options.
    migrator: Option<Migrator<C>>,
    /// What tries the seeds that are missing.
    seeder: Option<Arc<Seeder<C>>>,
    /// Where a statement that runs is cancelled.
    url: Option<Url>,
    shutdown_timeout: Duration,
    hook: Hook,
    /// Changes that the host was not told yet. One thread at a time tells them, in their order, without a lock held.
    untold: VecDeque<[ProviderState; 2]>,
    telling: bool,
}

/// What an init has for the service.
pub(super) struct Served<C: R2D2Connection + 'static> {
    pub(super) pool: Option<Serving<C>>,
    pub(super) ahead: bool,
    pub(super) seeding: Seeding,
    pub(super) migrator: Option<Migrator<C>>,
    pub(super) seeder: Option<Arc<Seeder<C>>>,
}

/// What a call of `init` is to do.
pub(super) enum Entry<'a, C: R2D2Connection + 'static> {
    /// Do the work.
    Work(Working<'a, C>, Outcome),
    /// Return this: the outcome of another call, or a refusal.
    Return(Box<Result<InitReport, Error>>),
}

fn refused<'a, C: R2D2Connection + 'static>(error: Error) -> Entry<'a, C> {
    Entry::Return(Box::new(Err(error)))
}

impl<C: R2D2Connection + 'static> Flight<C> {
    pub(super) fn new() -> Self {
        Self {
            seat: Mutex::new(Seat {
                state: ProviderState::NotStarted,
                epoch: 0,
                was_ready: false,
                outcome: None,
                working: Vec::new(),
                worker: None,
                pool: None,
                seeding: Seeding::default(),
                ahead: false,
                migrator: None,
                seeder: None,
                url: None,
                shutdown_timeout: Duration::from_secs(20),
                hook: Hook::default(),
                untold: VecDeque::new(),
                telling: false,
            }),
            changed: Condvar::new(),
            interrupt: Interrupt::new(),
            seeding_turn: Mutex::new(()),
            pulse: Pulse::new(),
            track: Track::default(),
            watches: Watches::new(),
        }
    }

    /// Begins an init, or waits for the outcome of the one that runs.
    pub(super) fn enter(&self, hook: &Hook, shutdown_timeout: Duration) -> Entry<'_, C> {
        let mut seat = self.seat();
        // Until its outcome is known an init is not over, whatever the state says.
        let current = seat.outcome.clone().filter(|outcome| outcome.get().is_none());
        if let Some(outcome) = current {
            if seat.working.contains(&thread::current().id()) {
                return refused(not_yet(&seat.state));
            }
            while outcome.get().is_none() && seat.state != ProviderState::ShutDown {
                seat = self.wait(seat, Duration::from_secs(60));
            }
            return outcome
                .get()
                .map_or_else(|| refused(shut_down()), |outcome| Entry::Return(Box::new(outcome.clone())));
        }
        match (&seat.state, seat.outcome.as_ref().and_then(|outcome| outcome.get())) {
            (ProviderState::ShutDown, _) => return refused(shut_down()),
            (state, Some(outcome)) if state.is_initialized() => return Entry::Return(Box::new(outcome.clone())),
            _ => {}
        }
        let outcome = Outcome::default();
        seat.outcome = Some(Arc::clone(&outcome));
        (seat.hook, seat.shutdown_timeout) = (hook.clone(), shutdown_timeout);
        self.track.begin();
        seat.go(Move::Begin);
        Entry::Work(self.work(&mut seat), outcome)
    }

    /// Ends an init, for all who wait.
    pub(super) fn finish(&self, mine: &Outcome, outcome: &Result<InitReport, Error>) {
        let _seat = self.seat();
        self.track.end();
        // Only the call that does the work comes here.
        let _it_is_empty = mine.set(outcome.clone());
        self.changed.notify_all();
    }

    /// Goes to where a move leads, and tells the host. Whether it led anywhere.
    pub(super) fn go(&self, step: Move) -> bool {
        let mut seat = self.seat();
        let moved = seat.go(step);
        self.changed.notify_all();
        self.tell(seat);
        moved
    }

    /// Goes to a state that serves: from there, without what the seeds tell, with what tries them again.
    pub(super) fn serve(&self, served: Served<C>) -> bool {
        let mut seat = self.seat();
        let moved = seat.go(Move::Serve { ahead: served.ahead, seeds: served.seeding.missing() });
        if moved {
            (seat.pool, seat.seeding, seat.ahead) = (served.pool, served.seeding, served.ahead);
            seat.url = served.seeder.is_some().then(|| seat.url.take()).flatten();
            (seat.seeder, seat.migrator) = (served.seeder, served.migrator);
        }
        self.changed.notify_all();
        self.tell(seat);
        moved
    }

    /// Takes in what a pass over the seeds did, and goes to where that leads.
    pub(super) fn seeded(&self, report: &SeedReport) {
        let mut seat = self.seat();
        seat.seeding.report(report);
        if seat.seeding.is_successful() {
            // Nothing is left to try, and the owner's URL goes.
            (seat.seeder, seat.url) = (None, None);
        }
        let step = Move::Serve { ahead: seat.ahead, seeds: seat.seeding.missing() };
        seat.go(step);
        self.changed.notify_all();
        self.tell(seat);
    }

    /// Nobody tries seeds again any more: the worker died.
    pub(super) fn worker_died(&self) {
        let mut seat = self.seat();
        seat.seeding.give_up();
        let step = Move::Serve { ahead: seat.ahead, seeds: seat.seeding.missing() };
        seat.go(step);
        self.tell(seat);
    }

    /// The migrator of the last init, with the host's options.
    pub(super) fn migrator(&self) -> Option<Migrator<C>> {
        self.seat().migrator.clone()
    }

    pub(super) fn is_seeding_successful(&self) -> bool {
        let seat = self.seat();
        seat.state.is_initialized() && seat.seeding.is_successful()
    }

    /// The right to try seeds, one thread at a time.
    pub(super) fn seeding_turn(&self) -> MutexGuard<'_, ()> {
        self.seeding_turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tries seeds again; `None` when none is missing, or nothing is initialised.
    pub(super) fn seeder(&self) -> Option<Arc<Seeder<C>>> {
        self.seat().seeder.clone()
    }

    /// Takes the worker in, unless there is one.
    pub(super) fn employ(&self, start: impl FnOnce() -> std::io::Result<JoinHandle<()>>) -> std::io::Result<()> {
        let mut seat = self.seat();
        if seat.state != ProviderState::ShutDown && seat.worker.as_ref().is_none_or(JoinHandle::is_finished) {
            seat.worker = Some(start()?);
        }
        Ok(())
    }

    /// Tells the host what it was not told, unless another thread, or a call further up, is at it.
    fn tell<'a>(&'a self, mut seat: MutexGuard<'a, Seat<C>>) {
        if std::mem::replace(&mut seat.telling, true) {
            return;
        }
        // Also when the hook panics, somebody goes on telling.
        let told = Told(self);
        while let Some([from, to]) = seat.untold.pop_front() {
            let hook = seat.hook.clone();
            drop(seat);
            hook.emit(Event::State { from: &from, to: &to });
            seat = self.seat();
        }
        seat.telling = false;
        drop(seat);
        std::mem::forget(told);
    }

    pub(super) fn state(&self) -> ProviderState {
        self.seat().state.clone()
    }

    /// Where it stands, for a probe.
    pub(super) fn stand(&self) -> Stand {
        let seat = self.seat();
        let (state, epoch, was_ready) = (seat.state.clone(), seat.epoch, seat.was_ready);
        let pool = seat.pool.clone();
        drop(seat);
        Stand { state, epoch, was_ready, worker: self.pulse.worker(), pool: pool.map(|pool| pool.figures()) }
    }

    /// The pool, or why there is none.
    pub(super) fn pool(&self) -> Result<Serving<C>, Error> {
        let seat = self.seat();
        match (&seat.pool, &seat.state) {
            (_, ProviderState::ShutDown) => Err(shut_down()),
            (Some(pool), _) => Ok(pool.clone()),
            (None, ProviderState::Failed { code, remedy, .. }) => {
                Err(Error::new("init_failed", format!("the last init failed: {code}"), remedy.clone()))
            }
            (None, state) if state.is_initialized() => {
                let message = "this process only migrates (MIGRATOR_MODE = migrate-only), and has no pool";
                Err(Error::new("migrate_only", message, "set MIGRATOR_MODE to migrate-and-serve where it is to serve"))
            }
            (None, state) => Err(not_yet(state)),
        }
    }

    /// Says where a statement that runs can be cancelled; `None` forgets the URL.
    pub(super) fn cancel_at(&self, url: Option<Url>) {
        self.seat().url = url;
    }

    /// Says that this thread works, until the value is dropped.
    pub(super) fn works(&self) -> Working<'_, C> {
        self.work(&mut self.seat())
    }

    fn work(&self, seat: &mut Seat<C>) -> Working<'_, C> {
        seat.working.push(thread::current().id());
        Working(self)
    }

    /// Ends everything, and waits for it.
    pub(super) fn shut_down(&self, cancel: impl Fn(&Url, &Interrupt)) -> Result<(), Error> {
        let mut seat = self.seat();
        seat.go(Move::ShutDown);
        // Connections that are out close when they come back.
        (seat.pool, seat.seeder) = (None, None);
        let (start, time) = (Instant::now(), seat.shutdown_timeout);
        self.interrupt.stop();
        self.changed.notify_all();
        self.tell(seat);
        let mut seat = self.seat();
        if seat.working.contains(&thread::current().id()) {
            return Ok(());
        }
        let mut pause = Duration::from_millis(25);
        while !seat.working.is_empty() {
            if start.elapsed() >= time {
                let message = format!("after {} ms a statement still runs", time.as_millis());
                let remedy = "wait for it, or end the process; a longer wait is MIGRATOR_SHUTDOWN_TIMEOUT";
                return Err(Error::new("shutdown_timeout", message, remedy));
            }
            if let Some(url) = seat.url.clone() {
                drop(seat);
                cancel(&url, &self.interrupt);
                seat = self.seat();
            }
            if !seat.working.is_empty() {
                // A cancel that came between two statements cancelled nothing.
                seat = self.wait(seat, pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
        seat.url = None;
        let worker = seat.worker.take();
        drop(seat);
        // A panic of the worker was told when it happened.
        let _joined = worker.map(JoinHandle::join);
        Ok(())
    }

    fn wait<'a>(&self, seat: MutexGuard<'a, Seat<C>>, time: Duration) -> MutexGuard<'a, Seat<C>> {
        self.changed.wait_timeout(seat, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn seat(&self) -> MutexGuard<'_, Seat<C>> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: R2D2Connection + 'static> Seat<C> {
    fn go(&mut self, step: Move) -> bool {
        let Some(next) = self.state.after(step) else { return false };
        let before = std::mem::replace(&mut self.state, next.clone());
        self.epoch += 1;
        self.was_ready |= next.is_initialized();
        self.untold.push_back([before, next]);
        true
    }
}

/// A thread that works.
pub(super) struct Working<'a, C: R2D2Connection + 'static>(&'a Flight<C>);

impl<C: R2D2Connection + 'static> Drop for Working<'_, C> {
    fn drop(&mut self) {
        let me = thread::current().id();
        let mut seat = self.0.seat();
        // Once: in a hook a thread may be at two things.
        if let Some(at) = seat.working.iter().position(|thread| *thread == me) {
            seat.working.swap_remove(at);
        }
        self.0.changed.notify_all();
    }
}

/// Whoever tells the host, until it is done.
struct Told<'a, C: R2D2Connection + 'static>(&'a Flight<C>);

impl<C: R2D2Connection + 'static> Drop for Told<'_, C> {
    fn drop(&mut self) {
        self.0.seat().telling = false;
    }
}

/// The error of everything after a shutdown.
pub(super) fn shut_down() -> Error {
    Error::new("shut_down", "the provider was shut down", "nothing: the process is about to end")
}

fn not_yet(state: &ProviderState) -> Error {
    match state {
        ProviderState::NotStarted => {
            Error::new("not_initialized", "the database was asked for before it was initialised", "call init first")
        }
        state => Error::new(
            "initializing",
            format!("the database is not ready yet: {state}"),
            "ask again when init has returned; until then answer 503",
        ),
    }
}
