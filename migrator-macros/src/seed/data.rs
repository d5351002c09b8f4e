//! Reads the files of a seed.

use std::path::{Path, PathBuf};

use migrator_source::checksum;
use migrator_source::data::{self, Kind};
use migrator_source::fault::Fault;
use migrator_source::layout::File;
use syn::LitStr;

use crate::validate::possible;

/// What goes into the binary.
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) hash: String,
}

/// Reads one file that is a seed; each error is one text.
pub(super) fn read(path: &LitStr, key: &[LitStr]) -> Result<Read, Vec<String>> {
    let path = path.value();
    let one = |fault: Fault| vec![text(&fault)];
    let Some(kind) = Kind::of(&path) else {
        return Err(vec![format!("{path}: a seed is a file that ends in .sql, .csv or .json")]);
    };
    let file = open(&path).map_err(|error| vec![error])?;
    let (content, hash) = data::text(&file).map_err(one)?;
    if kind == Kind::Sql {
        data::script(&path, &content, possible()).map_err(|faults| faults.iter().map(text).collect::<Vec<_>>())?;
    } else {
        let rows = data::rows(kind, &path, &content).map_err(one)?;
        let key: Vec<String> = key.iter().map(LitStr::value).collect();
        rows.key(&path, &key.iter().map(String::as_str).collect::<Vec<_>>()).map_err(one)?;
    }
    Ok(Read { kind, name: data::name(&path).to_owned(), text: content.into_owned(), hash })
}

/// The digest of all files of a function; `None` when there are none.
pub(super) fn hash(files: &[LitStr]) -> syn::Result<Option<String>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for file in files {
        let read = open(&file.value()).map_err(|error| syn::Error::new(file.span(), error))?;
        // Only a text has line endings that a checkout may change.
        let sum = match checksum::normalise(&read.bytes) {
            Ok(text) => checksum::digest(text.as_bytes()),
            Err(_) => checksum::digest(&read.bytes),
        };
        all.extend(sum);
    }
    Ok(Some(checksum::hex(&checksum::digest(&all))))
}

fn open(path: &str) -> Result<File, String> {
    if Path::new(path).is_absolute() {
        return Err(format!(
            "{path}: the path is relative to the crate's Cargo.toml; an absolute one builds on one machine only"
        ));
    }
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    match std::fs::read(manifest.join(path)) {
        Ok(bytes) => Ok(File { path: path.to_owned(), bytes }),
        Err(error) => Err(format!("{path} cannot be read: {error}; the path begins at the crate's Cargo.toml")),
    }
}

fn text(fault: &Fault) -> String {
    format!("{}: {}\n  help: {}", fault.place(""), fault.message, fault.help)
}
