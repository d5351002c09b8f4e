//! What stands beside each backup and says what it is.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use migrator_source::sql::SqlDialect;

use crate::error::Error;

/// The first line of a manifest. A file without it is none of ours.
const TITLE: &str = "migrator backup 1";

/// What one backup is: the file `<backup>.manifest`, a line for each field, written when the backup is complete.
///
/// A copy without a manifest is none that this crate vouches for: it is not listed, not restored, and never deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Manifest {
    /// The backup itself.
    pub file: PathBuf,
    /// The database that it was made of: the path of a file, or scheme, host and name; never a user or a secret.
    pub database: String,
    /// The kind of database.
    #[cfg_attr(feature = "serde", serde(serialize_with = "by_name"))]
    pub dialect: SqlDialect,
    /// The server's version, in its own words; for SQLite that of the library.
    pub server: String,
    /// What made the copy, with its version.
    pub tool: String,
    /// RFC 3339, UTC, by the clock of the machine that made it.
    pub created_at: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 digest of the file, in hexadecimal.
    pub sha256: String,
    /// The version of the migration that was applied last; `None` before the first one.
    pub head: Option<String>,
    /// The fingerprint of what was applied, in hexadecimal.
    pub fingerprint: Option<String>,
    /// The version of this crate.
    pub migrator: String,
}

impl Manifest {
    /// Where the manifest of a backup is.
    pub(super) fn path(file: &Path) -> PathBuf {
        let mut path = file.as_os_str().to_owned();
        path.push(".manifest");
        path.into()
    }

    /// Reads the manifest of a backup. Whether the backup is what it says is for [`verify`](Self::verify) to tell.
    ///
    /// # Errors
    /// `backup_damaged` when it is not there, not one of this crate, or lacks a field.
    pub fn of(file: impl AsRef<Path>) -> Result<Self, Error> {
        let (file, path) = (file.as_ref(), Self::path(file.as_ref()));
        let damaged = |what: String| {
            let remedy =
                "restore only what `migrator backups` lists; this file was not finished, or not made by migrator";
            Error::new("backup_damaged", what, remedy)
        };
        let text = fs::read_to_string(&path).map_err(|error| {
            damaged(format!("{} has no manifest: {}", file.display(), path.display())).with_source(error)
        })?;
        Self::parse(file, &text).map_err(|what| damaged(format!("{}: {what}", path.display())))
    }

    fn parse(file: &Path, text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        if lines.next() != Some(TITLE) {
            return Err(format!("its first line is not `{TITLE}`"));
        }
        // Lines that a newer version adds are left alone.
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(' ')).collect();
        let optional =
            |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.trim().to_owned());
        let field = |name: &str| optional(name).ok_or_else(|| format!("it has no line `{name}`"));
        if optional("end").is_none() {
            return Err("its last line is missing".to_owned());
        }
        Ok(Self {
            file: file.to_owned(),
            database: field("database")?,
            dialect: field("dialect")?.parse().map_err(|_| "it names a database that is not known here".to_owned())?,
            server: field("server")?,
            tool: field("tool")?,
            created_at: field("created_at")?,
            bytes: field("bytes")?.parse().map_err(|_| "its size is no number".to_owned())?,
            sha256: field("sha256")?,
            head: optional("head"),
            fingerprint: optional("fingerprint"),
            migrator: field("migrator")?,
        })
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        let bytes = self.bytes.to_string();
        let fields = [
            ("database", Some(self.database.as_str())),
            ("dialect", Some(self.dialect.name())),
            ("server", Some(&self.server)),
            ("tool", Some(&self.tool)),
            ("created_at", Some(&self.created_at)),
            ("bytes", Some(&bytes)),
            ("sha256", Some(&self.sha256)),
            ("head", self.head.as_deref()),
            ("fingerprint", self.fingerprint.as_deref()),
            ("migrator", Some(&self.migrator)),
            ("end", Some("")),
        ];
        let mut text = format!("{TITLE}\n");
        for (name, value) in fields.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            // A database can be called anything; its line stays one.
            let value: String = value.chars().map(|char| if char.is_control() { '?' } else { char }).collect();
            let _infallible = writeln!(text, "{name} {value}");
        }
        text
    }
}

/// One line: the file, when and of what it was made, and how large it is.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = self.head.as_deref().unwrap_or("no migration");
        write!(f, "{}  {}  {}  of {}, at {head}", self.file.display(), self.created_at, Size(self.bytes), self.database)
    }
}

/// A number of bytes, for a person.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut size, mut unit) = (self.0, 0);
        // Tenths, without a float that rounds what does not fit.
        let mut tenths = 0;
        while size >= 1024 && unit < 4 {
            tenths = size % 1024 * 10 / 1024;
            size /= 1024;
            unit += 1;
        }
        match unit {
            0 => write!(f, "{size} B"),
            unit => write!(f, "{size}.{tenths} {}iB", ["K", "M", "G", "T"][unit - 1]),
        }
    }
}

#[cfg(feature = "serde")]
fn by_name<S: serde::Serializer>(dialect: &SqlDialect, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dialect.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            file: "backups/app.sqlite".into(),
            database: "sqlite:/srv/my app.db".into(),
            dialect: SqlDialect::Sqlite,
            server: "SQLite 3".into(),
            tool: "VACUUM INTO".into(),
            created_at: "2026-01-02T03:04:05Z".into(),
            bytes: 1_610_612_736,
            sha256: "ab".into(),
            head: Some("20240101".into()),
            fingerprint: None,
            migrator: "0.1.0".into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = manifest();
        let text = manifest.text();
        assert_eq!(Manifest::parse(&manifest.file, &text), Ok(manifest.clone()));
        let newer = text.replace("end ", "colour green\nend ");
        assert_eq!(Manifest::parse(&manifest.file, &newer), Ok(manifest));
    }

    #[test]
    fn what_is_cut_or_not_ours_is_refused() {
        let (file, text) = (Path::new("x"), manifest().text());
        for (at, _) in text.match_indices('\n') {
            assert!(Manifest::parse(file, &text[..at]).is_err() || at == text.len() - 1, "{}", &text[..at]);
        }
        assert!(Manifest::parse(file, "{}").is_err());
    }

    #[test]
    fn a_name_cannot_add_a_line() {
        let mut odd = manifest();
        odd.database = "a\nhead 7".into();
        assert_eq!(Manifest::parse(&odd.file, &odd.text()).map(|read| read.database), Ok("a?head 7".into()));
    }

    #[test]
    fn a_size_is_for_a_person() {
        let told: Vec<String> = [0, 1023, 1024, 1536, 1_610_612_736].map(|size| Size(size).to_string()).into();
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.5 GiB"]);
    }
}
