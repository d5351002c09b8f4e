//! Times, interleaved, and counts.

use std::time::{Duration, Instant};

use crate::contender::{Contender, Work};
use crate::place::{Counts, Place, Syncs};
use crate::set::Set;

/// How often an unchanged start is measured in each round: it takes less than a millisecond.
const STARTS: usize = 5;

/// The medians of one contender.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) cold: Duration,
    pub(crate) unchanged: Duration,
}

/// Measures all contenders of a place, one after the other in each round, each on a fresh database; in the next round
/// another one begins.
pub(crate) fn times<P: Place>(place: &P, set: &Set, far: bool, rounds: usize) -> Vec<Times> {
    let mut cold = vec![Vec::new(); P::CONTENDERS.len()];
    let mut unchanged = cold.clone();
    for round in 0..rounds {
        let databases: Vec<_> = P::CONTENDERS.iter().map(|_| place.fresh()).collect();
        let url = |at: usize| {
            let url = &databases[at].1;
            if far { place.far(url).expect("there is a line") } else { url.clone() }
        };
        let order = (0..P::CONTENDERS.len()).map(|at| (at + round) % P::CONTENDERS.len());
        for at in order.clone() {
            cold[at].push(time(&P::CONTENDERS[at], &url(at), set, Work::Cold));
        }
        for at in std::iter::repeat_n(order, STARTS).flatten() {
            unchanged[at].push(time(&P::CONTENDERS[at], &url(at), set, Work::Unchanged));
        }
    }
    cold.into_iter()
        .zip(unchanged)
        .map(|(cold, unchanged)| Times { cold: median(cold), unchanged: median(unchanged) })
        .collect()
}

fn time(contender: &Contender, url: &str, set: &Set, work: Work) -> Duration {
    let ready = (contender.open)(url, set, work);
    let start = Instant::now();
    let conn = ready();
    let time = start.elapsed();
    drop(conn);
    time
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What one work of a contender takes: statements and round trips, and syncs to the disk.
pub(crate) type Taken = (Option<Counts>, Option<u64>);

/// Counts what each contender takes for the one work and for the other.
pub(crate) fn counts<P: Place>(place: &P, set: &Set) -> Vec<[Taken; 2]> {
    let one = |contender: &Contender| {
        let (_database, near) = place.fresh();
        let url = place.far(&near).unwrap_or(near);
        [Work::Cold, Work::Unchanged].map(|work| {
            let ready = (contender.open)(&url, set, work);
            let (before, pids) = place.counted();
            let syncs = Syncs::watch(&pids);
            let conn = ready();
            let syncs = syncs.map(Syncs::count);
            let (after, _) = place.counted();
            drop(conn);
            let taken = |(before, after): (Counts, Counts)| Counts {
                statements: after.statements - before.statements,
                round_trips: after.round_trips - before.round_trips,
            };
            (before.zip(after).map(taken), syncs)
        })
    };
    P::CONTENDERS.iter().map(one).collect()
}
