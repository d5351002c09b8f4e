//! An error as a person reads it: the place in the script, the database's words, and what to type next.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

use crate::Error;
use crate::error::Place;

/// How many lines of a statement are shown.
const LINES: usize = 6;

/// The error with colours, which whoever prints it takes away where there is no terminal.
pub(super) fn rendered(error: &Error) -> String {
    let shown = error.place().map(shown);
    let title = Level::ERROR.primary_title(error.message()).id(error.code());
    let mut elements: Vec<Element<'_>> = Vec::new();
    if let (Some(place), Some((source, first))) = (error.place(), &shown) {
        let label = format!("statement {}", place.number);
        let snippet = Snippet::source(source.as_str()).path(place.file.as_str()).line_start(place.line).fold(false);
        elements.push(snippet.annotation(AnnotationKind::Primary.span(first.clone()).label(label)).into());
    }
    let told =
        [(error.speaker(), error.database_words()), ("next", Some(error.remedy()).filter(|next| !next.is_empty()))];
    for (who, words) in told {
        if let Some(words) = words {
            elements.push(Level::NOTE.with_name(who).message(words.trim_end()).into());
        }
    }
    let text = Renderer::styled().render(&[Group::with_title(title).elements(elements)]);
    match error.report() {
        Some(report) if !report.applied().is_empty() => format!("{text}\nbefore that: {report}"),
        Some(report) => {
            report.backup().iter().fold(text, |text, backup| format!("{text}\nthe state before is in {backup}"))
        }
        None => text,
    }
}

/// The first lines of the statement as they stand in their file, and where its first line is in that text.
fn shown(place: &Place) -> (String, std::ops::Range<usize>) {
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
