//! Everything there is to say of the health of a database and of the process that works with it.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::Identity;
use super::reading::{Footing, Pool, Reading, Stand, Trouble};
use super::verdict::{self, Outcome, Verdict};
use super::worker::Worker;
use crate::provider_state::{MissingSeed, ProviderState};

/// Everything there is to say; it prints itself.
///
/// With feature `serde` it serialises to the document that `GET /health` answers, in the form of
/// `application/health+json` (draft-inadarei-api-health-check-06). Each of `checks` is a list with one member, `seeds:state` with
/// one for each seed that is missing; what nobody knows is left out.
///
/// | member | `observedValue` | besides |
/// |---|---|---|
/// | `provider:state` | the state's name | `reason`, `message`; while it works `step`, `steps`, `migration`, `statement`, `attempt`, `since_s` |
/// | `provider:worker` | `none`, `alive`, `hung`, `died` | |
/// | `database:latency` | the time of one query, in ms | |
/// | `migrations:state` | `up_to_date`, `ahead`, `behind`, `pending`, `blocked`, `unknown` | `applied`, `head`, `fingerprint`, `error` |
/// | `migrations:pending` | how many | |
/// | `seeds:state` | `applied`, or what happens next to a seed | `componentId` (the seed), `attempts`, `critical` |
/// | `pool:connections` | how many are in use | `idle`, `waiting`, `size` |
/// | `backup:age` | of the newest, in s | |
///
/// `error` is a [`Fault`]; `output` has the words of the database, where the report has [details](Self::without_details).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HealthReport {
    /// How all of it is: the worst of what follows.
    pub status: Outcome,
    /// Whether the service can be given requests, and why not.
    pub readiness: Verdict,
    /// Whether it lives.
    pub liveness: Verdict,
    /// Where the provider stands; `None` without one ([`Migrator::health`](crate::Migrator::health)).
    pub state: Option<ProviderState>,
    /// The worker for background seeds.
    pub worker: Worker,
    /// How long one query takes; `None` when none was answered in time.
    pub latency: Option<Duration>,
    /// The migrations; `None` when nothing was read.
    pub schema: Option<Schema>,
    /// The seeds that the service lacks.
    pub missing_seeds: Vec<MissingSeed>,
    /// The pool; `None` without one.
    pub pool: Option<Pool>,
    /// Who holds the migration lock while it is waited for, in the database's words. A detail.
    pub lock_holder: Option<String>,
    /// The last error.
    pub fault: Option<Fault>,
    /// The age of the newest backup, when somebody knows it.
    pub backup_age: Option<Duration>,
    /// When it was put together.
    pub at: SystemTime,
    /// What the service says of itself.
    pub identity: Identity,
}

/// Where the migrations stand.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Schema {
    /// `up_to_date`, `ahead`, `behind`, `pending` or `blocked`: whether a binary of this set can work with the database.
    pub state: &'static str,
    /// How many migrations of the set are applied.
    pub applied: usize,
    /// How many are not.
    pub pending: usize,
    /// The version that was applied last.
    pub head: Option<String>,
    /// The set's fingerprint, in hexadecimal.
    pub fingerprint: String,
}

/// The last error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Fault {
    /// Its stable code.
    pub code: &'static str,
    /// What to do next. A detail: some remedies name what the database names.
    pub remedy: Option<String>,
    /// What happened, in the words of the database. A detail.
    pub words: Option<String>,
}

impl Schema {
    fn of(migrations: &super::Migrations) -> Self {
        let state = match migrations.footing {
            Footing::UpToDate => "up_to_date",
            Footing::Ahead => "ahead",
            Footing::Behind => "behind",
            Footing::Pending => "pending",
            Footing::Blocked(_) => "blocked",
        };
        let super::Migrations { applied, pending, head, fingerprint, .. } = migrations.clone();
        Self { state, applied, pending, head, fingerprint: fingerprint.to_string() }
    }

    /// How good that is.
    #[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "only the document and the pages ask"))]
    pub(crate) fn outcome(&self) -> Outcome {
        match self.state {
            "up_to_date" => Outcome::Pass,
            "ahead" | "behind" => Outcome::Warn,
            _ => Outcome::Fail,
        }
    }
}

impl Fault {
    fn of(trouble: &Trouble) -> Self {
        let Trouble { code, remedy, words, .. } = trouble.clone();
        Self { code, remedy: Some(remedy), words: Some(words) }
    }
}

