//! What holds for every text, also for one that nobody would write.

use migrator_source::sql::{Script, SqlDialect};
use proptest::prelude::*;

/// Pieces out of which scripts are made that get far into the grammar.
const PIECES: &[&str] = &[
    ";",
    ";",
    ";",
    "\n",
    " ",
    "'",
    "''",
    "\"",
    "`",
    "[",
    "]",
    "$$",
    "$a$",
    "$",
    "E'",
    "\\",
    "/*",
    "*/",
    "/*!50003",
    "/*M!",
    "--",
    "-- ",
    "-->",
    "#",
    "(",
    ")",
    ".",
    "@",
    ":",
    ":=",
    ",",
    "é",
    "😀",
    "\u{feff}",
    "\0",
    "\r",
    "0",
    "1.5",
    "BEGIN",
    "END",
    "ATOMIC",
    "NOT",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "IF",
    "END IF",
    "LOOP",
    "END LOOP",
    "WHILE",
    "DO",
    "REPEAT",
    "UNTIL",
    "FOR",
    "DECLARE",
    "HANDLER",
    "AS",
    "IS",
    "CREATE",
    "OR",
    "REPLACE",
    "DEFINER",
    "=",
    "PROCEDURE p()",
    "FUNCTION f()",
    "TRIGGER r",
    "ON t",
    "FOR EACH ROW",
    "EVENT",
    "PACKAGE",
    "RULE",
    "ALTER",
    "SELECT",
    "INSERT",
    "SET",
    "COMMIT",
    "ROLLBACK",
    "START TRANSACTION",
    "VACUUM",
    "CONCURRENTLY",
    "COPY t FROM STDIN;",
    "\n\\.",
    "DELIMITER //",
    "--> statement-breakpoint",
    "-- migrator: no-transaction\n",
    "label",
];

fn script() -> impl Strategy<Value = String> {
    let piece = prop_oneof![9 => proptest::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<String>()];
    let glue = proptest::sample::select(&[" ", " ", "\n", ""][..]);
    proptest::collection::vec((piece, glue), 0..60)
        .prop_map(|parts| parts.into_iter().map(|(piece, glue)| piece + glue).collect())
}

