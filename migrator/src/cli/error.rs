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
    let (source, first) = shown(place);
    let label = format!("statement {}", place.number);
    let snippet = Snippet::source(source.as_str()).path(place.file.as_str()).line_start(place.line).fold(false);
    let snippet = snippet.annotation(AnnotationKind::Primary.span(first).label(label));
    Renderer::styled().render(&[title(error, error.message()).element(snippet)])
}

/// The first lines of the statement as they stand in their file, and where its first line is in that text.
fn shown(place: &Place) -> (String, Range<usize>) {
    let lines: Vec<&str> = place.statement.lines().collect();
    let indent = place.column - 1;
    let first = indent..indent + lines.first().map_or(0, |line| line.trim_end().len());
    let mut source = " ".repeat(indent);
    source.push_str(&lines[..lines.len().min(LINES)].join("\n"));
    if lines.len() > LINES {
        source.push_str(&format!("\n… {} more lines", lines.len() - LINES));
    }
    (source, first)
}
