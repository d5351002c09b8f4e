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
    /// Whether this process tried it in the background already.
    pub(crate) tried: bool,
}

impl<C> Seed<C> {
    pub(crate) fn terms(&self) -> Terms<'static> {
        Terms {
            version: self.version,
            hash: self.hash,
            mode: self.mode,
            phase: self.phase,
            environments: self.environments,
            tried: false,
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
    let background = matches!(call, Call::Background(_));
    match (standing, call) {
        // What is asked for at each start is asked for once by a process, not by each of its passes.
        (Standing::Applied, Call::Force | Call::Background(Pass::Force)) => Decision::Unchanged,
        (Standing::Applied, _) if background && terms.tried => Decision::Unchanged,
        (Standing::Applied, _) if matches!(terms.mode, Mode::Always | Mode::Ensure) => act,
        (Standing::Applied, _) => Decision::Unchanged,
        (Standing::Pending, _) => act,
        (Standing::Behind(..), Call::Force | Call::Named | Call::Background(Pass::Force)) => act,
        // A process tries everything once, then only what can pass by itself: so nothing that is given up is tried for ever.
        (Standing::Behind(recorded, _), _) if background && terms.tried && recorded != Recorded::Retrying => {
            Decision::Leave(None)
        }
        (Standing::Behind(_, wait), _) if wait.is_zero() => act,
        (Standing::Behind(_, wait), Call::Blocking) => Decision::Wait(wait),
        (Standing::Behind(_, wait), Call::Background(_)) => Decision::Leave(Some(wait)),
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn modes() -> impl Strategy<Value = Mode> {
        prop_oneof![Just(Mode::Once), Just(Mode::OnChange), Just(Mode::Ensure), Just(Mode::Always), Just(Mode::Manual)]
    }

    fn calls() -> impl Strategy<Value = Call> {
        let passes = prop_oneof![Just(Pass::First), Just(Pass::Due), Just(Pass::Force)];
        prop_oneof![Just(Call::Blocking), Just(Call::Force), Just(Call::Named), passes.prop_map(Call::Background)]
    }

    fn rows() -> impl Strategy<Value = Option<Row>> {
        let outcome = prop::option::of(prop::sample::select(&Recorded::ALL[..]));
        let row = (outcome, 0_u32..50, 0_u64..60_000, "[12]", "[ab]");
        prop::option::of(row.prop_map(|(outcome, attempts, wait, version, hash)| Row {
            name: "seed".to_owned(),
            version,
            hash,
            outcome,
            attempts,
            wait: Duration::from_millis(wait),
            error: None,
            rows: None,
            applied_at: None,
            run_id: String::new(),
        }))
    }

    fn terms(mode: Mode, phase: Phase) -> Terms<'static> {
        Terms { version: "1", hash: "a", mode, phase, environments: &[], tried: false }
    }

    fn phases() -> impl Strategy<Value = Phase> {
        prop_oneof![Just(Phase::Blocking), Just(Phase::Background)]
    }

    proptest! {
        #[test]
        fn every_seed_comes_after_what_it_depends_on(edges in prop::collection::vec((0_usize..20, 0_usize..20), 0..40)) {
            let mut depends_on = vec![Vec::new(); 20];
            edges.iter().filter(|(a, b)| a > b).for_each(|(a, b)| depends_on[*a].push(*b));
            let order = order(&depends_on).expect("edges that lead down make no circle");
            // They all lead down here, so the order of the list is one that fits, and it is kept.
            prop_assert_eq!(order, (0..20).collect::<Vec<_>>());
        }

        #[test]
        fn an_order_fits_or_there_is_a_circle(edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..16)) {
            let mut depends_on = vec![Vec::new(); 8];
            edges.iter().for_each(|(a, b)| depends_on[*a].push(*b));
            match order(&depends_on) {
                Ok(order) => {
                    let place = |seed: usize| order.iter().position(|at| *at == seed).expect("each has a place");
                    prop_assert_eq!(order.len(), 8);
                    for (seed, others) in depends_on.iter().enumerate() {
                        prop_assert!(others.iter().all(|other| place(*other) < place(seed)));
                    }
                }
                Err(circle) => {
                    // Each of them waits for another one of them.
                    let waits = |seed: &usize| depends_on[*seed].iter().any(|other| circle.contains(other));
                    prop_assert!(!circle.is_empty() && circle.iter().all(waits));
                }
            }
        }

        #[test]
        fn pauses_stay_below_their_bound(attempts in 0_u32..=u32::MAX, chance in 0.0_f64..=1.0) {
            let bound = Duration::from_millis(200 * 2_u64.pow(attempts.saturating_sub(1).min(16))).min(CAP);
            prop_assert!(pause(attempts, chance) <= bound);
            prop_assert_eq!(pause(attempts, 1.0), bound);
        }

        #[test]
        fn exhausted_and_failed_never_look_like_retrying(mode in modes(), phase in phases(), row in rows(), call in calls()) {
            let terms = terms(mode, phase);
            let state = state(&terms, row.as_ref(), None);
            let recorded = row.as_ref().and_then(|row| row.outcome);
            prop_assert!(state != SeedState::Retrying || recorded == Some(Recorded::Retrying));
            if state == SeedState::Exhausted || state == SeedState::Failed {
                let tried = Terms { tried: true, ..terms };
                let later = decide(&tried, row.as_ref(), Call::Background(Pass::Due));
                prop_assert!(matches!(later, Decision::Leave(None) | Decision::Skip(_)), "{:?}", later);
            }
            if let Decision::Leave(Some(_)) = decide(&terms, row.as_ref(), call) {
                prop_assert!(recorded == Some(Recorded::Retrying) || !terms.tried && matches!(call, Call::Background(_)));
            }
        }

        #[test]
        fn nothing_runs_before_its_time_unless_forced(mode in modes(), phase in phases(), row in rows(), call in calls()) {
            let decision = decide(&terms(mode, phase), row.as_ref(), call);
            let behind = matches!(standing(&terms(mode, phase), row.as_ref()), Standing::Behind(_, wait) if !wait.is_zero());
            let forced = matches!(call, Call::Force | Call::Named | Call::Background(Pass::Force));
            if behind && !forced {
                prop_assert!(!matches!(decision, Decision::Run | Decision::Ask), "{:?}", decision);
            }
            if forced {
                prop_assert!(!matches!(decision, Decision::Wait(_) | Decision::Leave(_)), "{:?}", decision);
            }
        }

        #[test]
        fn what_is_applied_is_left_alone(mode in modes(), phase in phases(), row in rows(), call in calls()) {
            let terms = terms(mode, phase);
            if standing(&terms, row.as_ref()) == Standing::Applied && matches!(mode, Mode::Once | Mode::OnChange) {
                prop_assert_eq!(decide(&terms, row.as_ref(), call), Decision::Unchanged);
            }
            // Only what was recorded as taken counts as applied; skipped is never success.
            if state(&terms, row.as_ref(), None) == SeedState::Applied {
                let outcome = row.and_then(|row| row.outcome);
                prop_assert!(matches!(outcome, Some(Recorded::Applied | Recorded::Unchanged)));
            }
        }

        #[test]
        fn attempts_come_to_an_end(most in 1_u32..20, transient in any::<bool>()) {
            let verdicts: Vec<Recorded> = (1..=most).map(|attempt| verdict(transient, attempt, most)).collect();
            let retrying = verdicts.iter().filter(|verdict| **verdict == Recorded::Retrying).count();
            prop_assert_eq!(retrying, if transient { most as usize - 1 } else { 0 });
            prop_assert!(verdicts.last() != Some(&Recorded::Retrying));
        }
    }

    #[test]
    fn a_word_that_this_version_does_not_know_is_not_applied() {
        let row = Row {
            name: "seed".to_owned(),
            version: "1".to_owned(),
            hash: "a".to_owned(),
            outcome: Recorded::from_name("dreamt"),
            attempts: 0,
            wait: Duration::ZERO,
            error: None,
            rows: None,
            applied_at: None,
            run_id: String::new(),
        };
        assert_eq!(standing(&terms(Mode::OnChange, Phase::Blocking), Some(&row)), Standing::Pending);
    }
}
