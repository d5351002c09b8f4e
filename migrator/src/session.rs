//! The session of the migrating connection: set up before the lock, restored after each script, left as it was found.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::LoadConnection;

use crate::dialect::{Dialect, Session, Work, refused};
use crate::error::Error;
use crate::event::Event;
use crate::lock::Wait;

/// What a host runs on the migrating connection: SQL (`&str`, `String`) or a closure; `()` is nothing.
pub trait SessionStep<C>: sealed::Sealed<C> {
    #[doc(hidden)]
    fn into_step(self) -> Step<C>;
}

/// One half of [`Migrator::session`](crate::Migrator::session).
#[doc(hidden)]
pub enum Step<C> {
    Nothing,
    Sql(Arc<str>),
    Call(Arc<Call<C>>),
}

type Call<C> = dyn Fn(&mut C) -> QueryResult<()> + Send + Sync;

mod sealed {
    pub trait Sealed<C> {}
    impl<C> Sealed<C> for &str {}
    impl<C> Sealed<C> for String {}
    impl<C> Sealed<C> for () {}
    impl<C, F: Fn(&mut C) -> diesel::QueryResult<()> + Send + Sync + 'static> Sealed<C> for F {}
}

impl<C> SessionStep<C> for () {
    fn into_step(self) -> Step<C> {
        Step::Nothing
    }
}

impl<C> SessionStep<C> for &str {
    fn into_step(self) -> Step<C> {
        self.to_owned().into_step()
    }
}

impl<C> SessionStep<C> for String {
    fn into_step(self) -> Step<C> {
        // An empty text never reaches a client: on MySQL it is not even memory-safe.
        if self.trim().is_empty() { Step::Nothing } else { Step::Sql(self.into()) }
    }
}

impl<C, F: Fn(&mut C) -> QueryResult<()> + Send + Sync + 'static> SessionStep<C> for F {
    fn into_step(self) -> Step<C> {
        Step::Call(Arc::new(self))
    }
}

impl<C> Clone for Step<C> {
    fn clone(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Sql(sql) => Self::Sql(Arc::clone(sql)),
            Self::Call(call) => Self::Call(Arc::clone(call)),
        }
    }
}

impl<C> fmt::Debug for Step<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The SQL may hold a secret.
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Sql(_) => "Sql",
            Self::Call(_) => "Call",
        })
    }
}

impl<C: LoadConnection> Step<C> {
    /// Both, one after the other.
    #[cfg(feature = "cli")]
    pub(crate) fn and(self, next: Self) -> Self
    where
        C: 'static,
    {
        match (self, next) {
            (step, Self::Nothing) | (Self::Nothing, step) => step,
            (first, next) => Self::Call(Arc::new(move |conn| first.run(conn).and_then(|()| next.run(conn)))),
        }
    }

    pub(crate) fn run(&self, conn: &mut C) -> QueryResult<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Sql(sql) => conn.batch_execute(sql),
            Self::Call(call) => call(conn),
        }
    }
}

/// Runs `body` in a session that is set up for its work, and leaves the session as it was found, also after an error or a
/// panic. `body` gets the session, which knows the SQL that undoes what a script changed in it.
pub(crate) fn with_session<C, R>(
    conn: &mut C,
    [setup, teardown]: [&Step<C>; 2],
    statement_lock_timeout: Duration,
    work: Work,
    wait: &Wait,
    body: impl FnOnce(&mut C, &Session) -> Result<R, Error>,
) -> Result<R, Error>
where
    C: LoadConnection<Backend: Dialect>,
{
    let looking = |error| refused::<C::Backend>("tell the session's settings", error);
    let found = C::Backend::session(conn, statement_lock_timeout, work).map_err(looking)?;
    let name = match &found.name {
        Some(name) => Some(name.clone()),
        None => C::Backend::myself(conn).map_err(looking)?,
    };
    let _can_be_cancelled = wait.interrupt.note(name);
    let result = catch_unwind(AssertUnwindSafe(|| {
        wait.interrupt.check()?;
        send(conn, &found.enter).map_err(|error| refused::<C::Backend>("set the session up", error))?;
        setup.run(conn).map_err(|error| {
            Error::new("session_setup", "the session's set-up failed", "correct the SQL or closure given to session()")
                .with_database(error)
        })?;
        // Taken after the set-up, so that a restore brings back what the set-up chose, and the set-up itself runs once: what it
        // locked is not locked twice.
        let chosen = match setup {
            Step::Nothing if found.whole.is_some() => return body(conn, &found),
            Step::Nothing => Session { leave: format!("{}{}", found.leave, found.enter), ..found.clone() },
            _ => C::Backend::session(conn, statement_lock_timeout, work).map_err(looking)?,
        };
        body(conn, &chosen)
    }));
    let torn_down = catch_unwind(AssertUnwindSafe(|| teardown.run(conn)));
    let whole = found.whole.as_ref().and_then(|whole| whole.get()).map_or("", String::as_str);
    let left = if found.left.get() { Ok(()) } else { send(conn, &format!("{whole}{}{}", found.leave, found.host)) };
    match (result, torn_down) {
        (Err(panic), _) | (Ok(_), Err(panic)) => resume_unwind(panic),
        (Ok(result), Ok(torn_down)) => {
            let is_gone = result.as_ref().is_err_and(|error| error.code() == "connection_lost");
            if let Err(error) = torn_down.and(left)
                && !is_gone
            {
                // What was migrated is committed; a session that could not be restored does not undo it.
                let message = format!("the session could not be restored after the run, close the connection: {error}");
                wait.hook.emit(Event::Warning { message: &message });
            }
            result
        }
    }
}

/// Sends SQL unless there is none: an empty text never reaches a client.
pub(crate) fn send<C: LoadConnection>(conn: &mut C, sql: &str) -> QueryResult<()> {
    if sql.trim().is_empty() { Ok(()) } else { conn.batch_execute(sql) }
}
