//! What probes are answered while a service starts, works, and loses what it works with.

mod faults;
mod figures;
mod pages;
mod seeds;
mod verdicts;

use migrator::health::{Health, Verdict};
use migrator_tests::wait;

/// Asks for readiness until it has this code, past what is cached.
pub(crate) fn becomes(health: &Health, code: &str) -> Verdict {
    let mut last = None;
    let found = wait::within(wait::DEADLINE, || {
        let verdict = health.readiness();
        let is_it = verdict.code == code;
        last = Some(verdict.clone());
        is_it.then_some(verdict)
    });
    found.unwrap_or_else(|| panic!("waited for {code}, and it is {last:?}"))
}

/// The HTTP statuses of startup, liveness and readiness, and the reason of the last.
fn probes(health: &Health) -> (u16, u16, u16, &'static str) {
    let ready = health.readiness();
    (health.startup().http_status(), health.liveness().http_status(), ready.http_status(), ready.code)
}
