//! An error as a person reads it: the place in the script, the database's words, and what to type next.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstyle::Style;

use super::{output, run};
use crate::Error;
use crate::error::Place;

/// How many lines of a statement are shown.
const LINES: usize = 6;

/// The error with colours, which whoever prints it takes away where there is no terminal.
pub(super) fn rendered(error: &Error) -> String {
    let mut text = match error.place() {
        Some(place) => snippet(error, place),
        // A directory's faults are a list, each with its place.
        None => {
            Renderer::styled().render(&[Group::with_title(title(error, error.message().lines().next().unwrap_or("")))])
        }
    };
    let rest = error.message().lines().skip(1).filter(|_| error.place().is_none());
    rest.for_each(|line| text.push_str(&format!("\n{line}")));
    let bold = Style::new().bold();
    if let Some(words) = error.database_words() {
        text.push_str(&format!("\n{bold}{}{bold:#}: {}", error.speaker(), words.trim_end()));
    }
    if !error.remedy().is_empty() {
        text.push_str(&format!("\n{bold}next{bold:#}: {}", output::as_called(error.remedy())));
    }
    match error.report() {
        Some(report) if !report.applied().is_empty() || !report.reverted().is_empty() => {
            text.push_str(&format!("\nbefore that: {}", run::text(report, false)))
        }
        Some(report) => {
            report.backup().iter().for_each(|backup| text.push_str(&format!("\nthe state before is in {backup}")))
        }
        None => {}
    }
    text
}

fn title<'a>(error: &'a Error, line: &'a str) -> annotate_snippets::Title<'a> {
    let title = Level::ERROR.primary_title(line);
    // Each fault of a directory has a code of its own behind it.
    if error.is_folder_fault() { title } else { title.id(error.code()) }
}

fn snippet(error: &Error, place: &Place) -> String {
    let Shown { source, line, mark } = shown(place);
    let label = format!("statement {}", place.number);
    let snippet = Snippet::source(source.as_str()).path(place.file.as_str()).line_start(line).fold(false);
    let snippet = snippet.annotation(AnnotationKind::Primary.span(mark).label(label));
    Renderer::styled().render(&[title(error, error.message()).element(snippet)])
}

/// Some lines of a statement as they stand in their file.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    source: String,
    /// The number of the first of them.
    line: usize,
    /// What the caret points at.
    mark: Range<usize>,
}

/// The first lines, up to the spot that the database tells. The caret is there, else below the first line.
fn shown(place: &Place) -> Shown {
    let indent = " ".repeat(place.column - 1);
    let text = format!("{indent}{}", place.statement);
    let spot = place.spot.and_then(|spot| text.char_indices().nth(spot + indent.len()));
    let mark = match spot {
        Some((at, _)) => {
            let word = text[at..].find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len() - at);
            at..at + word.max(text[at..].chars().next().map_or(0, char::len_utf8))
        }
        None => indent.len()..text.lines().next().map_or(0, |line| line.trim_end().len()),
    };
    let marked = text[..mark.start].matches('\n').count();
    let before = (marked + 1).saturating_sub(LINES);
    // The lines before those that are shown, in bytes.
    let cut: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let lines: Vec<&str> = text[cut..].lines().collect();
    let mut source = lines[..lines.len().min(LINES)].join("\n");
    if lines.len() > LINES {
        source.push_str(&format!("\n… {} more lines", lines.len() - LINES));
    }
    Shown { source, line: place.line + before, mark: mark.start - cut..mark.end - cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(statement: &str, start: usize, spot: Option<usize>) -> Place {
        let script = format!("-- one\n{}{statement}", " ".repeat(start));
        let place = Place::new("up.sql".to_owned(), &script, 7 + start, 1, statement);
        Place { spot, ..place }
    }

    #[test]
    fn the_caret_is_below_the_first_line_or_at_the_spot() {
        let shown = |spot| super::shown(&place("INSERT INTO é.nowhere\n  VALUES (1)", 2, spot));
        assert_eq!(shown(None).mark, 2..24);
        let Shown { source, line, mark } = shown(Some(14));
        assert_eq!((&source[mark], line), ("nowhere", 2));
        let Shown { source, mark, .. } = shown(Some(24));
        assert_eq!(&source[mark], "VALUES");
    }

    #[test]
    fn a_spot_far_down_is_shown() {
        let statement: String = (1..=20).map(|number| format!("line_{number},\n")).collect();
        let spot = statement.find("line_15").expect("it is there");
        let Shown { source, line, mark } = super::shown(&place(&statement, 0, Some(spot)));
        assert_eq!((&source[mark], line), ("line_15", 11));
        assert!(source.starts_with("line_10,") && source.ends_with("line_15,\n… 5 more lines"), "{source}");
    }
}
