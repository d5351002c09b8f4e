//! The seal: the committed file that says which migrations are final.
//!
//! ```text
//! # The migrations named here are final. `migrator seal` writes this file; a line that is edited by hand is found.
//! dialect sqlite
//! sealed 5f70…32 digits… 9b1c…64 digits… 20240101000000_users
//! sealed 01ee…           77ab…           20240102000000_posts
//! accepted c0de…         3f2a…           a comment was misspelt
//! ```
//!
//! A line begins with its chain: a digest over the line and the chain of the line before. So lines that two branches added, one
//! below the other, do not fit together, even if a merge takes both without a conflict. `sealed` goes on with the checksum of
//! the up script and the name; `accepted` belongs to the line above it and says which text that one replaced, and why.

use std::collections::HashMap;
use std::fmt;

use crate::checksum::{self, Sum};
use crate::fault::Fault;
use crate::layout::{Entry, File};
use crate::sql::{Position, SqlDialect, UnknownDialect};

/// The name of the file, in the migrations directory.
pub const FILE: &str = "migrations.seal";

const HEADER: &str =
    "# The migrations named here are final. `migrator seal` writes this file; a line that is edited by hand is found.";

/// Chains are cut to these many hexadecimal digits: 128 bits.
const CHAIN: usize = 32;

/// What the seal of a directory says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seal {
    /// The dialect of the scripts.
    pub dialect: Option<SqlDialect>,
    lines: Vec<Line>,
    /// The first line whose chain does not follow from the line before.
    broken: Option<usize>,
}

/// One sealed migration.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Where it stands in the file, from 1.
    number: usize,
    checksum: Sum,
    name: String,
    /// The checksums of the texts that it replaced, each with the reason.
    accepted: Vec<(Sum, String)>,
}

impl Seal {
    /// Reads the seal among the files of a directory; `None` when there is none.
    ///
    /// # Errors
    /// When a line is none of a seal.
    pub fn read(files: &[File]) -> Result<Option<Self>, Fault> {
        let Some(file) = files.iter().find(|file| file.path == FILE) else { return Ok(None) };
        let Ok(text) = std::str::from_utf8(&file.bytes) else {
            let help = "take the file from version control again";
            return Err(Fault::new("seal_broken", FILE, "the seal is not UTF-8", help));
        };
        let mut seal = Self::default();
        let (mut chain, mut names) = (String::new(), HashMap::new());
        for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
            let line = line.trim_end();
            if !line.is_empty() && !line.starts_with('#') {
                chain = seal.take(number, line, &chain, &mut names).map_err(|why| {
                    let help =
                        "a hand or a merge left it so: take the file from version control again, then migrator seal";
                    fault("seal_broken", number, why, help.to_owned())
                })?;
            }
        }
        Ok(Some(seal))
    }

    /// Takes one line in, and returns its chain.
    fn take(
        &mut self,
        number: usize,
        line: &str,
        chain: &str,
        names: &mut HashMap<String, usize>,
    ) -> Result<String, String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "dialect" {
            let dialect = rest.trim().parse().map_err(|error: UnknownDialect| error.to_string())?;
            if self.dialect.replace(dialect).is_some() {
                return Err("the dialect is said twice".to_owned());
            }
            return Ok(next(chain, line));
        }
        let mut parts = rest.splitn(3, ' ');
        let (own, sum, text) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let Some(sum) = checksum::from_hex(sum).filter(|_| own.len() == CHAIN && !text.is_empty()) else {
            return Err(format!("this is no line of a seal: {}", line.chars().take(60).collect::<String>()));
        };
        match (word, self.lines.last_mut()) {
            ("sealed", _) => {
                if let Some(other) = names.insert(text.to_owned(), number) {
                    return Err(format!("{text} is sealed in line {other} too"));
                }
                self.lines.push(Line { number, checksum: sum, name: text.to_owned(), accepted: Vec::new() });
            }
            ("accepted", Some(above)) => above.accepted.push((sum, text.to_owned())),
            _ => return Err(format!("a line of a seal begins with dialect, sealed or accepted, not with {word}")),
        }
        let right = next(chain, &unchained(word, &sum, text));
        if right != own {
            self.broken.get_or_insert(number);
        }
        // What follows is judged by itself.
        Ok(own.to_owned())
    }

    /// How many migrations it seals.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it seals none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What was edited, deleted, renamed or reordered although it is sealed.
    ///
    /// What comes behind the last sealed migration is a draft and free to change. A draft in front of it is a fault: a database
    /// that has the sealed one would get it out of order.
    pub fn check(&self, entries: &[Entry]) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.chain().into_iter().collect();
        let places: HashMap<&str, usize> = entries.iter().enumerate().map(|(at, entry)| (&*entry.name, at)).collect();
        let mut drafts: Vec<bool> = vec![true; entries.len()];
        let mut last: Option<(usize, &Line)> = None;
        let mut gone = Vec::new();
        for line in &self.lines {
            let Some(&at) = places.get(&*line.name) else {
                gone.push(line);
                continue;
            };
            drafts[at] = false;
            faults.extend(edited(line, &entries[at]));
            match last {
                Some((before, above)) if at < before => faults.push(fault(
                    "sealed_reordered",
                    line.number,
                    format!("{} is sealed behind {}, and would now run before it", line.name, above.name),
                    "the layout or this line was changed: put that back".to_owned(),
                )),
                _ => last = Some((at, line)),
            }
        }
        for line in gone {
            let same = |at: &usize| drafts[*at] && sum(&entries[*at]) == line.checksum;
            let renamed = (0..entries.len()).find(same);
            renamed.into_iter().for_each(|at| drafts[at] = false);
            faults.push(self::gone(line, renamed.map(|at| &*entries[at].name)));
        }
        if let Some((at, line)) = last {
            let early = entries.iter().zip(drafts).take(at).filter(|(_, draft)| *draft);
            faults.extend(early.map(|(entry, _)| before_sealed(entry, line)));
        }
        faults
    }

    fn chain(&self) -> Option<Fault> {
        let number = self.broken?;
        let message = "the line does not follow from the line before: a hand edited it, or a merge put the lines of two branches \
                       together";
        let help =
            "compare the file with version control; when all that it names is meant to be final, type: migrator seal";
        Some(fault("seal_chain", number, message, help.to_owned()))
    }

    /// Seals what is not sealed yet and returns the names; lines that a merge put together are chained anew.
    ///
    /// # Errors
    /// When a sealed migration is not what it was.
    pub fn add(&mut self, entries: &[Entry], dialect: SqlDialect) -> Result<Vec<String>, Vec<Fault>> {
        let mut faults = self.check(entries);
        faults.retain(|fault| fault.code != "seal_chain");
        if !faults.is_empty() {
            return Err(faults);
        }
        self.dialect = Some(dialect);
        // Nothing sealed is missing and no draft lies between: the drafts are what follows.
        let drafts = &entries[self.lines.len().min(entries.len())..];
        let line =
            |entry: &Entry| Line { number: 0, checksum: sum(entry), name: entry.name.clone(), accepted: Vec::new() };
        self.lines.extend(drafts.iter().map(line));
        Ok(drafts.iter().map(|entry| entry.name.clone()).collect())
    }

    /// Whether the text that a migration has now is the sealed one; `None` when it is not sealed.
    pub fn seals(&self, entry: &Entry) -> Option<bool> {
        let line = self.lines.iter().find(|line| line.name == entry.name)?;
        Some(line.checksum == sum(entry))
    }

    /// Takes the present text of a sealed migration for the right one, and remembers why.
    ///
    /// # Errors
    /// When it is not sealed, or its text is the sealed one.
    pub fn accept(&mut self, entry: &Entry, reason: &str) -> Result<(), Fault> {
        let refuse = |message: String, help: &str| Err(Fault::new("not_accepted", &entry.up_path, message, help));
        let Some(line) = self.lines.iter_mut().find(|line| line.name == entry.name) else {
            return refuse("is not sealed, so there is nothing to accept".to_owned(), "migrator seal seals it");
        };
        if line.checksum == sum(entry) {
            return refuse(format!("has the text that line {} seals", line.number), "nothing is to be done");
        }
        let reason: Vec<&str> = reason.split_whitespace().collect();
        if reason.is_empty() {
            return refuse("no reason is given for the edit".to_owned(), "say why, in a few words");
        }
        line.accepted.push((line.checksum, reason.join(" ")));
        line.checksum = sum(entry);
        Ok(())
    }
}

