//! Why an attempt failed, whether trying again can help, and what of it may be stored.

use std::any::Any;
use std::time::Duration;

use diesel::result::Error as DatabaseError;

use crate::dialect::{Class, Dialect, class};
use crate::error::{panic_text, words};
use crate::seed::SeedError;

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The seed says so.
    Seed(SeedError),
    /// It panicked, with this text.
    Panicked(String),
    /// It ran, and its `verify` says that what it promises does not hold.
    Unverified,
    /// It took so long.
    TooLong { took: Duration, deadline: Duration },
    /// It committed or rolled back by itself.
    EndedTransaction,
    /// It left a transaction open.
    LeftOpen,
    /// What is around it could not be committed in time, in these words of the database.
    Late(String),
    /// A statement of its file, or a row, at this place.
    Statement(String, DatabaseError),
    /// Something in its file; the text says what and where.
    Data(String),
    /// What is done around it: begin, record, commit.
    Around(DatabaseError),
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Around(error)
    }
}

impl From<SeedError> for Failure {
    fn from(error: SeedError) -> Self {
        Self::Seed(error)
    }
}

impl Failure {
    /// The text of a panic.
    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        Self::Panicked(panic_text(panic).to_owned())
    }

    fn database(&self) -> Option<&DatabaseError> {
        match self {
            Self::Seed(error) => error.database(),
            Self::Around(error) | Self::Statement(_, error) => Some(error),
            _ => None,
        }
    }

    /// Whose words they are.
    pub(super) fn speaker(&self) -> &'static str {
        if self.database().is_some() || matches!(self, Self::Late(_)) { "database" } else { "seed" }
    }

    pub(super) fn class<D: Dialect>(&self) -> Class {
        self.database().map_or(Class::Permanent, class::<D>)
    }

    /// Whether the next try may succeed where this one did not.
    pub(super) fn is_transient<D: Dialect>(&self) -> bool {
        let asked = matches!(self, Self::Seed(error) if error.transient) || matches!(self, Self::Late(_));
        asked || matches!(self.class::<D>(), Class::Busy | Class::Conflict | Class::Connection)
    }

    /// What happened, for a person who may see everything.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Seed(error) => match error.source.downcast_ref() {
                Some(database) => words(database),
                None => error.to_string(),
            },
            Self::Panicked(text) => format!("it panicked: {text}"),
            Self::Unverified => {
                "it ran, and its verify says that what it promises does not hold; it was undone".to_owned()
            }
            Self::TooLong { took, deadline } => {
                format!("it took {} ms, and its deadline is {} ms", took.as_millis(), deadline.as_millis())
            }
            Self::EndedTransaction => {
                "it ended the transaction that it runs in (a COMMIT; on MySQL each statement that changes \
                                       the schema does), so what it did before cannot be undone"
                    .to_owned()
            }
            Self::LeftOpen => "it began a transaction and did not end it".to_owned(),
            Self::Data(text) | Self::Late(text) => text.clone(),
            Self::Statement(place, error) => format!("{place}: {}", words(error)),
            Self::Around(error) => words(error),
        }
    }

    /// What happened, for the ledger: one line, and without the values that databases quote.
    pub(super) fn redacted(&self) -> String {
        let text = match (self, self.database()) {
            (Self::Statement(place, error), _) => format!("{place}: {error}"),
            // The detail and the hint quote whole rows.
            (_, Some(error)) => error.to_string(),
            _ => self.words(),
        };
        redact(&text)
    }

    pub(super) fn remedy<D: Dialect>(&self) -> &'static str {
        match self {
            Self::Unverified => "correct the seed, or its verify",
            Self::TooLong { .. } => "give it a longer deadline, or less to do",
            Self::EndedTransaction => {
                "leave the transaction to migrator, or declare the seed without one, with a verify"
            }
            Self::LeftOpen | Self::Panicked(_) => "correct the seed",
            Self::Data(_) => "correct the file",
            Self::Late(_) => Class::Busy.remedy(),
            _ => match self.class::<D>() {
                Class::Nested | Class::Permanent => "correct the seed or what the database names, then start again",
                Class::Connection => "start again: what was committed is recorded",
                class => class.remedy(),
            },
        }
    }
}

/// Where databases quote a value: what stands in front of it, and what behind it.
const QUOTED: [(&str, &str); 7] = [
    ("entry '", "' for key"),
    ("value: '", "' for "),
    ("value '", "'"),
    ("values '", "'"),
    (": \"", "\""),
    ("=(", ")"),
    ("VALUES (", ")"),
];

/// The first line of an error, at most 500 characters, without quoted values and passwords in URLs.
pub(super) fn redact(text: &str) -> String {
    let mut text: String = text.lines().next().unwrap_or("").chars().take(500).collect();
    for (before, behind) in QUOTED {
        let mut from = 0;
        while let Some(start) = text[from..].find(before).map(|at| from + at + before.len()) {
            // To the last one: a value may hold a quote, and what is too much hidden does no harm.
            let stop = text[start..].rfind(behind).map_or(text.len(), |at| start + at);
            text.replace_range(start..stop, "…");
            from = start + "…".len();
        }
    }
    let mut from = 0;
    while let Some(start) = text[from..].find("://").map(|at| from + at + 3) {
        let authority = text[start..].find(['/', ' ', '?']).map_or(text.len(), |at| start + at);
        if let Some(at) = text[start..authority].rfind('@') {
            text.replace_range(start..start + at, "…");
        }
        from = start;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn values_and_passwords_are_not_stored() {
        let cases = [
            ("Duplicate entry 'a@b.c' for key 'email'", "Duplicate entry '…' for key 'email'"),
            ("UNIQUE constraint failed: account.email", "UNIQUE constraint failed: account.email"),
            ("invalid input syntax for type integer: \"12a\"", "invalid input syntax for type integer: \"…\""),
            ("relation \"role\" does not exist\nLINE 1: SELECT 'x'", "relation \"role\" does not exist"),
            (
                "Incorrect integer value: 'x' for column `d`.`t`.`id` at row 1",
                "Incorrect integer value: '…' for column `d`.`t`.`id` at row 1",
            ),
            ("GET https://me:secret@host/x?y failed", "GET https://…@host/x?y failed"),
            ("Key (email)=(a@b.c) already exists.", "Key (email)=(…) already exists."),
            ("", ""),
        ];
        for (text, stored) in cases {
            assert_eq!(redact(text), stored);
        }
    }
}
