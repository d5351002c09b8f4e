//! The durations as bars on a scale of powers of ten: a migration takes from a millisecond to an hour.

use super::words::{Tone, took};

/// A bar before it has a place.
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) word: &'static str,
    pub(super) tone: Tone,
    /// `None` for one that did not run, or of which nobody wrote it down.
    pub(super) ms: Option<u64>,
}

/// What the template draws, in units of its own: a bar is one wide, the chart 100 high.
pub(super) struct Chart {
    /// How many bars there is room for, so that two are not as wide as the page.
    pub(super) width: usize,
    pub(super) bars: Vec<Drawn>,
    /// The scale from the top down.
    pub(super) scale: Vec<&'static str>,
    pub(super) caption: String,
}

pub(super) struct Drawn {
    pub(super) tone: Tone,
    pub(super) height: u32,
    pub(super) title: String,
}

impl Drawn {
    /// Where it begins, from the top.
    pub(super) fn top(&self) -> u32 {
        100 - self.height
    }
}

/// More bars are put together, the longest of each few: a telephone has 360 points.
const MOST: usize = 100;
const LEAST: usize = 16;

/// What is told beside a line of the scale, from 1 ms up.
const POWERS: [&str; 8] = ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "17 min", "2.8 h"];

/// The chart; `None` when nothing ran yet, or nothing took any time.
pub(super) fn of<'a>(bars: impl Iterator<Item = Bar<'a>>) -> Option<Chart> {
    let bars: Vec<Bar<'a>> = bars.collect();
    let longest = bars.iter().max_by_key(|bar| bar.ms)?;
    let most = longest.ms.filter(|most| *most > 0)?;
    let decades = (most.max(1).ilog10() as usize + 1).clamp(2, POWERS.len() - 1);
    let each = bars.len().div_ceil(MOST);
    let drawn: Vec<Drawn> = bars.chunks(each).map(|few| draw(few, decades)).collect();
    let all: u64 = bars.iter().filter_map(|bar| bar.ms).sum();
    let ran = bars.iter().filter(|bar| bar.ms.is_some()).count();
    let grouped = if each > 1 { format!(" Each bar is the longest of {each}.") } else { String::new() };
    let caption = format!(
        "{} took {} in all; the longest was {} with {}.{grouped}",
        crate::report::migrations(ran),
        took(all),
        longest.name,
        took(most)
    );
    let scale = POWERS[..=decades].iter().rev().copied().collect();
    Some(Chart { width: drawn.len().max(LEAST), bars: drawn, scale, caption })
}

/// One bar for a few: the worst of them gives the colour, the longest the height.
fn draw(few: &[Bar<'_>], decades: usize) -> Drawn {
    let rank =
        |tone: Tone| [Tone::Bad, Tone::Busy, Tone::Warn, Tone::Calm, Tone::Good].iter().position(|is| *is == tone);
    let tone = few.iter().map(|bar| bar.tone).min_by_key(|tone| rank(*tone)).unwrap_or(Tone::Calm);
    let ms = few.iter().filter_map(|bar| bar.ms).max();
    // Even what took no time is there to be seen.
    let height = ms.map_or(4, |ms| height(ms, decades).max(4));
    let time = ms.map(took);
    let title = match (few, time) {
        ([one], Some(time)) => format!("{}: {}, {time}", one.name, one.word),
        ([one], None) => format!("{}: {}", one.name, one.word),
        ([first, .., last], time) => {
            let time = time.map(|time| format!(", at most {time}")).unwrap_or_default();
            format!("{} to {}{time}", first.name, last.name)
        }
        ([], _) => String::new(),
    };
    Drawn { tone, height, title }
}

/// Of 100, on a scale that begins at 1 ms.
fn height(ms: u64, decades: usize) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 100"
    )]
    let height = ((ms.max(1) as f64).log10() / decades as f64 * 100.0).round().clamp(0.0, 100.0) as u32;
    height
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(count: usize, ms: impl Fn(usize) -> Option<u64>) -> Option<Chart> {
        of((0..count).map(|at| Bar { name: "a", word: "applied", tone: Tone::Good, ms: ms(at) }))
    }

    #[test]
    fn what_did_not_run_has_no_chart() {
        assert!(bars(0, |_| Some(1)).is_none());
        assert!(bars(3, |_| None).is_none());
        assert!(bars(3, |_| Some(0)).is_none());
    }

    #[test]
    fn a_bar_is_as_high_as_its_power_of_ten() {
        let chart = bars(4, |at| [Some(0), Some(10), Some(100), None][at]).expect("a chart");
        assert_eq!(chart.bars.iter().map(|bar| bar.height).collect::<Vec<_>>(), [4, 33, 67, 4]);
        assert_eq!(chart.scale, ["1 s", "100 ms", "10 ms", "1 ms"]);
        assert_eq!(chart.width, LEAST);
        assert_eq!(chart.caption, "3 migrations took 110 ms in all; the longest was a with 100 ms.");
        let long = bars(1, |_| Some(u64::MAX)).expect("a chart");
        assert_eq!((long.bars[0].height, long.scale[0]), (100, "2.8 h"));
    }

    #[test]
    fn many_share_a_bar_and_the_longest_is_seen() {
        let chart = bars(501, |at| Some(if at == 333 { 5000 } else { 1 })).expect("a chart");
        assert!(chart.bars.len() <= MOST && chart.caption.ends_with("Each bar is the longest of 6."));
        assert_eq!(chart.bars.iter().filter(|bar| bar.height > 50).count(), 1);
    }
}
