//! The table of the layout's own tool, read and kept in step with the history: the tool can take the next turn.

use std::collections::BTreeMap;

use ::diesel::QueryResult;
use ::diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::sql::SqlDialect;

use super::{Tool, diesel, prisma};
use crate::dialect::{Dialect, Facts, refused, table};
use crate::error::Error;
use crate::migration::{MigrationSet, Way};
use crate::record::{Change, History, Partial, RESOLVED_RESUME, Record, RecordKind, Standing};
use crate::turns::Row;

/// Where it is filled before it gets its name, where each statement of DDL commits by itself.
pub(crate) const UNFINISHED: &str = "__migrator_ledger";

/// The names of a table's columns; none where there is no table.
pub(super) struct Columns(Vec<String>);

impl Columns {
    pub(super) fn of<C>(conn: &mut C, schema: &str, name: &str) -> QueryResult<Self>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let rows = C::Backend::rows(conn, &C::Backend::columns(schema, name))?;
        Ok(Self(rows.iter().map(|row| row.text(0).to_owned()).collect()))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|column| column == name)
    }
}

/// The tool's table, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    tool: Tool,
    schema: String,
    set: MigrationSet,
    /// `None` when there is no table.
    rows: Option<Vec<Row>>,
    /// The versions (canonical) of which a script was begun and not ended.
    begun: BTreeMap<String, Begun>,
}

/// A script that was begun and not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// The way up; whether some of its statements took.
    Up(bool),
    /// The way down: until its end the migration counts as applied.
    Down,
}

/// Where a migration was before a record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing of it is there.
    Nothing,
    /// It was begun; whether some of its statements took.
    Begun(bool),
    Applied,
}

