//! What holds for every text, also for one that nobody would write.

#[path = "properties/script.rs"]
mod properties;

use migrator_source::sql::{Mode, Script, SqlDialect};
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

fn declared() -> impl Strategy<Value = Option<Mode>> {
    proptest::sample::select(&[None, Some(Mode::Transaction), Some(Mode::NoTransaction)][..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_split_without_loss(text in any::<String>(), declared in declared()) {
        properties::check(&text, declared);
    }

    #[test]
    fn any_script_is_split_without_loss(text in script(), declared in declared()) {
        properties::check(&text, declared);
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
