//! Where in a statement the database found what it names, when something was sent in front of the statement.

use diesel::result::{DatabaseErrorInformation, Error as DatabaseError};

/// The error, with its position counted from the statement on.
pub(super) fn behind(begin: &str, error: DatabaseError) -> DatabaseError {
    match error {
        DatabaseError::DatabaseError(kind, of) => {
            let before = i32::try_from(begin.chars().count()).unwrap_or(0);
            DatabaseError::DatabaseError(kind, Box::new(Behind { of, before }))
        }
        error => error,
    }
}

/// What the database says, of a message that began with so many characters of ours.
struct Behind {
    of: Box<dyn DatabaseErrorInformation + Send + Sync>,
    before: i32,
}

impl DatabaseErrorInformation for Behind {
    fn message(&self) -> &str {
        self.of.message()
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
