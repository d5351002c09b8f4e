//! A folder of backups: damage is found, and what is deleted can be spared.

use std::fs;
use std::path::Path;
use std::time::Duration;

use migrator::Config;
use migrator::backup::{Backup, Backups, Manifest, Restore};
use migrator::http::answer;
use migrator_tests::Database;
use serde_json::{Value, json};

use super::{Case, assert_whole};
use crate::dialects::{Sqlite, Subject, applies, history, tables};

on_each_dialect!(damage_is_found_and_not_restored);

fn damage_is_found_and_not_restored<S: Subject>() {
    let case = Case::<S>::new();
    let (backup, backups) = (case.make(), Backups::in_folder(case.backups.path()));
    let whole = fs::read(&backup.file).expect("read the backup");
    let path = format!("{}.manifest", backup.file.display());
    let manifest = fs::read_to_string(&path).expect("read the manifest");
    let before = history(&case.database);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let cut = whole[..whole.len() - 1].to_vec();
    let other = manifest.replacen("sha256 ", "sha256 0", 1);
    let part = manifest[..manifest.len() / 2].to_owned();
    for (what, bytes, text) in [
        ("a bit is another one", &flipped, &manifest),
        ("the end is missing", &cut, &manifest),
        ("the digest is another one", &whole, &other),
        ("the manifest is cut off", &whole, &part),
    ] {
        fs::write(&backup.file, bytes).expect("write");
        fs::write(&path, text).expect("write");
        let listing = backups.verify().expect("the folder can be read");
        assert_eq!((listing.backups.len(), listing.problems.len()), (0, 1), "{what}: {listing:?}");
        let error = case.restore(&backup.file).expect_err(what);
        assert_eq!(error.code(), "backup_damaged", "{what}: {error}");
        assert_eq!(history(&case.database), before);
        assert!(backups.prune(1, None).expect("prune").is_empty());
    }
    fs::write(&backup.file, &whole).expect("write");
    fs::write(&path, &manifest).expect("write");
    assert_whole(&backups.verify().expect("the folder"), 1);
    fs::remove_file(&backup.file).expect("remove");
    assert_eq!(backups.list().expect("the folder").problems.len(), 1, "a manifest without its backup");
    assert_eq!(tables(&case.database), ["t1"]);
}

/// A page whose bytes have the right digest, and which SQLite cannot read.
#[test]
fn a_damaged_database_is_found_behind_a_right_digest() {
    let case = Case::<Sqlite>::new();
    let backup = case.make();
    let mut bytes = fs::read(&backup.file).expect("read");
    bytes[4096..4200].fill(0xff);
    fs::write(&backup.file, &bytes).expect("write");
    let sum = sha256(&bytes);
    let path = format!("{}.manifest", backup.file.display());
    let manifest = fs::read_to_string(&path).expect("read").replace(&backup.sha256, &sum);
    fs::write(&path, manifest).expect("write");
    let error = Manifest::of(&backup.file).expect("a manifest").verify(None).expect_err("it is damaged");
    assert_eq!(error.code(), "backup_damaged");
    assert_eq!(case.restore(&backup.file).expect_err("refused").code(), "backup_damaged");
}

/// SHA-256 as another program computes it.
fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start sha256sum");
    child.stdin.take().expect("piped").write_all(bytes).expect("write");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text")[..64].to_owned()
}

#[test]
fn the_digest_is_what_another_program_computes() {
    let backup = Case::<Sqlite>::new();
    let manifest = backup.make();
    assert_eq!(sha256(&fs::read(&manifest.file).expect("read")), manifest.sha256);
}

/// Gives a backup another age.
fn aged(manifest: &Manifest, created_at: &str) {
    let path = format!("{}.manifest", manifest.file.display());
    let text = fs::read_to_string(&path).expect("read").replace(&manifest.created_at, created_at);
    fs::write(path, text).expect("write");
}

fn files(manifests: &[Manifest]) -> Vec<&Path> {
    manifests.iter().map(|manifest| manifest.file.as_path()).collect()
}

