//! The checks that every layout shares: versions, names, texts, scripts.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Down, Draft, Entry, File, Found, Layout, sections};
use crate::checksum::{self, NotText};
use crate::fault::{Counted, Fault, Warning};
use crate::seal;
use crate::sql::{Mode, Script, SqlDialect, position};

/// Files that people put into a folder on purpose and that nobody wants to hear about at each build.
const EXPECTED: [&str; 5] = [".gitkeep", ".keep", ".gitignore", ".gitattributes", ".diesel_lock"];

/// What the file systems allow, and the offsets of the packed form.
const LONGEST_NAME: usize = 255;

/// Checks versions and names of the ordered drafts, and counts the stray files.
pub(super) fn structure(layout: Layout, found: &mut Found<'_>) {
    let mut by_case: HashMap<String, &Draft<'_>> = HashMap::new();
    for draft in &found.drafts {
        let (longest, length) = (layout.longest_version(), draft.version.chars().count());
        if draft.version.is_empty() {
            let message = "the name has no version in front of its first `_`";
            found.faults.push(Fault::new(
                "version_missing",
                &draft.name,
                message,
                "begin it with one: 20240131120000_name",
            ));
        } else if length > longest {
            let message =
                format!("the version `{}` has {length} characters, the history holds {longest}", draft.version);
            let help = "shorten it; the version ends at the first `_` of the name";
            found.faults.push(Fault::new("version_too_long", &draft.name, message, help));
        } else if draft.name.len() > LONGEST_NAME {
            let message = format!("the name has {} bytes, the history holds {LONGEST_NAME}", draft.name.len());
            found.faults.push(Fault::new("name_too_long", &draft.name, message, "shorten the name"));
        }
        if !draft.name.is_ascii() && draft.name.chars().any(is_combining) {
            let message = format!("the name `{}` has letters that are written in two characters", draft.name);
            let help = "rename it to single characters (Unicode's NFC), best to ASCII: other file systems compose them, and it would be another name";
            found.faults.push(Fault::new("name_decomposed", &draft.name, message, help));
        }
        // With one version they are told as duplicates.
        if let Some(other) = by_case.insert(draft.name.to_lowercase(), draft)
            && layout.order(&other.version, &draft.version).is_ne()
        {
            let message = format!("the name equals `{}` but for case; some file systems cannot hold both", other.name);
            found.faults.push(Fault::new("name_differs_by_case", &draft.name, message, "rename one of the two"));
        }
    }
    for pair in found.drafts.windows(2) {
        let [first, second] = pair else { continue };
        if layout.order(&first.version, &second.version).is_eq() {
            let message = format!("`{}` has the version {} too", first.up.path, second.version);
            let help = "give one of the two another version; only the one that was never applied anywhere can change";
            found.faults.push(Fault::new("duplicate_version", &second.up.path, message, help));
        }
    }
    let mut stray = Counted::default();
    found
        .stray
        .iter()
        .filter(|path| !EXPECTED.contains(path) && **path != seal::FILE)
        .for_each(|path| stray.push(path));
    found.warnings.extend(stray.warning(
        "stray",
        "a file beside the migrations is not part of any",
        "files beside the migrations are not part of any",
        "nothing runs them",
    ));
}

/// Whether a character joins the one before it: an accent, a part of a Korean syllable.
fn is_combining(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{1160}'..='\u{11ff}' | '\u{3099}'..='\u{309a}')
}

/// Reads the texts of the drafts and checks each script in the dialects that it may be written in.
pub(super) fn texts(layout: Layout, dialects: &[SqlDialect], found: &mut Found<'_>) -> Vec<Entry> {
    let (mut empty_up, mut empty_down, mut faulty_down) = (Counted::default(), Counted::default(), Counted::default());
    let mut entries = Vec::with_capacity(found.drafts.len());
    for draft in &found.drafts {
        let Ways { up, declared, down, declared_down } = match ways(layout, draft, dialects) {
            Ok(ways) => ways,
            Err(faults) => {
                found.faults.extend(faults);
                continue;
            }
        };
        match script(&draft.up.path, &up, dialects, declared) {
            Ok(true) => empty_up.push(&draft.up.path),
            Ok(false) => {}
            Err(faults) => found.faults.extend(faults),
        }
        let down = match down {
            None => Down::None,
            Some((path, text)) => self::down(path, text, dialects, declared_down, &mut empty_down, &mut faulty_down),
        };
        entries.push(Entry {
            version: draft.version.clone(),
            name: draft.name.clone(),
            up_path: draft.up.path.clone(),
            raw_digest: (layout == Layout::Prisma).then(|| checksum::digest(&draft.up.bytes)),
            up: up.into_owned(),
            down,
            declared,
            declared_down,
        });
    }
    broken_before(layout, dialects, &entries, &mut found.faults);
    let so = "applying it changes nothing and is recorded";
    warn(found, empty_up.warning("empty_up", "an up script has no statement", "up scripts have no statement", so));
    let so = "it counts as no down script";
    warn(
        found,
        empty_down.warning("empty_down", "a down script has no statement", "down scripts have no statement", so),
    );
    let so = "revert will refuse it";
    warn(found, faulty_down.warning("faulty_down", "a down script has a fault", "down scripts have a fault", so));
    entries
}

