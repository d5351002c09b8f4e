//! Scripts of goose and dbmate: the way up and the way down in one file of the flat layout, told apart by marks.
//!
//! | | goose | dbmate |
//! |---|---|---|
//! | up | `-- +goose Up` | `-- migrate:up` |
//! | down, behind it | `-- +goose Down` | `-- migrate:down` |
//! | without a transaction | `-- +goose NO TRANSACTION`, for both ways | `transaction:false` behind a mark, for its section |
//!
//! The up script is the file up to the mark of the way down, without the white space at its end; the down script is the
//! rest of the file, with an empty line in the place of each line in front of it. So a line of a script is the line of
//! the file, and an edit below the mark of the way down, or a way down that is added, leaves the up script's checksum as
//! it is. What stands above it counts, comments and marks included, as in every other script.
//!
//! Marks are read line by line, as both tools do, without regard to case: so says
//! <https://pressly.github.io/goose/documentation/annotations>, which also wants them at the begin of the line. dbmate
//! (`pkg/dbmate/migration.go`, README "Migration options") reads small letters only, so nothing that it runs is read in
//! another way. A mark inside of a comment, a string or a body cuts it in two, which is then refused as one that never ends
//! (but for SQLite's comments, which may end with the script).
//!
//! `StatementBegin` and `StatementEnd` are comments: a script is split by the grammar of its dialect. goose sends what stands
//! between them as one query. That differs where several statements stand between them and the script has no
//! transaction: PostgreSQL takes such a query whole or not at all, here each statement is committed and recorded by itself.
//!
//! Refused: a second section of one kind, of which dbmate runs all and then fails to record the second; a way down without
//! a way up, or in front of it; a statement in front of the first section; a mark that the tool does not know; and
//! `ENVSUB ON`, since what a migration does must not depend on the machine that runs it. In a directory with
//! such files also: a script without marks, which neither tool runs, and which would be run whole here; a script for the
//! way down; and goose's migrations in Go, which would silently be left out.

use std::fmt;

use super::File;
use crate::checksum::{self, NotText};
use crate::fault::Fault;
use crate::sql::{Mode, position};

/// The tool whose marks a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Goose,
    Dbmate,
}

impl Tool {
    pub(super) fn up(self) -> &'static str {
        match self {
            Self::Goose => "-- +goose Up",
            Self::Dbmate => "-- migrate:up",
        }
    }

    pub(super) fn down(self) -> &'static str {
        match self {
            Self::Goose => "-- +goose Down",
            Self::Dbmate => "-- migrate:down",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Goose => "goose",
            Self::Dbmate => "dbmate",
        })
    }
}

/// A line with a mark.
struct Mark<'a> {
    tool: Tool,
    /// Where the line begins.
    start: usize,
    line: &'a str,
    /// What follows `+goose` or `migrate:`.
    words: &'a str,
}

impl<'a> Mark<'a> {
    fn read(start: usize, line: &'a str) -> Option<Self> {
        let comment = line.trim_start().strip_prefix("--")?.trim_start_matches(['-', ' ', '\t']);
        let behind = |mark: &str| {
            let begin = comment.get(..mark.len())?;
            begin.eq_ignore_ascii_case(mark).then(|| &comment[mark.len()..])
        };
        let (tool, words) = match (behind("+goose"), behind("migrate:")) {
            (Some(words), _) => (Tool::Goose, words),
            // `-- migrate: the old rows` is prose.
            (None, words) => (Tool::Dbmate, words.filter(|words| !words.starts_with(char::is_whitespace))?),
        };
        Some(Self { tool, start, line: line.trim(), words: words.trim() })
    }

    fn is(&self, words: &str) -> bool {
        self.words.split_ascii_whitespace().map(str::to_ascii_lowercase).eq(words.split(' '))
    }

    /// The first word, and what is behind it.
    fn word(&self) -> (&'a str, &'a str) {
        self.words.split_once(char::is_whitespace).unwrap_or((self.words, ""))
    }

    /// Whether it begins the way up (`up`) or the way down (`down`).
    fn begins(&self, way: &str) -> bool {
        match self.tool {
            Tool::Goose => self.is(way),
            Tool::Dbmate => self.word().0.eq_ignore_ascii_case(way),
        }
    }