#[test]
fn pruning_keeps_the_newest_and_what_is_young() {
    let case = Case::<Sqlite>::new();
    let (other, backups) = (Case::<Sqlite>::new(), Backups::in_folder(case.backups.path()));
    let mine: Vec<Manifest> = (0..4).map(|_| case.make()).collect();
    let years = ["2001", "2002", "2003"].map(|year| format!("{year}-01-01T00:00:00Z"));
    mine.iter().zip(&years).for_each(|(manifest, year)| aged(manifest, year));
    // One of another database, and a file that nobody here made.
    let elsewhere = case.backups.path().join("elsewhere.sqlite");
    migrator::Migrator::new(&other.folder.set())
        .backup(&mut other.database.connect(), &migrator::backup::Backup::to_file(&elsewhere))
        .expect("backup");
    let stranger = case.backups.path().join("dump.sqlite");
    fs::write(&stranger, "theirs").expect("write");

    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    assert!(backups.prune(1, Some(century)).expect("prune").is_empty(), "none is so old");
    let gone = backups.prune(3, Some(Duration::from_secs(3600))).expect("prune");
    assert_eq!(files(&gone), [&mine[0].file]);
    let gone = backups.prune(0, None).expect("prune");
    assert_eq!(files(&gone).len(), 2, "the newest stays, also when none is to be kept");
    let listing = backups.verify().expect("the folder");
    assert_whole(&listing, 2);
    assert!(files(&listing.backups).contains(&mine[3].file.as_path()) && elsewhere.exists() && stranger.exists());
}

#[test]
fn pruning_never_deletes_the_only_one_that_is_whole() {
    let case = Case::<Sqlite>::new();
    let backups = Backups::in_folder(case.backups.path());
    let mine: Vec<Manifest> = (0..3).map(|_| case.make()).collect();
    let years = ["2001", "2002", "2003"].map(|year| format!("{year}-01-01T00:00:00Z"));
    mine.iter().zip(&years).for_each(|(manifest, year)| aged(manifest, year));
    for newer in &mine[1..] {
        let mut bytes = fs::read(&newer.file).expect("read");
        bytes[4100] ^= 0xff;
        fs::write(&newer.file, bytes).expect("write");
    }
    let gone = backups.prune(1, None).expect("prune");
    assert_eq!(files(&gone), [&mine[1].file], "the oldest is the only one that is whole");
    Restore::of(&mine[0].file).into(case.database.url()).unwrap_or_else(|error| panic!("{error}"));
}

/// The page of a service whose backup is one file says nothing of one that is damaged, or of another database.
#[test]
fn the_age_of_a_file_is_that_of_a_whole_backup_of_this_database() {
    let case = Case::<Sqlite>::new();
    let file = case.backups.path().join("before.sqlite");
    case.run(Backup::to_file(&file).url(case.database.url())).unwrap_or_else(|error| panic!("{error}"));
    aged(&Manifest::of(&file).expect("it has a manifest"), "2001-01-01T00:00:00Z");
    let check = |database: &<Sqlite as Subject>::Database| {
        let backup = Backup::to_file(&file);
        let provider = crate::provider::provider::<diesel::SqliteConnection>(&case.folder.set());
        let config = Config::new(database.url()).migrator(move |migrator| migrator.backup_before(backup.clone()));
        // On the other one it is refused, as the file is there; afterwards nothing is left to back up.
        applies::<Sqlite>(database, &case.folder.set());
        provider.init(config).unwrap_or_else(|error| panic!("{error}"));
        let page = answer(&provider.health(), "/health");
        let page: Value = serde_json::from_str(page.body()).unwrap_or_else(|error| panic!("{error}: {}", page.body()));
        let check = page["checks"]["backup:age"][0].clone();
        let (told, report) = (check["observedValue"].as_u64(), provider.health().report());
        assert_eq!(told.is_some(), report.backup_age.is_some(), "{check}: {report:?}");
        (told.map(Duration::from_secs), check)
    };
    let (age, told) = check(&case.database);
    assert!(age.is_some_and(|age| age > Duration::from_secs(20 * 365 * 86_400)), "{told}");
    assert_eq!((&told["observedUnit"], &told["status"]), (&json!("s"), &json!("pass")), "{told}");
    assert_eq!(check(&Sqlite::fresh()).1, Value::Null, "it is of another database");
    let cut = fs::read(&file).expect("read")[1..].to_vec();
    fs::write(&file, cut).expect("write");
    assert_eq!(check(&case.database).1, Value::Null, "it is not whole");
}
