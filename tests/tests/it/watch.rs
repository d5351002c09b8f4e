//! Seeing what a connection sends, and what a migrator tells.

use std::sync::{Arc, Mutex};

use diesel::Connection;
use diesel::connection::InstrumentationEvent;
use migrator::Migrator;

/// A list that is added to from somewhere else.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: String) {
        self.0.lock().expect("no test panics while it notes").push(note);
    }

    /// How many were noted since the last [`take`](Self::take).
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no test panics while it notes").len()
    }

    /// What was noted since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no test panics while it notes"))
    }
}

/// Notes every query from now on.
pub(crate) fn queries(conn: &mut impl Connection) -> Notes {
    let notes = Notes::default();
    let kept = notes.clone();
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            kept.add(query.to_string());
        }
    });
    notes
}

/// Notes every event, as its `Debug` form.
pub(crate) fn events<C>(migrator: Migrator<C>) -> (Migrator<C>, Notes) {
    let notes = Notes::default();
    let kept = notes.clone();
    (migrator.on_event(move |event| kept.add(format!("{event:?}"))), notes)
}

/// What each event is, without what it says.
pub(crate) fn words(events: &[String]) -> Vec<&str> {
    events.iter().map(|event| event.split(' ').next().unwrap_or_default()).collect()
}
