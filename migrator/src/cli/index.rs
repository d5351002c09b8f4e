//! How far PostgreSQL is with an index: asked of the server itself, over a second connection.

use std::time::{Duration, Instant};

use diesel::connection::LoadConnection;

use crate::url::Url;
use crate::{Dialect, Interrupt, SqlDialect};

/// Statements that are done sooner are not asked about.
const SHORT: Duration = Duration::from_secs(1);
/// How often the server is asked.
const PAUSE: Duration = Duration::from_millis(500);

/// The index that a run builds right now, if it builds one.
pub(super) struct Build<C> {
    url: Url,
    interrupt: Interrupt,
    conn: Option<C>,
    /// Whether the server does not answer this, so that it is not asked again.
    silent: bool,
    asked: Option<Instant>,
    said: Option<String>,
}

impl<C: LoadConnection<Backend: Dialect>> Build<C> {
    pub(super) fn new(url: &Url, interrupt: &Interrupt) -> Self {
        let silent = C::Backend::SQL != SqlDialect::Postgres;
        Self { url: url.clone(), interrupt: interrupt.clone(), conn: None, silent, asked: None, said: None }
    }

    /// What the server says of the statement that has run for so long; `None` when it builds no index.
    pub(super) fn ask(&mut self, running: Duration) -> Option<String> {
        if self.silent || running < SHORT {
            return None;
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= PAUSE) {
            self.said = self.answer();
            self.asked = Some(Instant::now());
        }
        self.said.clone()
    }

    fn answer(&mut self) -> Option<String> {
        let mut session = None;
        self.interrupt.each_session(|name| session = Some(name.to_owned()));
        let session = session?;
        if self.conn.is_none() {
            self.conn = self.url.establish().ok();
        }
        let sql = format!(
            "SELECT phase, CASE WHEN tuples_total > 0 THEN 100 * tuples_done / tuples_total \
             WHEN blocks_total > 0 THEN 100 * blocks_done / blocks_total \
             WHEN lockers_total > 0 THEN 100 * lockers_done / lockers_total END::text \
             FROM pg_catalog.pg_stat_progress_create_index WHERE pid = {session}"
        );
        // PostgreSQL before 12 has no such view, and a connection may be one too many: then nobody asks.
        let rows = self.conn.as_mut().and_then(|conn| C::Backend::rows(conn, &sql).ok());
        self.silent = rows.is_none();
        let rows = rows?;
        let row = rows.first()?;
        let percent = row.optional(1).map(|percent| format!(" {percent} %")).unwrap_or_default();
        // The number first: what does not fit on the terminal is cut off.
        Some(format!("index{percent}: {}", row.text(0).trim_start_matches("building index: ")))
    }
}
