//! Runs seeds: decides about each, tries those that have something to do, and remembers it in the ledger.

mod attempt;
mod body;
mod failure;
pub(crate) mod ledger;
pub(crate) mod plan;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;

use self::attempt::{Attempt, Tried, holds};
use self::plan::{Call, Decision, Row, Standing};
use crate::dialect::{Dialect, Facts, LockKey, Work};
use crate::environment::Environment;
use crate::error::Error;
use crate::event::Event;
use crate::history::{Home, LEDGER};
use crate::lock::{self, Keep, Wait};
use crate::seed::{Mode, Pass, Phase, Seed, SeedOutcome, SeedReport, SeedRun, Skip};
use crate::session::{Step, with_session};

/// How often, and for how long, a seed is tried whose error can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) deadline: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 10, deadline: Duration::from_secs(5 * 60) }
    }
}

/// How a verb waits between two tries.
#[derive(Clone)]
pub(crate) struct Pause(pub(crate) Arc<dyn Fn(Duration) -> ControlFlow<()> + Send + Sync>);

impl Default for Pause {
    fn default() -> Self {
        Self(Arc::new(|pause| {
            std::thread::sleep(pause);
            ControlFlow::Continue(())
        }))
    }
}

/// What the host asks for.
pub(crate) struct Host<'a, C> {
    pub(crate) session: [&'a Step<C>; 2],
    pub(crate) statement_lock_timeout: Duration,
    pub(crate) wait: &'a Wait,
    pub(crate) attempts: u32,
    pub(crate) deadline: Duration,
    pub(crate) pause: &'a Pause,
    pub(crate) environment: Option<Environment>,
    pub(crate) tried: &'a Tries,
    pub(crate) run_id: &'a str,
}

/// The background seeds that a process tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tries(Arc<Mutex<BTreeSet<String>>>);

impl Tries {
    fn names(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A set of names is whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the database when there is something to do.
pub(crate) struct Ground {
    pub(crate) facts: Facts,
    pub(crate) home: Home,
}

/// One call over a list of seeds.
pub(crate) struct Seeding<'a, C: 'static> {
    pub(crate) host: Host<'a, C>,
    pub(crate) seeds: &'a [Seed<C>],
    pub(crate) call: Call,
    /// With [`Call::Named`]: whose names they are.
    pub(crate) names: &'a [&'a str],
    /// What the database is marked as.
    pub(crate) marked: Option<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) ground: Option<Ground>,
    pub(crate) report: SeedReport,
    /// How long it has paused.
    pub(crate) paused: Duration,
    pub(crate) start: Instant,
}

/// Why a critical seed failed.
pub(crate) struct Critical {
    name: String,
    attempts: u32,
    speaker: &'static str,
    words: String,
    remedy: String,
    code: Option<&'static str>,
}

