//! Reads the directory and checks it.

use std::path::{Path, PathBuf};

use migrator_source::fault::{Fault, Warning};
use migrator_source::layout::{self, File, Folder, Options};
use migrator_source::pack::Packed;
use migrator_source::seal;
use migrator_source::sql::SqlDialect;

use crate::args::{Args, Unsealed};

/// More errors than this for one directory help nobody.
const MOST: usize = 20;

/// What goes into the binary.
pub(crate) struct Embedded {
    pub(crate) packed: Packed,
    /// The files that a change of must rebuild the crate, below the directory.
    pub(crate) files: Vec<String>,
    /// Whether the build script watches the directory.
    pub(crate) tracked: bool,
    pub(crate) warnings: Vec<Warning>,
    /// What a release build says about migrations that are not sealed.
    pub(crate) unsealed: Option<(Unsealed, Warning)>,
}

/// Reads and checks the directory; each error is one text.
pub(crate) fn validate(args: &Args) -> Result<Embedded, Vec<String>> {
    if Path::new(&args.dir).is_absolute() {
        let text = "the directory is relative to the crate's Cargo.toml; an absolute path builds on one machine only";
        return Err(vec![text.to_owned()]);
    }
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let one = |fault: Fault| vec![text(&fault, &args.dir)];
    let files = layout::files(&manifest.join(&args.dir)).map_err(one)?;
    let options = Options { layout: args.layout, dialect: args.dialect, possible: possible(), ..Options::default() };
    let folder = layout::read(&files, options).map_err(|faults| {
        let mut texts: Vec<String> = faults.iter().take(MOST).map(|fault| text(fault, &args.dir)).collect();
        if faults.len() > MOST {
            texts.push(format!("{}: {} more faults", args.dir, faults.len() - MOST));
        }
        texts
    })?;
    let unsealed = unsealed(args, &folder);
    let mut packed = Packed::new(&folder, &args.dir).map_err(|error| vec![error])?;
    packed.package = std::env::var("CARGO_PKG_NAME").unwrap_or_default().into();
    packed.package_version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default().into();
    let tracked_dirs = tracked();
    let tracked = tracked_dirs.contains(&args.dir);
    let mut warnings: Vec<Warning> = folder.warnings;
    warnings.iter_mut().for_each(|warning| warning.message = format!("{}: {}", args.dir, warning.message));
    if !tracked {
        warnings.push(untracked(&args.dir, &tracked_dirs));
    }
    Ok(Embedded { packed, files: watched(files), tracked, warnings, unsealed })
}

/// The dialects that the build can talk to.
pub(crate) fn possible() -> &'static [SqlDialect] {
    match (cfg!(feature = "sqlite"), cfg!(feature = "postgres"), cfg!(feature = "mysql")) {
        (true, false, false) => &[SqlDialect::Sqlite],
        (false, true, false) => &[SqlDialect::Postgres],
        (false, false, true) => &[SqlDialect::Mysql],
        (true, true, false) => &[SqlDialect::Sqlite, SqlDialect::Postgres],
        (true, false, true) => &[SqlDialect::Sqlite, SqlDialect::Mysql],
        (false, true, true) => &[SqlDialect::Postgres, SqlDialect::Mysql],
        _ => SqlDialect::ALL,
    }
}

fn text(fault: &Fault, dir: &str) -> String {
    let base = if fault.code == "directory_missing" { "; the path begins at the crate's Cargo.toml" } else { "" };
    format!("{}: {}\n  help: {}{base}", fault.place(dir), fault.message, fault.help)
}

/// What there is to say about drafts. Without a seal only who asks for it hears it.
fn unsealed(args: &Args, folder: &Folder) -> Option<(Unsealed, Warning)> {
    let (rule, sealed) = match &folder.seal {
        Some(seal) => (args.unsealed.unwrap_or(Unsealed::Warn), seal.len()),
        None => (args.unsealed?, 0),
    };
    let drafts = folder.entries.get(sealed..).unwrap_or_default();
    let first = &drafts.first()?.name;
    let what = match drafts.len() {
        1 => format!("{first} is a draft"),
        many => format!("{many} migrations are drafts, first {first}"),
    };
    let message = format!(
        "{}: {what}: a draft can still change, and a database that a release migrated keeps the text it met; type: migrator seal",
        args.dir
    );
    Some((rule, Warning { code: "not_sealed", message }))
}

fn watched(files: Vec<File>) -> Vec<String> {
    let read = |path: &str| path.ends_with(".sql") || path.ends_with(".toml") || path == seal::FILE;
    files.into_iter().map(|file| file.path).filter(|path| read(path)).collect()
}

/// The directories that the build script has told cargo to watch, which is the only way to see *new* files.
fn tracked() -> Vec<String> {
    let dirs = std::env::var("MIGRATOR_TRACKED").unwrap_or_default();
    let dirs = dirs.split(',').map(|dir| dir.trim().trim_start_matches("./").trim_end_matches('/'));
    dirs.filter(|dir| !dir.is_empty()).map(str::to_owned).collect()
}

/// The line that is missing in build.rs; it keeps the directories that are watched already, for the last value of the
/// variable is the one that counts.
fn untracked(dir: &str, tracked: &[String]) -> Warning {
    let dirs: Vec<&str> = tracked.iter().map(String::as_str).chain([dir]).collect();
    let watch: String = dirs.iter().map(|dir| format!("cargo::rerun-if-changed={dir}\\n")).collect();
    let place = if tracked.is_empty() { "put this line into" } else { "let this be the only such line in" };
    let message = format!(
        "a new file in `{dir}` does not rebuild this crate, so the binary would silently lack it; {place} the `main` of \
         build.rs:\n    println!(\"{watch}cargo::rustc-env=MIGRATOR_TRACKED={}\");",
        dirs.join(",")
    );
    Warning { code: "line_missing_in_build_rs", message }
}
