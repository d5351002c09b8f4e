//! Seeds: named, idempotent data steps that run after the migrations.
//!
//! ```
//! use diesel::prelude::*;
//! use migrator::{Seed, SeedResult, seed};
//!
//! #[seed]
//! fn roles(conn: &mut SqliteConnection) -> SeedResult {
//!     let sql = "INSERT INTO role (name) VALUES ('admin'), ('reader') ON CONFLICT DO NOTHING";
//!     Ok(diesel::sql_query(sql).execute(conn)? as u64)
//! }
//!
//! #[seed(depends_on = [ROLES])]
//! fn admin(conn: &mut SqliteConnection) -> SeedResult {
//!     let sql = "INSERT INTO account (name, role) VALUES ('admin', 'admin') ON CONFLICT DO NOTHING";
//!     Ok(diesel::sql_query(sql).execute(conn)? as u64)
//! }
//!
//! const SEEDS: &[Seed<SqliteConnection>] = &[ROLES, ADMIN];
//! ```
//!
//! A seed and its row in the ledger `__migrator_seeds` commit together, under a lock: whatever is killed whenever, and
//! however many processes start at once, its effect is there once or not at all. A seed [without a
//! transaction](Seed::without_transaction), and one that on MySQL commits by itself (DDL does), may run twice.

mod check;
mod error;
mod folder;
mod report;

use std::fmt;
use std::time::Duration;

pub use self::check::checked;
pub(crate) use self::check::unsound;
pub use self::error::{SeedError, SeedResult};
pub use self::report::{SeedOutcome, SeedReport, SeedRun, SeedState, SeedStatus, Skip};
use crate::environment::Environment;
use migrator_source::data::Kind;

/// When a seed runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Once in the life of a database, whatever becomes of its version.
    Once,
    /// When its version, or what its data files hold, is not what ran last. The default.
    #[default]
    OnChange,
    /// When its `verify` says that what it promises does not hold.
    Ensure,
    /// Each time, under the lock.
    Always,
    /// Only when it is asked for by name.
    Manual,
}

/// Whether a service waits for a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Phase {
    /// It runs before the service is ready. The default.
    #[default]
    Blocking,
    /// It runs while the service is up.
    Background,
}

/// Which of the background seeds a pass tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The first of a process.
    First,
    /// A later one. What is not applied is tried when its time has come; what this process tried already and is given up is not.
    Due,
    /// What is not applied, now, whatever the ledger says of its next time.
    Force,
}

/// What a data file does about rows that are there already, by their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They stay as they are: what a user changed is never reset. The default.
    #[default]
    Keep,
    /// Their columns get the values of the file.
    Update,
}

/// Asks whether what a seed promises holds. It only reads.
pub type Verify<C> = fn(&mut C) -> Result<bool, SeedError>;

/// One named, idempotent data step.
///
/// The attribute [`seed`](macro@crate::seed) makes one of a function, [`seed_file!`](crate::seed_file) of an SQL, CSV or JSON
/// file. By hand: `const ROLES: Seed<SqliteConnection> = Seed::new("roles", roles).version("2");`
///
/// | option | default |
/// |---|---|
/// | [`version`](Self::version) | empty |
/// | [`depends_on`](Self::depends_on) | nothing |
/// | [`environments`](Self::environments) | all |
/// | [`mode`](Self::mode) | [`Mode::OnChange`] |
/// | [`phase`](Self::phase) | [`Phase::Blocking`] |
/// | [`critical`](Self::critical) | `true` |
/// | [`deadline`](Self::deadline) | 10 minutes |
/// | [`verify`](Self::verify) | nothing |
/// | transaction | yes; [`without_transaction`](Self::without_transaction) |
pub struct Seed<C: 'static> {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The digest of its data files, in hexadecimal; empty when it has none.
    pub(crate) hash: &'static str,
    pub(crate) depends_on: &'static [Seed<C>],
    pub(crate) environments: &'static [Environment],
    pub(crate) mode: Mode,
    pub(crate) phase: Phase,
    pub(crate) critical: bool,
    pub(crate) transaction: bool,
    pub(crate) deadline: Duration,
    pub(crate) verify: Option<Verify<C>>,
    pub(crate) body: Body<C>,
}

