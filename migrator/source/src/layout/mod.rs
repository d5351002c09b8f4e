//! A folder of migrations → ordered entries, for each layout.
//!
//! | layout | a migration is | its version is | order |
//! |---|---|---|---|
//! | `diesel` | `v_name/up.sql` (`down.sql`, `metadata.toml`) | the text before the first `_`, without `-` | bytes of the version |
//! | `prisma` | `name/migration.sql` (`down.sql`) | the whole folder name | bytes of the name |
//! | `flat` | `v_name.sql`, `v_name.up.sql`, `V1__name.sql` (`.down.sql`, `U1__name.sql`) | the digits at the front | by number |
//!
//! A flat file may hold both ways in sections, as goose and dbmate write them; `sections.rs` says how they are read.

mod check;
mod detect;
mod diesel;
mod flat;
mod new;
mod prisma;
mod sections;
mod tree;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::checksum::Sum;
use crate::fault::{Fault, Warning};
use crate::seal::{self, Seal};
use crate::sql::{Mode, SqlDialect};
pub(crate) use check::{script, text};
pub use new::{bad_name, new, words};
pub use tree::{File, files};
use tree::{Tree, has_scripts, is_named};

/// The folder convention of a migrations directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `v_name/up.sql`, as diesel's command line makes it.
    Diesel,
    /// `v_name/migration.sql`, as Prisma Migrate makes it.
    Prisma,
    /// `v_name.sql`, as sqlx, refinery, golang-migrate, goose and dbmate have it.
    Flat,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::Diesel, Self::Prisma, Self::Flat];

    /// The word for it in arguments and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diesel => "diesel",
            Self::Prisma => "prisma",
            Self::Flat => "flat",
        }
    }

    /// The version at the front of a migration's full name.
    pub fn version(self, name: &str) -> Option<String> {
        let version = match self {
            Self::Diesel => diesel::version(name),
            Self::Prisma => name.to_owned(),
            Self::Flat => flat::version(name)?,
        };
        (!version.is_empty()).then_some(version)
    }

    /// The canonical form of a version: two spellings with one canonical form are one version.
    ///
    /// `0001` and `1` are one version where versions are numbers.
    pub fn canonical(self, version: &str) -> &str {
        if self != Self::Flat || version.is_empty() || !is_number(version) {
            return version;
        }
        match version.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        }
    }

    /// The order in which two versions run.
    ///
    /// Versions are never parsed to an integer: in integer order some real directories of the `diesel` layout fail or make
    /// another schema, and versions of 18 digits and words occur.
    pub fn order(self, a: &str, b: &str) -> Ordering {
        let (a, b) = (self.canonical(a), self.canonical(b));
        if self == Self::Flat && is_number(a) && is_number(b) {
            return a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        }
        a.cmp(b)
    }

    /// The longest version that the history table of the layout's own tool can hold, in characters.
    pub fn longest_version(self) -> usize {
        match self {
            // `__diesel_schema_migrations.version VARCHAR(50)`
            Self::Diesel => 50,
            // `_prisma_migrations.migration_name VARCHAR(255)`, and our own column
            Self::Prisma | Self::Flat => 255,
        }
    }
}

fn is_number(version: &str) -> bool {
    version.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == name)
            .ok_or_else(|| format!("`{name}` is no layout; the layouts are diesel, prisma and flat"))
    }
}

/// What a caller says about a folder; what it leaves out is found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The layout, else it is detected.
    pub layout: Option<Layout>,
    /// The dialect, else the folder's own `migration_lock.toml` or its seal says it, else `possible` does when it has one member.
    pub dialect: Option<SqlDialect>,
    /// The dialects that the build can talk to; empty means all.
    pub possible: &'a [SqlDialect],
    /// What a seal in the folder means to the caller.
    pub sealed: Sealed,
}

/// What a seal in a folder means to a reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sealed {
    /// What is not as it was sealed is a fault.
    #[default]
    Checked,
    /// The reader is about to change the seal.
    Unchecked,
}

