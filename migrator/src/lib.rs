//! Migrations that a service runs at its start: embedded, locked, recorded.
//!
//! ```no_run
//! use diesel::prelude::*;
//! use migrator::{MigrationSet, Migrator, embed_migrations};
//!
//! # #[cfg(any())]
//! static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
//! # static MIGRATIONS: MigrationSet = embed_migrations!("../examples/quickstart/migrations");
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut conn = SqliteConnection::establish("app.db")?;
//! let report = Migrator::new(&MIGRATIONS).run(&mut conn)?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! | The noun | is |
//! |---|---|
//! | [`MigrationSet`] | every migration that this binary knows |
//! | history | what this database went through; `__migrator_history`, append-only |
//! | [`Plan`] | the ordered list of what a run would do |
//! | [`Report`] | what a run did, also when it stopped half-way |
//! | [`backup`] | a copy of the database, made before a run changes it, with its manifest |
//! | [`Status`] | where each migration stands |
//! | [`Checkup`] | what was proved of a database and its surroundings, as pass, warn and fail |
//! | [`health`] | what probes ask: has it come up, does it live, can it be given requests |
//! | [`DbProvider`] | a service's database: migrated, seeded, then a pool |
//! | [`Seed`] | an idempotent data step that runs after the migrations; the ledger `__migrator_seeds` remembers it |
//!
//! *The set is what the binary knows. The history is what the database went through. A plan is the difference, and only a run
//! changes anything.* Status, plan and health never write.
//!
//! # Errors
//!
//! [`Error::code`] is one of these:
//!
//! | code | what happened |
//! |---|---|
//! | `statement_failed`, `permission_denied`, `read_only`, `disk_full`, `connection_lost` | a statement of a migration failed, and why |
//! | `foreign_key_violation` | SQLite: a migration would have left rows without their parents, and was undone |
//! | `changed`, `missing`, `out_of_order`, `ahead` | set and history do not fit together, and the policy refuses it |
//! | `failed` | an earlier run stopped inside of a script that cannot be rolled back, and a person has to say what is true |
//! | `outdated` | a newer migration that is applied says that it breaks binaries as old as this one |
//! | `no_way_down` | a revert was asked for, and a migration has no down script that can run |
//! | `baseline_refused`, `accept_refused` | the history says something else than what is to be recorded |
//! | `history_tampered` | the history was not written by this crate alone |
//! | `lock_timeout`, `lock_lost`, `lock_file` | another process held the lock for too long; the lock is gone; its file cannot be made |
//! | `pooler_unsupported` | a pooler of transactions or statements is between here and the server |
//! | `open_transaction`, `no_schema`, `unsupported`, `dialect_mismatch` | the connection or the server is none that can be migrated |
//! | `environment_mismatch`, `not_confirmed` | a verb that destroys is refused: the database is marked as something else; its name was not typed back |
//! | `development_only`, `reset_refused` | `setup` is asked for on staging or production, or `reset` where nobody says what the database is for; a reset would take what is not in the schema |
//! | `not_empty`, `foreign_history`, `system_database` | the database belongs to somebody else, to another tool, or to the server itself |
//! | `target_unknown`, `target_ambiguous`, `resolve_refused` | what was asked for is not there |
//! | `folder`, `stale` | the migrations directory has a fault; the binary does not hold what the directory holds |
//! | `dialect_unknown` | a directory is to be sealed, and nothing says which SQL it is written in |
//! | `seeds`, `migrations_pending` | the list of seeds is unsound; no seed runs before the migrations are applied |
//! | `seed_failed` | a critical seed failed |
//! | `interrupted` | a run was ended by its [`Interrupt`], or the host stopped the wait between two tries |
//! | `config`, `scheme_mismatch`, `unknown_scheme`, `invalid_url` | a variable or a URL is wrong; the message names the variable |
//! | `connection_failed`, `database_unavailable` | no wait could help; the wait was too short |
//! | `pending`, `seeds_missing` | another process has to migrate or to seed, and did not in time |
//! | `not_initialized`, `initializing`, `init_failed`, `migrate_only`, `shut_down` | why a [`DbProvider`] gives no connection |
//! | `pool_timeout`, `shutdown_timeout` | every connection is in use; something still runs after a shutdown |
//! | `panicked`, `no_thread` | something of the host's panicked in an init; a thread could not be started |
//! | `session_setup`, `database` | the session's set-up failed; the database refused something else |
//! | `backup_failed`, `program` | the backup before a run could not be made, and nothing was changed; a database's own program is missing or too old |
//! | `backup_damaged`, `restore_refused`, `restore_failed` | a backup is not what its manifest says; a restore would hurt somebody; a restore did not come to its end |
//! | `test_database` | a database for a host's test could not be made |
//! | `database_timeout`, `pool_exhausted` | a probe got no answer, or no connection, within its bound |
//!
//! The command line adds `usage`, `no_database_url`, `dialect_not_built`, and `embedded` for a `--dir` where the set is embedded.

