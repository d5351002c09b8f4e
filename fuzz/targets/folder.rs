//! A folder: what comes out of the layout reader. The input is text, one file behind the other, each below a line
//! `== path`; the first line names the layout and the dialect, or leaves them to be found out.
#![no_main]

#[path = "../../migrator/source/tests/properties/folder.rs"]
mod folder;

use std::collections::BTreeMap;

use migrator_source::layout::{File, Options};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (first, rest) = input.split_at(line);
    let words: Vec<&str> = std::str::from_utf8(first).unwrap_or("").split(' ').collect();
    let options = Options {
        layout: words.iter().find_map(|word| word.parse().ok()),
        dialect: words.iter().find_map(|word| word.parse().ok()),
        ..Options::default()
    };
    folder::check(&files(rest), options);
});

/// The files that can be in one directory: no path twice, and none below a file.
fn files(input: &[u8]) -> Vec<File> {
    const MARK: &[u8] = b"\n== ";
    let mut found = BTreeMap::new();
    let begins: Vec<usize> = (0..input.len()).filter(|at| input[*at..].starts_with(MARK)).collect();
    for (at, begin) in begins.iter().enumerate() {
        let one = &input[begin + MARK.len()..begins.get(at + 1).copied().unwrap_or(input.len())];
        let line = one.iter().position(|byte| *byte == b'\n').unwrap_or(one.len());
        let Ok(path) = std::str::from_utf8(&one[..line]) else { continue };
        let plain = |part: &str| !["", ".", ".."].contains(&part) && part.len() <= 255 && !part.contains('\0');
        if path.split('/').all(plain) {
            found.insert(path.to_owned(), one.get(line + 1..).unwrap_or_default().to_vec());
        }
    }
    let is_folder =
        |path: &String| found.keys().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    let files = found.iter().filter(|(path, _)| !is_folder(path));
    files.map(|(path, bytes)| File { path: path.clone(), bytes: bytes.clone() }).collect()
}
