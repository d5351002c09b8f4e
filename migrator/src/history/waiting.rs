//! Records that wait until what they record commits: where the lock is a transaction, all of a run's do at once.
//!
//! Written one by one they cost a quarter of an apply of small migrations on SQLite; and every `ALTER TABLE` there reads the whole
//! schema again, our tables included, so that these too are made at the end. On PostgreSQL only the tables wait: for the first
//! transaction of many migrations, which makes them too.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::SystemTime;

use diesel::connection::LoadConnection;

use super::writer::in_transaction;
use super::{
    CHECKSUM, DURATION, NAME, RECORDED_AT, SEQUENCE, STATEMENTS, VERSION, Writer, Written, exists, made, make,
};
use crate::dialect::Dialect;
use crate::ledgers::Ledger;
use crate::record::{Change, Record};

/// What of the history is still to be written.
#[derive(Default)]
pub(super) struct Waiting {
    /// Whether the tables are to be made first, and the mark of the environment that the set's row gets.
    tables: Option<Option<&'static str>>,
    records: Vec<Record>,
    /// What makes the tool's table say the same.
    follow: String,
}

/// Where the columns stand in [`HISTORY_COLUMNS`](super::HISTORY_COLUMNS) in which the records of one run differ.
const OWN: [usize; 7] = [SEQUENCE, VERSION, NAME, CHECKSUM, STATEMENTS, DURATION, RECORDED_AT];

/// How many records go into one statement: SQLite takes a million bytes.
const MOST: usize = 500;

impl Writer {
    /// Has the tables made with the first record.
    pub(crate) fn making_tables(mut self, environment: Option<&'static str>) -> Self {
        self.waiting.tables = Some(environment);
        self
    }

    /// Adds a record of a migration that was applied, or reverted, that is written when the run commits: by [`catch_up`](Self::catch_up).
    pub(crate) fn later<D: Dialect>(&mut self, record: Record) {
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let record = Record { sequence: self.sequence + 1, recorded_at: now, ..record };
        let change = Change::of(&record, self.tally.layout);
        let written = Written { record, change };
        let follow = self.follow::<D>(&written);
        self.waiting.follow.push_str(&follow);
        let record = self.noted(written);
        self.waiting.records.push(record);
    }

    /// Makes the tables, where they are still to be made.
    pub(crate) fn make_tables<C>(&mut self, conn: &mut C) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        if let Some(environment) = self.waiting.tables {
            make(conn, &self.home, None, environment)?;
            self.ledger.as_mut().map_or(Ok(()), |ledger| ledger.make(conn, None))?;
            self.made_tables();
        }
        Ok(())
    }

    /// The SQL that makes the tables, where they are to be made with what is written first.
    pub(crate) fn tables_sql<D: Dialect>(&self) -> String {
        let ledger = || self.ledger.as_ref().map_or_else(String::new, Ledger::first::<D>);
        let all = |environment| format!("{};\n{}", made::<D>(&self.home, environment), ledger());
        self.waiting.tables.map_or_else(String::new, all)
    }

    /// Takes note that the tables are made, or that nothing can be made any more.
    pub(crate) fn made_tables(&mut self) {
        self.waiting.tables = None;
    }

    /// Whether the tables are there; asked where they are still to be made, since a message that made them may have failed behind its COMMIT.
    pub(crate) fn has_tables<C>(&self, conn: &mut C) -> bool
    where
        C: LoadConnection<Backend: Dialect>,
    {
        self.waiting.tables.is_none() || exists(conn, &self.home)
    }

    /// Whether there are records that [`catch_up`](Self::catch_up) would write.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.records.is_empty()
    }

    /// Whether a script names one of our tables, or the tool's.
    pub(crate) fn is_named_in(&self, script: &str) -> bool {
        names(script, "__migrator_") || self.ledger.as_ref().is_some_and(|ledger| names(script, ledger.name()))
    }

    /// Writes what waits. When it cannot be written, what it records must not be committed either.
    pub(crate) fn catch_up<C>(&mut self, conn: &mut C) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        self.make_tables(conn)?;
        if self.waiting.records.is_empty() {
            return Ok(());
        }
        in_transaction(conn, &self.waiting_sql::<C::Backend>())?;
        self.waiting.records.clear();
        self.waiting.follow.clear();
        Ok(())
    }

    /// What is the same for all of them stands once in a statement, which is then read in half the time.
    fn waiting_sql<D: Dialect>(&self) -> String {
        let mut sql = self.myself.clone();
        let alike =
            self.waiting.records.chunk_by(|one, next| one.kind == next.kind && one.breaks_before == next.breaks_before);
        for records in alike.flat_map(|records| records.chunks(MOST)) {
            let mut values = self.values::<D>(&records[0]);
            OWN.iter().enumerate().for_each(|(at, column)| values[*column] = format!("column{}", at + 1));
            values[SEQUENCE] = format!("CASE WHEN {} THEN column1 END", self.owned);
            let into = self.insert_into::<D>();
            let _infallible = write!(sql, "{into} SELECT {} FROM (VALUES ", values.join(", "));
            for (at, record) in records.iter().enumerate() {
                sql.push_str(if at == 0 { "(" } else { ",\n(" });
                own::<D>(record, &mut sql);
                sql.push(')');
            }
            sql.push_str(");\n");
        }
        let fingerprint = format!("'{}'", self.tally.fingerprint());
        sql + &self.waiting.follow + &self.update::<D>(&fingerprint, &self.sequence.to_string())
    }
}

/// The values of the columns [`OWN`].
fn own<D: Dialect>(record: &Record, sql: &mut String) {
    const NULL: &str = "NULL";
    let number = |number: Option<u64>| number.map_or(Cow::Borrowed(NULL), |number| number.to_string().into());
    let checksum = record.checksum.map_or(Cow::Borrowed(NULL), |checksum| D::literal(&checksum.to_string()).into());
    let values = [
        record.sequence.to_string().into(),
        D::literal(&record.version).into(),
        D::literal(&record.name).into(),
        checksum,
        number(record.statements.map(|count| count as u64)),
        number(record.duration_ms),
        D::literal(&record.recorded_at).into(),
    ];
    for (at, value) in values.iter().enumerate() {
        sql.push_str(if at == 0 { "" } else { ", " });
        sql.push_str(value);
    }
}

/// Whether a script names a table whose name begins with `_`.
fn names(script: &str, table: &str) -> bool {
    let begins = |(at, _)| script.as_bytes()[at..].get(..table.len());
    script.match_indices('_').filter_map(begins).any(|part| part.eq_ignore_ascii_case(table.as_bytes()))
}
