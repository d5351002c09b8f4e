//! How far a run is: a bar on a terminal, lines elsewhere, out of the run's own events.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use diesel::connection::LoadConnection;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::at_work::AtWork;
use super::narrow::Narrow;
use super::{index, output};
use crate::url::Url;
use crate::{Dialect, Event, Interrupt};

/// How often the bar moves.
const BEAT: Duration = Duration::from_millis(100);

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

/// Follows a run until it is dropped.
pub(super) struct Progress {
    at_work: Arc<Mutex<AtWork>>,
    ended: Arc<AtomicBool>,
}

impl Progress {
    /// Follows a run on this database. What can be interrupted is what the server is asked about.
    pub(super) fn of<C>(url: &Url, interrupt: &Interrupt) -> Self
    where
        C: LoadConnection<Backend: Dialect> + Send + 'static,
    {
        let mut build = index::Build::<C>::new(url, interrupt);
        Self::asking(move |running| build.ask(running))
    }

    /// Follows what no server is asked about.
    pub(super) fn alone() -> Self {
        Self::asking(|_| None)
    }

    /// `ask`: what the server says of a statement that runs for so long.
    fn asking(mut ask: impl FnMut(Duration) -> Option<String> + Send + 'static) -> Self {
        let progress = Self { at_work: Arc::new(Mutex::new(AtWork::new())), ended: Arc::default() };
        let (at_work, ended) = (Arc::clone(&progress.at_work), Arc::clone(&progress.ended));
        let is_terminal = std::io::stderr().is_terminal();
        let follow = move || {
            while !ended.load(Ordering::SeqCst) {
                let running = lock(&at_work).statement();
                // Asked without the lock: whoever tells an event does not wait for a server.
                let server = running.and_then(&mut ask);
                let mut at_work = lock(&at_work);
                let text = at_work.text(server.as_deref()).filter(|_| !ended.load(Ordering::SeqCst));
                match text {
                    Some(text) if is_terminal => draw(&at_work, text),
                    Some(text) if at_work.is_due() => output::note(&format!("still at it: {text}")),
                    _ => {}
                }
                drop(at_work);
                thread::sleep(BEAT);
            }
        };
        // Without a thread to spare nothing is drawn, and the run goes on.
        let _follower = thread::Builder::new().name("migrator-progress".to_owned()).spawn(follow);
        progress
    }

    /// The hook that hears the run's events.
    pub(super) fn hear(&self) -> impl Fn(Event<'_>) + Send + Sync + 'static {
        let at_work = Arc::clone(&self.at_work);
        let is_terminal = std::io::stderr().is_terminal();
        move |event| {
            let is_news = lock(&at_work).hear(&event);
            if is_news && !(is_terminal && is_drawn(&event)) {
                output::event(&event);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Under the lock: nothing is drawn afterwards.
        let _at_work = lock(&self.at_work);
        self.ended.store(true, Ordering::SeqCst);
        leave();
    }
}

fn lock(at_work: &Mutex<AtWork>) -> MutexGuard<'_, AtWork> {
    at_work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the bar says it.
fn is_drawn(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Started { .. }
            | Event::Reverting { .. }
            | Event::Together { .. }
            | Event::Waiting { .. }
            | Event::BackupProgress { .. }
            | Event::RestoreProgress { .. }
    )
}

/// Draws the bar. A run that is done within a beat never has one.
fn draw(at_work: &AtWork, text: String) {
    let mut drawn = bar();
    let bar = drawn.get_or_insert_with(|| {
        ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::term_like(Box::new(Narrow::stderr())))
    });
    // The migration at work is not done.
    let steps = (at_work.step.saturating_sub(1) as u64, at_work.steps as u64);
    let (template, (done, of)) = match at_work.bytes {
        Some(bytes) => ("{spinner} [{bar:12}] {wide_msg}", bytes),
        None if at_work.steps > 0 => ("{spinner} [{bar:12}] {pos}/{len} {wide_msg}", steps),
        None => ("{spinner} {wide_msg}", steps),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_length(of);
    bar.set_position(done);
    bar.set_message(text);
    bar.tick();
}
