//! How far a run is: a bar on a terminal, lines elsewhere, out of the run's own events.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::index;
use super::output;
use crate::backup::Size;
use crate::url::Url;
use crate::{Dialect, Event, Interrupt};

/// How often the bar moves.
const BEAT: Duration = Duration::from_millis(100);
/// Where there is no bar, when a statement that runs long is first told about; then after twice the time, and so on.
const LONG: Duration = Duration::from_secs(10);

/// What is drawn on the terminal, which everything else that is printed has to go around.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn bar() -> MutexGuard<'static, Option<ProgressBar>> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints something where the bar does not overwrite it.
pub(super) fn around(print: impl FnOnce()) {
    match &*bar() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Takes the bar off the terminal.
pub(super) fn leave() {
    if let Some(bar) = bar().take() {
        bar.finish_and_clear();
    }
}

/// How far a run is.
#[derive(Debug, Default)]
struct Place {
    /// Which migration of how many.
    step: usize,
    steps: usize,
    /// What is at work, in words; empty before anything is.
    doing: String,
    /// Which statement of how many, and since when it runs.
    statement: Option<(usize, usize, Instant)>,
    /// What the server tells of it.
    server: Option<String>,
    /// When it is told about next, where there is no bar.
    told_at: Duration,
}

/// Follows a run until it is dropped.
pub(super) struct Progress {
    place: Arc<Mutex<Place>>,
    ended: Arc<AtomicBool>,
}

impl Progress {
    /// Follows a run on this database. What can be interrupted is what the server is asked about.
    pub(super) fn of<C>(url: &Url, interrupt: &Interrupt) -> Self
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let progress = Self { place: Arc::default(), ended: Arc::default() };
        let (place, ended) = (Arc::clone(&progress.place), Arc::clone(&progress.ended));
        let mut build = index::Build::<C>::new(url, interrupt);
        let is_terminal = std::io::stderr().is_terminal();
        let follow = move || {
            while !ended.load(Ordering::SeqCst) {
                let running = lock(&place).statement.map(|(.., since)| since.elapsed());
                let server = running.and_then(|running| build.ask(running));
                let mut place = lock(&place);
                place.server = server;
                match is_terminal {
                    true => place.draw(&ended),
                    false => place.tell(),
                }
                drop(place);
                thread::sleep(BEAT);
            }
        };
        // Without a thread to spare nothing is drawn, and the run goes on.
        let _follower = thread::Builder::new().name("migrator-progress".to_owned()).spawn(follow);
        progress
    }

    /// The hook that hears the run's events.
    pub(super) fn hear(&self) -> impl Fn(Event<'_>) + Send + Sync + 'static {
        let place = Arc::clone(&self.place);
        let is_terminal = std::io::stderr().is_terminal();
        move |event| {
            lock(&place).hear(&event);
            if !is_terminal || !is_drawn(&event) {
                output::event(&event);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Under the lock: nothing is drawn afterwards.
        let _place = lock(&self.place);
        self.ended.store(true, Ordering::SeqCst);
        leave();
    }
}

fn lock(place: &Mutex<Place>) -> MutexGuard<'_, Place> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the bar says it.
fn is_drawn(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Started { .. } | Event::Together { .. } | Event::Waiting { .. } | Event::BackupProgress { .. }
    )
}

impl Place {
    fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Waiting { holder, .. } => {
                self.doing = format!("waiting for the migration lock, held by {}", holder.unwrap_or("another process"));
            }
            Event::Planned { steps } => (self.step, self.steps) = (0, *steps),
            Event::Started { name, step, steps, .. } => {
                (self.step, self.steps, self.doing) = (*step, *steps, (*name).to_owned());
                (self.statement, self.server) = (None, None);
            }
            Event::Together { migrations, step, steps } => {
                (self.step, self.steps) = (*step, *steps);
                self.doing = format!("{step} to {} together", step + migrations - 1);
                self.statement = None;
            }
            Event::Statement { number, of } => {
                self.statement = Some((*number, *of, Instant::now()));
                (self.server, self.told_at) = (None, LONG);
            }
            Event::BackupStarted { database } => self.doing = format!("copying {database}"),
            Event::BackupProgress { bytes, of } => {
                let of = of.map(|of| format!(" of {}", Size(of))).unwrap_or_default();
                self.doing = format!("copied {}{of}", Size(*bytes));
            }
            Event::SeedStarted { name, attempt } => self.doing = format!("seed {name}, try {attempt}"),
            Event::Retrying { .. } | Event::Locked { .. } | Event::Applied { .. } | Event::Failed { .. } => {
                self.statement = None;
            }
            _ => {}
        }
    }

    /// The statement that runs: which one, for how long, and what the server says of it.
    fn statement(&self) -> String {
        let Some((number, of, since)) = self.statement else { return String::new() };
        let server = self.server.iter().fold(String::new(), |_, server| format!(", {server}"));
        format!(
            ", statement {number} of {of}, {}{server}",
            humantime::format_duration(Duration::from_secs(since.elapsed().as_secs()))
        )
    }

    /// Draws the bar, once there is something to say. A run that is done within a beat never has one.
    fn draw(&self, ended: &AtomicBool) {
        if self.doing.is_empty() || ended.load(Ordering::SeqCst) {
            return;
        }
        let mut drawn = bar();
        let bar = drawn.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} [{bar:20}] {pos}/{len} {elapsed} {wide_msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
        });
        bar.set_length(self.steps as u64);
        // The one at work is not done.
        bar.set_position(self.step.saturating_sub(1) as u64);
        bar.set_message(format!("{}{}", self.doing, self.statement()));
        bar.tick();
    }

    /// Where nothing can be drawn: a line for a statement that runs long, and again after twice the time.
    fn tell(&mut self) {
        let Some((.., since)) = self.statement else { return };
        if since.elapsed() >= self.told_at {
            self.told_at *= 2;
            output::note(&format!("still at it: {}{}", self.doing, self.statement()));
        }
    }
}
