//! Records that cannot follow on the records before them: a hand wrote them, or took one away and mended the numbers.

use std::collections::BTreeMap;

use migrator_source::layout::Layout;

use super::{History, Past, RESOLVED_APPLIED, ROLLED_BACK_OUTSIDE, Record, RecordKind, Standing};

impl History {
    /// What of the history contradicts what stands before it, a line each.
    pub(crate) fn contradictions(&self, layout: Layout) -> Vec<String> {
        let mut pasts: BTreeMap<&str, Past<'_>> = BTreeMap::new();
        let mut found = Vec::new();
        for record in &self.records {
            let Some(kind) = record.of_migration() else { continue };
            let past = pasts.entry(layout.canonical(&record.version)).or_insert_with(|| Past::new(record));
            if let Some(why) = past.forbids(record, kind) {
                let Record { sequence, name, .. } = record;
                found.push(format!("row {sequence} ({} {name}): {why}", kind.name()));
            }
            past.take(record, kind);
        }
        found
    }
}

impl Past<'_> {
    /// Why a record cannot come next.
    fn forbids(&self, record: &Record, kind: RecordKind) -> Option<String> {
        let applied = self.standing.is_applied();
        let half_way = match self.standing {
            Standing::Partial(partial) => Some(partial),
            _ => None,
        };
        let since = || format!("it is applied since row {}", self.record.sequence);
        match kind {
            // A version that another tool applied is recorded once more when a set knows its text, and when the tool's checksum changes.
            RecordKind::Applied
                if applied && !(record.adopted().is_some() && (self.text.is_none() || !record.is_unverified())) =>
            {
                Some(since())
            }
            RecordKind::Applied if record.checksum.is_none() && record.statements.is_some() => {
                Some("it has statements, and no checksum".to_owned())
            }
            RecordKind::Applied if self.standing.is_half_reverted() && record.adopted().is_none() => {
                Some("its revert is half done".to_owned())
            }
            RecordKind::Planned | RecordKind::Baselined if applied => Some(since()),
            RecordKind::Statement => match half_way {
                None => Some("nothing says that it was started".to_owned()),
                Some(partial) if record.statement.is_some_and(|number| number <= partial.done) => {
                    Some(format!("statement {} took before", partial.done))
                }
                Some(_) if record.statement > record.statements => Some("it has no such statement".to_owned()),
                Some(_) => None,
            },
            RecordKind::Reverting | RecordKind::Reverted | RecordKind::Kept
                if !self.standing.is_in_the_tools_table() =>
            {
                Some("it is not applied".to_owned())
            }
            RecordKind::Accepted if !applied => Some("it is not applied".to_owned()),
            RecordKind::Resolved if applied => Some(since()),
            RecordKind::Resolved
                if half_way.is_none()
                    && !matches!(record.detail.as_deref(), Some(RESOLVED_APPLIED | ROLLED_BACK_OUTSIDE)) =>
            {
                Some("nothing was to be settled".to_owned())
            }
            _ => None,
        }
    }
}
