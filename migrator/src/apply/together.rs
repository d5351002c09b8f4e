//! Many pending migrations on PostgreSQL: several in one message, each a transaction of its own.
//!
//! In an empty database they share one transaction, which takes half the time: there nobody waits for what it locks but another set that
//! makes our tables too, or the same names. When one fails, none took, and they are sent again, each in its own.
//!
//! When one fails, the server has committed those before it and does nothing of those behind it. The history tells which those
//! are; the one that failed runs again, alone and statement by statement, and that is its verdict.

use std::fmt::Write;

use diesel::connection::LoadConnection;
use diesel::result::Error as DatabaseError;
use migrator_source::sql::Script;

use super::{Run, Stop, applied, ready};
use crate::dialect::{Class, Dialect, Room, Together, class, refused};
use crate::event::Event;
use crate::history::Several;
use crate::migration::Migration;
use crate::plan::{self, FEWEST, Plan, Step};
use crate::report::Applied;
use crate::session::send;

/// What a run knows about travelling together.
#[derive(Default)]
pub(super) struct Company {
    /// What the database says of it, once it was asked; a script that may change the answer has it asked again.
    answer: Option<Option<Together>>,
    /// What was seen of that when the history was read, until it is asked.
    room: Option<Room>,
    /// The steps before this one go alone.
    alone_until: usize,
    /// Some that shared a transaction failed; one may use there what only a COMMIT gives, as a new value of an enum.
    apart: bool,
}

/// One migration that travels.
type Traveller<'a> = (Migration<'a>, &'a Script<'a>);

impl Company {
    pub(super) fn of(room: Option<Room>) -> Self {
        Self { room, ..Self::default() }
    }

    /// Those that travel together from this step on; none, when it goes alone.
    pub(super) fn next<'a, C>(
        &mut self,
        conn: &mut C,
        run: &Run<'a>,
        plan: &Plan,
        at: usize,
    ) -> Result<Vec<Traveller<'a>>, Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if at < self.alone_until || plan.steps.len() - at < FEWEST {
            return Ok(Vec::new());
        }
        let Some(together) = self.ask(conn, run)? else { return Ok(Vec::new()) };
        let newest = run.scripts.set.at(plan.steps[at].position);
        if !run.writer.is_newest(newest.canonical()) {
            return Ok(Vec::new());
        }
        let mut travellers = Vec::new();
        let count = plan::together(plan.steps[at..].iter().map(|step| {
            let traveller = traveller(run, step, together.quiet)?;
            let length = traveller.0.up().len();
            travellers.push(traveller);
            Some(length)
        }));
        travellers.truncate(count);
        Ok(travellers)
    }

    fn ask<C>(&mut self, conn: &mut C, run: &Run<'_>) -> Result<Option<&Together>, Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self.answer.is_none() {
            let asking = |error| Stop::Error(refused::<C::Backend>("tell which functions it has", error));
            self.answer = Some(C::Backend::together(conn, run.key, self.room.take()).map_err(asking)?);
        }
        Ok(self.answer.as_ref().and_then(Option::as_ref))
    }

    /// Takes note of a step that went alone: it may have made a function.
    pub(super) fn went_alone(&mut self, migration: &Migration<'_>, script: &Script<'_>) {
        // Where nothing was answered there is nothing to ask again, and nothing to read the script for.
        let told = self.room.is_some() || matches!(self.answer, Some(Some(_)));
        if told && !is_quiet(migration, script) {
            (self.answer, self.room) = (None, None);
        }
    }

    /// Sends them, and returns how many took; when not all did, the next one goes alone.
    pub(super) fn travel<C>(
        &mut self,
        conn: &mut C,
        run: &mut Run<'_>,
        travellers: &[Traveller<'_>],
        [at, steps]: [usize; 2],
    ) -> Result<usize, Stop>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let Some(Some(together)) = &self.answer else { return Ok(0) };
        let span = tracing::info_span!(target: "migrator", "migrator.together", migrations = travellers.len());
        let _in_message = span.enter();
        let name = travellers.first().map_or("", |(migration, _)| migration.name());
        run.wait.hook.emit(Event::Together { name, migrations: travellers.len(), step: at + 1, steps });
        let mut records = run.writer.several::<C::Backend>(together);
        let mut apart = self.apart || !shares(together, travellers);
        if !apart && !share(conn, run, travellers, &mut records)? {
            (apart, self.apart) = (true, true);
            records = run.writer.several::<C::Backend>(together);
        }
        let mut failed = None;
        if apart {
            ready(conn, run)?;
            let sent = conn.batch_execute(&message(run, travellers, together, &mut records));
            failed = survived(conn, sent, &records.release()).map_err(lost::<C::Backend>)?;
        }
        let took = match failed {
            Some(error) => {
                tracing::debug!(target: "migrator", %error, "a message of several migrations failed; the next one goes alone");
                after_a_failure(conn, run)
            }
            None => run.writer.took(conn),
        };
        let took = took.map_err(lost::<C::Backend>)?;
        for (((migration, _), written), duration_ms) in travellers.iter().zip(records.written()).zip(&took) {
            run.writer.wrote(written);
            let (version, name) = (migration.version().to_owned(), migration.name().to_owned());
            run.report.applied.push(Applied { version, name, duration_ms: *duration_ms });
        }
        run.flush();
        if took.len() < travellers.len() {
            // What cannot even be read as SQL keeps the whole message from running; nobody knows whose fault it was.
            self.alone_until = at + if took.is_empty() { travellers.len() } else { took.len() + 1 };
        }
        Ok(took.len())
    }
}

