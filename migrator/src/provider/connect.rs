//! Connecting to a database that may not be up yet: again and again, until it is there or the time is up.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;
use migrator_source::sql::SqlDialect;

use crate::dialect::{Dialect, refused};
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::lock::jitter;
use crate::session::send;
use crate::url::Url;

/// The pause after the first try.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// How long to pause after a try: 250 ms, doubled each time up to 5 s, and never beyond the deadline, at which it is tried once
/// more. `None` when the deadline has passed.
///
/// `spread` makes of a pause one ± 50 %, so that a hundred services do not ask a database that comes up at the same moment.
pub(super) fn pause(
    attempt: u32,
    elapsed: Duration,
    deadline: Duration,
    spread: impl Fn(Duration) -> Duration,
) -> Option<Duration> {
    let left = deadline.checked_sub(elapsed).filter(|left| !left.is_zero())?;
    let doubled = FIRST.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
    Some(spread(doubled.min(LONGEST)).min(LONGEST).min(left))
}

/// Connects, waiting for the database as long as its words say that it may come up. `wait` is told each pause before it.
///
/// # Errors
/// `connection_failed` at once when trying again cannot help; `database_unavailable` after the deadline; `interrupted`.
pub(crate) fn connect<C>(
    url: &Url,
    name: &str,
    deadline: Duration,
    interrupt: &Interrupt,
    mut wait: impl FnMut(u32, Duration),
) -> Result<C, Error>
where
    C: LoadConnection<Backend: Dialect> + Send + 'static,
{
    let start = Instant::now();
    for attempt in 1.. {
        interrupt.check()?;
        let left = deadline.saturating_sub(start.elapsed());
        let error = match once::<C>(url, left.max(LONGEST), interrupt) {
            Ok(mut conn) => return patient(&mut conn).map(|()| conn),
            Err(error) => error,
        };
        if error.code() != "database_unavailable"
            && !error.database_words().is_some_and(<C::Backend as Dialect>::comes_up)
        {
            return Err(error.with_remedy(format!("correct {name}: nothing is waited for that no wait can help")));
        }
        let Some(pause) = pause(attempt, start.elapsed(), deadline, jitter) else {
            let message = format!("{url} did not answer for {} ms, {attempt} times asked", start.elapsed().as_millis());
            let remedy = format!("start the database, or correct {name}; a longer wait is MIGRATOR_CONNECT_TIMEOUT");
            return Err(error.into_another("database_unavailable", message, remedy));
        };
        tracing::debug!(target: "migrator", %error, attempt, "the database does not answer");
        wait(attempt, pause);
        interrupt.sleep(pause);
    }
    unreachable!("attempts do not end")
}

/// On SQLite a moment in which another process commits is waited for, also outside of a run's own session; nothing is sent to a
/// server.
fn patient<C: LoadConnection<Backend: Dialect>>(conn: &mut C) -> Result<(), Error> {
    let set_up = C::Backend::patience(conn, LONGEST).and_then(|patience| send(conn, &patience.enter));
    set_up.map_err(|error| refused::<C::Backend>("set the session up", error))
}

/// Connects once, for at most some time.
///
/// A server that is frozen takes the connection and says nothing, and no client library here is asked for a timeout that all
/// of them know. So the call is made on a thread of its own, which is left behind when it does not come back.
pub(super) fn once<C>(url: &Url, time: Duration, interrupt: &Interrupt) -> Result<C, Error>
where
    C: LoadConnection<Backend: Dialect> + Send + 'static,
{
    if C::Backend::SQL == SqlDialect::Sqlite {
        return url.establish();
    }
    let (sender, receiver) = mpsc::channel();
    let theirs = url.clone();
    let call = move || {
        // Nobody may be waiting any more; then the connection closes here.
        let _sent = sender.send(theirs.establish::<C>());
    };
    let silent =
        |words: &str| Error::new("database_unavailable", format!("{url} {words}"), "check that the database is up");
    if let Err(error) = thread::Builder::new().name("migrator-connect".to_owned()).spawn(call) {
        return Err(silent("cannot be connected to: no thread is to be had").with_source(error));
    }
    let end = Instant::now() + time;
    loop {
        match receiver.recv_timeout(Duration::from_millis(50)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => return Err(silent("was connected to by a thread that died")),
            Err(RecvTimeoutError::Timeout) => {
                interrupt.check()?;
                if Instant::now() >= end {
                    return Err(silent("takes connections and does not answer"));
                }
            }
        }
    }
}
