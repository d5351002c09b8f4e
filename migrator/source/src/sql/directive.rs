//! Directives: comments that change how a script runs.

use super::Fault;

/// A comment that begins with `migrator:`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directive<'a> {
    /// Where the comment begins.
    pub(super) offset: usize,
    /// What follows `migrator:`, without the white space around it.
    word: &'a str,
}

const MARK: &str = "migrator:";

/// Each statement is committed by itself.
pub(super) const NO_TRANSACTION: &str = "no-transaction";

/// With a version behind it: binaries whose newest migration is older cannot serve with this one applied.
const BREAKS_BEFORE: &str = "breaks-before";

impl<'a> Directive<'a> {
    /// Reads the text of a comment (without its markers) that begins at `offset`.
    pub(super) fn read(offset: usize, comment: &'a str) -> Option<Self> {
        let comment = comment.trim();
        let mark = comment.get(..MARK.len())?;
        mark.eq_ignore_ascii_case(MARK).then(|| Directive { offset, word: comment[MARK.len()..].trim() })
    }

    /// Whether this directive counts in a script whose first statement begins at `first`, and asks for no transaction.
    pub(super) fn asks_for_no_transaction(&self, first: Option<usize>) -> bool {
        self.fault(first).is_none() && self.word.eq_ignore_ascii_case(NO_TRANSACTION)
    }

    /// The version before which the script breaks binaries, when this directive says so.
    pub(super) fn breaks_before(&self) -> Option<&'a str> {
        let version = self.word.strip_prefix(BREAKS_BEFORE)?;
        let one_word = version.starts_with([' ', '\t']) && version.split_ascii_whitespace().count() == 1;
        one_word.then(|| version.trim())
    }

    /// Why this directive is refused in a script whose first statement begins at `first`.
    pub(super) fn fault(&self, first: Option<usize>) -> Option<Fault> {
        if !self.word.eq_ignore_ascii_case(NO_TRANSACTION) && self.breaks_before().is_none() {
            return Some(Fault::unknown_directive(self.offset, self.word));
        }
        first.filter(|first| self.offset > *first).map(|_| Fault::misplaced_directive(self.offset))
    }
}

/// Whether the script begins with sqlx's `-- no-transaction`, which counts on the first line only.
pub(super) fn begins_with_sqlx_mark(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let behind = text
        .strip_prefix("--")
        .and_then(|comment| comment.trim_start_matches([' ', '\t']).strip_prefix(NO_TRANSACTION));
    behind.is_some_and(|behind| !behind.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '-' | '_')))
}
