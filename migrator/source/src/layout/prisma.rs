//! Prisma's layout: a folder for each migration with `migration.sql`, maybe `down.sql`, and `migration_lock.toml` beside them.

use toml::de::{DeTable, DeValue};

use super::{Draft, File, Found, Tree, has_scripts, is_named};
use crate::fault::{Fault, Warning};
use crate::sql::{SqlDialect, position};

const LOCK: &str = "migration_lock.toml";

pub(super) fn find<'a>(tree: &Tree<'a>, named: Option<SqlDialect>) -> Found<'a> {
    let mut found = Found::default();
    for file in &tree.loose {
        if file.path == LOCK {
            match provider(file, named) {
                Ok(dialect) => found.dialect = dialect,
                Err(fault) => found.faults.push(fault),
            }
        } else {
            found.stray.push(&file.path);
        }
    }
    for (&folder, files) in &tree.folders {
        match files.iter().copied().find(|file| is_named(file, "migration.sql")) {
            Some(up) => {
                let (version, name) = (folder.to_owned(), folder.to_owned());
                // Prisma takes no notice of it; its guide puts the way down there.
                let down = files.iter().copied().find(|file| is_named(file, "down.sql"));
                found.drafts.push(Draft { version, name, up, down, declared: None });
            }
            None if !files.iter().any(|file| is_named(file, "up.sql")) && has_scripts(files) => {
                let help = "rename the script to migration.sql, or move the folder out of the directory";
                found.faults.push(Fault::new(
                    "up_missing",
                    folder,
                    "the folder has scripts but no migration.sql",
                    help,
                ));
            }
            None => found.stray.push(folder),
        }
    }
    found.warnings.extend(other_order(&found.drafts));
    found
}

/// The dialect of the lock file; an error when it contradicts what the caller says.
fn provider(file: &File, named: Option<SqlDialect>) -> Result<Option<SqlDialect>, Fault> {
    let help = "write provider = \"postgresql\", \"mysql\" or \"sqlite\"";
    let broken = |position, message: String| Fault { position, ..Fault::new("lock_file_broken", LOCK, message, help) };
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|error| broken(None, format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text)
        .map_err(|error| broken(error.span().map(|span| position(text, span.start)), error.message().to_owned()))?;
    let Some(value) = table.get_ref().get("provider") else {
        return Err(broken(None, "there is no provider in it".to_owned()));
    };
    let place = Some(position(text, value.span().start));
    let DeValue::String(provider) = value.get_ref() else {
        return Err(broken(place, "provider is not a string".to_owned()));
    };
    let dialect = match provider.as_ref() {
        "postgresql" | "postgres" | "cockroachdb" => SqlDialect::Postgres,
        "mysql" => SqlDialect::Mysql,
        "sqlite" => SqlDialect::Sqlite,
        other => {
            return Err(broken(place, format!("provider `{other}` is no database that can be migrated here")));
        }
    };
    match named {
        Some(named) if named != dialect => Err(Fault {
            position: place,
            ..Fault::new(
                "dialect_contradiction",
                LOCK,
                format!("the file says {dialect} and the caller says {named}"),
                "drop the dialect argument, or correct the file",
            )
        }),
        _ => Ok(Some(dialect)),
    }
}

/// Prisma sorts names as a person's dictionary does (`localeCompare`): marks, then digits, then letters of either case.
/// In bytes `_` comes behind digits and capitals, and capitals before small letters.
fn other_order(drafts: &[Draft<'_>]) -> Option<Warning> {
    // The order that the Unicode Collation Algorithm gives to the marks of ASCII by default.
    const MARKS: &str = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    let dictionary = |name: &str| -> Vec<(usize, char)> {
        let key = |char: char| (MARKS.find(char).unwrap_or(MARKS.len()), char.to_ascii_lowercase());
        name.chars().map(key).collect()
    };
    let mut names: Vec<&str> = drafts.iter().map(|draft| draft.name.as_str()).collect();
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| dictionary(pair[0]) > dictionary(pair[1]))?;
    Some(Warning {
        code: "prisma_order",
        message: format!(
            "{} runs before {} here (order of bytes) and after it in Prisma (order of a dictionary); rename one before both are applied",
            pair[0], pair[1]
        ),
    })
}
