//! What a seal says about a folder that was changed behind it.

use migrator_source::fault::Fault;
use migrator_source::layout::{self, File, Folder, Options, Sealed};
use migrator_source::seal::{FILE, Seal};
use migrator_source::sql::SqlDialect;

/// A folder: names and texts.
type Texts<'a> = &'a [(&'a str, &'a str)];

const THREE: Texts<'_> = &[("1_users", "SELECT 1;"), ("2_posts", "SELECT 2;"), ("3_tags", "SELECT 3;")];

fn files(texts: Texts<'_>, seal: Option<&str>) -> Vec<File> {
    let scripts =
        texts.iter().map(|(name, text)| File { path: format!("{name}/up.sql"), bytes: text.as_bytes().to_vec() });
    scripts.chain(seal.map(|seal| File { path: FILE.to_owned(), bytes: seal.as_bytes().to_vec() })).collect()
}

fn read(files: &[File], sealed: Sealed) -> Result<Folder, Vec<Fault>> {
    layout::read(files, Options { sealed, ..Options::default() })
}

/// Seals what a folder holds, behind the seal that it has.
fn sealed(texts: Texts<'_>, seal: Option<&str>) -> String {
    let folder = read(&files(texts, seal), Sealed::Unchecked).expect("a folder");
    let mut seal = folder.seal.unwrap_or_default();
    seal.add(&folder.entries, SqlDialect::Sqlite).expect("nothing sealed was changed");
    seal.to_string()
}

/// `code place: message` of each fault.
fn faults(texts: Texts<'_>, seal: &str) -> Vec<String> {
    let shown = |fault: &Fault| format!("{} {}: {}", fault.code, fault.place(""), fault.message);
    match read(&files(texts, Some(seal)), Sealed::Checked) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(shown).collect(),
    }
}

#[test]
fn what_was_sealed_is_kept_and_drafts_are_free() {
    let seal = sealed(&THREE[..2], None);
    assert_eq!(faults(THREE, &seal), [""; 0]);
    let edited = [THREE[0], THREE[1], ("3_tags", "SELECT 'another text';")];
    assert_eq!(faults(&edited, &seal), [""; 0]);

    let folder = read(&files(THREE, Some(&seal)), Sealed::Checked).expect("a folder");
    assert_eq!(folder.dialect, Some(SqlDialect::Sqlite));
    assert_eq!(folder.seal.expect("a seal").len(), 2);
    assert!(folder.warnings.is_empty(), "the seal is no stray file: {:?}", folder.warnings);

    let more = sealed(THREE, Some(&seal));
    assert!(more.starts_with(&seal), "a line is added and none is changed: {more}");
    assert_eq!(sealed(THREE, Some(&more)), more);
    // A checkout with the line endings of Windows.
    assert_eq!(faults(THREE, &more.replace('\n', "\r\n")), [""; 0]);
}

