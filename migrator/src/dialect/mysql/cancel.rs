//! Ending the statement that a session executes.

use std::thread;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;

use crate::dialect::Dialect;

/// How often is looked, and how many times at most.
const LOOKS: (Duration, usize) = (Duration::from_millis(50), 60);

/// Kills a query that takes long; what is soon over ends by itself, and the run behind it.
///
/// A query that is killed when it is nearly done is not ended, but the message that it stands in is, in front of the next one: MariaDB
/// (seen with 10.11) then sends no answer for that, and the client waits for ever. So what commits right now is let.
pub(super) fn cancel<C>(conn: &mut C, session: &str) -> QueryResult<()>
where
    C: LoadConnection<Backend = Mysql>,
{
    let (pause, looks) = LOOKS;
    let sql = format!("SELECT COMMAND, CAST(TIME AS CHAR) FROM information_schema.PROCESSLIST WHERE ID = {session}");
    for _ in 0..looks {
        let rows = Mysql::rows(conn, &sql)?;
        match rows.first().map(|row| (row.text(0), row.number::<u64>(1))) {
            // It is gone, or waits for its client, which sees that it is interrupted.
            None | Some(("Sleep", _)) => return Ok(()),
            Some((_, Some(1..))) => break,
            Some(_) => thread::sleep(pause),
        }
    }
    conn.batch_execute(&format!("KILL QUERY {session}"))
}