    /// Whether a file with this line is a script of the tool. `migrate:` may be the begin of somebody's own words.
    fn tells(&self) -> bool {
        self.tool == Tool::Goose || self.begins("up") || self.begins("down")
    }

    /// Whether the line is nothing but `--`, white space and the mark, from its begin on.
    fn is_in_place(&self, text: &str) -> bool {
        let rest = text[self.start..].strip_prefix("--").map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['+', 'm', 'M']))
    }

    fn fault(&self, path: &str, text: &str, code: &'static str, message: String, help: &str) -> Fault {
        Fault { position: Some(position(text, self.start)), ..Fault::new(code, path, message, help) }
    }
}

fn marks(text: &str) -> impl Iterator<Item = Mark<'_>> {
    let mut next = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = next;
        next += line.len();
        Mark::read(start, line)
    })
}

/// Both ways of one file.
pub(super) struct Sections {
    pub(super) tool: Tool,
    /// Where the line with the mark of the way up begins.
    pub(super) begin: usize,
    pub(super) up: String,
    pub(super) declared: Option<Mode>,
    pub(super) down: Option<String>,
    pub(super) declared_down: Option<Mode>,
}

/// Reads the sections of a script; `None` for a script without marks.
pub(super) fn read(path: &str, text: &str) -> Result<Option<Sections>, Fault> {
    let Some(first) = marks(text).find(Mark::tells) else { return Ok(None) };
    let (mut up, mut down, mut no_transaction) = (None::<Mark<'_>>, None::<Mark<'_>>, None);
    for mark in marks(text).filter(|mark| mark.tool == first.tool || mark.tells()) {
        belongs(&mark, &first, path, text)?;
        let fault = |code, message, help: &str| Err(mark.fault(path, text, code, message, help));
        let (this, other) = match (mark.begins("up"), mark.begins("down")) {
            (true, _) => (&mut up, &down),
            (_, true) => (&mut down, &up),
            _ => {
                no_transaction = setting(&mark, path, text)?.or(no_transaction);
                continue;
            }
        };
        if let Some(before) = this {
            let line = position(text, before.start).line;
            let message = format!("`{}` is here a second time, after line {line}", mark.line);
            return fault(
                "section_twice",
                message,
                "one file is one migration: join the sections, or move this one to a file of its own",
            );
        }
        if mark.begins("up")
            && let Some(down) = other
        {
            let message = format!("`{}` comes after `{}`", mark.line, down.line);
            return fault("section_order", message, "move the way up to the front");
        }
        *this = Some(mark);
    }
    let Some(up) = up else {
        let (line, mark) = (first.line, first.tool.up());
        let message = format!("there is `{line}` and no `{mark}`, so nothing tells what to apply");
        return Err(first.fault(
            path,
            text,
            "section_missing",
            message,
            &format!("write `{mark}` above the first statement"),
        ));
    };
    cut(path, text, &up, down.as_ref(), no_transaction).map(Some)
}

/// Refuses a mark of another tool than the first one's, and one that its tool would take for a comment.
fn belongs(mark: &Mark<'_>, first: &Mark<'_>, path: &str, text: &str) -> Result<(), Fault> {
    let (line, tool) = (mark.line, mark.tool);
    if tool != first.tool {
        let message = format!("`{line}` marks a script of {tool}, and `{}` one of {}", first.line, first.tool);
        return Err(mark.fault(path, text, "mark_of_two_tools", message, "keep the marks of one of the two"));
    }
    if !mark.is_in_place(text) {
        let message = format!("`{line}` is no mark to {tool}: one stands at the begin of its line, behind two dashes");
        return Err(mark.fault(path, text, "mark_misplaced", message, "move it there, or remove it"));
    }
    Ok(())
}

/// What a mark that begins no section sets for both ways.
fn setting(mark: &Mark<'_>, path: &str, text: &str) -> Result<Option<Mode>, Fault> {
    let goose = mark.tool == Tool::Goose;
    if goose && mark.is("no transaction") {
        return Ok(Some(Mode::NoTransaction));
    }
    if goose && mark.is("envsub on") {
        let message = format!("`{}` puts the machine's environment into the script", mark.line);
        let help = "write the values out: what a migration does must not depend on the machine that runs it";
        return Err(mark.fault(path, text, "mark_environment", message, help));
    }
    if goose && ["statementbegin", "statementend", "envsub off"].iter().any(|words| mark.is(words)) {
        return Ok(None);
    }
    let known = match mark.tool {
        Tool::Goose => "the marks of goose are Up, Down, StatementBegin, StatementEnd and NO TRANSACTION",
        Tool::Dbmate => "the marks of dbmate are migrate:up and migrate:down",
    };
    let message = format!("`{}` is no mark that {} knows", mark.line, mark.tool);
    Err(mark.fault(path, text, "mark_unknown", message, known))
}

