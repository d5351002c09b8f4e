//! Seeds that are read at run time: a folder of files, in the order of their names.

use std::path::Path;

use migrator_source::data::{self, Kind};
use migrator_source::fault::Fault;
use migrator_source::layout::File;
use migrator_source::sql::SqlDialect;

use super::{Existing, Seed, SeedFile};
use crate::error::Error;

impl<C> Seed<C> {
    /// Reads a folder of SQL, CSV and JSON files, as [`seed_file!`](crate::seed_file) reads one, in the order of their names.
    ///
    /// The numbers in front of the names are all that says what needs what, so each seed depends on the one before it. Files that
    /// begin with a dot or end in `.md`, and folders, are passed over; any other ending is an error. What is read stays in memory as
    /// long as the process lives, as a `const` does.
    ///
    /// # Errors
    /// When the folder cannot be read, two files have one name, or a file has a fault; the message lists all of them.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Vec<Self>, Error> {
        let dir = path.as_ref().display().to_string();
        let failed = |error: std::io::Error| {
            Error::new("folder", format!("{dir} cannot be read"), "check the path").with_source(error)
        };
        let mut files = Vec::new();
        for item in std::fs::read_dir(path.as_ref()).map_err(failed)? {
            let item = item.map_err(failed)?;
            if item.path().is_file() {
                let path = item.file_name().to_string_lossy().into_owned();
                files.push(File { path, bytes: std::fs::read(item.path()).map_err(failed)? });
            }
        }
        Self::read(files, &dir)
    }

    /// Takes a folder that `include_dir!` embedded; else as [`from_path`](Self::from_path).
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path).
    pub fn from_dir(dir: &include_dir::Dir<'_>) -> Result<Vec<Self>, Error> {
        let file = |file: &include_dir::File<'_>| File {
            path: file.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            bytes: file.contents().to_vec(),
        };
        let name = match dir.path().display().to_string() {
            name if name.is_empty() => "embedded folder".to_owned(),
            name => name,
        };
        Self::read(dir.files().map(file).collect(), &name)
    }

    fn read(mut files: Vec<File>, dir: &str) -> Result<Vec<Self>, Error> {
        files.retain(|file| !file.path.starts_with('.') && !file.path.ends_with(".md"));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let (mut seeds, mut faults): (Vec<Self>, Vec<Fault>) = (Vec::new(), Vec::new());
        for mut file in files {
            file.path = format!("{}/{}", dir.trim_end_matches('/'), file.path);
            match Self::of_read(&file) {
                Ok(seed) => {
                    if seeds.iter().any(|other| other.name == seed.name) {
                        let message = format!("two files are the seed `{}`", seed.name);
                        faults.push(Fault::new("seed_twice", &file.path, message, "rename one of the two"));
                    }
                    let before: &'static [Self] = seeds.last().map_or(&[], |before| Box::leak(Box::new([*before])));
                    seeds.push(seed.depends_on(before));
                }
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() {
            return Ok(seeds);
        }
        let texts = faults
            .iter()
            .map(|fault| format!("{}: {} [{}]\n  help: {}", fault.place(""), fault.message, fault.code, fault.help));
        Err(Error::new("folder", texts.collect::<Vec<_>>().join("\n"), "correct the files, then try again"))
    }

    fn of_read(file: &File) -> Result<Self, Vec<Fault>> {
        let Some(kind) = Kind::of(&file.path) else {
            let message = "a seed is a file that ends in .sql, .csv or .json";
            return Err(vec![Fault::new("ending", &file.path, message, "rename it, or move it elsewhere")]);
        };
        let (text, hash) = data::text(file).map_err(|fault| vec![fault])?;
        match kind {
            Kind::Sql => data::script(&file.path, &text, SqlDialect::ALL)?,
            _ => data::rows(kind, &file.path, &text)
                .and_then(|rows| rows.key(&file.path, &[]).map(drop))
                .map_err(|fault| vec![fault])?,
        }
        let name = kept(data::name(&file.path).to_owned());
        let (path, text) = (kept(file.path.clone()), kept(text.into_owned()));
        let file = Box::leak(Box::new(SeedFile { kind, path, text, table: name, key: &[], existing: Existing::Keep }));
        Ok(Self::of_file(name, kept(hash), file))
    }
}

/// A seed is a constant; what is read at run time becomes one.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
