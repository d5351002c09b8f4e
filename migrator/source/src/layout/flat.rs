//! The flat layout: a file for each migration, with the version at the front of its name; it may hold [`sections`].

use std::collections::HashMap;

use super::{Draft, File, Found, Layout, Tree, sections};
use crate::fault::{Counted, Fault};

/// What the name of a file says.
struct Name<'a> {
    version: String,
    /// The file's name without `.sql`, `.up.sql` or `.down.sql`.
    name: &'a str,
    down: bool,
}

/// Whether the file is named as a migration of this layout; a down script alone is none.
pub(super) fn is_migration(file: &File) -> bool {
    parse(file.name()).is_some_and(|name| name.map_or(true, |name| !name.down))
}

/// The version of a migration whose file would have this name.
pub(super) fn version(name: &str) -> Option<String> {
    parse(&format!("{name}.sql"))?.ok().map(|name| name.version)
}

pub(super) fn find<'a>(tree: &Tree<'a>) -> Found<'a> {
    let mut found = Found { stray: tree.folders.keys().copied().collect(), ..Found::default() };
    let mut downs: HashMap<String, Vec<(&'a File, &'a str)>> = HashMap::new();
    for &file in &tree.loose {
        match parse(&file.path) {
            None => found.stray.push(&file.path),
            Some(Err(parts)) => {
                let help = "number the migrations with whole numbers, for example V2__name.sql";
                let message = format!("the version {parts} has parts");
                found.faults.push(Fault::new("version_parts", &file.path, message, help));
            }
            Some(Ok(name)) if name.down => {
                let version = Layout::Flat.canonical(&name.version).to_owned();
                downs.entry(version).or_default().push((file, name.name));
            }
            Some(Ok(name)) => found.drafts.push(Draft {
                version: name.version,
                name: name.name.to_owned(),
                up: file,
                down: None,
                declared: None,
            }),
        }
    }
    let ups: Vec<_> = found.drafts.iter().map(|draft| draft.up).collect();
    let down_files: Vec<_> = downs.values().flatten().map(|(down, _)| *down).collect();
    found.faults.extend(sections::beside(&ups, &down_files, &found.stray));
    for draft in &mut found.drafts {
        let Some(same_version) = downs.get_mut(Layout::Flat.canonical(&draft.version)) else { continue };
        if let Some(at) = same_version.iter().position(|(down, name)| belongs(down, name, &draft.name)) {
            draft.down = Some(same_version.swap_remove(at).0);
        }
    }
    let mut unpaired = Counted::default();
    let mut orphans: Vec<_> = downs.into_values().flatten().map(|(down, _)| &down.path).collect();
    orphans.sort_unstable();
    orphans.iter().for_each(|path| unpaired.push(path));
    found.warnings.extend(unpaired.warning(
        "down_unpaired",
        "a down script belongs to no up script of its version and name",
        "down scripts belong to no up script of their version and name",
        "it is not used",
    ));
    found
}

/// Whether a down script has the name of an up script: `0001_x.down.sql`, or `U1__x.sql` beside `V1__x.sql`.
fn belongs(down: &File, down_name: &str, up_name: &str) -> bool {
    let undoes =
        |undo: &str| up_name.strip_prefix('V') == Some(undo) && down.path.len() == down_name.len() + ".sql".len();
    down_name == up_name || down_name.strip_prefix('U').is_some_and(undoes)
}

/// Reads a file name; `Some(Err(version))` for a version in parts, which has no order among whole numbers.
fn parse(file: &str) -> Option<Result<Name<'_>, &str>> {
    let stem = file.strip_suffix(".sql")?;
    let (name, mut down) = match (stem.strip_suffix(".down"), stem.strip_suffix(".up")) {
        (Some(name), _) => (name, true),
        (None, up) => (up.unwrap_or(stem), false),
    };
    let numbered = |rest: &str| rest.starts_with(|char: char| char.is_ascii_digit());
    let key = match name.strip_prefix(['V', 'U']) {
        Some(rest) if numbered(rest) => {
            down |= name.starts_with('U');
            rest
        }
        _ => name,
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (version, rest) = key.split_at(digits(key));
    if version.is_empty() || !(rest.is_empty() || rest.starts_with(['_', '-', '.'])) {
        return None;
    }
    // `2024-01-31-120000_name.sql`: the dashes are part of the version, as in diesel's layout.
    let dashed = key.find(|char: char| char != '-' && !char.is_ascii_digit()).unwrap_or(key.len());
    let date = key[..dashed].trim_end_matches('-');
    if is_date(date) && (dashed == key.len() || key[dashed..].starts_with('_')) {
        return Some(Ok(Name { version: date.replace('-', ""), name, down }));
    }
    // `V1.1__name.sql`, `V1_1__name.sql`, `1.1_name.sql`
    let part = rest.get(1..).map_or(0, digits);
    let after = rest.get(1 + part..).unwrap_or("");
    let parts = match rest.as_bytes().first() {
        Some(b'.') => after.is_empty() || after.starts_with(['_', '.']),
        Some(b'_') => after.starts_with("__"),
        _ => false,
    };
    if part > 0 && parts {
        return Some(Err(&key[..version.len() + 1 + part]));
    }
    Some(Ok(Name { version: version.to_owned(), name, down }))
}

/// Whether digits and dashes begin as `2024-01-31` does; `0001-2` is a version and the begin of a name.
fn is_date(text: &str) -> bool {
    let mut lengths = text.split('-').map(str::len);
    (lengths.next(), lengths.next(), lengths.next()) == (Some(4), Some(2), Some(2))
}
