//! The status page: what somebody who is woken by it wants to know, in the order in which they ask.

mod advice;
mod chart;
mod checks;
mod rows;
mod words;

use askama::Template;

use self::advice::Advice;
use self::chart::Chart;
use self::checks::Check;
use self::rows::{Group, SeedRow};
use self::words::{Tone, headline, instant, message, tone};
use super::Snapshot;
use crate::health::{Details, HealthReport, Outcome};
use crate::provider_state::{ProviderState, SeedStanding};

/// After how many seconds the page is asked for again while an init runs, and while a seed is retried.
const SOON: u64 = 2;
const LATER: u64 = 10;

/// Everything on the page, as text and numbers; the template escapes all of it.
#[derive(Template)]
#[template(path = "status.html")]
struct Page<'a> {
    tone: Tone,
    headline: &'static str,
    message: String,
    report: &'a HealthReport,
    at: String,
    refresh: Option<u64>,
    steps: Option<Steps>,
    advice: Vec<Advice<'a>>,
    chart: Option<Chart>,
    /// What the last init did, where the database cannot be asked.
    run: Option<Group<'a>>,
    /// Where each migration stands; the code of the error that says why that is not known.
    migrations: Result<Migrations<'a>, &'static str>,
    seeds: Vec<SeedRow<'a>>,
    checks: Vec<Check<'a>>,
    hides: bool,
    release: &'static str,
}

/// How far the run is.
struct Steps {
    /// The migration that runs, from 1.
    at: usize,
    all: usize,
}

struct Migrations<'a> {
    dialect: &'static str,
    /// A detail.
    database: &'a str,
    applied: usize,
    pending: usize,
    groups: Vec<Group<'a>>,
}

impl Page<'_> {
    fn service(&self) -> &str {
        self.report.identity.name.as_deref().unwrap_or("Database")
    }
}

/// The page of a snapshot that has no more details than may be told.
pub(super) fn render(snapshot: &Snapshot, details: Details) -> Result<String, askama::Error> {
    let Snapshot { report, progress, overview } = snapshot;
    let steps = match &report.state {
        Some(ProviderState::Migrating { step, steps, .. }) => Some(Steps { at: (*step).max(1), all: *steps }),
        _ => None,
    };
    let overview = overview.as_ref();
    let run = overview.is_err() && !progress.migrations.is_empty();
    let chart = match overview {
        Ok(overview) => chart::of(overview.migrations.migrations().iter().map(rows::bar)),
        Err(_) => chart::of(progress.migrations.iter().map(rows::bar_of_step)),
    };
    let migrations = overview.map_err(crate::error::Error::code).map(|overview| Migrations {
        dialect: overview.migrations.dialect,
        database: overview.migrations.database(),
        applied: overview.migrations.applied(),
        pending: overview.migrations.pending(),
        groups: rows::groups(overview.migrations.migrations()),
    });
    Page {
        tone: tone(report),
        headline: headline(report),
        message: message(report),
        report,
        at: instant(report.at),
        refresh: refresh(report),
        steps,
        advice: advice::of(report, progress, overview.ok()),
        chart,
        run: run.then(|| rows::of_run(progress)),
        migrations,
        seeds: rows::seeds(overview.map(|overview| overview.seeds.as_slice()).unwrap_or_default(), report),
        checks: checks::of(report),
        hides: details == Details::Hidden,
        release: env!("CARGO_PKG_VERSION"),
    }
    .render()
}

/// After how many seconds something else may be on the page, by itself.
fn refresh(report: &HealthReport) -> Option<u64> {
    let state = report.state.as_ref()?;
    let retries = report.missing_seeds.iter().any(|seed| seed.standing == SeedStanding::Retrying);
    match () {
        () if state.is_in_flight() => Some(SOON),
        () if retries && report.liveness.status != Outcome::Fail => Some(LATER),
        () => None,
    }
}
