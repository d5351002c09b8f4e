//! A migration that is still to be written: its version, and its files in the layout of the folder.

use super::sections;
use super::{Entry, File, Folder, Layout, Options, Sealed, is_number, read};
use crate::checksum;
use crate::fault::Fault;

/// Words that say nothing of what a migration does; a number behind one says no more.
const EMPTY_WORDS: [&str; 20] = [
    "migration",
    "migrations",
    "update",
    "updates",
    "fix",
    "fixes",
    "change",
    "changes",
    "new",
    "test",
    "tmp",
    "temp",
    "wip",
    "misc",
    "stuff",
    "schema",
    "alter",
    "sql",
    "db",
    "untitled",
];

/// The files of the next migration of a folder.
///
/// `moment` is the present as 14 digits, `YYYYMMDDHHMMSS` in UTC. It is the version, unless the folder counts (`V12__…`,
/// `0012_…`) or its last version is not older: then the number after the last one is.
///
/// # Errors
/// When the name says nothing, or the folder has a fault.
pub fn new(files: &[File], named: Option<Layout>, name: &str, moment: &str) -> Result<Vec<File>, Vec<Fault>> {
    if let Some(why) = bad_name(name) {
        let help = "say what it does, in small letters: add_email_to_users";
        return Err(vec![Fault::new("bad_name", name, why, help)]);
    }
    let options = Options { layout: named, sealed: Sealed::Unchecked, ..Options::default() };
    let folder = match read(files, options) {
        Ok(folder) => folder,
        Err(_) if !files.iter().any(|file| file.path.ends_with(".sql")) => Folder {
            layout: named.unwrap_or(match files.iter().any(|file| file.path == "migration_lock.toml") {
                true => Layout::Prisma,
                false => Layout::Diesel,
            }),
            dialect: None,
            entries: Vec::new(),
            seal: None,
            warnings: Vec::new(),
        },
        Err(faults) => return Err(faults),
    };
    let last = folder.entries.last();
    let version = version(folder.layout, last, moment).map_err(|fault| vec![fault])?;
    Ok(match folder.layout {
        Layout::Diesel => {
            vec![script(format!("{version}_{name}/up.sql"), UP), script(format!("{version}_{name}/down.sql"), DOWN)]
        }
        Layout::Prisma => vec![script(format!("{version}_{name}/migration.sql"), UP)],
        Layout::Flat => flat(files, last, &version, name),
    })
}

const UP: &str = "-- Write the migration here.\n";
const DOWN: &str = "-- Write here what undoes it; as long as there is nothing, it cannot be reverted.\n";

fn script(path: String, text: impl Into<String>) -> File {
    File { path, bytes: text.into().into_bytes() }
}

/// In the form of the folder's last migration.
fn flat(files: &[File], last: Option<&Entry>, version: &str, name: &str) -> Vec<File> {
    let path = last.map_or("", |last| last.up_path.as_str());
    let text = files.iter().find(|file| file.path == path).and_then(|file| checksum::normalise(&file.bytes).ok());
    let tool = text.and_then(|text| sections::read(path, &text).ok().flatten()).map(|sections| sections.tool);
    match tool {
        Some(tool) => {
            let (up, down) = (tool.up(), tool.down());
            vec![script(format!("{version}_{name}.sql"), format!("{up}\n{UP}\n{down}\n{DOWN}"))]
        }
        None if path.starts_with('V') => vec![script(format!("V{version}__{name}.sql"), UP)],
        None if path.ends_with(".up.sql") => {
            vec![script(format!("{version}_{name}.up.sql"), UP), script(format!("{version}_{name}.down.sql"), DOWN)]
        }
        None => vec![script(format!("{version}_{name}.sql"), UP)],
    }
}

fn version(layout: Layout, last: Option<&Entry>, moment: &str) -> Result<String, Fault> {
    let Some(last) = last else { return Ok(moment.to_owned()) };
    // Prisma's version is the whole name.
    let digits = last.version.len() - last.version.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let digits = &last.version[..digits];
    let counts = layout == Layout::Flat && digits.len() < 10;
    if !counts && layout.order(&last.version, moment).is_lt() {
        return Ok(moment.to_owned());
    }
    let next = increment(digits);
    let behind = layout.order(&last.version, &next).is_lt();
    behind.then_some(next).ok_or_else(|| {
        let message = format!("no version can be told that comes behind that of {}", last.name);
        Fault::new("version_unclear", &last.name, message, "name the files of the new migration yourself")
    })
}

/// The number after this one, as long where that is possible.
fn increment(digits: &str) -> String {
    let mut digits: Vec<u8> = digits.bytes().collect();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return String::from_utf8_lossy(&digits).into_owned();
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
    String::from_utf8_lossy(&digits).into_owned()
}

/// The words of a migration's full name, behind its version.
pub fn words(name: &str) -> &str {
    let key =
        name.strip_prefix('V').filter(|rest| rest.starts_with(|char: char| char.is_ascii_digit())).unwrap_or(name);
    key.trim_start_matches(|char: char| char.is_ascii_digit() || ['_', '-', '.', ' '].contains(&char))
}

/// Why a name does not say what its migration does; `None` for a good one.
pub fn bad_name(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('_').collect();
    let plain =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !parts.iter().all(plain) || !name.starts_with(|char: char| char.is_ascii_lowercase()) {
        return Some(format!("`{name}` is not in snake_case"));
    }
    let says = |part: &&str| {
        !is_number(part) && !EMPTY_WORDS.contains(&part.trim_end_matches(|char: char| char.is_ascii_digit()))
    };
    if !parts.iter().any(says) {
        return Some(format!("`{name}` does not say what the migration does"));
    }
    (name.len() > 100).then(|| format!("`{name}` has {} letters; 100 are enough", name.len()))
}
