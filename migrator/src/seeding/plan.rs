//! What is to be done about a seed: pure decisions over the list, the ledger, and what is asked for.

use std::time::Duration;

use crate::environment::Environment;
use crate::seed::{Mode, Pass, Phase, Seed, SeedState, Skip};

/// What the ledger remembers of a seed's last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It ran and touched rows.
    Applied,
    /// It ran and touched none, or what it promises held.
    Unchanged,
    /// It failed, and is tried again.
    Retrying,
    /// It failed, and trying again does not help.
    Failed,
    /// It failed, and was tried often enough.
    Exhausted,
}

impl Recorded {
    const ALL: [Self; 5] = [Self::Applied, Self::Unchanged, Self::Retrying, Self::Failed, Self::Exhausted];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
        }
    }

    /// `None` for a word that a newer version of this crate wrote.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name() == name)
    }
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) hash: String,
    pub(crate) outcome: Option<Recorded>,
    /// Since it last succeeded or changed.
    pub(crate) attempts: u32,
    /// Until the next try; zero when it is due.
    pub(crate) wait: Duration,
    pub(crate) error: Option<String>,
    pub(crate) rows: Option<u64>,
    pub(crate) applied_at: Option<String>,
    pub(crate) run_id: String,
}

/// What a decision needs to know of a seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) version: &'a str,
    pub(crate) hash: &'a str,
    pub(crate) mode: Mode,
    pub(crate) phase: Phase,
    pub(crate) environments: &'a [Environment],
}

impl<C> Seed<C> {
    pub(crate) fn terms(&self) -> Terms<'static> {
        Terms {
            version: self.version,
            hash: self.hash,
            mode: self.mode,
            phase: self.phase,
            environments: self.environments,
        }
    }
}

/// Where a seed stands, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Applied,
    /// This version was never tried.
    Pending,
    /// Its last try failed; the next one may come after so long.
    Behind(Recorded, Duration),
}

pub(crate) fn standing(terms: &Terms<'_>, row: Option<&Row>) -> Standing {
    let Some(row) = row else { return Standing::Pending };
    let took = matches!(row.outcome, Some(Recorded::Applied | Recorded::Unchanged));
    let same = row.version == terms.version && row.hash == terms.hash;
    match row.outcome {
        _ if took && (same || terms.mode == Mode::Once) => Standing::Applied,
        Some(failed @ (Recorded::Retrying | Recorded::Failed | Recorded::Exhausted)) if same => {
            Standing::Behind(failed, row.wait)
        }
        _ => Standing::Pending,
    }
}

/// Who asks for seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// A start, which waits until each blocking seed is applied or given up.
    Blocking,
    /// One pass over the background seeds.
    Background(Pass),
    /// Everything that is not applied, now.
    Force,
    /// This seed by its name, now.
    Named,
}

/// What is to be done about a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Unchanged,
    Skip(Skip),
    /// Nothing now: it failed, as the ledger says; tried again in so long, or not by itself.
    Leave(Option<Duration>),
    /// It may be tried after so long.
    Wait(Duration),
    /// Whether what it promises holds decides.
    Ask,
    Run,
}

/// Decides about one seed whose dependencies are applied.
pub(crate) fn decide(terms: &Terms<'_>, row: Option<&Row>, call: Call) -> Decision {
    let standing = standing(terms, row);
    let applied = standing == Standing::Applied;
    match (terms.mode, call) {
        (Mode::Manual, Call::Named) => return Decision::Run,
        (Mode::Manual, _) if applied => return Decision::Unchanged,
        (Mode::Manual, _) => return Decision::Skip(Skip::Manual),
        _ => {}
    }
    if call == Call::Blocking && terms.phase == Phase::Background {
        return if applied { Decision::Unchanged } else { Decision::Skip(Skip::Background) };
    }
    let act = if terms.mode == Mode::Ensure { Decision::Ask } else { Decision::Run };
    match (standing, call) {
        // What is asked for at each start is asked for once by a process, not by each of its passes.
        (Standing::Applied, Call::Force | Call::Background(Pass::Due | Pass::Force)) => Decision::Unchanged,
        (Standing::Applied, _) if matches!(terms.mode, Mode::Always | Mode::Ensure) => act,
        (Standing::Applied, _) => Decision::Unchanged,
        (Standing::Pending, _) | (Standing::Behind(..), Call::Force | Call::Named | Call::Background(Pass::Force)) => {
            act
        }
        (Standing::Behind(_, wait), Call::Blocking | Call::Background(Pass::First | Pass::Due))
            if wait.is_zero() && tries(standing, call) =>
        {
            act
        }
        (Standing::Behind(_, wait), Call::Blocking) => Decision::Wait(wait),
        (Standing::Behind(_, wait), Call::Background(_)) => Decision::Leave(tries(standing, call).then_some(wait)),
    }
}

