//! What the last init did to the migrations, as its run told: what there is to show while no database is asked.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;

/// What the last init of this process did so far; empty when it had nothing to apply.
///
/// With feature `serde` it serialises to `{"steps", "migrations": [{"name", "state", "duration_ms", "error"}]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Progress {
    /// How many migrations it applies.
    pub steps: usize,
    /// Those that it began with, in their order.
    pub migrations: Vec<StepProgress>,
}

/// One migration of a [`Progress`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StepProgress {
    /// Its full name.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// How long it took, or runs by now.
    #[cfg_attr(feature = "serde", serde(rename = "duration_ms", serialize_with = "crate::report::milliseconds"))]
    pub duration: Duration,
    /// Why it failed. A detail.
    pub error: Option<String>,
}

/// How far one migration of a [`Progress`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StepState {
    /// It runs.
    Running,
    /// Its statements ran, in a transaction that is not committed yet.
    Ran,
    /// It is committed.
    Applied,
    /// It failed.
    Failed,
    /// The run ended before it was committed. The history knows where it stands.
    Unfinished,
}

impl StepState {
    /// The word for it in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ran => "ran",
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }
}

impl Progress {
    /// The same without the words of the database.
    #[must_use]
    pub fn without_details(mut self) -> Self {
        self.migrations.iter_mut().for_each(|step| step.error = None);
        self
    }
}

/// What an init tells, kept for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Track(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    steps: usize,
    /// How many rows are of an earlier plan of the same init: it lost its connection, and planned again.
    earlier: usize,
    /// How many rows are applied, from the first one on.
    applied: usize,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    state: StepState,
    began: Instant,
    took: Option<Duration>,
    error: Option<String>,
}

impl Row {
    fn new(name: &str, now: Instant) -> Self {
        Self { name: name.to_owned(), state: StepState::Running, began: now, took: None, error: None }
    }

    fn end(&mut self, state: StepState, took: Duration) {
        (self.state, self.took) = (state, Some(took));
    }
}

impl Track {
    /// An init begins.
    pub(crate) fn begin(&self) {
        *self.told() = Told::default();
    }

    /// Its run tells something.
    pub(crate) fn take(&self, event: &Event<'_>) {
        self.told().take(event, Instant::now());
    }

    /// It is over.
    pub(crate) fn end(&self) {
        let (mut told, now) = (self.told(), Instant::now());
        let open = |row: &&mut Row| matches!(row.state, StepState::Running | StepState::Ran);
        told.rows
            .iter_mut()
            .filter(open)
            .for_each(|row| row.end(StepState::Unfinished, row.took.unwrap_or(now - row.began)));
    }

    pub(crate) fn progress(&self) -> Progress {
        let (told, now) = (self.told(), Instant::now());
        let step = |row: &Row| StepProgress {
            name: row.name.clone(),
            state: row.state,
            duration: row.took.unwrap_or(now.saturating_duration_since(row.began)),
            error: row.error.clone(),
        };
        Progress { steps: told.steps, migrations: told.rows.iter().map(step).collect() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn take(&mut self, event: &Event<'_>, now: Instant) {
        match *event {
            Event::Planned { steps } => {
                self.rows.truncate(self.applied);
                (self.earlier, self.steps) = (self.applied, self.applied + steps);
            }
            Event::Started { name, step, .. } => {
                if let Some(last) = self.rows.last_mut().filter(|last| last.state == StepState::Running) {
                    last.end(StepState::Ran, now - last.began);
                }
                // One that begins again takes its own place, and all behind it are undone.
                self.rows.truncate((self.earlier + step).saturating_sub(1).max(self.applied));
                self.rows.push(Row::new(name, now));
            }
            Event::Applied { name, duration, .. } => {
                // They are told in the order of their rows; of several that travelled together nobody told the beginning.
                let at = self.applied;
                if self.rows.get(at).is_none_or(|row| row.name != name) {
                    self.rows.truncate(at);
                    self.rows.push(Row::new(name, now));
                }
                self.rows[at].end(StepState::Applied, duration);
                self.applied += 1;
            }
            Event::Failed { name, error, .. } => {
                let at = self.rows.iter().rposition(|row| row.name == name).unwrap_or(self.rows.len());
                if at == self.rows.len() {
                    self.rows.push(Row::new(name, now));
                }
                let row = &mut self.rows[at];
                row.end(StepState::Failed, now - row.began);
                row.error = Some(error.to_owned());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[Event<'_>], over: bool) -> Vec<(String, &'static str)> {
        let track = Track::default();
        track.begin();
        events.iter().for_each(|event| track.take(event));
        if over {
            track.end();
        }
        track.progress().migrations.into_iter().map(|step| (step.name, step.state.name())).collect()
    }

    fn started(step: usize) -> Event<'static> {
        Event::Started { version: "", name: ["a", "b", "c"][step - 1], step, steps: 3 }
    }

    fn applied(name: &'static str) -> Event<'static> {
        Event::Applied { version: "", name, duration: Duration::from_millis(1) }
    }

    fn failed(name: &'static str) -> Event<'static> {
        Event::Failed { version: "", name, error: "no" }
    }

    #[test]
    fn each_way_in_which_a_run_goes() {
        let planned = Event::Planned { steps: 3 };
        let cases: [(&str, Vec<Event<'_>>, bool, &str); 7] = [
            ("one by one", vec![planned, started(1), applied("a"), started(2)], false, "a applied, b running"),
            ("in one transaction", vec![planned, started(1), started(2)], false, "a ran, b running"),
            (
                "which is committed",
                vec![planned, started(1), started(2), applied("a"), applied("b")],
                true,
                "a applied, b applied",
            ),
            ("which fails", vec![planned, started(1), started(2), failed("b")], true, "a unfinished, b failed"),
            (
                "and is tried one by one",
                vec![planned, started(1), started(2), started(1), applied("a"), started(2), failed("b")],
                true,
                "a applied, b failed",
            ),
            (
                "several in one message",
                vec![planned, applied("a"), applied("b"), started(3)],
                false,
                "a applied, b applied, c running",
            ),
            (
                "over two connections",
                vec![
                    planned,
                    started(1),
                    applied("a"),
                    started(2),
                    Event::Planned { steps: 2 },
                    Event::Started { version: "", name: "b", step: 1, steps: 2 },
                ],
                false,
                "a applied, b running",
            ),
        ];
        for (case, events, over, expected) in cases {
            let told: Vec<String> = told(&events, over).iter().map(|(name, state)| format!("{name} {state}")).collect();
            assert_eq!(told.join(", "), expected, "{case}");
        }
    }
}