#[test]
fn a_change_behind_the_seal_is_named_with_its_place() {
    let seal = sealed(THREE, None);
    let rows: [(&str, Texts<'_>, &[&str]); 6] = [
        (
            "edited",
            &[THREE[0], ("2_posts", "SELECT 22;"), THREE[2]],
            &[
                "sealed_edited 2_posts/up.sql: was edited, and it is sealed (migrations.seal:4): databases have run the text that it had",
            ],
        ),
        (
            "deleted",
            &[THREE[0], THREE[2]],
            &["sealed_missing migrations.seal:4:1: 2_posts is sealed and is not in the directory any more"],
        ),
        (
            "renamed",
            &[THREE[0], ("2_articles", "SELECT 2;"), THREE[2]],
            &["sealed_renamed migrations.seal:4:1: 2_posts is sealed and was renamed to 2_articles"],
        ),
        (
            "another version",
            &[THREE[0], THREE[2], ("4_posts", "SELECT 2;")],
            &["sealed_renamed migrations.seal:4:1: 2_posts is sealed and was renamed to 4_posts"],
        ),
        (
            "one in between",
            &[THREE[0], ("15_tags", "SELECT 3;"), ("2_posts", "SELECT 2;"), ("3_tags", "SELECT 3;")],
            &[
                "before_sealed 15_tags/up.sql: is not sealed and would run before 3_tags, which is: databases that have that one got it first",
            ],
        ),
        (
            "two at once",
            &[("1_users", "SELECT 11;"), THREE[2]],
            &[
                "sealed_edited 1_users/up.sql: was edited, and it is sealed (migrations.seal:3): databases have run the text that it had",
                "sealed_missing migrations.seal:4:1: 2_posts is sealed and is not in the directory any more",
            ],
        ),
    ];
    for (situation, texts, expected) in rows {
        assert_eq!(faults(texts, &seal), *expected, "{situation}");
    }
}

#[test]
fn a_hand_in_the_seal_is_found() {
    let seal = sealed(THREE, None);
    let lines: Vec<&str> = seal.lines().collect();
    let without = |at: usize| {
        let kept = lines.iter().enumerate().filter(|(line, _)| *line != at).map(|(_, line)| *line);
        kept.collect::<Vec<_>>().join("\n")
    };
    let first = |text: &str| faults(THREE, text).first().cloned().unwrap_or_default();
    assert!(first(&without(2)).starts_with("seal_chain migrations.seal:3:1: "), "{}", first(&without(2)));
    assert!(first(&seal.replace("dialect sqlite", "dialect postgres")).starts_with("seal_chain migrations.seal:3:1: "));
    assert!(first(&seal.replace("2_posts", "2_post")).starts_with("seal_chain migrations.seal:4:1: "));
    assert!(first(&format!("{seal}sealed nothing\n")).starts_with("seal_broken migrations.seal:6:1: this is no line"));
    assert!(
        first(&format!("{seal}{}\n", lines[3]))
            .starts_with("seal_broken migrations.seal:6:1: 2_posts is sealed in line 4 too")
    );
    assert!(first("<<<<<<< ours\n").starts_with("seal_broken migrations.seal:1:1: "));
    // Cut off at the end, nothing contradicts what is left: its migrations are drafts again, as version control shows.
    assert_eq!(first(&without(4)), "");
}

/// Git takes both sides of a merge when a person says so; their chains then show it.
#[test]
fn two_branches_that_both_add_a_migration_do_not_fit() {
    let base = sealed(&THREE[..1], None);
    let (ours, theirs) = (sealed(&THREE[..2], Some(&base)), sealed(&[THREE[0], THREE[2]], Some(&base)));
    let merged = format!("{ours}{}\n", theirs.lines().last().expect("a line"));
    let found = faults(THREE, &merged);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("seal_chain migrations.seal:5:1: "), "{found:?}");
    assert_eq!(faults(THREE, &sealed(THREE, Some(&merged))), [""; 0], "seal chains them anew");
}

#[test]
fn an_edit_is_accepted_with_a_reason_that_stays() {
    let (seal, edited) = (sealed(THREE, None), [THREE[0], ("2_posts", "SELECT 2; -- two"), THREE[2]]);
    let folder = read(&files(&edited, Some(&seal)), Sealed::Unchecked).expect("a folder");
    let mut changed = folder.seal.expect("a seal");
    assert_eq!(changed.accept(&folder.entries[0], "why").expect_err("not edited").code, "not_accepted");
    assert_eq!(changed.accept(&folder.entries[1], " \n").expect_err("no reason").code, "not_accepted");
    changed.accept(&folder.entries[1], "a comment\nwas missing").expect("an edit");
    let text = changed.to_string();
    assert_eq!(faults(&edited, &text), [""; 0]);
    assert!(faults(THREE, &text)[0].starts_with("sealed_edited 2_posts/up.sql"), "the old text is not sealed any more");
    let line = text.lines().nth(4).expect("a line below the migration's");
    let old = seal.lines().nth(3).and_then(|line| line.split(' ').nth(2)).expect("the old checksum");
    assert!(line.starts_with("accepted ") && line.ends_with(&format!(" {old} a comment was missing")), "{line}");
    let again = Seal::read(&files(&edited, Some(&text))).expect("a seal").expect("a seal");
    assert_eq!(again.to_string(), text);
}

#[test]
fn the_dialect_is_held_against_what_else_says_it() {
    let seal = sealed(THREE, None);
    let named = Options { dialect: Some(SqlDialect::Postgres), ..Options::default() };
    let faults = layout::read(&files(THREE, Some(&seal)), named).expect_err("another dialect");
    assert_eq!(faults[0].code, "dialect_contradiction");
    assert_eq!(faults[0].path, FILE);
}
