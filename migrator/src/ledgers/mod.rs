//! The history tables of other tools: a database that one of them migrated is not empty, and not ours.

mod diesel;
mod kept;
mod others;
mod prisma;
mod taken;

use std::borrow::Cow;

use migrator_source::layout::Layout;

pub(crate) use self::kept::{Ledger, UNFINISHED};
pub(crate) use self::others::{foreign_tables, refuse};
pub(crate) use self::taken::{Taken, take_over};
use crate::dialect::Dialect;
use crate::migration::MigrationSet;

/// A tool whose table is kept in step, so that it can take the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Diesel,
    Prisma,
}

impl Tool {
    /// The layout's own tool. It knows one set only: ours is the one without a name.
    pub(crate) fn of(set: &MigrationSet, set_name: &str) -> Option<Self> {
        match set.layout() {
            _ if !set_name.is_empty() => None,
            Layout::Diesel => Some(Self::Diesel),
            Layout::Prisma => Some(Self::Prisma),
            Layout::Flat => None,
        }
    }

    /// What its table is called.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Diesel => diesel::TABLE,
            Self::Prisma => prisma::TABLE,
        }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Diesel => "diesel",
            Self::Prisma => "Prisma",
        }
    }

    /// An expression for what its table says, as one text that [`says`](Self::says) reads.
    pub(crate) fn list<D: Dialect>(self, schema: Option<&str>) -> String {
        match self {
            Self::Diesel => D::list(schema, diesel::TABLE, "version", ""),
            Self::Prisma => D::list(schema, prisma::TABLE, prisma::item(D::SQL), prisma::LIVE),
        }
    }

    /// Whether its table says that the set is applied, no more and no less, and that nothing failed.
    ///
    /// No folder's name holds a `/`; where a version does, the lists differ and the slow way finds out.
    pub(crate) fn says(self, list: &str, set: &MigrationSet) -> bool {
        match self {
            Self::Diesel => diesel::says(list, set),
            Self::Prisma => prisma::says(list, set),
        }
    }
}

/// What the bytes of a script may have been where it ran: its line endings are a matter of the checkout, and of an editor whether the
/// last line has one, or an empty line behind it.
fn spellings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let line = text.trim_end_matches('\n');
    let ended = ["", "\n", "\n\n"].into_iter().filter(move |ending| text.len() != line.len() + ending.len());
    let forms =
        std::iter::once(Cow::Borrowed(text)).chain(ended.map(move |ending| Cow::Owned(format!("{line}{ending}"))));
    forms.flat_map(|text| {
        let crlf = text.replace('\n', "\r\n");
        let marked = [&text, crlf.as_str()].map(|text| Cow::Owned(format!("\u{feff}{text}")));
        [text, Cow::Owned(crlf)].into_iter().chain(marked)
    })
}