/// Whether a seed that failed is tried again without being asked: a start tries everything once, a later pass only what can
/// pass by itself. So a seed that is given up never looks as if it were tried again.
fn tries(standing: Standing, call: Call) -> bool {
    matches!(standing, Standing::Behind(Recorded::Retrying, _)) || call != Call::Background(Pass::Due)
}

/// Why a seed does not run in this environment; `None` when it does.
pub(crate) fn elsewhere(terms: &Terms<'_>, mine: Option<Environment>, marked: Option<&str>) -> Option<Skip> {
    let mine = mine.map(Environment::name);
    if terms.environments.is_empty() {
        return None;
    }
    if mine.is_none() && marked.is_none() {
        return Some(Skip::Environment(None));
    }
    // Process and database must both fit: a process that calls itself a developer's does not seed a production database.
    let foreign = |name: &&str| !terms.environments.iter().any(|environment| environment.name() == *name);
    [marked, mine].into_iter().flatten().find(foreign).map(|name| Skip::Environment(Some(name.to_owned())))
}

/// The order in which seeds run: each after what it depends on, else as they are listed. `None` when they wait for each other.
pub(crate) fn order(depends_on: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order = Vec::with_capacity(depends_on.len());
    let mut placed = vec![false; depends_on.len()];
    while order.len() < depends_on.len() {
        // The first that can go goes; so whoever depends on nothing keeps its place.
        let ready = |at: &usize| !placed[*at] && depends_on[*at].iter().all(|other| placed[*other]);
        let Some(next) = (0..depends_on.len()).find(ready) else {
            return Err((0..depends_on.len()).filter(|at| !placed[*at]).collect());
        };
        placed[next] = true;
        order.push(next);
    }
    Ok(order)
}

/// The first pause is at most this long.
const INITIAL: Duration = Duration::from_millis(200);
/// No pause is longer.
const CAP: Duration = Duration::from_secs(30);

/// How long to wait after so many attempts: anything up to a bound that doubles, so that many waiters do not come back together.
/// `chance` is from 0 to 1.
pub(crate) fn pause(attempts: u32, chance: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    (INITIAL * 2_u32.pow(doublings)).min(CAP).mul_f64(chance.clamp(0.0, 1.0))
}

/// How a failed attempt is recorded.
pub(crate) fn verdict(transient: bool, attempts: u32, most: u32) -> Recorded {
    match transient {
        false => Recorded::Failed,
        true if attempts >= most => Recorded::Exhausted,
        true => Recorded::Retrying,
    }
}

/// The state that a probe is told.
pub(crate) fn state(terms: &Terms<'_>, row: Option<&Row>, skip: Option<&Skip>) -> SeedState {
    match standing(terms, row) {
        _ if skip.is_some() => SeedState::Skipped,
        Standing::Applied => SeedState::Applied,
        Standing::Behind(Recorded::Retrying, _) => SeedState::Retrying,
        Standing::Behind(Recorded::Exhausted, _) => SeedState::Exhausted,
        Standing::Behind(..) => SeedState::Failed,
        Standing::Pending if terms.mode == Mode::Manual => SeedState::Skipped,
        Standing::Pending => SeedState::Pending,
    }
}