/// What a seed runs.
pub(crate) enum Body<C> {
    Call(fn(&mut C) -> SeedResult),
    File(&'static SeedFile),
}

/// A file that is a seed. What it is read from has been checked.
#[doc(hidden)]
#[derive(Debug)]
pub struct SeedFile {
    pub kind: Kind,
    /// For messages.
    pub path: &'static str,
    pub text: &'static str,
    pub table: &'static str,
    /// The columns that tell rows apart; the first one when it is empty.
    pub key: &'static [&'static str],
    pub existing: Existing,
}

impl<C> Seed<C> {
    /// A seed that calls a function, with every option at its default.
    ///
    /// The function returns how many rows it touched; 0 means that all was there already. It runs in a transaction and neither
    /// commits nor rolls back itself.
    pub const fn new(name: &'static str, run: fn(&mut C) -> SeedResult) -> Self {
        Self::of(name, Body::Call(run))
    }

    pub(crate) const fn of_file(name: &'static str, hash: &'static str, file: &'static SeedFile) -> Self {
        Self::of(name, Body::File(file)).hashed(hash)
    }

    const fn of(name: &'static str, body: Body<C>) -> Self {
        Self {
            name,
            version: "",
            hash: "",
            depends_on: &[],
            environments: &[],
            mode: Mode::OnChange,
            phase: Phase::Blocking,
            critical: true,
            transaction: true,
            deadline: Duration::from_secs(600),
            verify: None,
            body,
        }
    }

    /// Says which version this is: a change runs it again ([`Mode::OnChange`]). A function's body cannot be hashed, so it has to
    /// be said. Default: empty.
    #[must_use]
    pub const fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The seeds that must be applied before. They must be in the list too. Default: none.
    #[must_use]
    pub const fn depends_on(mut self, seeds: &'static [Seed<C>]) -> Self {
        self.depends_on = seeds;
        self
    }

    /// Where it runs. It is skipped, with the reason, in a process or a database of another environment, and where nobody says
    /// which environment it is. Default: everywhere.
    #[must_use]
    pub const fn environments(mut self, environments: &'static [Environment]) -> Self {
        self.environments = environments;
        self
    }

    /// When it runs. Default: [`Mode::OnChange`].
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether a service waits for it. Default: [`Phase::Blocking`].
    #[must_use]
    pub const fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Whether a service can do without it: a critical one that failed is an error of the blocking phase, another one degrades.
    /// Default: `true`.
    #[must_use]
    pub const fn critical(mut self, critical: bool) -> Self {
        self.critical = critical;
        self
    }

    /// How long it may take. PostgreSQL and MariaDB end a statement that takes longer; what took longer all in all is rolled
    /// back at its end. SQLite, MySQL and code that does not come back cannot be stopped from here. Default: 10 minutes.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks, after it ran and before anything is committed, whether what it promises holds; `false` fails the attempt, which is
    /// rolled back. [`Mode::Ensure`] asks it first. Default: nothing.
    #[must_use]
    pub const fn verify(mut self, verify: Verify<C>) -> Self {
        self.verify = Some(verify);
        self
    }

    /// Runs it outside of a transaction. It may then run twice, when it was killed before its ledger row was written; so
    /// `verify` is asked first, and a seed that holds is not run.
    #[must_use]
    pub const fn without_transaction(mut self, verify: Verify<C>) -> Self {
        self.transaction = false;
        self.verify(verify)
    }

    /// Whether it can say itself whether what it promises holds.
    pub(crate) const fn verifies_itself(&self) -> bool {
        match self.body {
            Body::Call(_) => false,
            Body::File(file) => !matches!(file.kind, Kind::Sql),
        }
    }

    /// The digest of what it reads, which joins the version.
    #[doc(hidden)]
    #[must_use]
    pub const fn hashed(mut self, hash: &'static str) -> Self {
        self.hash = hash;
        self
    }

    /// Its name, which is what the ledger knows it by.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<C> Clone for Seed<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Seed<C> {}

impl<C> Clone for Body<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Body<C> {}

impl<C> fmt::Debug for Seed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("hash", &self.hash)
            .field("mode", &self.mode)
            .field("phase", &self.phase)
            .field("critical", &self.critical)
            .finish_non_exhaustive()
    }
}
