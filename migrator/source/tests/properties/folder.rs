//! What holds for every folder: migrations in order, which the packed form gives back, or faults that name a path.

use std::collections::HashSet;

use migrator_source::checksum;
use migrator_source::layout::{self, Down, Entry, File, Folder, Layout, Options};
use migrator_source::pack::Packed;
use migrator_source::seal::{self, Seal};
use migrator_source::sql::Position;

/// Reads a folder and checks what comes out. The paths are those of files that can be in one directory.
pub(crate) fn check(files: &[File], options: Options<'_>) {
    let mut reversed = files.to_vec();
    reversed.reverse();
    let again = layout::read(&reversed, options);
    match layout::read(files, options) {
        Ok(folder) => {
            assert!(!folder.entries.is_empty(), "nothing is never fine");
            assert!(options.layout.is_none_or(|layout| layout == folder.layout));
            assert!(options.dialect.is_none_or(|dialect| folder.dialect == Some(dialect)));
            ordered(&folder);
            folder.entries.iter().for_each(|entry| from_files(entry, files, folder.layout));
            packs(&folder);
            folder.seal.iter().for_each(is_written_as_read);
            assert!(folder.warnings.iter().all(|warning| !warning.message.is_empty()));
            let again = again.expect("the order of the files does not matter");
            assert_eq!(format!("{:?}", again.entries), format!("{:?}", folder.entries));
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a fault");
            assert_eq!(again.map(|_| ()).map_err(|faults| faults.len()), Err(faults.len()));
            for fault in &faults {
                assert!(!fault.message.is_empty() && !fault.help.is_empty(), "{fault:?}");
                let whole = ["directory_empty", "layout_unrecognised", "layout_ambiguous"].contains(&fault.code);
                assert!(whole == fault.path.is_empty(), "{fault:?} names no path");
                assert!(whole || is_of(&fault.path, files), "{fault:?} names no path of the folder");
                let file = files.iter().find(|file| file.path == fault.path);
                if let (Some(position), Some(file)) = (fault.position, file) {
                    assert!(is_in(position, &file.bytes), "{fault:?} is not in the file");
                }
            }
        }
    }
}

/// Whether a path is that of a file, of a folder, or of a file without its ending.
fn is_of(path: &str, files: &[File]) -> bool {
    files
        .iter()
        .any(|file| file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.'])))
}

fn is_in(position: Position, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let line = text.split('\n').nth(position.line - 1);
    line.is_some_and(|line| position.column <= line.chars().count() + 1)
}

fn ordered(folder: &Folder) {
    for pair in folder.entries.windows(2) {
        assert!(folder.layout.order(&pair[0].version, &pair[1].version).is_lt(), "{pair:?}");
    }
    let names: HashSet<_> = folder.entries.iter().map(|entry| entry.name.to_lowercase()).collect();
    assert_eq!(names.len(), folder.entries.len(), "names are told apart by any file system");
    for Entry { version, name, .. } in &folder.entries {
        assert!(!version.is_empty() && version.chars().count() <= folder.layout.longest_version(), "{name}");
    }
}

/// The texts of a migration are those of its files, line by line.
fn from_files(entry: &Entry, files: &[File], layout: Layout) {
    let text = |path: &str| {
        let file = files.iter().find(|file| file.path == path).expect("the path of a file");
        checksum::normalise(&file.bytes).map(|text| text.into_owned())
    };
    assert!(entry.up_path.starts_with(&entry.name));
    let up = text(&entry.up_path).expect("an up script is text");
    assert!(up.starts_with(&entry.up));
    assert!(layout == Layout::Flat || up == entry.up);
    let (Down::Script { path, text: down } | Down::Faulty { path, text: down }) = &entry.down else { return };
    if *path == entry.up_path {
        let cut = down.trim_start_matches('\n');
        assert!(up.ends_with(cut) && up.len() >= entry.up.len() + cut.len(), "the ways overlap");
        assert_eq!(down.matches('\n').count(), up.matches('\n').count(), "a line of the way down is one of the file");
    } else {
        assert_eq!(text(path).unwrap_or_default(), *down);
    }
}

fn is_written_as_read(seal: &Seal) {
    let file = File { path: seal::FILE.to_owned(), bytes: seal.to_string().into_bytes() };
    let again = Seal::read(&[file]).expect("what was written can be read").expect("a seal");
    assert_eq!(again.to_string(), seal.to_string());
}

fn packs(folder: &Folder) {
    let packed = Packed::new(folder, "migrations/").expect("what was read can be packed");
    assert_eq!(packed.len(), folder.entries.len());
    for (at, entry) in folder.entries.iter().enumerate() {
        let item = packed.get(at).expect("an item");
        let down = match &entry.down {
            Down::None => None,
            Down::Script { path, text } => Some((path.clone(), text.as_str(), false)),
            Down::Faulty { path, text } => Some((path.clone(), text.as_str(), true)),
        };
        assert_eq!((item.version, item.name, item.up), (&*entry.version, &*entry.name, &*entry.up));
        assert_eq!(item.up_path(), entry.up_path);
        assert_eq!(item.down_path().zip(item.down).map(|(path, text)| (path, text, item.down_faulty)), down);
        assert_eq!((item.declared, item.declared_down), (entry.declared, entry.declared_down));
    }
    assert!(packed.get(packed.len()).is_none());
}