/// What a folder holds: the migrations in the order in which they run.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The layout that was named or detected.
    pub layout: Layout,
    /// The dialect, when one is known.
    pub dialect: Option<SqlDialect>,
    /// The migrations in order.
    pub entries: Vec<Entry>,
    /// The seal, when there is one.
    pub seal: Option<Seal>,
    /// What is worth a word, each kind once.
    pub warnings: Vec<Warning>,
}

/// One migration as it stands in its folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The sortable key at the front of the name.
    pub version: String,
    /// The full name: of the folder, or of the file without its ending.
    pub name: String,
    /// The path of the up script below the directory.
    pub up_path: String,
    /// The normalised text of the up script.
    pub up: String,
    /// The digest of the up script's unnormalised bytes, where the layout's own tool records it (Prisma).
    pub raw_digest: Option<Sum>,
    /// The down script.
    pub down: Down,
    /// What `metadata.toml`, or a mark of goose or dbmate, says about the transaction of the up script.
    pub declared: Option<Mode>,
    /// The same of the down script. Only dbmate's can differ.
    pub declared_down: Option<Mode>,
}

/// The down script of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// There is none, or it holds no statement.
    None,
    /// A script that can run.
    Script {
        /// Its path below the directory: the up script's when one file holds both.
        path: String,
        /// Its normalised text.
        text: String,
    },
    /// There is one, and it has a fault that is refused in an up script.
    Faulty {
        /// Its path below the directory.
        path: String,
        /// Its normalised text; empty when it is not text.
        text: String,
    },
}

/// A migration whose files are known but not yet read as text.
struct Draft<'a> {
    version: String,
    name: String,
    up: &'a File,
    down: Option<&'a File>,
    declared: Option<Mode>,
}

/// What reading the folder's structure found, whatever the layout.
#[derive(Default)]
struct Found<'a> {
    drafts: Vec<Draft<'a>>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    stray: Vec<&'a str>,
    dialect: Option<SqlDialect>,
}

/// Reads a folder: detects its layout, orders its migrations, and checks what would hurt later.
///
/// # Errors
/// Every fault that was found, not only the first.
pub fn read(files: &[File], options: Options<'_>) -> Result<Folder, Vec<Fault>> {
    let tree = Tree::new(files);
    let layout = detect::layout(&tree, options.layout).map_err(|fault| vec![fault])?;
    let mut found = match layout {
        Layout::Diesel => diesel::find(&tree),
        Layout::Prisma => prisma::find(&tree, options.dialect),
        Layout::Flat => flat::find(&tree),
    };
    let seal = Seal::read(files).unwrap_or_else(|fault| {
        found.faults.push(fault);
        None
    });
    let stated = options.dialect.or(found.dialect);
    let sealed = seal.as_ref().and_then(|seal| seal.dialect);
    if let (Some(stated), Some(sealed)) = (stated, sealed)
        && stated != sealed
    {
        let message = format!("the migrations are sealed for {sealed}, and they are said to be for {stated}");
        let help = "drop the other statement; for another database, begin another directory";
        found.faults.push(Fault::new("dialect_contradiction", seal::FILE, message, help));
    }
    let dialect = stated.or(sealed).or(match options.possible {
        [only] => Some(*only),
        _ => None,
    });
    found.drafts.sort_by(|a, b| layout.order(&a.version, &b.version).then_with(|| a.name.cmp(&b.name)));
    check::structure(layout, &mut found);
    let possible = if options.possible.is_empty() { SqlDialect::ALL } else { options.possible };
    let candidates = dialect.map_or(Cow::Borrowed(possible), |dialect| Cow::Owned(vec![dialect]));
    let entries = check::texts(layout, &candidates, &mut found);
    // A migration that could not be read is no deleted one.
    if let (Some(seal), Sealed::Checked, true) = (&seal, options.sealed, found.faults.is_empty()) {
        found.faults = seal.check(&entries);
    }
    if found.faults.is_empty() {
        Ok(Folder { layout, dialect, entries, seal, warnings: found.warnings })
    } else {
        Err(found.faults)
    }
}
