//! Which layout a directory has. A directory in which nothing is recognised is an error, never "0 migrations, fine".

use super::{File, Layout, Tree, flat, is_named};
use crate::fault::Fault;

/// The files of a sub-folder that decide for a layout.
const UP: &str = "up.sql";
const MIGRATION: &str = "migration.sql";

pub(super) fn layout(tree: &Tree<'_>, named: Option<Layout>) -> Result<Layout, Fault> {
    if tree.folders.is_empty() && tree.loose.iter().all(|file| file.path.starts_with('.')) {
        let help = "write the first migration, or name the directory that holds them";
        return Err(Fault::new("directory_empty", "", "the directory is empty", help));
    }
    if tree.has("meta/_journal.json") {
        return Err(foreign("meta/_journal.json", "drizzle"));
    }
    let (diesel, prisma) = (tree.any_folder_has(UP), tree.any_folder_has(MIGRATION));
    let flat = tree.loose.iter().any(|file| flat::is_migration(file));
    let present = |layout| match layout {
        Layout::Diesel => diesel,
        Layout::Prisma => prisma,
        Layout::Flat => flat,
    };
    match named {
        Some(Layout::Flat) if flat => flat_marker(tree).map_or(Ok(Layout::Flat), Err),
        Some(layout) if present(layout) => Ok(layout),
        Some(layout) => Err(unrecognised(tree, &format!("nothing in the directory has the layout `{layout}`"))),
        None if diesel && prisma => Err(Fault::new(
            "layout_ambiguous",
            "",
            format!(
                "the directory holds folders with {UP} ({}) and folders with {MIGRATION} ({})",
                first_folder(tree, UP),
                first_folder(tree, MIGRATION)
            ),
            "keep one kind of folder, or name the layout: layout = \"diesel\" or layout = \"prisma\"",
        )),
        None if diesel => Ok(Layout::Diesel),
        None if prisma => Ok(Layout::Prisma),
        None if flat => flat_marker(tree).map_or(Ok(Layout::Flat), Err),
        None => Err(unrecognised(tree, "nothing in the directory is a migration of a known layout")),
    }
}

fn first_folder<'a>(tree: &Tree<'a>, name: &str) -> &'a str {
    let holds = |files: &[&File]| files.iter().any(|file| is_named(file, name));
    tree.folders.iter().find(|(_, files)| holds(files)).map_or("", |(folder, _)| folder)
}

/// These tools hold the way up and the way down in one script; run whole, it undoes itself.
fn flat_marker(tree: &Tree<'_>) -> Option<Fault> {
    for file in tree.loose.iter().filter(|file| flat::is_migration(file)) {
        let text = String::from_utf8_lossy(&file.bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if let Some((line, tool)) = text.lines().find_map(|line| marked(line).map(|tool| (line, tool))) {
            let mut fault = foreign(&file.path, tool);
            fault.message = format!("`{}` marks a script of {tool}: up and down in one file", line.trim());
            return Some(fault);
        }
    }
    None
}

/// The tool whose mark between the way up and the way down a line is.
fn marked(line: &str) -> Option<&'static str> {
    const MARKS: [(&str, &str); 2] = [("+migrate", "sql-migrate"), ("create above / drop below", "tern")];
    let comment = line.trim_start().strip_prefix("--")?.trim_start_matches(['-', ' ', '\t']);
    if comment.trim_end() == "Down Migration" {
        return Some("node-pg-migrate");
    }
    MARKS.iter().find(|(mark, _)| comment.starts_with(mark)).map(|(_, tool)| *tool)
}

fn foreign(marker: &str, tool: &str) -> Fault {
    Fault::new(
        "layout_foreign",
        marker,
        format!("{marker} marks a directory of {tool}, which is no layout that can be run"),
        "convert the directory to one of the layouts: diesel (v_name/up.sql), prisma (v_name/migration.sql), flat (v_name.sql)",
    )
}

fn unrecognised(tree: &Tree<'_>, message: &str) -> Fault {
    let mut names: Vec<&str> = tree.loose.iter().map(|file| file.path.as_str()).collect();
    names.extend(tree.folders.keys());
    let shown = names.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
    // The directory above, or one with a sub-folder for each database, was named.
    let holds = |files: &[&File]| {
        files.iter().any(|file| {
            let below = file.path.split_once('/').map_or("", |(_, rest)| rest);
            !below.contains('/') && flat::is_migration(file)
                || below.ends_with("/up.sql")
                || below.ends_with("/migration.sql")
        })
    };
    let inner: Vec<String> =
        tree.folders.iter().filter(|(_, files)| holds(files)).map(|(folder, _)| format!("`{folder}`")).collect();
    let help = match inner.as_slice() {
        [folder] => format!("the folder {folder} in it holds migrations: name that one"),
        [_, _, ..] if inner.len() <= 3 => {
            format!("the folders {} in it hold migrations: name one of them", inner.join(", "))
        }
        // A folder for each release, say, of which none is the whole.
        _ => "the layouts are diesel (v_name/up.sql), prisma (v_name/migration.sql) and flat (v_name.sql)".to_owned(),
    };
    Fault::new("layout_unrecognised", "", format!("{message}; it holds {shown}{more}"), help)
}
