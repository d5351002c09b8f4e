//! The architecture, tested: layers, edges, and documents that must agree with code.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate `migrator` in their layers; a module names none of a later layer.
const LAYERS: [(&str, &[&str]); 7] = [
    (
        "values",
        &[
            "checkup",
            "contents",
            "error",
            "migration",
            "record",
            "report",
            "event",
            "environment",
            "interrupt",
            "metrics",
            "mode",
            "origin",
            "provider_state",
            "seed",
            "url",
        ],
    ),
    ("decisions", &["guard", "plan", "status", "turns", "verify"]),
    ("databases", &["dialect"]),
    ("state", &["history", "lock", "session", "ledgers", "source"]),
    ("actions", &["apply", "backup", "seeding"]),
    ("facade", &["migrator", "interop", "health", "provider", "seal", "stale", "testing"]),
    ("edges", &["cli", "http", "lib", "main"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a folder, with its path relative to it.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, base: &Path, found: &mut Vec<(String, String)>) {
        for item in fs::read_dir(dir).expect("a source folder can be listed") {
            let path = item.expect("an entry can be read").path();
            if path.is_dir() {
                walk(&path, base, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(base).expect("the walk stays below").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a source file is text")));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &root().join(folder), &mut found);
    assert!(!found.is_empty(), "no source below {folder}");
    found
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|(_, modules)| modules.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} is in no layer: put it into one"))
}

/// The modules that a source names as `crate::module`.
fn named(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let word =
        |text: &str| text.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or("").to_owned();
    let names = code.flat_map(|line| line.split("crate::").skip(1).map(word).collect::<Vec<_>>());
    names.filter(|name| !name.is_empty() && name.chars().next().is_some_and(char::is_lowercase)).collect()
}

#[test]
fn no_module_names_a_later_layer() {
    let mut checked = 0;
    for (file, source) in sources("migrator/src") {
        let module = file.split(['/', '.']).next().expect("a path has a first part");
        for name in named(&source).iter().filter(|name| *name != "__private") {
            assert!(layer(name) <= layer(module), "{file} names crate::{name}, which is in a later layer");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} imports were found: is the test still reading the right folder?");
}

#[test]
fn only_the_command_line_prints_or_exits() {
    for (file, source) in sources("migrator/src").into_iter().filter(|(file, _)| !file.starts_with("cli")) {
        for word in ["print!", "println!", "eprint!", "eprintln!", "process::exit", "dbg!"] {
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            let hit = code.filter(|line| line.contains(word)).count();
            assert_eq!(hit, 0, "{file} uses {word}");
        }
    }
}

#[test]
fn decisions_ask_nobody() {
    const DECISIONS: [&str; 11] = [
        "guard.rs",
        "plan/",
        "seeding/plan.rs",
        "status/",
        "turns.rs",
        "verify.rs",
        "record/",
        "provider_state.rs",
        "provider/seeding.rs",
        "health/verdict.rs",
        "health/reading.rs",
    ];
    let is_decision = |file: &str| DECISIONS.iter().any(|start| file.starts_with(start));
    let decisions: Vec<_> = sources("migrator/src").into_iter().filter(|(file, _)| is_decision(file)).collect();
    assert!(decisions.len() >= 4, "{} files decide: is the test still reading the right ones?", decisions.len());
    for (file, source) in decisions {
        for word in ["diesel::", "std::env", "Instant", "SystemTime", "std::fs"] {
            assert!(!source.contains(word), "{file} is a pure decision and names {word}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    const FOLDERS: [&str; 11] = [
        "migrator/src",
        "migrator/tests",
        "migrator/source/src",
        "migrator/source/tests",
        "migrator-macros/src",
        "migrator-macros/tests",
        "tests/src",
        "tests/tests",
        "benches/src",
        "benches/tests",
        "fuzz/targets",
    ];
    for folder in FOLDERS {
        // What the compiler is to say of a file of `ui` is the file's purpose.
        for (file, source) in sources(folder).into_iter().filter(|(file, _)| !file.starts_with("ui/")) {
            assert!(source.starts_with("//! "), "{folder}/{file} does not begin with its purpose");
            assert!(source.lines().count() <= 450, "{folder}/{file} has {} lines", source.lines().count());
        }
    }
}

#[test]
fn the_dialects_have_the_same_functions_in_the_same_order() {
    let functions = |file: &str| -> Vec<String> {
        let source = read(format!("migrator/src/dialect/{file}.rs"));
        let body = source.split_once("impl Dialect for").expect("the file implements the trait").1.to_owned();
        let body = body.split("\n}\n").next().expect("the impl ends").to_owned();
        let names = body.lines().filter_map(|line| line.strip_prefix("    fn "));
        names.map(|line| line.split(['<', '(']).next().unwrap_or("").to_owned()).collect()
    };
    let sqlite = functions("sqlite");
    assert!(sqlite.len() > 8, "{sqlite:?}");
    assert_eq!(sqlite, functions("postgres"));
    assert_eq!(sqlite, functions("mysql"));
}

#[test]
fn the_first_example_of_the_readme_is_the_quickstart() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once("```rust\n").expect("the README has an example");
    let example = rest.split_once("```").expect("the example ends").0;
    assert_eq!(example, read("examples/quickstart/src/main.rs"));
    assert!(before.lines().count() < 25, "the example comes within the first 25 lines");
}

#[test]
fn the_build_script_line_is_the_same_everywhere() {
    let line = r#"println!("cargo::rerun-if-changed=migrations\ncargo::rustc-env=MIGRATOR_TRACKED=migrations");"#;
    for file in ["README.md", "migrator/src/lib.rs", "examples/quickstart/build.rs"] {
        assert!(read(file).contains(line), "{file} has another line");
    }
}
