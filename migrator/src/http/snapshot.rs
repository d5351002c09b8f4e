//! What a status page shows.

use std::time::Instant;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::error::Error;
use crate::health::{Health, HealthReport, Overview, Progress};

/// Everything that a status page shows, of one moment.
///
/// It serialises to `{"state", "health", "run", "migrations", "seeds", "error"}`: the provider's state with what belongs to it, the
/// [`HealthReport`], the [`Progress`] of the last init, the [`Status`](crate::Status) and the [`SeedStatus`](crate::seed::SeedStatus)es, which are `null` while nothing
/// can be read, and then the code of the error that says why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// How it is.
    pub report: HealthReport,
    /// What the last init of this process did.
    pub progress: Progress,
    /// Where each migration and each seed stands, or why that cannot be read: no init succeeded yet, or the database does not
    /// answer.
    pub overview: Result<Overview, Error>,
}

impl Snapshot {
    /// Reads everything, within the [bound](Health::bound) of the handle.
    pub fn of(health: &Health) -> Self {
        let start = Instant::now();
        let report = health.report();
        let overview = health.clone().bound(health.patience().saturating_sub(start.elapsed())).overview();
        Self { report, progress: health.progress(), overview }
    }

    /// As [`of`](Self::of), without blocking a thread, on every kind of runtime.
    pub async fn of_async(health: &Health) -> Self {
        let start = Instant::now();
        let report = health.report_async().await;
        let left = health.patience().saturating_sub(start.elapsed());
        let overview = health.clone().bound(left).overview_async().await;
        Self { report, progress: health.progress(), overview }
    }

    /// The same without what only whoever runs the service should see.
    #[must_use]
    pub fn without_details(self) -> Self {
        // Of an error only the code is told.
        Self {
            report: self.report.without_details(),
            progress: self.progress.without_details(),
            overview: self.overview.map(Overview::without_details),
        }
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let overview = self.overview.as_ref();
        let mut snapshot = serializer.serialize_struct("Snapshot", 6)?;
        snapshot.serialize_field("state", &self.report.state)?;
        snapshot.serialize_field("health", &self.report)?;
        snapshot.serialize_field("run", &self.progress)?;
        snapshot.serialize_field("migrations", &overview.map(|overview| &overview.migrations).ok())?;
        snapshot.serialize_field("seeds", &overview.map(|overview| &overview.seeds).ok())?;
        snapshot.serialize_field("error", &overview.map_err(Error::code).err())?;
        snapshot.end()
    }
}
