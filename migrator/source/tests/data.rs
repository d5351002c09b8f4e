//! CSV and JSON files: what is read of them, and what is refused with its line.

#![cfg(all(feature = "csv", feature = "json"))]

use migrator_source::data::{Cell, Kind, Rows, name, rows, text};
use migrator_source::layout::File;

fn csv(text: &str) -> Rows {
    rows(Kind::Csv, "seeds/country.csv", text).unwrap_or_else(|fault| panic!("{fault:?}"))
}

fn json(text: &str) -> Rows {
    rows(Kind::Json, "seeds/country.json", text).unwrap_or_else(|fault| panic!("{fault:?}"))
}

#[test]
fn csv_is_a_header_and_rows() {
    let rows = csv("code,name\nNO,Norway\n\"X,1\",\"two\nlines\"\nSE,\n");
    assert_eq!(rows.columns, ["code", "name"]);
    let lines: Vec<usize> = rows.rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3, 5]);
    assert_eq!(rows.rows[1].cells, [Cell::Text("X,1".into()), Cell::Text("two\nlines".into())]);
    assert_eq!(rows.rows[2].cells, [Cell::Text("SE".into()), Cell::Null]);
}

#[test]
fn json_is_an_array_of_objects() {
    let rows = json(
        "[\n  {\"id\": 12345678901234567890.5, \"on\": true, \"more\": {\"a\": [1]}},\n  {\"on\": null, \"id\": 2, \"more\": [1]}\n]",
    );
    assert_eq!(rows.columns, ["id", "on", "more"]);
    assert_eq!(rows.rows[0].cells[0], Cell::Number("12345678901234567890.5".into()), "no digit is lost");
    assert_eq!(rows.rows[0].cells[2], Cell::Json("{\"a\": [1]}".into()));
    assert_eq!((rows.rows[1].line, &rows.rows[1].cells[1]), (3, &Cell::Null));
}

#[test]
fn faults_name_the_line() {
    let cases = [
        (Kind::Csv, "code,name\nNO,Norway\nSE\n", 3, "the row has 1 cell, and the header 2"),
        (Kind::Csv, "code,name\nNO,Norway,x\n", 2, "the row has 3 cells, and the header 2"),
        (Kind::Csv, "code,code\n", 1, "the column `code` is there twice"),
        (Kind::Csv, "code,\n", 1, "column 2 has no name"),
        (Kind::Csv, "", 1, "the file is empty"),
        (Kind::Json, "[{\"a\": 1},\n {\"b\": 1}]", 2, "the row has the column `b`, which the first row has not"),
        (Kind::Json, "[{\"a\": 1, \"b\": 2},\n\n {\"a\": 1}]", 3, "the row lacks the column `b`"),
        (Kind::Json, "[{\"a\": 1},\n {\"a\": \"x\"}]", 2, "`a` is a string here, and a number on line 1"),
        (Kind::Json, "[{\"a\": 1},\n 7]", 2, "a row is an object, and this is a number"),
        (Kind::Json, "[{\"a\": 1, \"a\": 2}]", 1, "the row has the column `a` twice"),
        (Kind::Json, "[{\"a\": \"\\u0000\"}]", 1, "`a` holds a NUL character"),
        (Kind::Json, "{\"a\": 1}", 1, "invalid type: map"),
        (Kind::Json, "[{\"a\": 1},\n {\"a\" 1}]", 2, "expected `:`"),
        (Kind::Json, "[]", 1, "the file has no row with a column"),
    ];
    for (kind, text, line, message) in cases {
        let fault = rows(kind, "seeds/x", text).expect_err(text);
        assert!(fault.message.starts_with(message), "{text:?}: {}", fault.message);
        assert_eq!(fault.position.map(|place| place.line), Some(line), "{text:?}");
        assert!(!fault.help.is_empty());
    }
}

#[test]
fn keys_tell_rows_apart() {
    let table = csv("user,role,note\na,x,1\na,y,2\n,z,3\n");
    let fault = table.key("seeds/x.csv", &[]).expect_err("the first column is the key");
    assert_eq!((fault.code, fault.position.map(|place| place.line)), ("key_twice", Some(3)));
    let fault = table.key("seeds/x.csv", &["user", "role"]).expect_err("no value");
    assert_eq!((fault.code, fault.position.map(|place| place.line)), ("key_null", Some(4)));
    let fault = table.key("seeds/x.csv", &["usr"]).expect_err("no column");
    assert!(fault.message.contains("`usr`") && fault.help.contains("user, role, note"), "{fault:?}");
    assert_eq!(table.key("seeds/x.csv", &["role"]).expect("a key"), [1]);
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let file = |bytes: &[u8]| File { path: "seeds/x.csv".into(), bytes: bytes.to_vec() };
    let fault = text(&file(b"a,b\n\xff,1")).expect_err("refused");
    assert_eq!((fault.code, fault.position.map(|place| place.line)), ("invalid_utf8", Some(2)));
    let (one, other) = (file(b"a\nb"), file(b"\xef\xbb\xbfa\r\nb"));
    assert_eq!(text(&one).expect("text"), text(&other).expect("text"), "line endings do not count");
}

#[test]
fn names_have_no_number() {
    for (path, of) in [
        ("seeds/010_roles.sql", "roles"),
        ("20-eu-countries.csv", "eu-countries"),
        ("x/roles.json", "roles"),
        ("7.sql", "7"),
    ] {
        assert_eq!(name(path), of);
    }
}