/// Refuses a `breaks-before` that names no migration of the folder, or one that comes later.
fn broken_before(layout: Layout, dialects: &[SqlDialect], entries: &[Entry], faults: &mut Vec<Fault>) {
    // Scripts are read once already; hardly one has the directive, and few have the `:` of one, which is found much faster in the
    // macro, where nothing is optimised.
    let may_break = |entry: &Entry| entry.up.as_bytes().contains(&b':') && entry.up.contains("breaks-before");
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| may_break(entry)) {
        let scripts = dialects.iter().filter_map(|dialect| Script::parse(&entry.up, *dialect, entry.declared).ok());
        let Some(version) = scripts.filter_map(|script| script.breaks_before()).next() else { continue };
        let named = entries.iter().position(|other| layout.canonical(&other.version) == layout.canonical(version));
        if named.is_none_or(|named| named > at) {
            let message = match named {
                None => format!("it says that it breaks what is before {version}, and there is no such migration"),
                Some(_) => format!("it says that it breaks what is before {version}, which comes after it"),
            };
            let help =
                "name the version of the first migration with which a binary no longer needs what this one takes away";
            faults.push(Fault::new("breaks_before", &entry.up_path, message, help));
        }
    }
}

fn warn(found: &mut Found<'_>, warning: Option<Warning>) {
    found.warnings.extend(warning);
}

/// The texts of a migration, wherever they stand.
struct Ways<'a> {
    up: Cow<'a, str>,
    declared: Option<Mode>,
    /// Path and text of the down script; no text when the file is not text.
    down: Option<(String, Option<Cow<'a, str>>)>,
    declared_down: Option<Mode>,
}

fn ways<'a>(layout: Layout, draft: &Draft<'a>, dialects: &[SqlDialect]) -> Result<Ways<'a>, Vec<Fault>> {
    let path = &draft.up.path;
    let whole = text(draft.up).map_err(|fault| vec![fault])?;
    let sections = if layout == Layout::Flat { sections::read(path, &whole) } else { Ok(None) };
    let Some(sections) = sections.map_err(|fault| vec![fault])? else {
        let down = draft.down.map(|file| (file.path.clone(), text(file).ok()));
        return Ok(Ways { up: whole, declared: draft.declared, down, declared_down: draft.declared });
    };
    in_front(path, &whole[..sections.begin], sections.tool.up(), dialects)?;
    Ok(Ways {
        up: Cow::Owned(sections.up),
        declared: sections.declared,
        down: sections.down.map(|down| (path.clone(), Some(Cow::Owned(down)))),
        declared_down: sections.declared_down,
    })
}

/// Refuses a statement in front of the first section, when every dialect finds one.
fn in_front(path: &str, text: &str, mark: &str, dialects: &[SqlDialect]) -> Result<(), Vec<Fault>> {
    let declared = Some(Mode::NoTransaction);
    script(path, text, dialects, declared)?;
    let first = |dialect: &SqlDialect| Some(Script::parse(text, *dialect, declared).ok()?.statements().first()?.start);
    let Some(firsts) = dialects.iter().map(first).collect::<Option<Vec<usize>>>() else { return Ok(()) };
    let message = format!("a statement in front of `{mark}` belongs to no section");
    let fault = Fault::new("outside_sections", path, message, format!("move it below `{mark}`"));
    Err(vec![Fault { position: firsts.into_iter().min().map(|first| position(text, first)), ..fault }])
}

fn down(
    path: String,
    text: Option<Cow<'_, str>>,
    dialects: &[SqlDialect],
    declared: Option<Mode>,
    empty: &mut Counted,
    faulty: &mut Counted,
) -> Down {
    let Some(text) = text else {
        faulty.push(&path);
        return Down::Faulty { path, text: String::new() };
    };
    match script(&path, &text, dialects, declared) {
        Ok(true) => {
            empty.push(&path);
            Down::None
        }
        Ok(false) => Down::Script { path, text: text.into_owned() },
        Err(_) => {
            faulty.push(&path);
            Down::Faulty { path, text: text.into_owned() }
        }
    }
}

/// The text of a file: UTF-8, without a byte order mark, with LF line endings.
pub(crate) fn text(file: &File) -> Result<Cow<'_, str>, Fault> {
    checksum::normalise(&file.bytes).map_err(|not_text| match not_text {
        NotText::InvalidUtf8(at) => {
            let message = format!("invalid UTF-8 at byte {at}");
            Fault::new("invalid_utf8", &file.path, message, "save the file as UTF-8")
        }
        NotText::Nul(at) => {
            let before = String::from_utf8_lossy(&file.bytes[..at]);
            let before = before.strip_prefix('\u{feff}').unwrap_or(&before);
            let message = format!("a NUL character at byte {at}");
            Fault {
                position: Some(position(before, before.len())),
                ..Fault::new("nul", &file.path, message, "remove it; a file in UTF-16 must be saved as UTF-8")
            }
        }
    })
}

/// Whether a script is empty, or the faults that it has in *every* dialect that it may be written in.
pub(crate) fn script(
    path: &str,
    text: &str,
    dialects: &[SqlDialect],
    declared: Option<Mode>,
) -> Result<bool, Vec<Fault>> {
    let mut common: Option<Vec<crate::sql::Fault>> = None;
    let mut empty = true;
    for &dialect in dialects {
        let faults = match Script::parse(text, dialect, declared) {
            Ok(script) => {
                empty &= script.is_empty();
                Vec::new()
            }
            Err(faults) => {
                empty = false;
                faults
            }
        };
        let same = |a: &crate::sql::Fault, b: &crate::sql::Fault| a.code == b.code && a.offset == b.offset;
        common = Some(match common {
            None => faults,
            Some(common) => common.into_iter().filter(|a| faults.iter().any(|b| same(a, b))).collect(),
        });
    }
    match common {
        Some(faults) if !faults.is_empty() => Err(faults
            .into_iter()
            .map(|fault| Fault {
                code: fault.code,
                path: path.to_owned(),
                position: Some(position(text, fault.offset)),
                message: fault.message,
                help: fault.help,
            })
            .collect()),
        _ => Ok(empty),
    }
}