impl<C: LoadConnection<Backend: Dialect>> Seeding<'_, C> {
    /// Goes through the list in the order of its dependencies. `ground` is asked for when there is something to do.
    pub(crate) fn run(
        &mut self,
        conn: &mut C,
        ground: &dyn Fn(&mut C) -> Result<Ground, Error>,
    ) -> Result<Option<Critical>, Error> {
        if self.call == Call::Background(Pass::First) {
            self.host.tried.names().clear();
        }
        let mut met: Vec<&str> = Vec::new();
        let mut critical = None;
        for at in order(self.seeds)? {
            let seed = self.seeds[at];
            let start = (Instant::now(), self.paused);
            if !self.is_asked(&seed) {
                if self.stands(conn, &seed) {
                    met.push(seed.name);
                }
                continue;
            }
            let unmet = seed.depends_on.iter().find(|other| !met.contains(&other.name));
            let (outcome, failure) = match unmet {
                Some(other) => (SeedOutcome::Skipped(Skip::DependsOn(other.name.to_owned())), None),
                None => self.one(conn, &seed, ground)?,
            };
            match &outcome {
                SeedOutcome::Applied { .. } | SeedOutcome::Unchanged => met.push(seed.name),
                SeedOutcome::Failed { .. } if seed.critical => critical = critical.or(failure),
                _ => {}
            }
            // What is so at each start is no news.
            if !matches!(&outcome, SeedOutcome::Unchanged | SeedOutcome::Skipped(Skip::Manual | Skip::Background)) {
                self.host.wait.hook.emit(Event::SeedEnded { name: seed.name, outcome: &outcome });
            }
            let duration = start.0.elapsed().saturating_sub(self.paused - start.1);
            let (name, critical, phase) = (seed.name.to_owned(), seed.critical, seed.phase);
            self.report.seeds.push(SeedRun { name, outcome, critical, phase, duration });
        }
        Ok(critical)
    }

    /// Whether a seed is part of this call.
    fn is_asked(&self, seed: &Seed<C>) -> bool {
        match self.call {
            Call::Blocking | Call::Force => true,
            Call::Background(_) => seed.phase == Phase::Background,
            Call::Named => self.names.contains(&seed.name),
        }
    }

    /// Whether a seed that is not part of this call holds, as far as others depend on it.
    fn stands(&self, conn: &mut C, seed: &Seed<C>) -> bool {
        plan::standing(&seed.terms(), self.row(seed)) == Standing::Applied
            || seed.mode == Mode::Ensure && matches!(holds(conn, seed), Ok(true))
    }

    fn row(&self, seed: &Seed<C>) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == seed.name)
    }

    fn remember(&mut self, row: Row) {
        self.rows.retain(|known| known.name != row.name);
        self.rows.push(row);
    }

    /// Brings one seed to its end: as often as it has to be tried, and may be.
    fn one(
        &mut self,
        conn: &mut C,
        seed: &Seed<C>,
        ground: &dyn Fn(&mut C) -> Result<Ground, Error>,
    ) -> Result<(SeedOutcome, Option<Critical>), Error> {
        let mut terms = seed.terms();
        terms.tried = self.host.tried.names().contains(seed.name);
        if let Some(skip) = plan::elsewhere(&terms, self.host.environment, self.marked.as_deref()) {
            return Ok((SeedOutcome::Skipped(skip), None));
        }
        // The row after whose pause the next try comes, whatever the database's clock says meanwhile.
        let mut waited: Option<Row> = None;
        let mut last = None;
        loop {
            let mut row = self.row(seed).cloned();
            if row.is_some() && row == waited {
                row.iter_mut().for_each(|row| row.wait = Duration::ZERO);
            }
            match plan::decide(&terms, row.as_ref(), self.call) {
                Decision::Unchanged => return Ok((SeedOutcome::Unchanged, None)),
                Decision::Skip(skip) => return Ok((SeedOutcome::Skipped(skip), None)),
                Decision::Leave(next) => {
                    self.come_back(next);
                    return Ok(self.given_up(seed, last, next));
                }
                Decision::Wait(pause) => {
                    if !self.has_time(pause) {
                        return Ok(self.given_up(seed, last, None));
                    }
                    let attempt = row.as_ref().map_or(0, |row| row.attempts) + 1;
                    self.host.wait.hook.emit(Event::SeedRetrying { name: seed.name, attempt, pause });
                    self.sleep(pause)?;
                    waited = self.row(seed).cloned();
                    continue;
                }
                Decision::Ask if self.seems_to_hold(conn, seed) => {
                    self.host.tried.names().insert(seed.name.to_owned());
                    return Ok((SeedOutcome::Unchanged, None));
                }
                Decision::Ask | Decision::Run => {}
            }
            let tried = self.attempt(conn, seed, ground)?;
            if seed.phase == Phase::Background && !matches!(tried, None | Some(Tried::Overtaken(_))) {
                self.host.tried.names().insert(seed.name.to_owned());
            }
            match tried {
                None => return Ok((SeedOutcome::Skipped(Skip::Elsewhere), None)),
                Some(Tried::Applied { rows }) => return Ok((SeedOutcome::Applied { rows }, None)),
                Some(Tried::Unchanged) => return Ok((SeedOutcome::Unchanged, None)),
                Some(Tried::Overtaken(row)) => self.remember(row),
                Some(Tried::Failed { row, speaker, words, remedy, code }) => {
                    let retrying = row.outcome == Some(plan::Recorded::Retrying);
                    let next = retrying.then_some(row.wait);
                    let (name, attempts) = (seed.name.to_owned(), row.attempts);
                    last = Some(Critical { name, attempts, speaker, words, remedy: remedy.to_owned(), code });
                    self.remember(row);
                    if !retrying || self.call != Call::Blocking {
                        self.come_back(next);
                        return Ok(self.given_up(seed, last, next));
                    }
                }
            }
        }
    }

    /// A seed that ensures something and is recorded needs neither the lock nor a write when it still holds.
    fn seems_to_hold(&self, conn: &mut C, seed: &Seed<C>) -> bool {
        let recorded = plan::standing(&seed.terms(), self.row(seed)) == Standing::Applied;
        recorded && matches!(holds(conn, seed), Ok(true))
    }

    /// Tries a seed once, under its lock. `None` when another process runs it right now, and this call does not wait.
    fn attempt(
        &mut self,
        conn: &mut C,
        seed: &Seed<C>,
        ground: &dyn Fn(&mut C) -> Result<Ground, Error>,
    ) -> Result<Option<Tried>, Error> {
        let mut ground = match self.ground.take() {
            Some(ground) => ground,
            None => ground(conn)?,
        };
        self.prepare(conn, &mut ground)?;
        let mut wait = self.host.wait.clone();
        let key = match seed.phase {
            Phase::Blocking => LockKey::new(&ground.facts, &ground.home),
            Phase::Background => LockKey::of_seed(&ground.facts, &ground.home, seed.name),
        };
        let waits = seed.phase == Phase::Blocking || self.call == Call::Named;
        if !waits {
            // On SQLite any writer holds the lock for a moment.
            wait.timeout =
                if C::Backend::LOCK_IS_TRANSACTION { self.host.statement_lock_timeout } else { Duration::ZERO };
        }
        let (host, call, known) = (&self.host, self.call, self.row(seed));
        let attempt = Attempt { host, ground: &ground, seed, key: &key, wait: &wait, call, known };
        let tried = attempt.run(conn);
        self.ground = Some(ground);
        match tried {
            Err(error) if error.is_lock_timeout() && !waits => {
                self.come_back(Some(ELSEWHERE));
                Ok(None)
            }
            tried => tried.map(Some),
        }
    }

    /// Makes the ledger when it is not there: under the migration lock, whoever else holds locks of seeds.
    fn prepare(&self, conn: &mut C, ground: &mut Ground) -> Result<(), Error> {
        let Ground { facts, home } = &*ground;
        lock::check_writable(facts, "there are seeds to run")?;
        if facts.has_table(LEDGER) {
            return Ok(());
        }
        let (host, key) = (&self.host, LockKey::new(facts, home));
        // Without the session's patience a reader would make the COMMIT of SQLite fail.
        with_session(conn, host.session, host.statement_lock_timeout, Work::Migrations, &host.wait.hook, |conn, _| {
            lock::with_lock(conn, &key, facts, host.wait, |conn, _| {
                let made = ledger::prepare(conn, home);
                (if made.is_ok() { Keep::All } else { Keep::Nothing }, made)
            })?
        })?;
        ground.facts.tables.push(LEDGER.to_owned());
        Ok(())
    }

    fn come_back(&mut self, next: Option<Duration>) {
        if let Some(next) = next {
            self.report.next_due = Some(self.report.next_due.map_or(next, |due| due.min(next)));
        }
    }

    /// Whether a pause ends before this call has to.
    fn has_time(&self, pause: Duration) -> bool {
        let elapsed = self.start.elapsed().max(self.paused);
        elapsed + pause <= self.host.deadline
    }

    fn sleep(&mut self, pause: Duration) -> Result<(), Error> {
        self.paused += pause;
        match (self.host.pause.0)(pause) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(
                "interrupted",
                "seeding was interrupted between two tries",
                "start again: what was committed is recorded",
            )),
        }
    }

    /// The outcome of a seed that is not tried again by this call, by the last attempt or what the ledger has of it.
    fn given_up(
        &self,
        seed: &Seed<C>,
        last: Option<Critical>,
        next_in: Option<Duration>,
    ) -> (SeedOutcome, Option<Critical>) {
        let row = self.row(seed);
        let failure = last.unwrap_or_else(|| Critical {
            name: seed.name.to_owned(),
            attempts: row.map_or(0, |row| row.attempts),
            speaker: "ledger",
            words: row.and_then(|row| row.error.clone()).unwrap_or_default(),
            remedy: "correct what it names, then start again".to_owned(),
            code: None,
        });
        (SeedOutcome::Failed { error: failure.words.clone(), attempts: failure.attempts, next_in }, Some(failure))
    }
}