impl HealthReport {
    pub(crate) fn of(stand: &Stand, reading: Option<&Reading>, identity: Identity) -> Self {
        let readiness = verdict::readiness(stand, reading);
        let liveness = verdict::liveness(stand);
        let reading = reading.filter(|_| stand.asks());
        let read = reading.map(|reading| &reading.migrations);
        let fault = match (read, &stand.state) {
            (Some(Err(trouble)), _) => Some(Fault::of(trouble)),
            (Some(Ok(super::Migrations { footing: Footing::Blocked(trouble), .. })), _) => Some(Fault::of(trouble)),
            (_, ProviderState::Failed { code, remedy, .. }) => {
                Some(Fault { code, remedy: Some(remedy.clone()), words: None })
            }
            _ => None,
        };
        let lock_holder = match &stand.state {
            ProviderState::WaitingForLock { holder, .. } => holder.clone(),
            _ => None,
        };
        let missing_seeds = match (&stand.state, reading) {
            (_, Some(reading)) => reading.missing.clone(),
            (ProviderState::Degraded { seeds, .. }, None) => seeds.clone(),
            _ => Vec::new(),
        };
        Self {
            status: readiness.status.max(liveness.status),
            readiness,
            liveness,
            state: Some(stand.state.clone()),
            worker: stand.worker,
            latency: reading.and_then(|reading| reading.latency),
            schema: read.and_then(|read| read.as_ref().ok()).map(Schema::of),
            missing_seeds,
            pool: stand.pool,
            lock_holder,
            fault,
            backup_age: None,
            at: SystemTime::now(),
            identity,
        }
    }

    /// That of a connection: there is no provider, no worker and no pool.
    pub(crate) fn of_connection(reading: &Reading) -> Self {
        let pool = Some(Pool { size: 1, in_use: 1, idle: 0, waiting: 0 });
        let state = ProviderState::Ready;
        let stand = Stand { state, epoch: 0, was_ready: true, worker: Worker::None, pool };
        Self { state: None, pool: None, ..Self::of(&stand, Some(reading), Identity::default()) }
    }

    /// The same without what only whoever runs the service should see: the words of the database and its remedies, which can name
    /// users, hosts, files and what a statement says, and who holds the lock.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.lock_holder = None;
        if let Some(fault) = &mut self.fault {
            (fault.remedy, fault.words) = (None, None);
        }
        if let Some(ProviderState::WaitingForLock { holder, .. }) = &mut self.state {
            *holder = None;
        }
        if let Some(ProviderState::Failed { remedy, .. }) = &mut self.state {
            remedy.clear();
        }
        self
    }

    /// 200, or 503 for a fail.
    pub fn http_status(&self) -> u16 {
        self.status.http_status()
    }
}

impl fmt::Display for HealthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.readiness)?;
        if self.liveness.status == Outcome::Fail {
            write!(f, "\nliveness: {}", self.liveness)?;
        }
        if let Some(latency) = self.latency {
            write!(f, "\ndatabase: {:.1} ms", latency.as_secs_f64() * 1000.0)?;
        }
        if let Some(Schema { state, applied, pending, head, .. }) = &self.schema {
            write!(f, "\nmigrations: {}, {applied} applied, {pending} pending", state.replace('_', " "))?;
            head.iter().try_for_each(|head| write!(f, ", the last one is {head}"))?;
        }
        for MissingSeed { seed, attempts, standing, .. } in &self.missing_seeds {
            write!(f, "\nseed {seed}: {}, {attempts} attempts", standing.name())?;
        }
        if let Some(Pool { size, in_use, idle, waiting }) = self.pool {
            write!(f, "\npool: {in_use} of {size} connections in use, {idle} idle, {waiting} callers wait")?;
        }
        self.lock_holder.iter().try_for_each(|holder| write!(f, "\nthe lock is held by {holder}"))?;
        if let Some(Fault { code, remedy, words }) = &self.fault {
            write!(f, "\nerror: {code}")?;
            words.iter().try_for_each(|words| write!(f, ": {words}"))?;
            remedy.iter().try_for_each(|remedy| write!(f, "\nnext: {remedy}"))?;
        }
        if let Some(age) = self.backup_age {
            write!(f, "\nlast backup: {} ago", humantime::format_duration(Duration::from_secs(age.as_secs())))?;
        }
        Ok(())
    }
}
