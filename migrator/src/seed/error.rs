//! Why a seed failed, in its own words, and whether trying again can help.

use std::error::Error as StdError;
use std::fmt;

/// How many rows a seed touched (0: all was there already), or why it failed.
pub type SeedResult = Result<u64, SeedError>;

/// Why a seed failed.
///
/// `?` makes one of any error. A database's error is tried again when it is of a kind that can pass (a lost connection, a
/// serialization failure, a deadlock, a lock timeout, too many connections); every other one is permanent, unless
/// [`transient`](Self::transient) says otherwise. It is no [`std::error::Error`] itself, so that it can be made of all of them.
pub struct SeedError {
    pub(crate) source: Box<dyn StdError + Send + Sync>,
    pub(crate) transient: bool,
}

impl SeedError {
    /// An error that trying again does not help, from an error or a text.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: error.into(), transient: false }
    }

    /// An error that may be gone at the next try: the seed is tried again, later each time.
    pub fn transient(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: error.into(), transient: true }
    }

    /// The error of the database that it is, or that caused it.
    pub(crate) fn database(&self) -> Option<&diesel::result::Error> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self.source.as_ref());
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for SeedError {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{self}", if self.transient { "transient: " } else { "" })
    }
}
