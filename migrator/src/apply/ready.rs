//! What can wait until it is needed: most of it never is, where all that is pending fits into one transaction.

use diesel::connection::LoadConnection;

use super::{Run, Stop};
use crate::dialect::{Dialect, Work, refused};
use crate::history;

/// Makes sure of what one by one, or each in its own transaction, needs: the tables, and how a session is brought back.
pub(super) fn ready<C>(conn: &mut C, run: &mut Run<'_>) -> Result<(), Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    // Before anything is committed.
    history::in_time(conn, run.wait, |conn| run.writer.make_tables(conn)).map_err(Stop::Undone)?;
    let looking = |error| Stop::Error(refused::<C::Backend>("tell the session's settings", error));
    if let Some(whole) = run.session.whole.as_ref().filter(|whole| whole.get().is_none()) {
        // Until now nothing but the run's own set-up changed it.
        let found = C::Backend::session(conn, run.wait.timeout, Work::Afterwards).map_err(looking)?;
        let _nobody_else = whole.set(found.leave);
    }
    Ok(())
}