mod apply;
pub mod backup;
mod checkup;
mod contents;
mod dialect;
mod environment;
mod error;
mod event;
mod guard;
pub mod health;
mod history;
mod interop;
mod interrupt;
mod ledgers;
mod lock;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics/off.rs"]
mod metrics;
mod migration;
mod migrator;
mod mode;
mod origin;
mod plan;
mod provider;
mod provider_state;
mod record;
mod report;
mod seal;
pub mod seed;
mod seeding;
mod session;
mod source;
mod stale;
mod status;
pub mod testing;
mod turns;
mod url;
mod verify;

#[cfg(all(feature = "cli", not(any(feature = "sqlite", feature = "postgres", feature = "mysql"))))]
compile_error!("a command line that can connect to nothing: add the feature sqlite, postgres or mysql");
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "http")]
pub mod http;

pub use checkup::{Check, Checkup, Verdict};
pub use contents::Contents;
pub use dialect::Dialect;
pub use environment::Environment;
pub use error::{Error, Place};
pub use event::Event;
pub use interrupt::Interrupt;
pub use migration::{Checksum, Migration, MigrationSet, Version};
pub use migrator::{Migrator, Setup};
pub use migrator_source::layout::Layout;
pub use migrator_source::sql::SqlDialect;
pub use mode::ServiceMode;
pub use plan::{Plan, Policy, Resolution, Step, Target};
pub use provider::{Config, DbProvider, InitReport};
pub use provider_state::{MissingSeed, ProviderState, SeedStanding, Stage};
pub use report::{Applied, Report, Reverted};
pub use seed::{Seed, SeedError, SeedOutcome, SeedReport, SeedResult};
pub use session::SessionStep;
pub use status::{DatabaseState, MigrationStatus, Problem, Recorded, State, Status};

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
/// When the directory has a seal ([`MigrationSet::seal`]), a sealed migration that was edited, deleted, renamed or reordered is a
/// compile error too. Those behind the last sealed one are drafts, free to change; a release build (one without debug
/// assertions) warns of them, or as `unsealed = "allow"`, `"warn"` or `"refuse"` says.
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

