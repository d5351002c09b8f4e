//! What a session is set to, for a run and back.

use std::cell::OnceCell;
use std::fmt::Write;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::LoadConnection;
use diesel::pg::Pg;

use super::language;
use crate::dialect::{Cells, Dialect, LockKey, Session, Work};

/// A script may change the search path, the role and any setting; what the session set is reset, and what was found set
/// again. Not by `RESET ALL`: it would also take the settings that applications make up (`app.tenant`), which no view lists
/// and so nobody could bring back.
pub(super) fn session<C: LoadConnection<Backend = Pg>>(
    conn: &mut C,
    lock_timeout: Duration,
    work: Work,
) -> QueryResult<Session> {
    if work == Work::Quiet {
        return quick(conn, lock_timeout);
    }
    let rows = settings(conn)?;
    if work == Work::Afterwards {
        return Ok(Session { leave: leave_of(&rows), ..Session::default() });
    }
    let is_known = |row: &&Cells| ["client_connection_check_interval", "transaction_timeout"].contains(&row.text(1));
    let (name, myself) = match who(&rows) {
        Some(who) => {
            let (user, role) = named(who.text(1), who.text(2));
            (Some(who.text(3).to_owned()), acting_as(&user, &role))
        }
        None => (None, String::new()),
    };
    let deadline = match work {
        Work::Seed(deadline) => deadline.as_millis().clamp(1, i32::MAX.unsigned_abs().into()),
        _ => 0,
    };
    let mut enter = format!(
        "SET lock_timeout = {}; SET statement_timeout = {deadline}; SET idle_in_transaction_session_timeout = 0;",
        lock_timeout.as_millis()
    );
    for row in rows.iter().filter(is_known) {
        // The server notices within half a second that a killed client is gone, and frees its locks.
        let value = if row.text(1) == "transaction_timeout" { 0 } else { 500 };
        let _infallible = write!(enter, "SET {} = {value};", row.text(1));
    }
    let language = rows.iter().find(|row| row.text(1) == "lc_messages").map_or("", |row| row.text(2));
    if !language::is_english(language) && language::may_be_chosen(conn) {
        enter.push_str("SET lc_messages = 'C';");
    }
    Ok(Session { enter, leave: leave_of(&rows), myself, name, ..Session::default() })
}

/// Who the session is, in a row whose first column is empty, and what it set, or a run would.
fn settings<C: LoadConnection<Backend = Pg>>(conn: &mut C) -> QueryResult<Vec<Cells>> {
    // In one query: the view is costly.
    Pg::rows(
        conn,
        "SELECT '', session_user::text, current_setting('role'), pg_backend_pid()::text UNION ALL SELECT source, name, setting, '' FROM \
         pg_catalog.pg_settings WHERE source = 'session' AND name NOT LIKE 'migrator.%' AND context IN ('user', 'superuser') \
         OR name IN ('client_connection_check_interval', 'transaction_timeout', 'lc_messages') ORDER BY 2",
    )
}

fn who(rows: &[Cells]) -> Option<&Cells> {
    rows.iter().find(|row| row.text(0).is_empty())
}

fn leave_of(rows: &[Cells]) -> String {
    let mut leave = String::new();
    if let Some(who) = who(rows) {
        let (user, role) = named(who.text(1), who.text(2));
        let _infallible = write!(leave, "SET SESSION AUTHORIZATION {user}; SET ROLE {role}; {RESET};");
    }
    for row in rows.iter().filter(|row| row.text(0) == "session") {
        // As a function, since SET does not take every value in the form in which it is shown: `""` for an empty path.
        let (name, value) = (Pg::literal(row.text(1)), Pg::literal(row.text(2)));
        let _infallible = write!(leave, "SELECT pg_catalog.set_config({name}, {value}, false);");
    }
    leave
}

