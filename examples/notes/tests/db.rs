//! The command line inside of a program, as an operator types it.

use std::process::{Command, Output};

use serde_json::{Value, json};

/// A folder that the program runs in.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    #[track_caller]
    fn notes(&self, args: &[&str], code: i32) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notes"));
        for name in ["DATABASE_URL", "MIGRATION_DATABASE_URL", "MIGRATOR_ENV"] {
            command.env_remove(name);
        }
        let output = command.current_dir(self.0.path()).args(args).output().expect("the program can be started");
        let said = Said::new(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}{}", said.out, said.err);
        said
    }
}

struct Said {
    out: String,
    err: String,
}

impl Said {
    fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Self { out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

#[test]
fn the_embedded_set_and_seeds_have_every_command() {
    let folder = Folder::new();
    let status = folder.notes(&["db", "status", "--json"], 2).json();
    assert_eq!((&status["state"], &status["pending"]), (&json!("uninitialized"), &json!(2)));
    assert!(!folder.0.path().join("notes.db").exists(), "status only reads");
    let too_early = folder.notes(&["db", "seed"], 1);
    assert!(too_early.err.contains("so no seed runs"), "{}", too_early.err);

    let report = folder.notes(&["db", "run", "--json"], 0).json();
    assert_eq!(report["applied"].as_array().map(Vec::len), Some(2));
    let seeds = folder.notes(&["db", "seed", "--json"], 0).json();
    let outcomes = |seeds: &Value| -> Vec<String> {
        let seeds = seeds["seeds"].as_array().expect("a list").iter();
        seeds.map(|seed| format!("{} {}", seed["name"], seed["outcome"]).replace('"', "")).collect()
    };
    assert_eq!(outcomes(&seeds), ["welcome applied", "samples skipped"]);
    folder.notes(&["db", "seed", "samples"], 0);
    assert_eq!(folder.notes(&["list"], 0).out.lines().count(), 3);
    let unknown = folder.notes(&["db", "seed", "nobody"], 1);
    assert!(unknown.err.contains("the seeds are: welcome, samples"), "{}", unknown.err);
    folder.notes(&["db", "status"], 0);
}

#[test]
fn what_is_to_be_typed_next_is_this_program_s() {
    let folder = Folder::new();
    let help = folder.notes(&["db", "run", "--help"], 0).out;
    assert!(help.contains("\n  notes db run --target 20240131120000"), "{help}");
    let unknown = folder.notes(&["db", "run", "--target", "9"], 1);
    assert!(unknown.err.contains("notes db status"), "{}", unknown.err);
    let unknown = folder.notes(&["db", "run", "--target", "9", "--json"], 1).json();
    assert!(unknown["error"]["help"].as_str().is_some_and(|help| help.contains("notes db status")), "{unknown}");
}

#[test]
fn what_a_check_wants_typed_is_this_program_s() {
    let folder = Folder::new();
    folder.notes(&["db", "run"], 0);
    let check = folder.notes(&["db", "deploy-check"], 0).out;
    assert!(check.contains("next: notes db backup") && !check.contains("migrator "), "{check}");
    let check = folder.notes(&["db", "deploy-check", "--json"], 0).json();
    let helps: Vec<&str> =
        check["checks"].as_array().expect("a list").iter().filter_map(|check| check["help"].as_str()).collect();
    assert!(helps.iter().any(|help| help.starts_with("notes db backup")), "{check}");
    assert!(helps.iter().all(|help| !help.contains("migrator ")), "{check}");
    let doctor = folder.notes(&["db", "doctor"], 0).out;
    assert!(doctor.contains("`notes db mark ENV`"), "{doctor}");
}

/// 2 means findings, and a pipeline goes by it.
#[test]
fn what_is_typed_wrongly_is_no_finding() {
    let folder = Folder::new();
    let wrong = folder.notes(&["db", "stats"], 1);
    assert!(wrong.err.contains("unrecognized subcommand 'stats'"), "{}", wrong.err);
    let wrong = folder.notes(&["db", "status", "--jsn", "--json"], 1).json();
    assert_eq!(wrong["error"]["code"], "usage", "{wrong}");
    assert!(wrong["error"]["help"].as_str().is_some_and(|help| help.starts_with("notes --help")), "{wrong}");
    folder.notes(&["--help"], 0);
}

#[test]
fn a_directory_is_only_for_who_writes_migrations() {
    let folder = Folder::new();
    let refused = folder.notes(&["db", "run", "--dir", "migrations"], 1);
    assert!(refused.err.contains("brings its migrations along"), "{}", refused.err);
    let other = folder.notes(&["db", "run", "--database-url", "postgres://localhost/app"], 1);
    assert!(other.err.contains("built for sqlite"), "{}", other.err);
    let new = folder.notes(&["db", "new", "add_colours"], 0);
    assert!(new.out.starts_with("migrations/") && new.out.contains("_add_colours/up.sql"), "{}", new.out);
}
