//! What the binary knows: migrations, and the ordered set of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use migrator_source::checksum::{self, Sum};
use migrator_source::fault::Fault;
use migrator_source::layout::{self, File, Layout};
use migrator_source::pack::{Item, Packed};
use migrator_source::sql::{Mode, SqlDialect};

use crate::error::Error;

/// The sortable key at the front of a migration's name; its identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Version(String);

impl Version {
    /// The version as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Into<String>> From<S> for Version {
    fn from(version: S) -> Self {
        Self(version.into())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 digest of a script's normalised text: without a byte order mark, with LF line endings.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub(crate) Sum);

impl Checksum {
    /// In the fingerprint, of a migration of which nobody knows which text ran.
    pub(crate) const UNKNOWN: Self = Self([0; 32]);

    pub(crate) fn of(text: &str) -> Self {
        Self(checksum::of_script(text))
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        checksum::from_hex(text).map(Self)
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&checksum::hex(&self.0))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Checksum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One of the two scripts of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Way {
    /// What applies it.
    #[default]
    Up,
    /// What reverts it.
    Down,
}

/// One ordered, immutable change of a [`MigrationSet`].
#[derive(Debug, Clone, Copy)]
pub struct Migration<'a> {
    set: &'a Packed,
    item: Item<'a>,
    position: usize,
}

impl<'a> Migration<'a> {
    /// The sortable key at the front of the name.
    pub fn version(&self) -> &'a str {
        self.item.version
    }

    /// The full name: of the folder, or of the file without its ending.
    pub fn name(&self) -> &'a str {
        self.item.name
    }

    /// The text of the up script: where one file holds both ways, its text up to the mark of the way down. Empty for a migration
    /// in Rust.
    pub fn up(&self) -> &'a str {
        if self.item.is_code() { "" } else { self.item.up }
    }

    /// The text of the down script; `None` when there is none or it has no statement, and for a migration in Rust.
    ///
    /// Where one file holds both ways, an empty line stands for each line in front of it, so that lines are the file's.
    pub fn down(&self) -> Option<&'a str> {
        self.item.down.filter(|_| !self.item.is_code())
    }

    /// Whether it has a down script that can run, or, in Rust, a way down.
    pub fn is_reversible(&self) -> bool {
        self.item.down.is_some() && !self.item.down_faulty
    }

    /// The digest of the up script's normalised text; of the name, for a migration in Rust. It is computed at each call.
    pub fn checksum(&self) -> Checksum {
        Checksum::of(self.item.up)
    }

    /// Whether it is of a foreign source, so that nothing but its name is known.
    pub(crate) fn is_opaque(&self) -> bool {
        self.item.is_opaque()
    }

    /// Whether it is called, and has no script.
    pub(crate) fn is_called(&self) -> bool {
        self.item.is_opaque() || self.item.is_code()
    }

    /// The digest that a record of it holds.
    pub(crate) fn recorded(&self) -> Option<Checksum> {
        (!self.is_opaque()).then(|| self.checksum())
    }

    /// The digest of the up script's bytes as they are in the file, where the layout's own tool records that (Prisma).
    pub(crate) fn raw_digest(&self) -> Option<Checksum> {
        self.item.raw_digest.map(Checksum)
    }

    /// The place in the set's order, from 0.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The path of the up script, with the directory as it was named.
    pub fn path(&self) -> String {
        if self.is_called() {
            return self.item.up_path();
        }
        [&*self.set.dir, "/", self.item.name, self.item.up_ending()].concat()
    }

    /// One of its texts, as [`up`](Self::up) and [`down`](Self::down) give them.
    pub(crate) fn text(&self, way: Way) -> &'a str {
        match way {
            Way::Up => self.up(),
            Way::Down => self.down().unwrap_or(""),
        }
    }

    /// The path of one of its scripts, with the directory as it was named.
    pub(crate) fn file(&self, way: Way) -> String {
        match way {
            Way::Down if !self.is_called() => {
                self.item.down_path().map_or_else(|| self.path(), |path| format!("{}/{path}", self.set.dir))
            }
            _ => self.path(),
        }
    }

    pub(crate) fn canonical(&self) -> &'a str {
        self.set.layout.canonical(self.item.version)
    }

    /// What is said beside a script about its transaction.
    pub(crate) fn declared(&self, way: Way) -> Option<Mode> {
        match way {
            Way::Up => self.item.declared,
            Way::Down => self.item.declared_down,
        }
    }
}

