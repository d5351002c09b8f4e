//! Reads the directory and checks it.

use std::path::{Path, PathBuf};

use migrator_source::layout::{self, File, Options};
use migrator_source::pack::Packed;
use migrator_source::sql::SqlDialect;

use crate::args::Args;

/// More errors than this for one directory help nobody.
const MOST: usize = 20;

/// What goes into the binary.
pub(crate) struct Embedded {
    pub(crate) packed: Packed,
    /// The files that a change of must rebuild the crate, below the directory.
    pub(crate) files: Vec<String>,
    /// Whether the build script watches the directory.
    pub(crate) tracked: bool,
    pub(crate) warnings: Vec<String>,
}

/// Reads and checks the directory; each error is one text.
pub(crate) fn validate(args: &Args) -> Result<Embedded, Vec<String>> {
    if Path::new(&args.dir).is_absolute() {
        let text = "the directory is relative to the crate's Cargo.toml; an absolute path builds on one machine only";
        return Err(vec![text.to_owned()]);
    }
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let one = |fault: migrator_source::fault::Fault| vec![text(&fault, &args.dir)];
    let files = layout::files(&manifest.join(&args.dir)).map_err(one)?;
    let options = Options { layout: args.layout, dialect: args.dialect, possible: possible() };
    let folder = layout::read(&files, options).map_err(|faults| {
        let mut texts: Vec<String> = faults.iter().take(MOST).map(|fault| text(fault, &args.dir)).collect();
        if faults.len() > MOST {
            texts.push(format!("{}: {} more faults", args.dir, faults.len() - MOST));
        }
        texts
    })?;
    let mut packed = Packed::new(&folder, &args.dir).map_err(|error| vec![error])?;
    packed.package = std::env::var("CARGO_PKG_NAME").unwrap_or_default().into();
    let tracked = is_tracked(&args.dir);
    let mut warnings: Vec<String> = folder.warnings.iter().map(|warning| format!("{}: {warning}", args.dir)).collect();
    if !tracked {
        warnings.push(untracked(&args.dir));
    }
    Ok(Embedded { packed, files: watched(files), tracked, warnings })
}

fn possible() -> &'static [SqlDialect] {
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

fn text(fault: &migrator_source::fault::Fault, dir: &str) -> String {
    format!("{}: {}\n  help: {}", fault.place(dir), fault.message, fault.help)
}

fn watched(files: Vec<File>) -> Vec<String> {
    let read = |path: &str| path.ends_with(".sql") || path.ends_with(".toml");
    files.into_iter().map(|file| file.path).filter(|path| read(path)).collect()
}

/// Whether the build script has told cargo to watch the directory, which is the only way to see *new* files.
fn is_tracked(dir: &str) -> bool {
    std::env::var("MIGRATOR_TRACKED")
        .is_ok_and(|dirs| dirs.split(',').any(|one| one.trim().trim_end_matches('/') == dir))
}

fn untracked(dir: &str) -> String {
    format!(
        "a new file in `{dir}` does not rebuild this crate, so the binary would silently lack it; put this line into the \
         `main` of build.rs:\n    println!(\"cargo::rerun-if-changed={dir}\\ncargo::rustc-env=MIGRATOR_TRACKED={dir}\");"
    )
}
