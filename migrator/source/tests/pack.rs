//! What goes into a binary comes out of it, and is small.

use migrator_source::checksum;
use migrator_source::layout::{self, Down, Entry, File, Folder, Layout, Options};
use migrator_source::pack::{Packed, ROW};
use migrator_source::sql::{Mode, SqlDialect};
use proptest::prelude::*;

/// The up script and the down script of each form that a layout's reader gives, for a name.
const FORMS: [(Layout, &str, Option<&str>); 9] = [
    (Layout::Diesel, "/up.sql", Some("/down.sql")),
    (Layout::Prisma, "/migration.sql", None),
    (Layout::Flat, ".sql", None),
    (Layout::Flat, ".sql", Some(".down.sql")),
    (Layout::Flat, ".up.sql", Some(".down.sql")),
    (Layout::Flat, ".up.sql", None),
    (Layout::Flat, ".sql", Some("U")),
    (Layout::Flat, ".sql", Some(".sql")),
    (Layout::Flat, ".up.sql", Some(".up.sql")),
];

fn entry(layout: Layout) -> impl Strategy<Value = Entry> {
    let forms: Vec<_> = FORMS.into_iter().filter(|(of, _, _)| *of == layout).collect();
    // Versions of 1 to 60 characters: part of the name, or not, as `2024-01-31_x` has the version `20240131`.
    let names = prop_oneof![
        "[0-9]{1,20}[_ .-]{1,2}[a-zA-Zü ]{0,30}",
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(-[0-9]{4,6}){0,2}_[a-z]{0,30}",
        "[a-zöé-]{1,60}(_[a-z]{0,3}){0,2}",
        "[0-9ü]{100,120}",
    ];
    let script = || prop_oneof![Just(String::new()), "[ -~\nß]{0,60}"];
    let mode = || prop_oneof![Just(None), Just(Some(Mode::Transaction)), Just(Some(Mode::NoTransaction))];
    let declared = (mode(), mode());
    (names, prop::sample::select(forms), script(), script(), 0..3_u8, declared, any::<[u8; 32]>()).prop_map(
        move |(name, (_, up_form, down_form), up, text, kind, (declared, declared_down), digest)| {
            let undo = down_form == Some("U");
            let rest = name.clone();
            let name = if undo { format!("V{name}") } else { name };
            let path = down_form.map(|form| if undo { format!("U{rest}.sql") } else { format!("{name}{form}") });
            let down = match (path, kind) {
                (Some(path), 1) => Down::Script { path, text },
                (Some(path), 2) => Down::Faulty { path, text },
                _ => Down::None,
            };
            let version = if layout == Layout::Prisma {
                name.clone()
            } else {
                rest.split('_').next().map(dashless).expect("one")
            };
            let raw_digest = (layout == Layout::Prisma).then_some(digest);
            Entry { version, up_path: format!("{name}{up_form}"), name, up, raw_digest, down, declared, declared_down }
        },
    )
}

fn dashless(text: &str) -> String {
    text.replace('-', "")
}

fn folder() -> impl Strategy<Value = Folder> {
    let dialect = prop_oneof![Just(None), prop::sample::select(SqlDialect::ALL).prop_map(Some)];
    (prop::sample::select(&Layout::ALL[..]), dialect).prop_flat_map(|(layout, dialect)| {
        let entries = prop::collection::vec(entry(layout), 0..8);
        entries.prop_map(move |entries| Folder { layout, dialect, entries, seal: None, warnings: Vec::new() })
    })
}

proptest! {
    #[test]
    fn every_entry_comes_out_as_it_went_in(folder in folder()) {
        let packed = Packed::new(&folder, "db/migrations").expect("small");
        prop_assert_eq!(packed.len(), folder.entries.len());
        prop_assert_eq!(packed.is_empty(), folder.entries.is_empty());
        prop_assert_eq!((packed.layout, packed.dialect, &*packed.dir), (folder.layout, folder.dialect, "db/migrations"));
        let mut fingerprint = checksum::Fingerprint::default();
        for (at, entry) in folder.entries.iter().enumerate() {
            let item = packed.get(at).expect("an item");
            prop_assert_eq!(item.version, &entry.version);
            prop_assert_eq!(item.name, &entry.name);
            prop_assert_eq!(item.up, &entry.up);
            prop_assert_eq!(item.up_path(), entry.up_path.clone());
            prop_assert_eq!((item.declared, item.declared_down), (entry.declared, entry.declared_down));
            let (path, text, faulty) = match &entry.down {
                Down::None => (None, None, false),
                Down::Script { path, text } => (Some(path.clone()), Some(text.as_str()), false),
                Down::Faulty { path, text } => (Some(path.clone()), Some(text.as_str()), true),
            };
            prop_assert_eq!(item.down_path(), path);
            prop_assert_eq!((item.down, item.down_faulty), (text, faulty));
            fingerprint.push(folder.layout.canonical(&entry.version), &checksum::of_script(&entry.up));
        }
        prop_assert!(packed.get(folder.entries.len()).is_none());
        prop_assert_eq!(packed.fingerprint, fingerprint.sum());
        let raw: Vec<u8> = folder.entries.iter().filter_map(|entry| entry.raw_digest).flatten().collect();
        prop_assert_eq!(&*packed.raw_digests, &raw[..]);
    }
}