/// Reads over white space, comments, `;` and the words of a pair around the script, and returns what is left.
fn without_separators(dialect: SqlDialect, mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c', ';', '\u{feff}']);
        let mysql = dialect == SqlDialect::Mysql;
        let behind = |end: Option<usize>, length: usize| &text[end.map_or(text.len(), |end| end + length)..];
        if text.starts_with("--") || (mysql && text.starts_with('#')) {
            let lone_return = |byte| dialect == SqlDialect::Postgres && byte == '\r';
            text = behind(text.find(|byte| byte == '\n' || lone_return(byte)), 1);
        } else if text.starts_with("/*") && dialect == SqlDialect::Postgres {
            let mut depth = 0;
            let mut at = 0;
            loop {
                match &text.as_bytes()[at..at + 2] {
                    b"/*" => (depth, at) = (depth + 1, at + 2),
                    b"*/" => (depth, at) = (depth - 1, at + 2),
                    _ => at += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            text = &text[at..];
        } else if text.starts_with("/*") {
            text = behind(text[2..].find("*/").map(|found| found + 2), 2);
        } else {
            let pair = ["BEGIN", "START TRANSACTION", "COMMIT", "END"];
            match pair.into_iter().find(|word| text.starts_with(word)) {
                Some(word) => text = &text[word.len()..],
                None => return text,
            }
        }
    }
}

fn check(text: &str) -> Result<usize, TestCaseError> {
    let mut read = 0;
    for dialect in SqlDialect::ALL {
        match Script::parse(text, *dialect, None) {
            Ok(script) => {
                read += 1;
                let mut end = 0;
                for statement in script.statements() {
                    prop_assert!(statement.start >= end && !statement.text.is_empty());
                    prop_assert_eq!(without_separators(*dialect, &text[end..statement.start]), "", "{}", dialect);
                    end = statement.start + statement.text.len();
                    prop_assert_eq!(&text[statement.start..end], statement.text);
                }
                prop_assert_eq!(without_separators(*dialect, &text[end..]), "", "{}", dialect);
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.is_sorted_by_key(|fault| fault.offset));
                prop_assert!(faults.iter().all(|fault| text.is_char_boundary(fault.offset)));
            }
        }
    }
    Ok(read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_split_without_loss(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_script_is_split_without_loss(text in script()) {
        check(&text)?;
    }

    /// A statement that was found is one statement again when it is read by itself.
    #[test]
    fn a_statement_is_one_statement(text in script()) {
        for dialect in SqlDialect::ALL {
            let Ok(script) = Script::parse(&text, *dialect, None) else { continue };
            // A byte order mark counts as one only at the begin of a text, and MySQL's `--` as a comment at its end.
            let differs = |text: &str| text.starts_with('\u{feff}') || text.ends_with("--");
            let statements = script.statements().iter().filter(|statement| !differs(statement.text));
            for statement in statements {
                let Ok(again) = Script::parse(statement.text, *dialect, None) else { continue };
                prop_assert_eq!(again.statements().len(), 1, "{}", dialect);
                prop_assert_eq!(again.statements()[0].text, statement.text);
                prop_assert_eq!(again.statements()[0].kind, statement.kind);
            }
        }
    }
}

/// The time for text of twice the length must not be more than a few times as long, whatever is repeated.
#[test]
fn time_grows_with_the_text() {
    let slowest = |length: usize| {
        let mut slowest = (std::time::Duration::ZERO, "");
        for piece in PIECES {
            for (glue, head) in
                [(" ", ""), ("", ""), (" ", "CREATE PROCEDURE p() BEGIN "), ("; ", "CREATE PROCEDURE p() IF 1 THEN ")]
            {
                let text = head.to_owned() + &[*piece, glue].concat().repeat(length / (piece.len() + glue.len()));
                for dialect in SqlDialect::ALL {
                    let begin = std::time::Instant::now();
                    let result = Script::parse(&text, *dialect, None);
                    slowest = slowest.max((begin.elapsed(), piece));
                    drop(result);
                }
            }
        }
        slowest
    };
    // Sixteen times the text; a square would be 256 times as long. Tried again because the machine may be busy.
    let grown = || {
        let ((short, _), (long, piece)) = (slowest(4_000), slowest(64_000));
        (long > short * 100).then(|| format!("{piece:?}: {short:?} for 4 kB, {long:?} for 64 kB"))
    };
    assert_eq!(grown().and_then(|_| grown()).and_then(|_| grown()), None);
}

#[test]
fn a_text_of_five_megabytes_is_read() {
    const LENGTH: usize = 5_000_000;
    let repeat = |piece: &str| piece.repeat(LENGTH / piece.len());
    let rows = format!("INSERT INTO t VALUES {}(1)", repeat("(1, 'it''s;'), "));
    let many = repeat("INSERT INTO t VALUES (1, 'it''s;');\n");
    let body =
        format!("CREATE PROCEDURE p() BEGIN {} END", repeat("IF 1 THEN SELECT CASE 1 WHEN 1 THEN 2 END; END IF; "));
    let nested = format!("{}{}", repeat("/* "), repeat("*/ "));
    for dialect in SqlDialect::ALL {
        let count = |text: &str| Script::parse(text, *dialect, None).map(|script| script.statements().len());
        assert_eq!(count(&rows), Ok(1), "{dialect}");
        assert_eq!(count(&many), Ok(many.lines().count()), "{dialect}");
    }
    let count = |text: &str, dialect| Script::parse(text, dialect, None).map(|script| script.statements().len());
    assert_eq!(count(&body, SqlDialect::Mysql), Ok(1));
    assert_eq!(count(&nested, SqlDialect::Postgres), Ok(0));
    assert_eq!(count(&repeat("BEGIN "), SqlDialect::Mysql).expect_err("no END").len(), 1);
    let deep = format!("CREATE PROCEDURE p() {}", repeat("BEGIN "));
    assert_eq!(count(&deep, SqlDialect::Mysql).expect_err("no END")[0].code, "unterminated_body");
}