/// Makes a [`Seed`] of a file that is baked into the binary: SQL, CSV (feature `csv`) or JSON (feature `json`).
///
/// ```ignore
/// const ROLES: Seed<SqliteConnection> = seed_file!("seeds/010_roles.sql");
/// const COUNTRIES: Seed<SqliteConnection> = seed_file!("seeds/020_countries.csv", key = ["code"]).depends_on(&[ROLES]);
/// ```
///
/// The path is relative to the `Cargo.toml` of the crate that calls the macro. The file's name, without the number in front and
/// without its ending, is the seed's: `roles`, `countries`. A change of the content runs it again ([`seed::Mode::OnChange`]); line
/// endings do not count.
///
/// The statements of an SQL file run in the seed's transaction. A CSV file is a header with column names, and rows; an empty
/// cell is NULL. A JSON file is an array of objects that all have the same keys. Their rows are put into the table that the seed
/// is named after, or into `table = "…"`. `key = […]` names the columns that tell rows apart; without it the first column does. A
/// row whose key is in the table stays as it is, so that what a user changed is never reset; `existing = update` gives it the file's
/// values. Rows are never deleted. With [`seed::Mode::Ensure`] rows that are gone come back.
///
/// A fault of the file (not UTF-8, a short row, a column twice, a value of another kind) is a compile error that names its line; a
/// column that the table has not is an error before anything is written.
#[macro_export]
macro_rules! seed_file {
    ($($args:tt)*) => {
        $crate::__private::embed_seed!($crate; $($args)*)
    };
}

/// Makes a [`Seed`] of a function: it keeps the function and adds a constant of its name in capitals.
///
/// ```
/// use diesel::prelude::*;
/// use migrator::{Seed, SeedResult, seed};
///
/// #[seed]
/// fn roles(conn: &mut SqliteConnection) -> SeedResult {
///     Ok(diesel::sql_query("INSERT OR IGNORE INTO role VALUES ('admin')").execute(conn)? as u64)
/// }
///
/// #[seed(depends_on = [ROLES], version = "2", environments = [development, test], critical = false)]
/// fn admin(conn: &mut SqliteConnection) -> SeedResult {
///     Ok(diesel::sql_query("INSERT OR IGNORE INTO account VALUES ('admin', 'admin')").execute(conn)? as u64)
/// }
///
/// const SEEDS: &[Seed<SqliteConnection>] = &[ROLES, ADMIN];
/// ```
///
/// | argument | is | default |
/// |---|---|---|
/// | `name = "…"` | what the ledger knows it by | the function's name |
/// | `version = "…"` | [`Seed::version`] | empty |
/// | `depends_on = [ROLES, …]` | [`Seed::depends_on`] | nothing |
/// | `environments = [development, test, staging, production]` | [`Seed::environments`] | all |
/// | `mode = once`, `on_change`, `ensure`, `always`, `manual` | [`Seed::mode`] | `on_change` |
/// | `phase = blocking`, `background` | [`Seed::phase`] | `blocking` |
/// | `critical = false` | [`Seed::critical`] | `true` |
/// | `verify = is_there` | [`Seed::verify`]: a `fn(&mut C) -> Result<bool, SeedError>` | nothing |
/// | `transaction = false` | [`Seed::without_transaction`]; needs `verify` | `true` |
/// | `deadline = 30` | [`Seed::deadline`], in seconds | 10 minutes |
/// | `files = ["seeds/prices.xml"]` | files whose content joins the version | none |
/// | `crate = path` | this crate, where it has another name | `::migrator` |
///
/// An unknown seed in `depends_on` and seeds that depend on each other in a circle are compile errors; so are, where
/// [`seed::checked`] or a provider takes the list in a `static`, two seeds of one name and a dependency that is not in the list.
pub use migrator_macros::seed;

/// What the expansion of the macro names. Not part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use std::borrow::Cow;
    pub use std::time::Duration;

    pub use migrator_macros::{embed, embed_seed};
    pub use migrator_source::data::Kind as SeedKind;
    pub use migrator_source::layout::Layout;
    pub use migrator_source::pack::Packed;
    pub use migrator_source::sql::SqlDialect;

    pub use crate::environment::Environment;
    use crate::migration::MigrationSet;
    pub use crate::seed::{Existing, Mode, Phase, Seed, SeedFile};

    /// The set that a packed form is.
    pub const fn set(packed: &'static Packed) -> MigrationSet {
        MigrationSet::embedded(packed)
    }

    /// The seed that a file is.
    pub const fn seed_of_file<C>(name: &'static str, hash: &'static str, file: &'static SeedFile) -> Seed<C> {
        Seed::of_file(name, hash, file)
    }
}
