//! Bytes, texts, and what a fingerprint depends on.

use migrator_source::checksum::{self, hex};
use migrator_source::layout::{self, File, Options};
use migrator_source::pack::Packed;

use crate::{outcome, read, shown};

fn raw(bytes: &[u8]) -> Vec<File> {
    vec![File { path: "1_a.sql".to_owned(), bytes: bytes.to_vec() }]
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let utf8 = |at| format!("invalid_utf8 dir/1_a.sql: invalid UTF-8 at byte {at}");
    let nul = |place: &str, at| format!("nul dir/1_a.sql:{place}: a NUL character at byte {at}");
    let rows: &[(&str, &[u8], String)] = &[
        ("Latin-1", b"SELECT '\xe9';", utf8(8)),
        ("cut off", "SELECT 'é".as_bytes().split_last().expect("bytes").1, utf8(8)),
        ("behind other lines", b"SELECT 1;\n\n-- \xff", utf8(14)),
        ("NUL", b"SELECT 1;\nSELECT\0 2;", nul("2:7", 16)),
        ("NUL behind CRLF and wide characters", "-- é\r\nSELECT\0".as_bytes(), nul("2:7", 13)),
        ("NUL behind a BOM", "\u{feff}SELECT\0".as_bytes(), nul("1:7", 9)),
        ("UTF-16", b"\xff\xfeS\0E\0", nul("1:4", 3)),
    ];
    for (situation, bytes, expected) in rows {
        assert_eq!(outcome(&raw(bytes), Options::default()), std::slice::from_ref(expected), "{situation}");
    }
}

#[test]
fn a_mark_and_the_kind_of_line_ending_change_neither_text_nor_checksum() {
    let lf = "-- ä\nSELECT 1;\n\nDO $body$\nBEGIN\n  PERFORM 'x\ny';\nEND\n$body$;\n";
    let crlf = lf.replace('\n', "\r\n");
    let mixed = lf.replacen('\n', "\r\n", 3);
    let forms = [lf.to_owned(), crlf.clone(), mixed, format!("\u{feff}{lf}"), format!("\u{feff}{crlf}")];
    let known = checksum::of_script(lf);
    let fingerprint = packed(lf).fingerprint;
    for form in forms {
        let entry = read(&[("1_a.sql", &form)]).entries.remove(0);
        assert_eq!(entry.up, lf, "{form:?}");
        assert_eq!(hex(&checksum::of_script(&entry.up)), hex(&known));
        assert_eq!(packed(&form).fingerprint, fingerprint, "{form:?}");
    }
}

#[test]
fn a_carriage_return_alone_and_a_second_mark_are_text() {
    for text in ["SELECT 'a\rb';", "\u{feff}SELECT 1;", "SELECT '\u{feff}';", "SELECT 1;", "SELECT 1;\n"] {
        let entry = read(&[("1_a.sql", &format!("\u{feff}{text}"))]).entries.remove(0);
        assert_eq!(entry.up, text);
    }
}

#[test]
fn the_fingerprint_changes_with_nothing_that_decides_no_state() {
    for ending in ["\n", "\n\n", "\r\n", "\r\n\n"] {
        assert_eq!(packed("SELECT 1;").fingerprint, packed(&format!("SELECT 1;{ending}")).fingerprint, "{ending:?}");
    }
    for other in ["SELECT 1; ", "\nSELECT 1;", "SELECT\n1;", "SELECT 1;\n "] {
        assert_ne!(packed("SELECT 1;").fingerprint, packed(other).fingerprint, "{other:?}");
    }
    let set = |paths: &[(&str, &str)]| Packed::new(&read(paths), "x").expect("small").fingerprint;
    let known = set(&[("1_a.up.sql", "SELECT 1;"), ("1_a.down.sql", "SELECT 2;")]);
    assert_eq!(known, set(&[("1_a.sql", "SELECT 1;")]), "the down script and the kind of name");
    assert_eq!(known, set(&[("0001_b.sql", "SELECT 1;")]), "the name and the padding");
    assert_ne!(known, set(&[("2_a.sql", "SELECT 1;")]), "the version");
    assert_ne!(known, set(&[("1_a.sql", "SELECT 2;")]), "the text");
    let two = |first: &str, second: &str| set(&[("1_a.sql", first), ("2_b.sql", second)]);
    assert_ne!(two("SELECT 1;", "SELECT 2;"), two("SELECT 2;", "SELECT 1;"));
}

/// In diesel's layout a padded version is another version.
#[test]
fn the_padding_counts_where_versions_are_strings() {
    let set = |path: &str| Packed::new(&read(&[(path, "SELECT 1;")]), "x").expect("small").fingerprint;
    assert_ne!(set("0001_a/up.sql"), set("1_a/up.sql"));
    assert_eq!(set("2024-01-01_a/up.sql"), set("20240101_a/up.sql"));
}

/// A place counts lines and characters of the text that stands in the editor.
#[test]
fn a_place_is_the_same_with_crlf_and_a_mark() {
    for text in ["-- ä\nSELECT 'ü', 'x", "-- ä\r\nSELECT 'ü', 'x", "\u{feff}-- ä\r\nSELECT 'ü', 'x"] {
        let found = layout::read(&raw(text.as_bytes()), Options::default()).expect_err("a fault");
        let shown: Vec<_> = found.iter().map(shown).collect();
        assert_eq!(shown, ["unterminated_string dir/1_a.sql:2:13: the string that begins here with ' never ends"]);
    }
}

fn packed(text: &str) -> Packed {
    Packed::new(&read(&[("1_a.sql", text)]), "x").expect("small")
}