impl Ledger {
    /// Reads it where our history lives, which is where the tool looks: in the current schema.
    pub(crate) fn load<C>(conn: &mut C, tool: Tool, set: &MigrationSet, facts: &Facts) -> Result<Self, Error>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let schema = facts.schema.as_str();
        let reading = |error| refused::<C::Backend>(&format!("read the table {}", tool.table()), error);
        let ledger = Self { tool, schema: schema.to_owned(), set: set.clone(), rows: None, begun: BTreeMap::new() };
        if !facts.has_table(tool.table()) {
            return Ok(ledger);
        }
        let columns = Columns::of(conn, schema, tool.table()).map_err(reading)?;
        if columns.0.is_empty() {
            return Ok(ledger);
        }
        let needed = match tool {
            Tool::Diesel => diesel::COLUMNS,
            Tool::Prisma => prisma::COLUMNS,
        };
        if let Some(gone) = needed.iter().find(|name| !columns.has(name)) {
            let (table, tool) = (tool.table(), tool.name());
            let message = format!("the table {table} has no column {gone}, so it is not {tool}'s");
            let remedy = format!("rename that table: {tool} keeps its own history in {table}");
            return Err(Error::new("foreign_history", message, remedy));
        }
        let rows = match tool {
            Tool::Diesel => diesel::rows(conn, schema, &columns),
            Tool::Prisma => prisma::rows(conn, schema, set),
        };
        Ok(Self { rows: Some(rows.map_err(reading)?), ..ledger })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.tool.table()
    }

    /// Where it is, without what it says.
    pub(crate) fn place(&self) -> Self {
        Self { rows: None, ..self.clone() }
    }

    /// What it says; nothing is said by a table that is not there.
    pub(crate) fn rows(&self) -> Option<&[Row]> {
        self.rows.as_deref()
    }

    /// Whether it says anything of migrations.
    pub(crate) fn has_rows(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| !rows.is_empty())
    }

    /// Makes it where it is not there, as the tool makes it, with what the history says: a table that is gone does not say that
    /// nothing is applied.
    pub(crate) fn make<C>(&mut self, conn: &mut C, history: Option<&History>) -> QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if self.rows.is_some() {
            return Ok(());
        }
        let create = |table: &str| self.creation::<C::Backend>(table);
        let nothing = History::default();
        let history = history.unwrap_or(&nothing);
        let fill = |table: &str| match self.tool {
            Tool::Diesel => diesel::fill::<C::Backend>(table, &self.set, history),
            Tool::Prisma => prisma::fill::<C::Backend>(table, &self.set, history),
        };
        let ledger = table::<C::Backend>(&self.schema, self.name());
        let unfinished = table::<C::Backend>(&self.schema, UNFINISHED);
        if C::Backend::SQL == SqlDialect::Mysql && !fill(&unfinished).is_empty() {
            // Killed in between, a table without rows would say that everything was reverted.
            conn.batch_execute(&format!(
                "DROP TABLE IF EXISTS {unfinished};\n{};\n{};\nALTER TABLE {unfinished} RENAME TO {ledger}",
                create(&unfinished),
                fill(&unfinished)
            ))?;
        } else if C::Backend::SQL == SqlDialect::Postgres {
            // One message, one transaction.
            conn.batch_execute(&format!("{};\n{}", create(&ledger), fill(&ledger)))?;
        } else {
            C::TransactionManager::begin_transaction(conn)?;
            if let Err(error) = conn.batch_execute(&format!("{};\n{}", create(&ledger), fill(&ledger))) {
                let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
                return Err(error);
            }
            C::TransactionManager::commit_transaction(conn)?;
        }
        self.rows = Some(Vec::new());
        Ok(())
    }

    /// The SQL that makes it, where nothing was applied yet.
    pub(crate) fn first<D: Dialect>(&self) -> String {
        self.creation::<D>(&table::<D>(&self.schema, self.name())) + ";\n"
    }

    fn creation<D: Dialect>(&self, table: &str) -> String {
        match self.tool {
            Tool::Diesel => diesel::create(table),
            Tool::Prisma => prisma::create(D::SQL, table),
        }
    }

    /// Takes note of what was begun and not ended.
    pub(crate) fn begun(mut self, known: &History) -> Self {
        let pasts = known.pasts(self.set.layout());
        let begun = pasts.iter().filter_map(|(version, past)| match past.standing {
            Standing::Partial(Partial { way: Way::Down, .. }) => Some(((*version).to_owned(), Begun::Down)),
            Standing::Partial(Partial { done, .. }) => {
                Some(((*version).to_owned(), Begun::Up(done > 0 || past.is_unseen())))
            }
            _ => None,
        });
        self.begun = begun.collect();
        self
    }

    /// The SQL that makes it say what a record says; it commits with the record. It fails, and the record with it, where the tool
    /// ran the migration at the same moment.
    pub(crate) fn follow<D: Dialect>(&self, record: &Record, change: &Change, is_applied: bool) -> String {
        let ledger = table::<D>(&self.schema, self.name());
        let before = match self.begun.get(self.set.layout().canonical(&record.version)) {
            Some(Begun::Up(some_took)) => Before::Begun(*some_took),
            Some(Begun::Down) => Before::Applied,
            None if is_applied => Before::Applied,
            None => Before::Nothing,
        };
        match self.tool {
            Tool::Diesel => diesel::follow::<D>(&ledger, record, change),
            Tool::Prisma => prisma::follow::<D>(&ledger, &self.set, record, before),
        }
    }

    /// Takes note that a record is committed.
    pub(crate) fn wrote(&mut self, record: &Record) {
        let version = self.set.layout().canonical(&record.version);
        let before = self.begun.get(version).copied();
        let kind = record.kind;
        let ended_badly = matches!(kind, Some(RecordKind::Failed | RecordKind::Interrupted));
        let resumes = kind == Some(RecordKind::Resolved) && record.detail.as_deref() == Some(RESOLVED_RESUME);
        let now = match before {
            _ if kind == Some(RecordKind::Reverting) => Some(Begun::Down),
            Some(Begun::Down) if ended_badly || resumes || kind == Some(RecordKind::Statement) => before,
            None if kind == Some(RecordKind::Planned) => Some(Begun::Up(false)),
            Some(Begun::Up(_)) if kind == Some(RecordKind::Planned) => before,
            Some(Begun::Up(_)) if kind == Some(RecordKind::Statement) => Some(Begun::Up(true)),
            _ if resumes => Some(Begun::Up(record.statement.is_some_and(|at| at > 1))),
            None | Some(Begun::Up(_)) if record.is_unseen() => Some(Begun::Up(true)),
            Some(Begun::Up(true)) if ended_badly => before,
            _ => None,
        };
        match now {
            Some(now) => drop(self.begun.insert(version.to_owned(), now)),
            None => drop(self.begun.remove(version)),
        }
    }
}