/// The text of the file, with every chain computed anew.
impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        let mut chain = String::new();
        if let Some(dialect) = self.dialect {
            let line = format!("dialect {dialect}");
            chain = next(&chain, &line);
            writeln!(f, "{line}")?;
        }
        let mut line = |word: &str, sum: &Sum, text: &str| {
            chain = next(&chain, &unchained(word, sum, text));
            writeln!(f, "{word} {chain} {} {text}", checksum::hex(sum))
        };
        for Line { checksum, name, accepted, .. } in &self.lines {
            line("sealed", checksum, name)?;
            accepted.iter().try_for_each(|(sum, reason)| line("accepted", sum, reason))?;
        }
        Ok(())
    }
}

fn edited(line: &Line, entry: &Entry) -> Option<Fault> {
    (sum(entry) != line.checksum).then(|| {
        Fault::new(
            "sealed_edited",
            &entry.up_path,
            format!("was edited, and it is sealed ({FILE}:{}): databases have run the text that it had", line.number),
            format!(
                "put the text back and make the change in a new migration; or, when nothing that runs is changed, type: migrator \
                 accept {} --reason \"…\"",
                entry.name
            ),
        )
    })
}

fn gone(line: &Line, renamed: Option<&str>) -> Fault {
    let name = &line.name;
    match renamed {
        Some(new) => fault(
            "sealed_renamed",
            line.number,
            format!("{name} is sealed and was renamed to {new}"),
            format!("give it its name {name} back"),
        ),
        None => fault(
            "sealed_missing",
            line.number,
            format!("{name} is sealed and is not in the directory any more"),
            "put it back from version control; to undo what it did, add a new migration".to_owned(),
        ),
    }
}

fn before_sealed(entry: &Entry, line: &Line) -> Fault {
    Fault::new(
        "before_sealed",
        &entry.up_path,
        format!(
            "is not sealed and would run before {}, which is: databases that have that one got it first",
            line.name
        ),
        format!("give it a version that is newer than that of {}", line.name),
    )
}

fn fault(code: &'static str, number: usize, message: impl Into<String>, help: String) -> Fault {
    Fault { position: Some(Position { line: number, column: 1 }), ..Fault::new(code, FILE, message, help) }
}

fn sum(entry: &Entry) -> Sum {
    checksum::of_script(&entry.up)
}

/// A line without its chain.
fn unchained(word: &str, sum: &Sum, text: &str) -> String {
    format!("{word} {} {text}", checksum::hex(sum))
}

/// The chain of a line.
fn next(chain: &str, line: &str) -> String {
    let mut digits = checksum::hex(&checksum::digest(format!("{chain}\n{line}").as_bytes()));
    digits.truncate(CHAIN);
    digits
}