fn cut(
    path: &str,
    text: &str,
    up: &Mark<'_>,
    down: Option<&Mark<'_>>,
    no_transaction: Option<Mode>,
) -> Result<Sections, Fault> {
    let end = down.map_or(text.len(), |down| down.start);
    let blank = |start: usize| "\n".repeat(position(text, start).line - 1);
    let declared = |mark| option(mark, path, text).map(|mode| mode.or(no_transaction));
    Ok(Sections {
        tool: up.tool,
        begin: up.start,
        up: text[..end].trim_end().to_owned(),
        declared: declared(up)?,
        down: down.map(|down| blank(down.start) + &text[down.start..]),
        declared_down: down.map_or(Ok(None), declared)?,
    })
}

/// What stands behind dbmate's mark. A word that is no `key:value` says nothing to dbmate either.
fn option(mark: &Mark<'_>, path: &str, text: &str) -> Result<Option<Mode>, Fault> {
    let mut mode = None;
    for option in mark.word().1.split_ascii_whitespace().filter(|option| option.contains(':')) {
        mode = Some(match option {
            "transaction:false" => Mode::NoTransaction,
            "transaction:true" => Mode::Transaction,
            _ => {
                let message = format!("`{option}` is no option of `{}`", mark.line);
                return Err(mark.fault(
                    path,
                    text,
                    "mark_unknown",
                    message,
                    "the option is transaction:true or transaction:false",
                ));
            }
        });
    }
    Ok(mode)
}

/// What cannot stand beside a file with sections: the first of each kind.
///
/// `ups`, `downs` and `others` are the files named as up scripts, as down scripts, and as neither.
pub(super) fn beside(ups: &[&File], downs: &[&File], others: &[&str]) -> Vec<Fault> {
    // What is no text is told as such.
    let tools: Vec<_> = ups.iter().filter_map(|file| Some((file.path.as_str(), tool_of(file).ok()?))).collect();
    let Some((first, tool)) = tools.iter().find_map(|(path, tool)| Some((path, (*tool)?))) else { return Vec::new() };
    let (up, down) = (tool.up(), tool.down());
    let fault = |code, paths: Vec<&str>, message: String, help: String| {
        let path = paths.iter().min()?;
        let more = if paths.len() > 1 { format!(" ({} more like it)", paths.len() - 1) } else { String::new() };
        Some(Fault::new(code, path, format!("{message}{more}"), help))
    };
    let unmarked = tools.iter().filter(|(_, tool)| tool.is_none()).map(|(path, _)| *path);
    let is_go = |path: &&str| {
        let digits = path.trim_start_matches(|char: char| char.is_ascii_digit());
        digits.len() < path.len() && digits.starts_with('_') && digits.ends_with(".go") && !digits.ends_with("_test.go")
    };
    let faults = [
        fault(
            "section_unmarked",
            unmarked.collect(),
            format!(
                "there is no `{up}` in it, as there is in {first}: {tool} would not run it, and here it would run whole"
            ),
            format!("write `{up}` above its first statement and `{down}` above what undoes them"),
        ),
        fault(
            "section_elsewhere",
            downs.iter().map(|file| file.path.as_str()).collect(),
            format!("a script for the way down beside {first}, in which {tool} has both ways"),
            format!("move its statements below `{down}` in its up script"),
        ),
        fault(
            "go_migration",
            others.iter().copied().filter(is_go).collect(),
            format!("a migration of {tool} in Go, which cannot be run here"),
            "write in SQL what it does, with its version; or move it away, when no database needs it any more"
                .to_owned(),
        ),
    ];
    faults.into_iter().flatten().collect()
}

/// The tool whose marks a file has, when it has any.
fn tool_of(file: &File) -> Result<Option<Tool>, NotText> {
    let text = checksum::normalise(&file.bytes)?;
    Ok(marks(&text).find(Mark::tells).map(|mark| mark.tool))
}