#[test]
fn an_empty_set_holds_nothing() {
    assert_eq!(Packed::EMPTY.len(), 0);
    assert!(Packed::EMPTY.is_empty());
    assert!(Packed::EMPTY.get(0).is_none());
}

#[test]
fn warnings_are_lines() {
    let files = [file("1_a/up.sql", ""), file("1_a/down.sql", ""), file("x.md", "")];
    let folder = layout::read(&files, Options::default()).expect("no fault");
    let packed = Packed::new(&folder, "x").expect("small");
    let expected: Vec<_> = folder.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(packed.warnings.lines().collect::<Vec<_>>(), expected);
    assert_eq!(expected.len(), 3);
}

/// What the reader never gives is refused, not packed wrongly.
#[test]
fn a_name_or_path_that_has_no_form_is_refused() {
    let entry = |name: &str, version: &str, up_path: &str, down_path: &str| Entry {
        version: version.to_owned(),
        name: name.to_owned(),
        up_path: up_path.to_owned(),
        up: String::new(),
        raw_digest: None,
        down: Down::Script { path: down_path.to_owned(), text: String::new() },
        declared: None,
        declared_down: None,
    };
    let (long, behind) = ("9".repeat(256), format!("{}1", "x".repeat(255)));
    let rows = [
        (entry("1_a", "1", "1_b.sql", "1_a.down.sql"), "1_b.sql is no path of the migration 1_a"),
        (entry("1_a", "1", "1_a.sql", "1_b.down.sql"), "1_b.down.sql is no path of the migration 1_a"),
        (entry("1_a", "1", "1_a.sql", "1_a.up.sql"), "1_a.up.sql is no path of the migration 1_a"),
        (entry(&long, &long, &format!("{long}.sql"), &format!("{long}.down.sql")), "a name of more than 255 bytes"),
    ];
    for (entry, expected) in rows {
        let folder =
            Folder { layout: Layout::Flat, dialect: None, entries: vec![entry], seal: None, warnings: Vec::new() };
        assert_eq!(Packed::new(&folder, "x").map(|_| ()), Err(expected.to_owned()));
    }
    let late = entry(&behind, "1", &format!("{behind}.sql"), &format!("{behind}.down.sql"));
    let folder = Folder { layout: Layout::Flat, dialect: None, entries: vec![late], seal: None, warnings: Vec::new() };
    let packed = Packed::new(&folder, "x").expect("small");
    assert_eq!(packed.get(0).map(|item| (item.version, item.name)), Some(("1", behind.as_str())));
}

/// 1000 migrations as diesel's command line makes them. A structure with a pointer, a length and a relocation for each
/// text and a stored digest would take some 200 bytes each.
#[test]
fn a_migration_costs_at_most_60_bytes_over_its_sql() {
    let sql = "CREATE TABLE users (id INTEGER PRIMARY KEY);\n";
    let mut files = Vec::new();
    for at in 0..1000 {
        let name = format!("20240131{at:06}_create_table_users");
        files.push(file(&format!("{name}/up.sql"), sql));
        files.push(file(&format!("{name}/down.sql"), "DROP TABLE users;\n"));
    }
    let folder = layout::read(&files, Options::default()).expect("no fault");
    let packed = Packed::new(&folder, "migrations").expect("small");
    assert_eq!(packed.len(), 1000);
    assert_eq!(packed.index.len(), 1000 * ROW * 4);
    let scripts: usize = files.iter().map(|file| file.bytes.len()).sum();
    assert_eq!(packed.sql.len(), scripts);
    let over = packed.index.len() + packed.names.len() + packed.raw_digests.len() + packed.warnings.len();
    assert!(over <= 60 * 1000, "{over} bytes");
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}
