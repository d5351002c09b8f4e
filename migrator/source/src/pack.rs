//! The flat form in which a binary carries a set: an index, the names, and the SQL, each in one piece.
//!
//! Three blobs instead of one structure per migration: a pointer costs 16 bytes and a relocation, an offset 4; and an
//! unchanged start reads the fingerprint and nothing else, so it faults in neither the names nor the SQL.

use std::borrow::Cow;

use crate::checksum::{self, Fingerprint, Sum};
use crate::layout::{Down, Entry, Folder, Layout};
use crate::sql::{Mode, SqlDialect};

/// How many numbers the index has for each migration: the ends of name, version, up and down, and the marks.
pub const ROW: usize = 5;

/// A migration set in its flat form.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The layout of the directory.
    pub layout: Layout,
    /// The dialect, when it is known.
    pub dialect: Option<SqlDialect>,
    /// The directory as its owner wrote it, for messages.
    pub dir: Cow<'static, str>,
    /// The package that embedded it; empty for a set that was read at run time.
    pub package: Cow<'static, str>,
    /// The version of that package.
    pub package_version: Cow<'static, str>,
    /// The fingerprint of the whole set.
    pub fingerprint: Sum,
    /// [`ROW`] numbers for each migration, of four bytes each, the lowest first.
    pub index: Cow<'static, [u8]>,
    /// Names, each followed by its version where the version is no part of the name.
    pub names: Cow<'static, str>,
    /// Up and down scripts, in turn.
    pub sql: Cow<'static, str>,
    /// The raw digests, 32 bytes for each migration, where the layout's tool records them; else empty.
    pub raw_digests: Cow<'static, [u8]>,
    /// What was worth a word, a line each.
    pub warnings: Cow<'static, str>,
}

/// One migration of a packed set.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The version.
    pub version: &'a str,
    /// The full name.
    pub name: &'a str,
    /// The up script.
    pub up: &'a str,
    /// The down script, when there is one.
    pub down: Option<&'a str>,
    /// Whether the down script has a fault and must not run.
    pub down_faulty: bool,
    /// What is said beside the up script about its transaction.
    pub declared: Option<Mode>,
    /// What is said beside the down script about its transaction.
    pub declared_down: Option<Mode>,
    /// The digest of the up script's bytes, where the layout's tool records it.
    pub raw_digest: Option<Sum>,
    up_form: u32,
    down_form: u32,
}

// The marks: where the version begins in the name (8 bits, 255 = behind the name), its length (8), the form of the up
// path (4), of the down path (4), and the bits below.
const BEHIND: u32 = 0xff;
const TRANSACTION: u32 = 1 << 24;
const NO_TRANSACTION: u32 = 1 << 25;
const DOWN_FAULTY: u32 = 1 << 26;
/// How far the bits of the up script's transaction are from those of the down script's.
const TO_DOWN: u32 = 3;

const UP_FORMS: [&str; 6] = ["/up.sql", "/migration.sql", ".sql", ".up.sql", "", " (code)"];
/// No file: a migration of which nothing but the name is known.
const OPAQUE: u32 = 4;
/// No file: a migration in Rust. What is digested is its name.
const CODE: u32 = 5;
const NO_DOWN: u32 = 0;
const DOWN_FORMS: [&str; 3] = ["", "/down.sql", ".down.sql"];
/// `U1__name.sql` beside `V1__name.sql`.
const UNDO: u32 = 3;
/// The file of the up script, which holds both.
const SAME: u32 = 4;

impl Packed {
    /// A set with nothing in it, for the macro to go on with after an error.
    pub const EMPTY: Self = Self {
        layout: Layout::Diesel,
        dialect: None,
        dir: Cow::Borrowed(""),
        package: Cow::Borrowed(""),
        package_version: Cow::Borrowed(""),
        fingerprint: [0; 32],
        index: Cow::Borrowed(&[]),
        names: Cow::Borrowed(""),
        sql: Cow::Borrowed(""),
        raw_digests: Cow::Borrowed(&[]),
        warnings: Cow::Borrowed(""),
    };

