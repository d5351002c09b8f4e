//! What one row of the history says, by the word in its column `event`.

/// What one row of the history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A script that cannot be rolled back is about to start.
    Planned,
    /// One statement of such a script took.
    Statement,
    /// A migration took.
    Applied,
    /// A migration failed; what the database rolled back whole is still pending.
    Failed,
    /// A run was interrupted inside of a migration; all else is as if it had failed.
    Interrupted,
    /// A down script that cannot be rolled back is about to start; from here on the migration counts as not applied.
    Reverting,
    /// A migration was undone.
    Reverted,
    /// A revert failed and nothing of it took: the migration is applied as before.
    Kept,
    /// A migration was recorded as applied without being run.
    Baselined,
    /// An operator settled a failed migration; the detail says how.
    Resolved,
    /// An edit of an applied migration became the text of record; the detail says why.
    Accepted,
    /// The database was marked; the detail says as what, and as what before. It is about no migration.
    Marked,
}

impl RecordKind {
    const ALL: [Self; 12] = [
        Self::Planned,
        Self::Statement,
        Self::Applied,
        Self::Failed,
        Self::Interrupted,
        Self::Reverting,
        Self::Reverted,
        Self::Kept,
        Self::Baselined,
        Self::Resolved,
        Self::Accepted,
        Self::Marked,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Statement => "statement",
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
            Self::Kept => "kept",
            Self::Baselined => "baselined",
            Self::Resolved => "resolved",
            Self::Accepted => "accepted",
            Self::Marked => "marked",
        }
    }

    /// `None` for a kind that a newer version of this crate wrote.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
