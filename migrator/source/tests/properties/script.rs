//! What holds for every script: nothing in it is lost, and what is found in it is found again.

use migrator_source::sql::{Kind, Mode, Position, Script, SqlDialect, effect, position};

/// Reads a script in every dialect and checks what comes out.
pub(crate) fn check(text: &str, declared: Option<Mode>) {
    for &dialect in SqlDialect::ALL {
        match Script::parse(text, dialect, declared) {
            Ok(script) => {
                covers(text, dialect, &script);
                keeps_its_mode(dialect, &script);
                is_found_again(dialect, &script);
                script.statements().iter().for_each(|statement| _ = effect(statement.text));
            }
            Err(faults) => {
                assert!(!faults.is_empty(), "{dialect}: refused without a fault");
                assert!(faults.is_sorted_by_key(|fault| fault.offset), "{dialect}: {faults:?}");
                for fault in faults {
                    assert!(text.is_char_boundary(fault.offset), "{dialect}: {fault:?}");
                    assert!(!fault.message.contains(['\n', '\r']) && !fault.help.is_empty(), "{dialect}: {fault:?}");
                    assert_eq!(position(text, fault.offset), counted(text, fault.offset), "{dialect}: {fault:?}");
                }
            }
        }
    }
}

/// The statements are slices of the script in order, and between them is nothing that a server would run.
fn covers(text: &str, dialect: SqlDialect, script: &Script<'_>) {
    let (mut end, mut pair) = (0, String::new());
    for statement in script.statements() {
        assert!(statement.start >= end && !statement.text.is_empty(), "{dialect}: {statement:?} begins before {end}");
        assert_eq!(position(text, statement.start), counted(text, statement.start), "{dialect}: {statement:?}");
        between(dialect, &text[end..statement.start], end == 0, &mut pair);
        end = statement.start + statement.text.len();
        assert_eq!(&text[statement.start..end], statement.text, "{dialect}");
    }
    between(dialect, &text[end..], end == 0, &mut pair);
    let words = ["BEGIN", "START", "COMMIT", "END"];
    let controls = pair.split(' ').filter(|word| words.contains(&&*word.to_ascii_uppercase())).count();
    assert!(controls == 0 || controls == 2, "{dialect}: {pair:?} was left out");
}

/// Reads over white space, comments and `;`. The words of a BEGIN and COMMIT around the script go to `pair`.
fn between(dialect: SqlDialect, mut text: &str, first: bool, pair: &mut String) {
    const PAIR: [&str; 9] =
        ["BEGIN", "START", "TRANSACTION", "WORK", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", "COMMIT", "END"];
    let whole = text;
    let mysql = dialect == SqlDialect::Mysql;
    let white = |char: char| {
        matches!(char, ' ' | '\t' | '\n' | '\r' | '\x0c' | ';') || (char == '\x0b' && dialect != SqlDialect::Sqlite)
    };
    if first {
        text = text.strip_prefix('\u{feff}').unwrap_or(text);
    }
    loop {
        text = text.trim_start_matches(white);
        let behind = |end: Option<usize>, length: usize| &text[end.map_or(text.len(), |end| end + length)..];
        let dashes = text.strip_prefix("--").is_some_and(|rest| {
            !mysql || rest.chars().next().is_none_or(|next| next == ' ' || next.is_ascii_control())
        });
        if dashes || (mysql && text.starts_with('#')) {
            let lone_return = |char| dialect == SqlDialect::Postgres && char == '\r';
            text = behind(text.find(|char| char == '\n' || lone_return(char)), 1);
        } else if text.starts_with("/*") && dialect == SqlDialect::Postgres {
            text = behind(nested_comment(text), 0);
        } else if text.starts_with("/*") {
            text = behind(text[2..].find("*/").map(|found| found + 2), 2);
        } else {
            let word = text.split(|char: char| !char.is_ascii_alphanumeric()).next().unwrap_or("");
            if text.is_empty() {
                return;
            }
            assert!(PAIR.contains(&&*word.to_ascii_uppercase()), "{dialect}: {text:?} of {whole:?} was left out");
            pair.push_str(word);
            pair.push(' ');
            text = &text[word.len()..];
        }
    }
}

/// Where PostgreSQL's comment at the begin of the text ends.
fn nested_comment(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0);
    loop {
        match text.as_bytes().get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Nothing that commits, or that no transaction takes, is left in a script that runs in one.
fn keeps_its_mode(dialect: SqlDialect, script: &Script<'_>) {
    let mut kinds = script.statements().iter().map(|statement| statement.kind);
    if script.mode() == Mode::Transaction {
        assert!(!kinds.any(|kind| matches!(kind, Kind::Alone | Kind::Commits)), "{dialect}: {script:?}");
    }
}

/// The statements joined are the same statements again, as they must be for a script that is resumed in the middle.
fn is_found_again(dialect: SqlDialect, script: &Script<'_>) {
    // The line break because `DELIMITER` is a word only at the end of its line, and the spaces because a line of sqlite3's
    // begins with `.`. Behind MySQL's `1--` the break would make a comment of the dashes.
    let mut joined = "; ".to_owned();
    for statement in script.statements() {
        joined += statement.text;
        joined += if dialect == SqlDialect::Mysql && statement.text.ends_with("--") { "; " } else { "\n; " };
    }
    let again = match Script::parse(&joined, dialect, Some(script.mode())) {
        Ok(again) => again,
        Err(faults) => panic!("{dialect}: {joined:?} is refused: {faults:?}"),
    };
    assert_eq!(again.mode(), script.mode(), "{dialect}");
    let plain = |script: &Script<'_>| -> Vec<_> {
        script.statements().iter().map(|one| (one.text.to_owned(), one.kind, one.risk)).collect()
    };
    assert_eq!(plain(&again), plain(script), "{dialect}");
}

/// The position, counted character by character.
fn counted(text: &str, offset: usize) -> Position {
    let mut position = Position { line: 1, column: 1 };
    for (_, char) in text.char_indices().take_while(|(at, _)| *at < offset) {
        position.column += 1;
        if char == '\n' {
            position = Position { line: position.line + 1, column: 1 };
        }
    }
    position
}
