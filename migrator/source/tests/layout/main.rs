//! What each layout makes of a folder, by tables: files in, and out come migrations in order with warnings, or faults.

mod detection;
mod diesel;
mod disk;
mod flat;
mod marks;
mod names;
mod new;
mod prisma;
mod scripts;
mod sections;
mod texts;

use migrator_source::fault::Fault;
use migrator_source::layout::{self, Down, File, Folder, Options};
use migrator_source::sql::Mode;

/// Files: path and text of each.
type Paths<'a> = &'a [(&'a str, &'a str)];

/// A situation, the files, and the lines that [`outcome`] gives for them.
type Row<'a> = (&'a str, Paths<'a>, &'a [&'a str]);

/// A statement that every dialect takes, for scripts whose text does not matter.
const SQL: &str = "SELECT 1;";

/// Checks a table.
#[track_caller]
fn check(options: Options<'_>, rows: &[Row<'_>]) {
    for (situation, paths, expected) in rows {
        assert_eq!(outcome(&files(paths), options), *expected, "{situation}");
    }
}

fn files(paths: Paths<'_>) -> Vec<File> {
    paths.iter().map(|(path, text)| File { path: (*path).to_owned(), bytes: text.as_bytes().to_vec() }).collect()
}

fn read(paths: Paths<'_>) -> Folder {
    layout::read(&files(paths), Options::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(paths: Paths<'_>) -> Vec<Fault> {
    layout::read(&files(paths), Options::default()).expect_err("a fault")
}

/// `version | name | up path | down path` for each migration, `-` where there is no down script, `!` before a faulty
/// one, then what is declared beside the scripts (twice where the ways differ); `~ warning`; or `code place: message` for each fault.
fn outcome(files: &[File], options: Options<'_>) -> Vec<String> {
    let folder = match layout::read(files, options) {
        Ok(folder) => folder,
        Err(faults) => return faults.iter().map(shown).collect(),
    };
    let migrations = folder.entries.iter().map(|entry| {
        let down = match &entry.down {
            Down::None => "-".to_owned(),
            Down::Script { path, .. } => path.clone(),
            Down::Faulty { path, .. } => format!("!{path}"),
        };
        let declared = |mode| match mode {
            None => "",
            Some(Mode::Transaction) => " | transaction",
            Some(Mode::NoTransaction) => " | no transaction",
        };
        let same = entry.down == Down::None || entry.declared_down == entry.declared;
        let differs = if same { "" } else { " | down:" };
        let declared_down = if same { "" } else { declared(entry.declared_down) };
        let declared = declared(entry.declared);
        format!("{} | {} | {} | {down}{declared}{differs}{declared_down}", entry.version, entry.name, entry.up_path)
    });
    migrations.chain(folder.warnings.iter().map(|warning| format!("~ {warning}"))).collect()
}

fn shown(fault: &Fault) -> String {
    assert!(!fault.help.is_empty(), "{} has no help", fault.code);
    format!("{} {}: {}", fault.code, fault.place("dir"), fault.message)
}