/// Every migration that this binary knows, in order.
///
/// [`embed_migrations!`](crate::embed_migrations) makes one at compile time;
/// [`from_dir`](Self::from_dir) and [`from_path`](Self::from_path) make one at run time, through the same reader. Cloning
/// it copies a pointer.
#[derive(Clone)]
pub struct MigrationSet(Blobs);

#[derive(Clone)]
enum Blobs {
    Embedded(&'static Packed),
    Read(Arc<Packed>),
}

impl MigrationSet {
    pub(crate) const fn embedded(packed: &'static Packed) -> Self {
        Self(Blobs::Embedded(packed))
    }

    /// This set with a migration in Rust, and whether that has a way down.
    pub(crate) fn with_code(&self, name: &str, reversible: bool) -> Result<Self, String> {
        self.packed().with_code(name, reversible).map(|packed| Self(Blobs::Read(Arc::new(packed))))
    }

    /// The names of a foreign source.
    pub(crate) fn opaque(packed: Packed) -> Self {
        Self(Blobs::Read(Arc::new(packed)))
    }

    /// Reads a migrations directory; the layout is detected.
    ///
    /// # Errors
    /// When the directory is missing, or has one of the faults that the macro refuses; the message lists all of them.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_path_with(path, None, None)
    }

    /// Reads a migrations directory whose layout or dialect is known.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path), and when nothing in the directory has the layout.
    pub fn from_path_with(
        path: impl AsRef<Path>,
        layout: Option<Layout>,
        dialect: Option<SqlDialect>,
    ) -> Result<Self, Error> {
        Self::from_path_for(path.as_ref(), layout::Options { layout, dialect, ..layout::Options::default() })
    }

    /// Reads a migrations directory for a database that is known, so that its scripts are checked in that dialect.
    pub(crate) fn from_path_for(path: &Path, options: layout::Options<'_>) -> Result<Self, Error> {
        let dir = path.display().to_string();
        let files = layout::files(path).map_err(|fault| folder_error(&dir, &[fault]))?;
        Self::read(&files, &dir, options)
    }

    /// Takes a folder that another crate embedded with `include_dir!`; the layout is detected.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path).
    pub fn from_dir(dir: &include_dir::Dir<'_>) -> Result<Self, Error> {
        let mut files = Vec::new();
        collect(dir, dir.path(), &mut files);
        let name = match dir.path().display().to_string() {
            name if name.is_empty() => "embedded folder".to_owned(),
            name => name,
        };
        Self::read(&files, &name, layout::Options::default())
    }

    fn read(files: &[File], dir: &str, options: layout::Options<'_>) -> Result<Self, Error> {
        let folder = layout::read(files, options).map_err(|faults| folder_error(dir, &faults))?;
        Self::of_folder(&folder, dir)
    }

    /// The set of a folder that was read.
    pub(crate) fn of_folder(folder: &layout::Folder, dir: &str) -> Result<Self, Error> {
        let packed = Packed::new(folder, dir).map_err(|error| Error::new("folder", format!("{dir}: {error}"), ""))?;
        Ok(Self(Blobs::Read(Arc::new(packed))))
    }