/// Sends them in one transaction, and our tables where they are still to be made; whether it took.
fn share<C>(
    conn: &mut C,
    run: &mut Run<'_>,
    travellers: &[Traveller<'_>],
    records: &mut Several<'_, C::Backend>,
) -> Result<bool, Stop>
where
    C: LoadConnection<Backend: Dialect>,
{
    let sent = conn.batch_execute(&shared(run, travellers, records));
    let failed = survived(conn, sent, &records.stop_clock());
    let Ok(Some(error)) = failed else {
        // Made with them; or nothing can be made any more.
        run.writer.made_tables();
        return failed.map(|_| true).map_err(lost::<C::Backend>);
    };
    tracing::debug!(target: "migrator", %error, "a transaction of several migrations failed; each gets its own");
    if run.wait.interrupt.is_stopped() && !run.writer.has_tables(conn) {
        run.wait.interrupt.check().map_err(Stop::Error)?;
    }
    ready(conn, run)?;
    send(conn, run.session.restore()).map_err(lost::<C::Backend>)?;
    // What failed behind its COMMIT undid nothing.
    if !run.writer.took(conn).map_err(lost::<C::Backend>)?.is_empty() {
        return Ok(true);
    }
    run.wait.interrupt.check().map_err(Stop::Error)?;
    Ok(false)
}

/// Why a message failed, behind which the connection is as it was before: in no transaction, and with nothing prepared. An error is that
/// the connection is gone, which is asked of it: the words of that can be a script's data.
fn survived<C>(
    conn: &mut C,
    sent: Result<(), DatabaseError>,
    release: &str,
) -> Result<Option<DatabaseError>, DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    let Err(error) = sent else { return Ok(None) };
    if let Err(rollback) = conn.batch_execute("ROLLBACK") {
        return Err(if class::<C::Backend>(&error) == Class::Connection { error } else { rollback });
    }
    // It is not there when the message could not be read.
    let _nothing_to_release = conn.batch_execute(release);
    Ok(Some(error))
}

/// What took before the failure, in the session as it was: read, and on disk before anybody is told.
fn after_a_failure<C>(conn: &mut C, run: &Run<'_>) -> Result<Vec<u64>, DatabaseError>
where
    C: LoadConnection<Backend: Dialect>,
{
    send(conn, run.session.restore())?;
    let took = run.writer.took(conn)?;
    if !took.is_empty() {
        run.writer.settle(conn)?;
    }
    Ok(took)
}

fn lost<D: Dialect>(error: DatabaseError) -> Stop {
    Stop::Error(refused::<D>("tell what took of a message of several migrations", error))
}

/// Whether a migration surely made no function.
fn is_quiet(migration: &Migration<'_>, script: &Script<'_>) -> bool {
    let statements = script.statements();
    !migration.is_called() && statements.iter().all(|statement| migrator_source::sql::is_quiet(statement.text))
}

/// A step's migration and script, if it can travel.
fn traveller<'a>(run: &Run<'a>, step: &Step, quiet: bool) -> Option<Traveller<'a>> {
    let migration = run.scripts.set.at(step.position);
    // What it does to our tables is looked at when it goes alone.
    if migration.is_called() || run.writer.is_named_in(migration.up()) {
        return None;
    }
    let script = run.scripts.of(step);
    plan::travels(step, script, quiet).then_some((migration, script))
}

/// Whether they can share a transaction: not so many that they take the server's locks, which are every database's.
fn shares(together: &Together, travellers: &[Traveller<'_>]) -> bool {
    let statements: usize = travellers.iter().map(|(_, script)| script.statements().len()).sum();
    together.empty && together.quiet && statements <= together.most_sharing
}

/// The message where they share a transaction. What is quiet leaves the session as it is.
fn shared<D: Dialect>(run: &Run<'_>, travellers: &[Traveller<'_>], records: &mut Several<'_, D>) -> String {
    let [prepare, start, tick] = records.clock();
    let mut message = format!("{prepare}BEGIN;\n{}{start}", run.writer.tables_sql::<D>());
    for (_, script) in travellers {
        push_statements(&mut message, script);
        message.push_str(&tick);
    }
    let applied = travellers.iter().map(|(migration, script)| applied(run, migration, script)).collect();
    message.push_str(&records.at_once(applied));
    let _infallible = write!(message, "\nCOMMIT;\n{}", records.stop_clock());
    message
}

fn push_statements(message: &mut String, script: &Script<'_>) {
    for statement in script.statements() {
        tracing::trace!(target: "migrator", sql = statement.text, "statement");
        let _infallible = writeln!(message, "{};", statement.text);
    }
}

/// The message where each has its own. No commit waits for the disk but the last, which takes the others along; it also restores the session, and where a
/// function may have changed it unseen, each one does.
fn message<D: Dialect>(
    run: &Run<'_>,
    travellers: &[Traveller<'_>],
    together: &Together,
    records: &mut Several<'_, D>,
) -> String {
    let mut message = records.prepare();
    if together.quiet {
        message.push_str(D::HASTEN_ALL);
    }
    for (at, (migration, script)) in travellers.iter().enumerate() {
        let is_last = at + 1 == travellers.len();
        let restores = is_last || !together.quiet;
        let _infallible = writeln!(message, "BEGIN;{}", if is_last || !restores { "" } else { D::HASTEN });
        push_statements(&mut message, script);
        if restores {
            message.push_str(run.session.restore());
        }
        let record = applied(run, migration, script);
        let record = if at == 0 || restores { records.next_fenced(&record) } else { records.next(&record) };
        let _infallible = writeln!(message, "\n{record}\nCOMMIT;");
    }
    message.push_str(&records.release());
    message
}
