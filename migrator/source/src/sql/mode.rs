//! How a script runs, and what of it contradicts that.

use super::kind::Control;
use super::split::Piece;
use super::{Fault, Kind, Mode};

/// What was asked for, in the script and beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// A directive asks for no transaction.
    pub(super) in_script: bool,
    pub(super) declared: Option<Mode>,
}

/// The mode of a script. What stands in the script outweighs what is declared beside it.
pub(super) fn mode(pieces: &[Piece<'_>], asked: Asked) -> Mode {
    let mut kinds = pieces.iter().filter(|piece| piece.class.control.is_none()).map(|piece| piece.class.kind);
    let commits = kinds.clone().any(|kind| kind == Kind::Commits);
    let single = kinds.next() == Some(Kind::Alone) && kinds.next().is_none();
    let alone = single && asked.declared != Some(Mode::Transaction);
    if asked.in_script || asked.declared == Some(Mode::NoTransaction) || commits || alone {
        Mode::NoTransaction
    } else {
        Mode::Transaction
    }
}

/// The BEGIN and the COMMIT around the whole script, which the runtime's own replace.
///
/// Statements of the session may stand outside: `SET lock_timeout` in front of BEGIN does the same behind it, and
/// SQLite's `PRAGMA foreign_keys = OFF` is done by the runtime, which has to do it for scripts without BEGIN as well.
pub(super) fn enclosing_pair(pieces: &[Piece<'_>], mode: Mode) -> Option<(usize, usize)> {
    let mut controls = pieces.iter().enumerate().filter_map(|(at, piece)| Some((at, piece.class.control?)));
    let pair = (controls.next()?, controls.next()?);
    let ((open, Control::Open), (close, Control::Close)) = pair else {
        return None;
    };
    let outside = pieces[..open].iter().chain(&pieces[close + 1..]);
    let whole = controls.next().is_none() && outside.clone().all(|piece| piece.class.movable);
    (whole && mode == Mode::Transaction).then_some((open, close))
}

/// What contradicts the mode: transaction control, and statements that no transaction takes.
pub(super) fn faults<'a>(
    pieces: &'a [Piece<'_>],
    mode: Mode,
    pair: Option<(usize, usize)>,
    asked: Asked,
) -> impl Iterator<Item = Fault> + 'a {
    let declared = asked.declared == Some(Mode::Transaction);
    pieces.iter().filter_map(move |piece| match piece.class.control {
        Some(_) if pair.is_some() => None,
        Some(_) => Some(Fault::transaction_control(piece.start, &first_words(piece.text), help(mode, asked))),
        None if piece.class.kind == Kind::Alone && mode == Mode::Transaction => {
            Some(Fault::not_in_transaction(piece.start, &first_words(piece.text), declared))
        }
        None => None,
    })
}

fn help(mode: Mode, asked: Asked) -> &'static str {
    match mode {
        Mode::Transaction => {
            "remove it: the script runs in one transaction, and only one BEGIN and COMMIT around all of it are accepted"
        }
        Mode::NoTransaction if asked.in_script || asked.declared.is_some() => {
            "remove it: without a transaction each statement is committed and recorded by itself"
        }
        Mode::NoTransaction => {
            "remove it: another statement of this script commits by itself, so each is recorded by itself; \
             what must happen together goes into a migration of its own"
        }
    }
}

/// The first words of a statement, for a message of one line. Bare words only: a value may be a secret.
fn first_words(text: &str) -> String {
    const WORDS: usize = 4;
    let is_word = |next: char| next.is_alphanumeric() || next == '_' || next.is_ascii_whitespace();
    let bare = &text[..text.find(|next| !is_word(next)).unwrap_or(text.len())];
    let words: Vec<&str> = bare.split_ascii_whitespace().take(WORDS).collect();
    match words.join(" ") {
        words if words.is_empty() => "this statement".to_owned(),
        words => words.chars().take(60).collect(),
    }
}
