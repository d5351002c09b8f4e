//! Migrations that a service runs at its start: embedded, locked, recorded.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use migrator::{MigrationSet, Migrator, embed_migrations};
//!
//! # #[cfg(any())]
//! static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
//! # static MIGRATIONS: std::sync::LazyLock<MigrationSet> = std::sync::LazyLock::new(|| todo!());
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut conn = SqliteConnection::establish("app.db")?;
//! let report = Migrator::new(&MIGRATIONS).run(&mut conn)?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! *The set is what the binary knows. The history is what the database went through. A plan is the difference, and only a run
//! changes anything.* Status and plan never write.

mod apply;
mod dialect;
mod environment;
mod error;
mod event;
mod history;
mod interop;
mod ledgers;
mod lock;
mod migration;
mod migrator;
mod plan;
mod record;
mod report;
mod session;
mod stale;
mod status;

#[cfg(all(feature = "cli", not(any(feature = "sqlite", feature = "postgres", feature = "mysql"))))]
compile_error!("a command line that can connect to nothing: add the feature sqlite, postgres or mysql");
#[cfg(feature = "cli")]
pub mod cli;

pub use dialect::Dialect;
pub use environment::Environment;
pub use error::{Error, Place};
pub use event::Event;
pub use migration::{Checksum, Migration, MigrationSet, Version};
pub use migrator::Migrator;
pub use migrator_source::layout::Layout;
pub use migrator_source::sql::SqlDialect;
pub use plan::{Plan, Policy, Resolution, Step, Target};
pub use report::{Applied, Report};
pub use session::SessionStep;
pub use status::{DatabaseState, MigrationStatus, Problem, State, Status};

/// Bakes a migrations directory into the binary, as a [`MigrationSet`].
///
/// ```ignore
/// static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
/// static OTHERS: MigrationSet = embed_migrations!("db/changes", layout = "flat", dialect = "postgres");
/// ```
///
/// The directory is relative to the `Cargo.toml` of the crate that calls the macro; without an argument it is `migrations`.
/// `layout` is `diesel`, `prisma` or `flat`, else it is detected. `dialect` is `sqlite`, `postgres` or `mysql`; else
/// `migration_lock.toml` says it, else the only database feature that is on.
///
/// What would hurt later is a compile error that names file, line and column: a directory that is missing, empty or not
/// recognised, two migrations with one version, a text that is not UTF-8 or never ends, transaction control and client commands
/// inside a script, a statement that cannot run in a transaction beside others.
///
/// New files rebuild the crate only when its `build.rs` has this line (the macro warns while it is missing):
///
/// ```
/// println!("cargo::rerun-if-changed=migrations\ncargo::rustc-env=MIGRATOR_TRACKED=migrations");
/// ```
#[macro_export]
macro_rules! embed_migrations {
    ($($args:tt)*) => {
        $crate::__private::embed!($crate; $($args)*)
    };
}

/// What the expansion of the macro names. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use std::borrow::Cow;

    pub use migrator_macros::embed;
    pub use migrator_source::layout::Layout;
    pub use migrator_source::pack::Packed;
    pub use migrator_source::sql::SqlDialect;

    use crate::migration::MigrationSet;

    /// The set that a packed form is.
    pub const fn set(packed: &'static Packed) -> MigrationSet {
        MigrationSet::embedded(packed)
    }
}