/// When to look again after a seed that another process runs.
const ELSEWHERE: Duration = Duration::from_secs(1);

impl Critical {
    /// The error of the blocking phase.
    pub(crate) fn into_error(self, report: SeedReport) -> Error {
        let Self { name, attempts, speaker, words, remedy, code } = self;
        let tries = if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
        let message = format!("the seed {name} failed after {tries}");
        let remedy = match code {
            Some(code) => format!("{remedy} ({code})"),
            None => remedy,
        };
        Error::new("seed_failed", message, remedy).with_words(speaker, words).with_seeds(report)
    }
}

/// The order in which a list runs.
pub(crate) fn order<C>(seeds: &[Seed<C>]) -> Result<Vec<usize>, Error> {
    let unsound = |message: String| Error::new("seeds", message, "correct the list of seeds");
    if let Some(unsound_list) = crate::seed::unsound(seeds) {
        return Err(unsound(unsound_list.parts().concat()));
    }
    let position = |name: &str| seeds.iter().position(|seed| seed.name == name);
    let depends_on: Vec<Vec<usize>> =
        seeds.iter().map(|seed| seed.depends_on.iter().filter_map(|other| position(other.name)).collect()).collect();
    plan::order(&depends_on).map_err(|circle| {
        let names: Vec<&str> = circle.into_iter().map(|at| seeds[at].name).collect();
        unsound(format!("these seeds wait for each other: {}", names.join(", ")))
    })
}
