//! Each thing that is looked at, with what was seen: a word, and the figures behind it.

use super::words::{Tone, coarse, spaced};
use crate::health::{HealthReport, Verdict, Worker};
use crate::provider_state::ProviderState;

pub(super) struct Check<'a> {
    pub(super) name: &'static str,
    pub(super) tone: Tone,
    pub(super) word: String,
    pub(super) note: Option<String>,
    /// A code of which only the beginning is shown, whole in its title.
    pub(super) digest: Option<&'a str>,
}

pub(super) fn of(report: &HealthReport) -> Vec<Check<'_>> {
    let check = |name, tone, word: String, note| Check { name, tone, word, note, digest: None };
    let verdict = |name, verdict: &Verdict| {
        let works = report.state.as_ref().is_some_and(ProviderState::is_in_flight);
        let tone = if works && !verdict.is_positive() { Tone::Busy } else { Tone::of(verdict.status) };
        check(name, tone, format!("{}, {}", verdict.http_status(), spaced(verdict.code)), None)
    };
    let mut checks = vec![verdict("Readiness", &report.readiness), verdict("Liveness", &report.liveness)];
    checks.push(match report.latency {
        Some(latency) => {
            check("Database", Tone::Good, format!("answers in {:.1} ms", latency.as_secs_f64() * 1000.0), None)
        }
        None if report.pool.is_some() => {
            let (tone, word) = unread(report.readiness.code);
            check("Database", tone, word.to_owned(), None)
        }
        None => check("Database", Tone::Calm, "is not asked".to_owned(), None),
    });
    if let Some(schema) = &report.schema {
        let tone = Tone::of(schema.outcome());
        let head = schema.head.as_ref().map(|head| format!("the last one is {head}"));
        checks
            .push(Check { digest: Some(&schema.fingerprint), ..check("Migrations", tone, spaced(schema.state), head) });
    }
    if let Some(pool) = report.pool {
        let tone = if pool.in_use < pool.size { Tone::Good } else { Tone::Warn };
        let note = format!("{} idle, {} callers wait", pool.idle, pool.waiting);
        checks.push(check("Pool", tone, format!("{} of {} in use", pool.in_use, pool.size), Some(note)));
    }
    let (tone, word) = match report.worker {
        Worker::None => (Tone::Calm, "nothing to do"),
        Worker::Alive => (Tone::Good, "works"),
        Worker::Hung => (Tone::Bad, "hangs"),
        Worker::Died => (Tone::Bad, "died"),
    };
    checks.push(check("Worker for seeds", tone, word.to_owned(), None));
    if let Some(holder) = &report.lock_holder {
        checks.push(check("Migration lock", Tone::Busy, "held by another".to_owned(), Some(holder.clone())));
    }
    if let Some(age) = report.backup_age {
        checks.push(check("Last backup", Tone::Good, format!("{} ago", coarse(age)), None));
    }
    checks
}

/// What is said of a database of which nothing was read, by the reason.
fn unread(code: &str) -> (Tone, &'static str) {
    match code {
        "database_timeout" | "database_unavailable" | "connection_lost" => (Tone::Bad, "does not answer"),
        "pool_exhausted" => (Tone::Warn, "not asked, the pool is used up"),
        // It can have answered: a role that may not read, a table that is gone.
        _ => (Tone::Bad, "could not be read"),
    }
}
