//! Ending the statement that a session executes.

use std::thread;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;

use crate::dialect::Dialect;

/// How often is looked, and how many times at most.
const LOOKS: (Duration, usize) = (Duration::from_millis(50), 60);
/// After how many seconds a session sleeps for good that was interrupted.
const FORGOTTEN: u64 = 10;

/// Kills a query that takes long; what is soon over ends by itself, and the run behind it.
///
/// A query that is killed when it is nearly done is not ended, but the message that it stands in is, in front of the next one: MariaDB
/// (seen with 10.11) then sends no answer for that, and the client waits for ever, while the server takes it for idle. So what
/// commits right now is let, and a connection on which nothing came for long is ended.
pub(super) fn cancel<C>(conn: &mut C, session: &str) -> QueryResult<()>
where
    C: LoadConnection<Backend = Mysql>,
{
    let (pause, looks) = LOOKS;
    let sql = format!("SELECT COMMAND, CAST(TIME AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = {session}");
    for _ in 0..looks {
        let rows = Mysql::rows(conn, &sql)?;
        let kill = match rows.first().map(|row| (row.text(0), row.number::<u64>(1).unwrap_or(0))) {
            Some(("Sleep", FORGOTTEN..)) => "KILL",
            // It waits for its client, which sees that it is interrupted.
            Some(("Sleep", _)) => return Ok(()),
            // It is gone; or another user's, which the server says.
            None | Some((_, 1..)) => "KILL QUERY",
            Some((_, 0)) => {
                thread::sleep(pause);
                continue;
            }
        };
        return match conn.batch_execute(&format!("{kill} {session}")) {
            Err(error) if error.to_string().contains("Unknown thread id") => Ok(()),
            killed => killed,
        };
    }
    // Many statements, each soon over: the run ends behind them.
    Ok(())
}
