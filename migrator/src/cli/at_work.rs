//! What a run is at right now, out of its events.

use std::time::{Duration, Instant};

use crate::Event;
use crate::backup::Size;

/// When what takes long is first told about, where nothing is drawn; then after twice the time, and so on.
const LONG: Duration = Duration::from_secs(10);

/// What a run is at.
#[derive(Debug)]
pub(super) struct AtWork {
    /// Which migration of how many.
    pub(super) step: usize,
    pub(super) steps: usize,
    /// How many bytes are copied, or brought back, of how many; `None` where it is at nothing of the kind, or nobody knows.
    pub(super) bytes: Option<(u64, u64)>,
    /// In words; empty before anything is.
    doing: String,
    since: Instant,
    is_statement: bool,
    /// When it is told about next.
    told_at: Duration,
}

impl AtWork {
    pub(super) fn new() -> Self {
        let since = Instant::now();
        Self { step: 0, steps: 0, bytes: None, doing: String::new(), since, is_statement: false, told_at: LONG }
    }

    /// Takes an event in. Whether it is news: who waits is told the same again and again.
    pub(super) fn hear(&mut self, event: &Event<'_>) -> bool {
        let (is_statement, doing) = match event {
            Event::Waiting { holder, .. } => {
                let holder = holder.unwrap_or("another process");
                (false, format!("waiting for the migration lock, held by {holder}"))
            }
            Event::Planned { steps } => {
                (self.step, self.steps, self.bytes) = (0, *steps, None);
                return true;
            }
            Event::Started { name, step, steps, .. } => {
                (self.step, self.steps) = (*step, *steps);
                (false, (*name).to_owned())
            }
            Event::Reverting { name, step, steps, .. } => {
                (self.step, self.steps) = (*step, *steps);
                (false, format!("down: {name}"))
            }
            Event::Together { migrations, step, steps, .. } => {
                (self.step, self.steps) = (*step, *steps);
                (false, format!("{step} to {} together", step + migrations - 1))
            }
            Event::Statement { number, of } => {
                let migration = self.doing.split(", statement ").next().unwrap_or("");
                (true, format!("{migration}, statement {number} of {of}"))
            }
            Event::BackupStarted { database } => (false, format!("copying {database}")),
            Event::BackupProgress { bytes, of } => {
                self.bytes = of.map(|of| (*bytes, of));
                let of = of.map(|of| format!(" of {}", Size(of))).unwrap_or_default();
                self.doing = format!("copied {}{of}", Size(*bytes));
                return true;
            }
            Event::RestoreProgress { bytes, of } => {
                if *bytes == 0 {
                    (self.since, self.told_at) = (Instant::now(), LONG);
                }
                self.bytes = Some((*bytes, *of));
                // Read, and no more than that: MySQL's backup is first tried in a database of its own.
                self.doing = format!("restoring, {} of {} read", Size(*bytes), Size(*of));
                return true;
            }
            Event::SeedStarted { name, attempt } => (false, format!("seed {name}, try {attempt}")),
            _ => return true,
        };
        (self.is_statement, self.bytes) = (is_statement, None);
        let is_news = self.doing != doing;
        if is_news {
            (self.doing, self.since, self.told_at) = (doing, Instant::now(), LONG);
        }
        is_news
    }

    /// How long the statement runs, if it is one.
    pub(super) fn statement(&self) -> Option<Duration> {
        self.is_statement.then(|| self.since.elapsed())
    }

    /// What it is at and for how long, and what the server says of it; `None` before it is at anything.
    pub(super) fn text(&self, server: Option<&str>) -> Option<String> {
        let time = humantime::format_duration(Duration::from_secs(self.since.elapsed().as_secs()));
        let server = server.map(|server| format!(", {server}")).unwrap_or_default();
        (!self.doing.is_empty()).then(|| format!("{}, {time}{server}", self.doing))
    }

    /// Whether it is time to say that it is still at it.
    pub(super) fn is_due(&mut self) -> bool {
        let is_due = !self.doing.is_empty() && self.since.elapsed() >= self.told_at;
        if is_due {
            self.told_at *= 2;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_with_its_migration() {
        let mut at_work = AtWork::new();
        assert_eq!(at_work.text(None), None);
        at_work.hear(&Event::Started { version: "1", name: "1_users", step: 1, steps: 2 });
        at_work.hear(&Event::Statement { number: 1, of: 3 });
        at_work.hear(&Event::Statement { number: 2, of: 3 });
        assert_eq!(at_work.text(None).as_deref(), Some("1_users, statement 2 of 3, 0s"));
        assert_eq!(at_work.text(Some("index 45 %")).as_deref(), Some("1_users, statement 2 of 3, 0s, index 45 %"));
        assert!(at_work.statement().is_some());
    }

    #[test]
    fn what_is_copied_has_a_measure_until_something_else_begins() {
        let mut at_work = AtWork::new();
        at_work.hear(&Event::BackupProgress { bytes: 5, of: None });
        assert_eq!((at_work.bytes, at_work.text(None).as_deref()), (None, Some("copied 5 B, 0s")));
        at_work.hear(&Event::RestoreProgress { bytes: 1024, of: 4096 });
        assert_eq!(at_work.bytes, Some((1024, 4096)));
        assert_eq!(at_work.text(None).as_deref(), Some("restoring, 1.0 KiB of 4.0 KiB read, 0s"));
        at_work.hear(&Event::Started { version: "1", name: "1_users", step: 1, steps: 2 });
        assert_eq!(at_work.bytes, None);
    }

    #[test]
    fn who_waits_is_told_once() {
        let mut at_work = AtWork::new();
        let waiting = |holder| Event::Waiting { attempt: 1, holder: Some(holder) };
        assert!(at_work.hear(&waiting("session 7")));
        assert!(!at_work.hear(&waiting("session 7")));
        assert!(at_work.hear(&waiting("session 8")), "somebody else has it");
        assert!(!at_work.is_due(), "that is too soon to say it again");
    }
}