    /// Whether this set is exactly what a directory holds: the one-line test that a binary is not stale.
    ///
    /// The directory is relative to `CARGO_MANIFEST_DIR` when that is set (as it is under `cargo test`), else to the
    /// current directory.
    ///
    /// # Errors
    /// When the directory cannot be read, or names the first migration that differs.
    pub fn matches(&self, dir: impl AsRef<Path>) -> Result<(), Error> {
        let dir =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or(dir.as_ref().to_owned(), |base| Path::new(&base).join(&dir));
        let on_disk = Self::from_path_with(&dir, Some(self.layout()), self.sql_dialect())?;
        let known = |set: &Self| -> Vec<(String, Checksum)> {
            set.iter().map(|migration| (migration.name().to_owned(), migration.checksum())).collect()
        };
        let (mine, theirs) = (known(self), known(&on_disk));
        let Some(at) = (0..mine.len().max(theirs.len())).find(|&at| mine.get(at) != theirs.get(at)) else {
            return Ok(());
        };
        let message = match (mine.get(at), theirs.get(at)) {
            (Some((mine, _)), Some((theirs, _))) if mine == theirs => {
                format!("{mine} has another text in the directory")
            }
            (Some((mine, _)), None) => format!("{mine} is in the binary and not in the directory"),
            (_, Some((theirs, _))) if !mine.iter().any(|(name, _)| name == theirs) => {
                format!("{theirs} is in the directory and not in the binary")
            }
            (Some((mine, _)), _) => format!("{mine} is in the binary and not at this place in the directory"),
            (None, _) => "the binary holds less than the directory".to_owned(),
        };
        let remedy = "build again; if that does not help, put the line that the macro's warning shows into build.rs";
        Err(Error::new("stale", message, remedy))
    }

    /// The migrations in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Migration<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|at| self.at(at))
    }

    /// The migration at a place in the order.
    pub fn get(&self, position: usize) -> Option<Migration<'_>> {
        let set = self.packed();
        set.get(position).map(|item| Migration { set, item, position })
    }

    /// How many migrations it holds.
    pub fn len(&self) -> usize {
        self.packed().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.packed().is_empty()
    }

    /// The layout of the directory that it was made from.
    pub fn layout(&self) -> Layout {
        self.packed().layout
    }

    /// The dialect that its scripts are stated to be written in; `None` when nothing says so.
    pub fn sql_dialect(&self) -> Option<SqlDialect> {
        self.packed().dialect
    }

    /// The fingerprint over order, versions and up checksums; it is not computed here.
    pub fn fingerprint(&self) -> Checksum {
        Checksum(self.packed().fingerprint)
    }

    /// What was worth a word when the directory was read.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.packed().warnings.lines()
    }

    pub(crate) fn packed(&self) -> &Packed {
        match &self.0 {
            Blobs::Embedded(packed) => packed,
            Blobs::Read(packed) => packed,
        }
    }

    /// The migration with this version, in whatever spelling.
    pub(crate) fn of_version(&self, version: &str) -> Option<Migration<'_>> {
        let layout = self.layout();
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = (from + to) / 2;
            match layout.order(self.at(middle).version(), version) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return self.get(middle),
            }
        }
        None
    }

    /// The migration at a place that is known to exist.
    pub(crate) fn at(&self, position: usize) -> Migration<'_> {
        self.get(position).unwrap_or_else(|| unreachable!("no migration at {position} of {}", self.len()))
    }
}

impl fmt::Debug for MigrationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MigrationSet({} migrations, {}, {})", self.len(), self.layout(), self.fingerprint())
    }
}

fn collect(dir: &include_dir::Dir<'_>, base: &Path, files: &mut Vec<File>) {
    for file in dir.files() {
        let path = file.path().strip_prefix(base).unwrap_or(file.path());
        let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        files.push(File { path: parts.join("/"), bytes: file.contents().to_vec() });
    }
    dir.dirs().for_each(|inner| collect(inner, base, files));
}

pub(crate) fn folder_error(dir: &str, faults: &[Fault]) -> Error {
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {} [{}]\n  help: {}", fault.place(dir), fault.message, fault.code, fault.help))
        .collect();
    let remedy = match texts.len() {
        1 => "correct the directory, then try again".to_owned(),
        count => format!("correct the {count} faults, then try again"),
    };
    Error::new("folder", texts.join("\n"), remedy)
}
