//! What is refused before anything runs, in words.

use super::SqlDialect;

/// Something in a script that would fail, or that would do other than it says.
///
/// Displays as `code: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A stable name. What never ends: `unterminated_string`, `unterminated_identifier`, `unterminated_dollar_quote`,
    /// `unterminated_comment`, `unterminated_body`. What is for a client: `psql_command`, `mysql_command`,
    /// `sqlite_command`, `copy_from_stdin`, `delimiter`, `drizzle_breakpoint`, `not_a_comment`. What contradicts the
    /// mode: `lock_tables`, `transaction_control`, `not_in_transaction`, `unknown_directive`, `misplaced_directive`.
    pub code: &'static str,
    /// The byte where it begins: the opening quote of what is never closed, the first word of a statement.
    pub offset: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to type instead.
    pub help: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Fault {
    fn new(code: &'static str, offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Fault { code, offset, message: message.into(), help: help.into() }
    }

    pub(super) fn unterminated_string(offset: usize, quote: u8, escapes: bool) -> Self {
        let quote = char::from(quote);
        let mut help = format!("close it with {quote}; within the text a quote is written twice, {quote}{quote}");
        if escapes {
            help.push_str(", and a backslash protects the character behind it");
        }
        Fault::new("unterminated_string", offset, format!("the string that begins here with {quote} never ends"), help)
    }

    pub(super) fn unterminated_identifier(offset: usize, quote: char) -> Self {
        Fault::new(
            "unterminated_identifier",
            offset,
            "the quoted name that begins here never ends",
            format!("close it with {quote}"),
        )
    }

    pub(super) fn unterminated_dollar_quote(offset: usize, tag: &str) -> Self {
        Fault::new(
            "unterminated_dollar_quote",
            offset,
            format!("the text that begins here with {tag} never ends"),
            format!("close it with the same {tag}, in the same case"),
        )
    }

    pub(super) fn unterminated_comment(offset: usize) -> Self {
        Fault::new("unterminated_comment", offset, "the comment that begins here never ends", "close it with */")
    }

    pub(super) fn unterminated_body(offset: usize) -> Self {
        Fault::new(
            "unterminated_body",
            offset,
            "the body that begins here never ends",
            "close each block with its END (END IF, END LOOP, END CASE …) and end each statement in it with `;`",
        )
    }

    pub(super) fn transaction_control(offset: usize, words: &str, help: &str) -> Self {
        Fault::new("transaction_control", offset, format!("{words} controls the transaction that migrator keeps"), help)
    }

    pub(super) fn client_command(offset: usize, dialect: SqlDialect, line: &str) -> Self {
        let (code, client) = match dialect {
            SqlDialect::Sqlite => ("sqlite_command", "sqlite3"),
            SqlDialect::Postgres => ("psql_command", "psql"),
            SqlDialect::Mysql => ("mysql_command", "mysql"),
        };
        let word = line.split_whitespace().next().unwrap_or(line);
        Fault::new(
            code,
            offset,
            format!("{word} is a command of the {client} client, which the server does not know"),
            "remove the line, or write in SQL what it does",
        )
    }

    pub(super) fn copy_from_stdin(offset: usize) -> Self {
        Fault::new(
            "copy_from_stdin",
            offset,
            "COPY … FROM STDIN waits for data that a script cannot send",
            "write the rows as INSERT … VALUES, or load them in a seed",
        )
    }

    pub(super) fn lock_tables(offset: usize) -> Self {
        Fault::new(
            "lock_tables",
            offset,
            "under LOCK TABLES the record of a statement cannot be written: its table is not among the locked ones",
            "remove it and its UNLOCK TABLES: the migration lock keeps other migrations out",
        )
    }

    pub(super) fn delimiter(offset: usize) -> Self {
        Fault::new(
            "delimiter",
            offset,
            "DELIMITER is a command of the mysql client, which the server does not know",
            "remove every DELIMITER line and end each program with `;`: migrator finds the end of a body by itself",
        )
    }

    pub(super) fn drizzle_breakpoint(offset: usize, more: usize) -> Self {
        let more = if more == 0 { String::new() } else { format!(" ({more} more in this script)") };
        Fault::new(
            "drizzle_breakpoint",
            offset,
            format!("`--> statement-breakpoint` is no comment for MySQL{more}"),
            "remove it, or write a space behind the dashes: `-- > statement-breakpoint`; a `;` ends each statement",
        )
    }

    pub(super) fn not_a_comment(offset: usize) -> Self {
        Fault::new(
            "not_a_comment",
            offset,
            "`--` without a space behind it is no comment for MySQL",
            "write a space behind the two dashes, or begin the line with #",
        )
    }

    pub(super) fn not_in_transaction(offset: usize, words: &str, declared: bool) -> Self {
        let help = if declared {
            "remove the setting that asks for a transaction, and write `-- migrator: no-transaction` in the first line"
        } else {
            "move it to a migration of its own, or write `-- migrator: no-transaction` in the first line"
        };
        Fault::new("not_in_transaction", offset, format!("{words} cannot run inside a transaction"), help)
    }

    pub(super) fn unknown_directive(offset: usize, word: &str) -> Self {
        // A comment of more than one line may begin with the mark.
        let message = match word.split(['\n', '\r']).next().unwrap_or("").trim_end() {
            "" => "the directive behind `migrator:` is missing".to_owned(),
            line => format!("there is no directive `{line}`"),
        };
        let help = "write `-- migrator: no-transaction` or `-- migrator: breaks-before VERSION`, or remove the comment";
        Fault::new("unknown_directive", offset, message, help)
    }

    pub(super) fn misplaced_directive(offset: usize) -> Self {
        Fault::new(
            "misplaced_directive",
            offset,
            "a directive counts only in front of the first statement",
            "move the comment to the first line",
        )
    }
}
