//! Where in a statement the database found what it names, when something was sent in front of the statement, or behind it.

use diesel::result::{DatabaseErrorInformation, Error as DatabaseError};

/// The error, with its position counted from the statement on.
pub(super) fn behind(begin: &str, error: DatabaseError) -> DatabaseError {
    match error {
        DatabaseError::DatabaseError(kind, of) => {
            let before = i32::try_from(begin.chars().count()).unwrap_or(0);
            DatabaseError::DatabaseError(kind, Box::new(Spot { of, before, message: None }))
        }
        error => error,
    }
}

/// The error, without what was sent behind the statement: MySQL quotes a message on from where it stopped to understand it.
pub(super) fn in_front(statement: &str, error: DatabaseError) -> DatabaseError {
    match error {
        DatabaseError::DatabaseError(kind, of) => match quoting_only(statement, of.message()) {
            Some(message) => {
                DatabaseError::DatabaseError(kind, Box::new(Spot { of, before: 0, message: Some(message) }))
            }
            None => DatabaseError::DatabaseError(kind, of),
        },
        error => error,
    }
}

/// The words, when they quote more than the statement.
fn quoting_only(statement: &str, message: &str) -> Option<String> {
    let (words, quoted) = message.split_once("near '")?;
    let (quoted, place) = quoted.rsplit_once("' at line ")?;
    let rests = quoted.match_indices("\n;").map(|(end, _)| &quoted[..end]);
    let rest = rests.into_iter().find(|rest| statement.ends_with(rest))?;
    Some(format!("{words}near '{rest}' at line {place}"))
}

/// What the database says, of a message that began with so many characters of ours; in these words, if not in its own.
struct Spot {
    of: Box<dyn DatabaseErrorInformation + Send + Sync>,
    before: i32,
    message: Option<String>,
}

impl DatabaseErrorInformation for Spot {
    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_else(|| self.of.message())
    }

    fn details(&self) -> Option<&str> {
        self.of.details()
    }

    fn hint(&self) -> Option<&str> {
        self.of.hint()
    }

    fn table_name(&self) -> Option<&str> {
        self.of.table_name()
    }

    fn column_name(&self) -> Option<&str> {
        self.of.column_name()
    }

    fn constraint_name(&self) -> Option<&str> {
        self.of.constraint_name()
    }

    fn statement_position(&self) -> Option<i32> {
        self.of.statement_position().map(|position| position - self.before).filter(|position| *position > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_statement_is_quoted() {
        let said = |quoted: &str| format!("You have an error in your SQL syntax; check near '{quoted}' at line 2");
        let cases = [
            ("SELECT 1 FROMM t", "FROMM t\n;SET @migrator_came_to", Some("FROMM t")),
            ("SELECT (1", "\n;COMMIT;SET @migrator_came", Some("")),
            ("SELECT 'a\n;b' FROMM t", "'a\n;b' FROMM t\n;SET", Some("'a\n;b' FROMM t")),
            ("SELECT 1 FROMM t", "FROMM t", None),
            ("SELECT 1 FROMM a\n;b", "FROMM a", None),
        ];
        for (statement, quoted, expected) in cases {
            assert_eq!(quoting_only(statement, &said(quoted)), expected.map(said), "{statement}: {quoted}");
        }
        assert_eq!(quoting_only("SELECT 1", "Table 'near' doesn't exist"), None);
    }
}
