//! A run whose connection is lost: another connection, then the history tells what took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::ConnectionResult;
use diesel::connection::LoadConnection;

use super::Migrator;
use crate::dialect::{Dialect, Look};
use crate::error::Error;
use crate::event::Event;
use crate::lock::jitter;
use crate::plan::Goal;
use crate::report::Report;

/// How long a run asks for another connection; less when it waits for the lock no longer than that.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a host makes another connection.
pub(super) type Connect<C> = Arc<dyn Fn() -> ConnectionResult<C> + Send + Sync>;

impl<C: LoadConnection<Backend: Dialect>> Migrator<C> {
    /// Goes on with a run that lost its connection, as long as each new connection brings it forward.
    ///
    /// Whether a COMMIT that was not answered took, the history says: a record of this very run is this run's.
    pub(super) fn go_on(&self, conn: &mut C, goal: &Goal, report: &mut Report, mut lost: Error) -> Result<(), Error> {
        let mut before = None;
        while let Some(connect) = self.connect.as_ref().filter(|_| lost.code() == "connection_lost") {
            let done = report.forget();
            if before.replace(done) == Some(done) {
                break;
            }
            self.wait.hook.emit(Event::Reconnecting { error: lost.message() });
            match self.other_connection(connect) {
                Ok(other) => *conn = other,
                Err(why) => {
                    self.wait.interrupt.check()?;
                    let remedy =
                        format!("check that the database is up ({why}), then run again: what took is recorded");
                    return Err(lost.with_remedy(remedy));
                }
            }
            match self.come_to(conn, goal, report, Look::First) {
                Ok(()) => return Ok(()),
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    fn other_connection(&self, connect: &Connect<C>) -> ConnectionResult<C> {
        let (start, mut pause) = (Instant::now(), Duration::from_millis(25));
        loop {
            let error = match connect() {
                Ok(conn) => return Ok(conn),
                Err(error) => error,
            };
            let left = self.wait.timeout.min(PATIENCE).saturating_sub(start.elapsed());
            if left.is_zero() || self.wait.interrupt.is_stopped() {
                return Err(error);
            }
            self.wait.interrupt.sleep(jitter(pause).min(left));
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
