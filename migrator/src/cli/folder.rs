//! The commands that need the directory alone.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use migrator_source::fault::Fault;
use migrator_source::layout::{self, File, Folder, Layout, Options};
use migrator_source::seal;
use serde_json::{Value, json};

use super::global::{Directory, Global};
use super::{FINDINGS, output, prisma};
use crate::migration::folder_error;
use crate::url::Url;
use crate::{Error, MigrationSet};

/// Make a new migration, YYYYMMDDHHMMSS_name in UTC, in the layout of the directory.
///
/// Refuses a name that is not in snake_case or does not say what the migration does.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator new add_email_to_users")]
pub(super) struct NewArgs {
    /// What it does, in snake_case.
    name: String,
}

/// Check the directory alone: layout, names, texts, seal, dialect. Exits 2 on errors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator check --deny warnings")]
pub(super) struct CheckArgs {
    /// Exit 2 on warnings too.
    #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
    deny: Option<String>,
}

/// Declare the migrations of the directory final: from then on it is a compile error to edit, delete, rename or reorder them.
///
/// Writes `migrations.seal` beside them, to be committed. A migration that is added later is a draft until it is sealed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  migrator seal --dir migrations --dialect postgres")]
pub(super) struct SealArgs {}

impl NewArgs {
    /// Writes the files of a new migration, in the layout of the directory.
    pub(super) fn answer(&self, global: &Global, directory: &Directory) -> Result<ExitCode, Error> {
        let dir = &directory.path;
        let refused = |faults: &[Fault]| folder_error(&dir.display().to_string(), faults);
        let files = match layout::files(dir) {
            Err(fault) if fault.code == "directory_missing" => Vec::new(),
            files => files.map_err(|fault| refused(&[fault]))?,
        };
        let moment: String = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let moment: String = moment.chars().filter(char::is_ascii_digit).collect();
        let named = directory.layout.or(dir.ends_with("prisma/migrations").then_some(Layout::Prisma));
        let new = layout::new(&files, named, &self.name, &moment).map_err(|faults| refused(&faults))?;
        let mut paths = Vec::new();
        for file in &new {
            let path = dir.join(&file.path);
            write_new(&path, &file.bytes).map_err(|error| {
                let message = format!("{} cannot be written", path.display());
                Error::new("folder", message, "check the permissions of the directory").with_source(error)
            })?;
            paths.push(path.display().to_string());
        }
        // The macro includes the seal, so that touching it rebuilds a crate whose build script does not watch the directory.
        if let Ok(seal) = fs::File::options().append(true).open(dir.join(seal::FILE)) {
            let _cargo_looks_at_the_build_script_too = seal.set_modified(SystemTime::now());
        }
        if global.json {
            output::json(&json!({ "files": paths }));
        } else {
            paths.iter().for_each(output::answer);
        }
        let is_prisma = new.iter().any(|file| file.path.ends_with("/migration.sql"));
        let is_first = files.iter().all(|file| !file.path.ends_with("/migration.sql"));
        if is_prisma && (is_first || prisma::careless(dir, &files).is_some()) && !global.quiet {
            output::note(&prisma::advice(&files));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;

    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::File::create_new(path)?.write_all(bytes)
}

impl CheckArgs {
    /// Checks the directory in its own dialect, else in that of the database that is named.
    pub(super) fn answer(&self, global: &Global, directory: &Directory, url: Option<&Url>) -> Result<ExitCode, Error> {
        let dir = &directory.path;
        let named = url.map(Url::dialect);
        let files = layout::files(dir).map_err(|fault| folder_error(&dir.display().to_string(), &[fault]))?;
        let possible = named.as_slice();
        let options = Options { layout: directory.layout, dialect: directory.dialect, possible, ..Options::default() };
        let findings = match layout::read(&files, options) {
            Ok(folder) => warnings(&folder, dir, &files),
            Err(faults) => faults.into_iter().map(|fault| Finding { severity: Severity::Error, fault }).collect(),
        };
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let dir = dir.display().to_string();
        if global.json {
            let findings: Vec<Value> = findings.iter().map(|finding| finding.json(&dir)).collect();
            output::json(&json!({ "findings": findings }));
        } else if findings.is_empty() {
            output::answer(&format_args!("{dir}: nothing to complain about"));
        } else {
            findings.iter().for_each(|finding| output::answer(&finding.text(&dir)));
            output::answer(&format_args!("{}, {}", count(errors, "error"), count(findings.len() - errors, "warning")));
        }
        let found = errors > 0 || self.deny.is_some() && !findings.is_empty();
        Ok(if found { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
    }
}

/// `1 error`, `2 errors`.
fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
}

struct Finding {
    severity: Severity,
    fault: Fault,
}

impl Finding {
    fn severity(&self) -> &'static str {
        if self.severity == Severity::Error { "error" } else { "warning" }
    }

    fn text(&self, dir: &str) -> String {
        let Fault { code, message, help, .. } = &self.fault;
        let help = if help.is_empty() { String::new() } else { format!("\n  help: {help}") };
        format!("{}: {}: {message} [{code}]{help}", self.severity(), self.fault.place(dir))
    }

    fn json(&self, dir: &str) -> Value {
        let Fault { code, path, position, message, help } = &self.fault;
        let file = Fault { position: None, ..Fault::new(code, path, "", "") }.place(dir);
        let (line, column) = (position.map(|place| place.line), position.map(|place| place.column));
        json!({ "rule": code, "severity": self.severity(), "file": file, "line": line, "column": column, "message": message,
            "help": help })
    }
}

/// What is worth a word in a folder without faults. A name is judged while it can still be changed.
fn warnings(folder: &Folder, dir: &Path, files: &[File]) -> Vec<Finding> {
    let of = |fault| Finding { severity: Severity::Warning, fault };
    let said = folder.warnings.iter().map(|warning| Fault::new(warning.code, "", &warning.message, ""));
    let sealed = folder.seal.as_ref().map_or(0, seal::Seal::len);
    let drafts = folder.entries.iter().skip(sealed).filter(|_| folder.seal.is_some());
    let names = drafts.filter_map(|entry| {
        let why = layout::bad_name(layout::words(&entry.name))?;
        Some(Fault::new("bad_name", &entry.up_path, why, "rename it while it is a draft: say what it does"))
    });
    let careless = (folder.layout == Layout::Prisma).then(|| prisma::careless(dir, files)).flatten();
    said.chain(names).chain(careless).map(of).collect()
}

impl SealArgs {
    /// Seals what is a draft. The dialect is the stated one, else the folder's own, else that of the database that is named.
    pub(super) fn answer(&self, global: &Global, directory: &Directory, url: Option<&Url>) -> Result<ExitCode, Error> {
        let Directory { path: dir, layout, dialect } = directory;
        let sealed = match (MigrationSet::seal(dir, *layout, *dialect), url) {
            (Err(error), Some(url)) if error.code() == "dialect_unknown" => {
                MigrationSet::seal(dir, *layout, Some(url.dialect()))
            }
            (result, _) => result,
        }?;
        if global.json {
            output::json(&json!({ "sealed": sealed }));
        } else if sealed.is_empty() {
            output::answer(&format_args!("every migration of {} was sealed before", dir.display()));
        } else {
            sealed.iter().for_each(|name| output::answer(&format_args!("sealed {name}")));
            if !global.quiet {
                output::note("commit migrations.seal: from now on an edit of these is a compile error");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
