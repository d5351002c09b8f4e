//! Where a record comes from: who was connected, on which machine, with which program.

use std::path::Path;

use crate::migration::MigrationSet;

/// Who wrote a record. What is unknown, as in the records of an older format, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Who was connected, as the database calls them; SQLite knows nobody.
    pub(crate) user: Option<String>,
    /// The name of the machine, or of the container.
    pub(crate) host: Option<String>,
    /// The program and its version.
    pub(crate) application: Option<String>,
}

/// How many characters a column of words takes on MySQL.
const WIDTH: usize = 255;

impl Origin {
    /// This process: what it says that it is, else the package that embedded the set, else the name of its executable.
    pub(crate) fn here(stated: Option<&str>, set: &MigrationSet) -> Self {
        let packed = set.packed();
        let package = (!packed.package.is_empty()).then(|| format!("{} {}", packed.package, packed.package_version));
        let application = stated.map(word).or_else(|| package.as_deref().map(plain)).or_else(executable);
        let host = plain(&gethostname::gethostname().to_string_lossy());
        Self { user: None, host: Some(host).filter(|host| !host.is_empty()), application }
    }
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok().or_else(|| std::env::args_os().next().map(Into::into))?;
    Path::new(&path).file_stem().map(|name| plain(&name.to_string_lossy())).filter(|name| !name.is_empty())
}

/// What nobody chose for a database has only characters that every database has: an odd name of a machine must not be the reason for
/// which a record cannot be written (LATIN1 on PostgreSQL refuses what it cannot hold).
fn plain(text: &str) -> String {
    text.trim()
        .chars()
        .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        .take(WIDTH)
        .collect()
}

/// As it was stated, but for what no literal can hold.
fn word(text: &str) -> String {
    text.trim().chars().map(|char| if char.is_control() { '?' } else { char }).take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_name_is_cut_and_has_no_odd_character() {
        assert_eq!(plain("web-1.example"), "web-1.example");
        assert_eq!(plain("M\u{dc}LLER\u{0}\n'\\\u{fffd}"), "M?LLER??'\\?");
        assert_eq!(plain(&"\u{20ac}".repeat(300)), "?".repeat(255));
        assert_eq!(word("  Gr\u{fc}n\t2\u{0} "), "Gr\u{fc}n?2?");
        assert_eq!(word(&"\u{1f6a2}".repeat(300)), "\u{1f6a2}".repeat(255), "cut between two characters");
    }
}
