//! Which seeds are there and which are not, as reports and the ledger tell it. Pure.

use crate::provider_state::{MissingSeed, SeedStanding};
use crate::seed::{Phase, SeedOutcome, SeedReport, SeedState, SeedStatus, Skip};

/// What is known of each seed of a list.
#[derive(Debug, Clone, Default)]
pub(super) struct Seeding(Vec<Known>);

#[derive(Debug, Clone)]
struct Known {
    seed: String,
    /// Whether what it promises holds. A seed that was skipped is no success, whatever the reason.
    holds: bool,
    /// Why the service lacks something; `None` also for what is not meant for it.
    missing: Option<MissingSeed>,
}

impl Seeding {
    /// Takes in what a pass did. A worker tries those of the background again by itself.
    pub(super) fn report(&mut self, report: &SeedReport) {
        for run in report.seeds() {
            let before = self.0.iter().position(|known| known.seed == run.name);
            // Whether it is meant for a process of which nobody knows the environment is not known either.
            let critical = run.critical && !matches!(run.outcome, SeedOutcome::Skipped(Skip::Environment(None)));
            let missing =
                |attempts, standing| Some(MissingSeed { seed: run.name.clone(), attempts, critical, standing });
            let tried = before.and_then(|at| self.0[at].missing.as_ref()).map_or(0, |missing| missing.attempts);
            let (holds, missing) = match &run.outcome {
                SeedOutcome::Applied { .. } | SeedOutcome::Unchanged => (true, None),
                SeedOutcome::Failed { attempts, next_in, .. } => {
                    let again = next_in.is_some() && run.phase == Phase::Background;
                    (false, missing(*attempts, if again { SeedStanding::Retrying } else { SeedStanding::Exhausted }))
                }
                // A pass of the other phase says nothing new.
                SeedOutcome::Skipped(Skip::Background) if before.is_some() => continue,
                SeedOutcome::Skipped(Skip::Background) => (false, missing(0, SeedStanding::Pending)),
                SeedOutcome::Skipped(Skip::Elsewhere) => (false, missing(tried, SeedStanding::Pending)),
                SeedOutcome::Skipped(Skip::Manual | Skip::Environment(Some(_))) => (false, None),
                SeedOutcome::Skipped(skip) => (false, missing(0, SeedStanding::Skipped(skip.to_string()))),
            };
            self.put(Known { seed: run.name.clone(), holds, missing }, before);
        }
    }

    /// Takes in what the ledger says of the seeds of which no pass told anything.
    pub(super) fn ledger(&mut self, status: &[SeedStatus], phase: Option<Phase>) {
        for row in status.iter().filter(|row| phase.is_none_or(|phase| row.phase == phase)) {
            let before = self.0.iter().position(|known| known.seed == row.name);
            let holds = row.state == SeedState::Applied;
            self.put(Known { seed: row.name.clone(), holds, missing: missing(row) }, before);
        }
    }

    fn put(&mut self, known: Known, before: Option<usize>) {
        match before {
            Some(at) => self.0[at] = known,
            None => self.0.push(known),
        }
    }

    /// Nobody tries anything again.
    pub(super) fn give_up(&mut self) {
        for missing in self.0.iter_mut().filter_map(|known| known.missing.as_mut()) {
            if matches!(missing.standing, SeedStanding::Pending | SeedStanding::Retrying) {
                missing.standing = SeedStanding::Exhausted;
            }
        }
    }

    /// The seeds that the service lacks.
    pub(super) fn missing(&self) -> Vec<MissingSeed> {
        self.0.iter().filter_map(|known| known.missing.clone()).collect()
    }

    /// Whether every seed of the list holds.
    pub(super) fn is_successful(&self) -> bool {
        self.0.iter().all(|known| known.holds)
    }
}

/// What the service lacks by a row of the ledger.
fn missing(row: &SeedStatus) -> Option<MissingSeed> {
    let standing = match row.state {
        SeedState::Applied | SeedState::Skipped => return None,
        SeedState::Pending => SeedStanding::Pending,
        SeedState::Retrying => SeedStanding::Retrying,
        SeedState::Failed | SeedState::Exhausted => SeedStanding::Exhausted,
    };
    Some(MissingSeed { seed: row.name.clone(), attempts: row.attempts, critical: row.critical, standing })
}

/// What of the seeds that a process knew to be missing is missing now, by the ledger: another process may have seeded since, or
/// tried more often. What this process has given up stays given up.
pub(super) fn now(known: &[MissingSeed], ledger: &[SeedStatus]) -> Vec<MissingSeed> {
    let still = |known: &MissingSeed| match ledger.iter().find(|row| row.name == known.seed) {
        Some(row) if row.state == SeedState::Applied => None,
        Some(row) if matches!(known.standing, SeedStanding::Pending | SeedStanding::Retrying) => missing(row),
        _ => Some(known.clone()),
    };
    known.iter().filter_map(still).collect()
}

/// The critical blocking seeds that the database does not have, by the ledger: what a process that never writes waits for.
pub(super) fn awaited(status: &[SeedStatus]) -> Vec<&str> {
    let awaited = status.iter().filter(|row| {
        row.critical && row.phase == Phase::Blocking && !matches!(row.state, SeedState::Applied | SeedState::Skipped)
    });
    awaited.map(|row| row.name.as_str()).collect()
}