/// Sets the session up in the query that asks what it was set to, for scripts that change nothing of it: so that nobody needs the
/// view of all settings, which costs as much as a small migration, at the begin and at the end.
fn quick<C: LoadConnection<Backend = Pg>>(conn: &mut C, lock_timeout: Duration) -> QueryResult<Session> {
    let lock_timeout = lock_timeout.as_millis().to_string();
    let settings = [
        ("lock_timeout", lock_timeout.as_str()),
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        // Since PostgreSQL 14, and 17.
        ("client_connection_check_interval", "500"),
        ("transaction_timeout", "0"),
    ];
    let (mut find, mut set) = (String::new(), String::new());
    for (name, value) in settings {
        let _infallible = write!(find, ", pg_catalog.current_setting('{name}', true) AS {name}");
        let change = format!("pg_catalog.set_config('{name}', '{value}', false)");
        let _infallible = write!(set, ", CASE WHEN found.{name} IS NOT NULL THEN {change} END");
    }
    // A superuser may set the language at once. Who else may it, PostgreSQL 15 and later tell.
    let english = language::is_english_sql("found.language");
    let _infallible = write!(
        set,
        ", CASE WHEN NOT {english} AND pg_catalog.current_setting('is_superuser') = 'on' THEN \
         pg_catalog.set_config('lc_messages', 'C', false) END"
    );
    // Without the OFFSET the two would be one, and a setting perhaps read after it was changed.
    let sql = format!(
        "SELECT found.*{set} FROM (SELECT session_user::text, pg_catalog.current_setting('role'), \
         pg_catalog.pg_backend_pid()::text, pg_catalog.current_setting('lc_messages') AS language{find} OFFSET 0) AS found"
    );
    let rows = Pg::rows(conn, &sql)?;
    let Some(row) = rows.first() else { return Ok(Session::default()) };
    let found = |at: usize| row.optional(at + 4);
    let mut known: Vec<(&str, &str)> =
        settings.iter().enumerate().filter_map(|(at, (name, _))| Some((*name, found(at)?))).collect();
    let mut enter = String::new();
    let language = row.text(3);
    let is_set = row.optional(4 + 2 * settings.len()).is_some();
    if is_set || !language::is_english(language) && language::may_be_chosen(conn) {
        known.push(("lc_messages", language));
        enter.push_str(if is_set { "" } else { "SET lc_messages = 'C';" });
    }
    let (mut leave, mut values) = (String::new(), String::new());
    for (name, value) in known {
        let _infallible = write!(leave, "RESET {name};");
        let separator = if values.is_empty() { "" } else { ", " };
        let _infallible = write!(values, "{separator}('{name}', {})", Pg::literal(value));
    }
    let _infallible = write!(
        leave,
        "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES {values}) AS found (name, value) WHERE \
         pg_catalog.current_setting(name) <> value;"
    );
    let (user, role) = named(row.text(0), row.text(1));
    let (myself, name) = (acting_as(&user, &role), row.optional(2).map(str::to_owned));
    let unlock = |key: &LockKey| format!("SELECT pg_catalog.pg_advisory_unlock({});", key.number);
    Ok(Session { enter, leave, myself, name, whole: Some(OnceCell::new()), unlock: Some(unlock), ..Session::default() })
}

/// Who the session is, as SQL takes it: the user, and the role.
fn named(user: &str, role: &str) -> (String, String) {
    let role = match role {
        "" | "none" => "NONE".to_owned(),
        role => Pg::ident(role),
    };
    (Pg::ident(user), role)
}

fn acting_as(user: &str, role: &str) -> String {
    format!("SET LOCAL SESSION AUTHORIZATION {user}; SET LOCAL ROLE {role};")
}

/// Resets what the session set. A value of NULL is the default.
const RESET: &str = "SELECT pg_catalog.set_config(name, NULL, false) FROM pg_catalog.pg_settings WHERE source = 'session' \
                     AND context IN ('user', 'superuser') AND name NOT IN ('transaction_isolation', \
                     'transaction_read_only', 'transaction_deferrable')";
