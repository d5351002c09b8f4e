//! Makes the tables, where another set, which has a lock of its own, may make them at the same moment.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::connection::LoadConnection;

use super::{Home, META, exists, prepare, read};
use crate::dialect::{Class, Dialect, class, depth, refused};
use crate::error::Error;
use crate::event::Event;
use crate::lock::{Wait, jitter};
use crate::record::History;

/// Makes the tables, or what they lack. Another set may have made them meanwhile; or they are there since the message that made them
/// failed behind its COMMIT.
pub(crate) fn make<C>(
    conn: &mut C,
    home: &Home,
    history: Option<&History>,
    environment: Option<&str>,
) -> QueryResult<()>
where
    C: LoadConnection<Backend: Dialect>,
{
    prepare(conn, home, history, environment).or_else(|error| {
        if history.is_some() || !exists(conn, home) {
            return Err(error);
        }
        let row = read::<C>(conn, home, META, &["sequence"], false)?;
        if row.is_empty() { prepare(conn, home, Some(&History::default()), environment) } else { Ok(()) }
    })
}

/// Has the tables made, as often as others hold what that needs: on PostgreSQL another set's are there, and seen by nobody, until all
/// commits with which they were made. That is waited for as long as for the lock.
///
/// # Errors
/// When they cannot be made, or not in time.
pub(crate) fn in_time<C>(
    conn: &mut C,
    wait: &Wait,
    mut make: impl FnMut(&mut C) -> QueryResult<()>,
) -> Result<(), Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let (start, mut pause) = (Instant::now(), Duration::from_millis(25));
    for attempt in 2.. {
        let Err(error) = make(conn) else { return Ok(()) };
        let class = class::<C::Backend>(&error);
        if matches!(class, Class::Busy | Class::Permanent) {
            // A statement that is cancelled fails like any other.
            wait.interrupt.check()?;
        }
        // Where the lock is a transaction nobody else is at it.
        if class != Class::Busy || depth(conn) > 0 {
            return Err(not_made::<C::Backend>(error, class));
        }
        let left = wait.timeout.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(too_late(start.elapsed()).with_database(error));
        }
        let pause_now = jitter(pause).min(left);
        wait.hook.emit(Event::Retrying { attempt, pause: pause_now, class: class.name() });
        wait.interrupt.sleep(pause_now);
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    unreachable!("attempts do not end")
}

fn not_made<D: Dialect>(error: diesel::result::Error, class: Class) -> Error {
    let refused = refused::<D>("make the history tables", error);
    match class {
        Class::Permission => refused.with_remedy(
            "the role needs the right to create tables in the schema once; or let the owner run the migrations",
        ),
        _ => refused,
    }
}

fn too_late(waited: Duration) -> Error {
    Error::new(
        "lock_timeout",
        format!(
            "waited {} ms to make the history tables, and others, perhaps a run of another set, hold what that needs",
            waited.as_millis()
        ),
        "wait until it is done, or end it; a longer wait is --lock-timeout (Migrator::lock_timeout)",
    )
}
