//! Which migrations travel together in one message, each in a transaction of its own: a pure decision.

use migrator_source::sql::{Mode, Script, is_quiet, is_quiet_on_mysql};

use super::{Plan, Scripts, Step};
use crate::migration::Way;

/// A run of fewer goes one by one, and tells each statement.
pub(crate) const FEWEST: usize = 4;
/// How many go in one message at most: what is told of them is told when all have run.
const MOST: usize = 100;
/// How many statements a script has at most that travels on MySQL in a transaction of its own.
const MOST_IN_A_TRANSACTION: usize = 10;
/// How many bytes of SQL a message has at most, unless a single script is longer; the server holds all of it at once.
const BYTES: usize = 256 * 1024;

/// Whether a migration can travel: what the server makes of it, and of its session, is then what it makes of it alone.
///
/// A message is read whole before any of it runs. So nothing in it may change how SQL is read; where a function of the database may
/// do that unseen, the scripts have to read the same under every setting.
pub(crate) fn travels(step: &Step, script: &Script<'_>, database_is_quiet: bool) -> bool {
    let reads_the_same = |text: &str| text.bytes().all(|byte| byte.is_ascii() && byte != b'\\');
    script.mode() == Mode::Transaction
        && step.way == Way::Up
        && step.resume_at.is_none()
        && !step.retried
        && script.breaks_before().is_none()
        && script.statements().iter().all(|statement| is_quiet(statement.text))
        && (database_is_quiet || script.statements().iter().all(|statement| reads_the_same(statement.text)))
}

/// Whether a migration can travel on MySQL, where each statement of a script that no transaction holds is recorded by itself also in
/// company: so it is new, and nothing in it changes how what follows is read.
pub(crate) fn travels_in_parts(step: &Step, script: &Script<'_>) -> bool {
    step.way == Way::Up
        && step.resume_at.is_none()
        && !step.retried
        && !step.is_told
        && script.breaks_before().is_none()
        && !script.statements().is_empty()
        // Between the statements of a transaction no message stops, however long it takes.
        && (script.mode() == Mode::NoTransaction || script.statements().len() <= MOST_IN_A_TRANSACTION)
        && script.statements().iter().all(|statement| is_quiet_on_mysql(statement.text))
}

/// Whether all of a plan can travel in a database that is quiet, so that nothing changes the session, as far as is known before.
pub(crate) fn all_travel(scripts: &Scripts<'_>, plan: &Plan) -> bool {
    let travels = |step: &Step| !scripts.set.at(step.position).is_called() && travels(step, scripts.of(step), true);
    plan.steps.len() >= FEWEST && plan.steps.iter().all(travels)
}

/// How many of the migrations that could travel go in one message: all that fit, and none when they are too few to be worth it.
/// `None` is one that cannot; it ends the message.
pub(crate) fn together(lengths: impl IntoIterator<Item = Option<usize>>) -> usize {
    together_in(BYTES, lengths)
}

/// As [`together`], where the server takes messages of so many bytes.
pub(crate) fn together_in(most: usize, lengths: impl IntoIterator<Item = Option<usize>>) -> usize {
    let mut bytes = 0;
    let fits = |length: &usize| {
        bytes += length;
        bytes <= most.min(BYTES)
    };
    let count = lengths.into_iter().map_while(|length| length).take_while(fits).take(MOST).count();
    if count < FEWEST { 0 } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_it_is_full_or_one_cannot_travel() {
        let many = |length: usize, count: usize| vec![Some(length); count];
        let cases = [
            (many(100, FEWEST - 1), 0),
            (many(100, FEWEST), FEWEST),
            (many(100, 3 * MOST), MOST),
            (many(BYTES / 10, 20), 10),
            (many(BYTES + 1, 20), 0),
            ([many(100, 7), vec![None], many(100, 7)].concat(), 7),
            ([many(100, 2), vec![None], many(100, 7)].concat(), 0),
            (vec![], 0),
        ];
        for (lengths, expected) in cases {
            assert_eq!(together(lengths.iter().copied()), expected, "{lengths:?}");
        }
    }
}
