//! Long lists, folded: what is worth a look stays, and of many rows that say the same the first and the last do.

/// A list that is longer than this is folded.
const SCREEN: usize = 40;
/// So many rows that say the same are folded.
const MANY: usize = 5;

/// What is shown of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The row at this place.
    Row(usize),
    /// So many rows that say what the row before them says.
    More(usize),
}

/// Folds a list. Rows say the same when they have the same word; one without a word is always shown.
pub(super) fn fold(words: &[Option<&str>], all: bool) -> Vec<Shown> {
    if all || words.len() <= SCREEN {
        return (0..words.len()).map(Shown::Row).collect();
    }
    let mut shown = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let same = words[at..].iter().take_while(|word| word.is_some() && **word == words[at]).count().max(1);
        match same {
            MANY.. => shown.extend([Shown::Row(at), Shown::More(same - 2), Shown::Row(at + same - 1)]),
            _ => shown.extend((at..at + same).map(Shown::Row)),
        }
        at += same;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_fits_on_a_screen_is_shown_whole() {
        assert_eq!(fold(&[Some("applied"); SCREEN], false).len(), SCREEN);
        assert_eq!(fold(&[Some("applied"); SCREEN + 1], true).len(), SCREEN + 1);
    }

    #[test]
    fn what_says_the_same_is_folded_and_nothing_is_lost() {
        let words: Vec<Option<&str>> =
            [vec![Some("applied"); 480], vec![None, Some("changed")], vec![Some("pending"); 18]].concat();
        let shown = fold(&words, false);
        use Shown::{More, Row};
        let expected = [Row(0), More(478), Row(479), Row(480), Row(481), Row(482), More(16), Row(499)];
        assert_eq!(shown, expected);
        let count = |shown: &Shown| if let More(count) = shown { *count } else { 1 };
        assert_eq!(shown.iter().map(count).sum::<usize>(), words.len());
    }
}
