//! Directories on the disk.

use std::fs;
use std::path::Path;

use migrator_source::fault::Fault;
use migrator_source::layout::{self, Options};
use tempfile::TempDir;

use crate::{SQL, outcome, shown};

fn directory(paths: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for path in paths {
        write(dir.path(), path);
    }
    dir
}

fn write(dir: &Path, path: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, SQL).expect("a file");
}

fn paths(dir: &Path) -> Vec<(String, usize)> {
    let files = layout::files(dir).unwrap_or_else(|fault| panic!("{fault:?}"));
    files.into_iter().map(|file| (file.path, file.bytes.len())).collect()
}

fn fault(dir: &Path) -> Fault {
    layout::files(dir).expect_err("a fault")
}

#[test]
fn scripts_are_read_two_levels_deep_and_names_three() {
    let dir = directory(&[
        "b/up.sql",
        "b/metadata.toml",
        "b/note.md",
        "b/c/up.sql",
        "b/c/d/up.sql",
        "a.sql",
        "z.md",
        ".git/x.sql",
    ]);
    let read = SQL.len();
    let expected = [
        ("a.sql", read),
        ("b/c/up.sql", 0),
        ("b/metadata.toml", read),
        ("b/note.md", 0),
        ("b/up.sql", read),
        ("z.md", 0),
    ];
    assert_eq!(paths(dir.path()), expected.map(|(path, bytes)| (path.to_owned(), bytes)));
}

#[test]
fn a_missing_directory_is_told_from_an_empty_one() {
    let dir = directory(&[]);
    let missing = fault(&dir.path().join("migrations"));
    assert_eq!((missing.code, missing.path.as_str()), ("directory_missing", ""));
    assert_eq!(missing.message, "cannot be read: there is no such directory");
    assert!(missing.help.starts_with("create it"), "{}", missing.help);
    let files = layout::files(dir.path()).expect("readable");
    assert_eq!(outcome(&files, Options::default()), ["directory_empty dir: the directory is empty"]);
    fs::create_dir(dir.path().join("20240101_a")).expect("a folder");
    let files = layout::files(dir.path()).expect("readable");
    assert_eq!(outcome(&files, Options::default()), ["directory_empty dir: the directory is empty"]);
}

#[test]
fn a_file_is_no_directory() {
    let dir = directory(&["a.sql"]);
    let fault = fault(&dir.path().join("a.sql"));
    assert_eq!((fault.code, fault.help.as_str()), ("not_a_directory", "name the directory that holds the migrations"));
}

#[test]
fn a_folder_with_the_ending_of_a_file_is_a_folder() {
    let dir = directory(&["1_a.sql", "2_b.sql/notes.txt"]);
    let files = layout::files(dir.path()).expect("readable");
    let stray = "~ a file beside the migrations is not part of any: 2_b.sql; nothing runs them";
    assert_eq!(outcome(&files, Options::default()), ["1 | 1_a | 1_a.sql | -", stray]);
}

/// Bazel's sandbox is made of links.
#[cfg(unix)]
#[test]
fn symbolic_links_are_followed() {
    use std::os::unix::fs::symlink;

    let real = directory(&["a/up.sql", "b.sql"]);
    let dir = directory(&["1_x/down.sql"]);
    symlink(real.path().join("a"), dir.path().join("2_y")).expect("a link to a folder");
    symlink(real.path().join("b.sql"), dir.path().join("1_x/up.sql")).expect("a link to a file");
    let link = real.path().join("migrations");
    symlink(dir.path(), &link).expect("a link to the directory");
    let files = layout::files(&link).expect("readable");
    let expected = ["1 | 1_x | 1_x/up.sql | 1_x/down.sql", "2 | 2_y | 2_y/up.sql | -"];
    assert_eq!(outcome(&files, Options::default()), expected);
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_named_unless_an_editor_locks_a_file_with_it() {
    use std::os::unix::fs::symlink;

    let dir = directory(&["1_a.sql", "2_b/up.sql"]);
    for lock in [".#1_a.sql", "2_b/.#up.sql"] {
        symlink("somebody@host.1234:5678", dir.path().join(lock)).expect("a link");
    }
    assert_eq!(paths(dir.path()).len(), 2);
    symlink("nowhere", dir.path().join("3_c.sql")).expect("a link");
    let fault = fault(dir.path());
    assert_eq!(fault.help, "the link leads to nothing: remove it, or mend what it names");
    assert!(shown(&fault).starts_with("unreadable dir/3_c.sql: cannot be read: "), "{}", shown(&fault));
}

/// A link to a folder above it does not lead round for ever.
#[cfg(unix)]
#[test]
fn a_loop_of_links_ends() {
    let dir = directory(&["1_a/up.sql", "x.md"]);
    std::os::unix::fs::symlink(dir.path(), dir.path().join("1_a/again")).expect("a link");
    let found: Vec<_> = paths(dir.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(found, ["1_a/again/x.md", "1_a/up.sql", "x.md"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;

    let dir = directory(&[]);
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"1_\xff.sql")), SQL).expect("a file");
    let fault = fault(dir.path());
    assert_eq!((fault.code, fault.path.as_str()), ("name_not_utf8", "1_\u{fffd}.sql"));
}
