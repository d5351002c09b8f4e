//! The words in which an intent records what the catalogue said before a statement.

pub(super) const PRESENT: &str = "present";
pub(super) const ABSENT: &str = "absent";