    /// Packs what a folder holds.
    ///
    /// # Errors
    /// When the scripts are larger than 4 GiB together, or an entry has a name or a path that [`layout::read`] never gives.
    ///
    /// [`layout::read`]: crate::layout::read
    pub fn new(folder: &Folder, dir: &str) -> Result<Self, String> {
        let (mut index, mut names, mut sql) = (Vec::<u8>::new(), String::new(), String::new());
        let (mut raw_digests, mut fingerprint) = (Vec::new(), Fingerprint::default());
        for entry in &folder.entries {
            let mut marks = marks(entry)?;
            names.push_str(&entry.name);
            let name_end = end(&names)?;
            match entry.name.find(&entry.version).filter(|start| *start < BEHIND as usize) {
                Some(start) => marks |= byte(start)?,
                None => {
                    names.push_str(&entry.version);
                    marks |= BEHIND;
                }
            }
            marks |= byte(entry.version.len())? << 8;
            let version_end = end(&names)?;
            sql.push_str(&entry.up);
            let up_end = end(&sql)?;
            if let Down::Script { text, .. } | Down::Faulty { text, .. } = &entry.down {
                sql.push_str(text);
            }
            let row = [name_end, version_end, up_end, end(&sql)?, marks];
            index.extend(row.into_iter().flat_map(u32::to_le_bytes));
            raw_digests.extend(entry.raw_digest.iter().flatten());
            let known = entry.up_path != entry.name;
            let digest = if known { checksum::of_script(&entry.up) } else { [0; 32] };
            fingerprint.push(folder.layout.canonical(&entry.version), &digest);
        }
        let warnings: Vec<&str> = folder.warnings.iter().map(|warning| warning.message.as_str()).collect();
        Ok(Self {
            layout: folder.layout,
            dialect: folder.dialect,
            dir: Cow::Owned(dir.trim_end_matches('/').to_owned()),
            package: Cow::Borrowed(""),
            package_version: Cow::Borrowed(""),
            fingerprint: fingerprint.sum(),
            index: Cow::Owned(index),
            names: Cow::Owned(names),
            sql: Cow::Owned(sql),
            raw_digests: Cow::Owned(raw_digests),
            warnings: Cow::Owned(warnings.join("\n")),
        })
    }

    /// Packs migrations of diesel's order of which nothing is known but version, name and whether they run in a transaction.
    ///
    /// # Errors
    /// When a name is too long.
    pub fn opaque(names: Vec<(String, String, Mode)>) -> Result<Self, String> {
        let entry = |(version, name, mode): (String, String, Mode)| Entry {
            version,
            up_path: name.clone(),
            name,
            up: String::new(),
            raw_digest: None,
            down: Down::None,
            declared: Some(mode),
            declared_down: Some(mode),
        };
        let entries = names.into_iter().map(entry).collect();
        Self::new(&Folder { layout: Layout::Diesel, dialect: None, entries, seal: None, warnings: Vec::new() }, "")
    }

    /// The same set with a migration in Rust at its place, and whether that has a way down.
    ///
    /// # Errors
    /// When its name has no version or is too long, or its version is there already.
    pub fn with_code(&self, name: &str, reversible: bool) -> Result<Self, String> {
        let layout = self.layout;
        let version = layout.version(name).ok_or_else(|| format!("`{name}` has no version at its front"))?;
        if version.chars().count() > layout.longest_version() {
            return Err(format!("the version of `{name}` is longer than {} characters", layout.longest_version()));
        }
        let mut entries: Vec<Entry> = (0..self.len()).filter_map(|at| self.entry(at)).collect();
        let place = entries.partition_point(|entry| layout.order(&entry.version, &version).is_lt());
        if let Some(same) = entries.get(place).filter(|entry| layout.order(&entry.version, &version).is_eq()) {
            return Err(format!("`{}` has the version of `{name}` too", same.name));
        }
        let path = format!("{name}{}", UP_FORMS[CODE as usize]);
        let code = Entry {
            version,
            name: name.to_owned(),
            up_path: path.clone(),
            up: name.to_owned(),
            raw_digest: (!self.raw_digests.is_empty()).then(|| checksum::digest(name.as_bytes())),
            down: if reversible { Down::Script { path, text: String::new() } } else { Down::None },
            declared: Some(Mode::Transaction),
            declared_down: Some(Mode::Transaction),
        };
        entries.insert(place, code);
        let folder = Folder { layout, dialect: self.dialect, entries, seal: None, warnings: Vec::new() };
        let packed = Self::new(&folder, &self.dir)?;
        Ok(Self {
            package: self.package.clone(),
            package_version: self.package_version.clone(),
            warnings: self.warnings.clone(),
            ..packed
        })
    }

    /// What it was packed from.
    fn entry(&self, at: usize) -> Option<Entry> {
        let item = self.get(at)?;
        let text = item.down.map(str::to_owned);
        Some(Entry {
            version: item.version.to_owned(),
            name: item.name.to_owned(),
            up_path: item.up_path(),
            up: item.up.to_owned(),
            raw_digest: item.raw_digest,
            down: match item.down_path().zip(text) {
                None => Down::None,
                Some((path, text)) if item.down_faulty => Down::Faulty { path, text },
                Some((path, text)) => Down::Script { path, text },
            },
            declared: item.declared,
            declared_down: item.declared_down,
        })
    }

    /// How many migrations it holds.
    pub fn len(&self) -> usize {
        self.index.len() / (ROW * 4)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The migration at a place in the order.
    pub fn get(&self, at: usize) -> Option<Item<'_>> {
        let [name_end, version_end, up_end, down_end, marks] = self.row(at)?;
        let (name_start, sql_start) = match at.checked_sub(1) {
            Some(before) => self.row(before).map(|[_, version_end, _, down_end, _]| (version_end, down_end))?,
            None => (0, 0),
        };
        let name = cut(&self.names, name_start, name_end)?;
        let version = match marks & 0xff {
            BEHIND => cut(&self.names, name_end, version_end)?,
            start => cut(name, start, start + (marks >> 8 & 0xff))?,
        };
        let down_form = marks >> 20 & 0xf;
        Some(Item {
            version,
            name,
            up: cut(&self.sql, sql_start, up_end)?,
            down: if down_form == NO_DOWN { None } else { Some(cut(&self.sql, up_end, down_end)?) },
            down_faulty: marks & DOWN_FAULTY != 0,
            declared: mode(marks),
            declared_down: mode(marks >> TO_DOWN),
            raw_digest: self.raw_digests.get(at * 32..(at + 1) * 32).and_then(|digest| digest.try_into().ok()),
            up_form: marks >> 16 & 0xf,
            down_form,
        })
    }
}

impl Packed {
    fn row(&self, at: usize) -> Option<[u32; ROW]> {
        let (numbers, _) = self.index.get(at * ROW * 4..(at + 1) * ROW * 4)?.as_chunks::<4>();
        let mut row = [0; ROW];
        row.iter_mut().zip(numbers).for_each(|(number, bytes)| *number = u32::from_le_bytes(*bytes));
        Some(row)
    }
}

impl Item<'_> {
    /// Whether nothing but its name is known.
    pub fn is_opaque(&self) -> bool {
        self.up_form == OPAQUE
    }

    /// Whether it is a migration in Rust: `up` is what is digested, and no script.
    pub fn is_code(&self) -> bool {
        self.up_form == CODE
    }

    /// The path of the up script below the directory.
    pub fn up_path(&self) -> String {
        [self.name, self.up_ending()].concat()
    }

    /// What stands behind the name in it.
    pub fn up_ending(&self) -> &'static str {
        UP_FORMS[self.up_form as usize]
    }

    /// The path of the down script below the directory, when there is one.
    pub fn down_path(&self) -> Option<String> {
        match self.down_form {
            NO_DOWN => None,
            UNDO => Some(format!("U{}.sql", self.name.get(1..)?)),
            SAME => Some(self.up_path()),
            form => Some(format!("{}{}", self.name, DOWN_FORMS[form as usize])),
        }
    }
}

const TOO_LARGE: &str = "the scripts are larger than 4 GiB together";

fn end(blob: &str) -> Result<u32, String> {
    u32::try_from(blob.len()).map_err(|_| TOO_LARGE.to_owned())
}

fn cut(blob: &str, start: u32, end: u32) -> Option<&str> {
    blob.get(start as usize..end as usize)
}

/// A length or an offset in a name.
fn byte(number: usize) -> Result<u32, String> {
    u8::try_from(number).map(u32::from).map_err(|_| format!("a name of more than {} bytes", u8::MAX))
}

fn marks(entry: &Entry) -> Result<u32, String> {
    let form = |forms: &[&str], path: &str| {
        let ending = path.strip_prefix(entry.name.as_str());
        forms.iter().position(|form| Some(*form) == ending).and_then(|at| u32::try_from(at).ok())
    };
    let no_form = |path: &str| format!("{path} is no path of the migration {}", entry.name);
    let mut marks = form(&UP_FORMS, &entry.up_path).ok_or_else(|| no_form(&entry.up_path))? << 16;
    if let Down::Script { path, .. } | Down::Faulty { path, .. } = &entry.down {
        let undo = entry.name.strip_prefix('V').is_some_and(|rest| *path == format!("U{rest}.sql"));
        let down = if undo {
            Some(UNDO)
        } else if *path == entry.up_path {
            Some(SAME)
        } else {
            form(&DOWN_FORMS, path)
        };
        marks |= down.ok_or_else(|| no_form(path))? << 20;
    }
    if matches!(entry.down, Down::Faulty { .. }) {
        marks |= DOWN_FAULTY;
    }
    Ok(marks | bits(entry.declared) | bits(entry.declared_down) << TO_DOWN)
}

fn bits(declared: Option<Mode>) -> u32 {
    match declared {
        Some(Mode::Transaction) => TRANSACTION,
        Some(Mode::NoTransaction) => NO_TRANSACTION,
        None => 0,
    }
}

fn mode(bits: u32) -> Option<Mode> {
    match (bits & TRANSACTION != 0, bits & NO_TRANSACTION != 0) {
        (true, _) => Some(Mode::Transaction),
        (_, true) => Some(Mode::NoTransaction),
        _ => None,
    }
}
