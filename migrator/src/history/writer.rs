//! Adding to the history.

use diesel::connection::{LoadConnection, TransactionManager};

use super::waiting::Waiting;
use super::{DURATION, HISTORY, HISTORY_COLUMNS, Home, META, read};
use crate::dialect::{Dialect, Facts, LockKey, table};
use crate::ledgers::Ledger;
use crate::migration::{Checksum, MigrationSet};
use crate::origin::Origin;
use crate::record::{Change, History, Record, RecordKind, Tally};

/// Writes the history of one run, under the lock.
///
/// Each record's number is given by the writer and is the primary key, and it is NULL unless this very connection holds the
/// lock: so a process that lost the lock, or a second one, fails at the write instead of adding to the history.
pub(crate) struct Writer {
    pub(super) home: Home,
    pub(super) owned: String,
    pub(super) run_id: String,
    /// The literals of host and application, the same in all its records.
    origin: [String; 2],
    started: Option<i64>,
    pub(crate) sequence: i64,
    pub(super) tally: Tally,
    /// The table of the layout's own tool, in which each record that changes what is applied shows too.
    pub(super) ledger: Option<Ledger>,
    /// In front of each record.
    pub(super) myself: String,
    pub(super) waiting: Waiting,
}

/// What a written record changes in its writer, once it is committed.
#[derive(Clone)]
pub(crate) struct Written {
    pub(super) record: Record,
    pub(super) change: Change,
}

impl Writer {
    pub(crate) fn new<D: Dialect>(
        home: &Home,
        set: &MigrationSet,
        history: Option<&History>,
        key: &LockKey,
        run_id: &str,
        origin: &Origin,
        facts: &Facts,
    ) -> Self {
        let applied = history.map(|history| history.applied(set.layout())).unwrap_or_default();
        Self {
            home: home.clone(),
            owned: D::owned(key),
            run_id: run_id.to_owned(),
            origin: [&origin.host, &origin.application].map(|word| nullable::<D>(word.as_deref())),
            started: facts.started,
            sequence: history.and_then(|history| history.records.last()).map_or(0, |record| record.sequence),
            tally: Tally::new(set.layout(), applied),
            ledger: None,
            myself: String::new(),
            waiting: Waiting::default(),
        }
    }

    /// Has each record written by who this SQL makes the session until the end of the record's transaction.
    pub(crate) fn acting_as(mut self, myself: &str) -> Self {
        self.myself = myself.to_owned();
        self
    }

    /// Keeps the table of the layout's own tool in step.
    pub(crate) fn keeping(mut self, ledger: Option<&Ledger>, known: &History) -> Self {
        self.ledger = ledger.map(|ledger| ledger.place().begun(known));
        self
    }

    /// A record of this run for a migration, to be filled in.
    pub(crate) fn record(&self, kind: RecordKind, version: &str, name: &str) -> Record {
        Record {
            sequence: self.sequence + 1,
            run_id: self.run_id.clone(),
            started: self.started,
            ..Record::new(kind, version, name)
        }
    }

    /// The SQL that writes a record, and moves the meta row and the tool's table with it. All must commit together.
    pub(crate) fn sql<D: Dialect>(&self, record: &Record) -> (String, Written) {
        self.sql_for::<D>(record, None)
    }

    /// As [`sql`](Self::sql), behind another record that is written just before, in the same message.
    pub(crate) fn sql_behind<D: Dialect>(&self, before: Option<&Written>, record: &Record) -> (String, Written) {
        let Some(Written { change, .. }) = before.filter(|before| before.change != Change::Nothing) else {
            return self.sql::<D>(record);
        };
        let mut tally = self.tally.clone();
        tally.take(change.clone());
        self.sql_moving::<D>(record, moved(&tally, record), None)
    }

    /// As [`sql`](Self::sql), where the database itself may have to tell how long it took.
    pub(super) fn sql_for<D: Dialect>(&self, record: &Record, elapsed: Option<String>) -> (String, Written) {
        self.sql_moving::<D>(record, self.moved(record), elapsed)
    }

    fn sql_moving<D: Dialect>(
        &self,
        record: &Record,
        (fingerprint, written): (Checksum, Written),
        elapsed: Option<String>,
    ) -> (String, Written) {
        let sql = format!(
            "{}{};",
            self.adding::<D>(&written, elapsed),
            self.update::<D>(&format!("'{fingerprint}'"), &record.sequence.to_string()),
        );
        (sql, written)
    }

    /// As [`sql_for`](Self::sql_for), in front of another record of the same transaction, which moves the meta row.
    pub(super) fn sql_in_front<D: Dialect>(&self, record: &Record, elapsed: Option<String>) -> (String, Written) {
        let (_, written) = self.moved(record);
        (self.adding::<D>(&written, elapsed), written)
    }

    fn adding<D: Dialect>(&self, written: &Written, elapsed: Option<String>) -> String {
        let mut values = self.values::<D>(&written.record);
        if let Some(elapsed) = elapsed {
            values[DURATION] = elapsed;
        }
        format!("{}{};\n{}", self.myself, self.insert::<D>(&values), self.follow::<D>(written))
    }

    /// What the meta row's fingerprint is with a record, and what the record changes here.
    pub(super) fn moved(&self, record: &Record) -> (Checksum, Written) {
        moved(&self.tally, record)
    }

    /// The SQL that makes the tool's table say what a record says.
    pub(super) fn follow<D: Dialect>(&self, written: &Written) -> String {
        let Written { record, change } = written;
        let follow = |ledger: &Ledger| {
            ledger.follow::<D>(record, change, self.tally.holds(self.tally.layout.canonical(&record.version)))
        };
        self.ledger.as_ref().map_or_else(String::new, follow)
    }

    /// The values of a record, in the order of the columns.
    pub(super) fn values<D: Dialect>(&self, record: &Record) -> [String; HISTORY_COLUMNS.len()] {
        let literal = nullable::<D>;
        let [host, application] = self.origin.clone();
        let number = |number: Option<u64>| number.map_or_else(|| "NULL".to_owned(), |number| number.to_string());
        let [now, user] = D::NOW_AND_USER;
        [
            D::literal(&self.home.set_name),
            format!("CASE WHEN {} THEN {} END", self.owned, record.sequence),
            literal(record.kind.map(RecordKind::name)),
            D::literal(&record.version),
            D::literal(&record.name),
            literal(record.checksum.map(|checksum| checksum.to_string()).as_deref()),
            number(record.statement.map(|at| at as u64)),
            number(record.statements.map(|count| count as u64)),
            number(record.duration_ms),
            D::literal(&record.run_id),
            record.started.map_or_else(|| "NULL".to_owned(), |started| started.to_string()),
            record.asks.as_deref().and_then(D::before).unwrap_or_else(|| literal(record.detail.as_deref())),
            user.to_owned(),
            D::literal(concat!("migrator ", env!("CARGO_PKG_VERSION"))),
            now.to_owned(),
            literal(record.breaks_before.as_deref()),
            host,
            application,
        ]
    }

    pub(super) fn insert<D: Dialect>(&self, values: &[String; HISTORY_COLUMNS.len()]) -> String {
        format!("{} VALUES ({})", self.insert_into::<D>(), values.join(", "))
    }

    pub(super) fn insert_into<D: Dialect>(&self) -> String {
        let columns = HISTORY_COLUMNS.map(|(name, _)| D::ident(name)).join(", ");
        format!("INSERT INTO {} ({columns})", table::<D>(&self.home.schema, HISTORY))
    }

    pub(super) fn update<D: Dialect>(&self, fingerprint: &str, sequence: &str) -> String {
        let [now, _] = D::NOW_AND_USER;
        format!(
            "UPDATE {} SET {} = {fingerprint}, {} = {sequence}, {} = {now} WHERE {} = {}",
            table::<D>(&self.home.schema, META),
            D::ident("fingerprint"),
            D::ident("sequence"),
            D::ident("updated_at"),
            D::ident("set_name"),
            D::literal(&self.home.set_name),
        )
    }

    /// As this writer, without what is applied before the newest: to write ahead of what is committed.
    pub(super) fn ahead(&self) -> Self {
        Self {
            home: self.home.clone(),
            owned: self.owned.clone(),
            run_id: self.run_id.clone(),
            origin: self.origin.clone(),
            started: self.started,
            sequence: self.sequence,
            tally: self.tally.ahead(),
            ledger: self.ledger.clone(),
            myself: self.myself.clone(),
            waiting: Waiting::default(),
        }
    }

    /// Whether a version is behind all that is applied.
    pub(crate) fn is_newest(&self, version: &str) -> bool {
        self.tally.is_newest(version)
    }

    /// Writes a record in a transaction of its own (a savepoint, where the lock is a transaction).
    pub(crate) fn write<C>(&mut self, conn: &mut C, record: &Record) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        self.catch_up(conn)?;
        let record = Record { sequence: self.sequence + 1, ..record.clone() };
        let (sql, written) = self.sql::<C::Backend>(&record);
        in_transaction(conn, &sql)?;
        self.wrote(written);
        Ok(())
    }

    /// Records what was not done here, by the layout's own tool or as a person says: all of it or nothing, in one message.
    pub(crate) fn adopt<C>(&mut self, conn: &mut C, records: &[Record]) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let mut sql = self.myself.clone();
        let mut after = Self { tally: self.tally.clone(), ..self.ahead() };
        for record in records {
            let (sequence, run_id, started) = (after.sequence + 1, self.run_id.clone(), self.started);
            let record = Record { sequence, run_id, started, ..record.clone() };
            let values = self.values::<C::Backend>(&record);
            let change = Change::of(&record, after.tally.layout);
            let written = Written { record, change };
            sql.push_str(&format!("{};\n{}", self.insert::<C::Backend>(&values), after.follow::<C::Backend>(&written)));
            after.wrote(written);
        }
        let fingerprint = format!("'{}'", after.tally.fingerprint());
        sql.push_str(&format!("{};", self.update::<C::Backend>(&fingerprint, &after.sequence.to_string())));
        in_transaction(conn, &sql)?;
        (self.sequence, self.tally, self.ledger) = (after.sequence, after.tally, after.ledger);
        Ok(())
    }

    /// Whether the last record is the one that this writer wrote, or found.
    pub(crate) fn is_last<C>(&self, conn: &mut C) -> diesel::QueryResult<bool>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let rows = read::<C>(conn, &self.home, META, &["sequence"], false)?;
        Ok(rows.first().and_then(|row| row.number(0)) == Some(self.sequence))
    }

    /// What the last record that this writer wrote says beside the rest: of an intent, what the catalogue said before its statement.
    pub(crate) fn detail<C>(&self, conn: &mut C) -> diesel::QueryResult<Option<String>>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let [set, sequence] = ["set_name", "sequence"].map(C::Backend::ident);
        let sql = format!(
            "SELECT {} FROM {} WHERE {set} = {} AND {sequence} = {}",
            C::Backend::text("detail", false),
            table::<C::Backend>(&self.home.schema, HISTORY),
            C::Backend::literal(&self.home.set_name),
            self.sequence,
        );
        Ok(C::Backend::rows(conn, &sql)?.first().and_then(|row| row.optional(0)).map(str::to_owned))
    }

    /// Takes note that a record is committed.
    pub(crate) fn wrote(&mut self, written: Written) {
        self.noted(written);
    }

    /// As [`wrote`](Self::wrote), and gives the record back.
    pub(super) fn noted(&mut self, written: Written) -> Record {
        self.sequence = written.record.sequence;
        if let Some(ledger) = &mut self.ledger {
            ledger.wrote(&written.record);
        }
        self.tally.take(written.change);
        written.record
    }
}

fn moved(tally: &Tally, record: &Record) -> (Checksum, Written) {
    let change = Change::of(record, tally.layout);
    (tally.fingerprint_with(&change), Written { record: record.clone(), change })
}

fn nullable<D: Dialect>(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), D::literal)
}

/// SQL in a transaction of its own, where the lock is none.
pub(crate) fn enclosed(sql: &str) -> String {
    format!("BEGIN;\n{sql}\nCOMMIT;")
}

pub(super) fn in_transaction<C>(conn: &mut C, sql: &str) -> diesel::QueryResult<()>
where
    C: LoadConnection<Backend: Dialect>,
{
    if !C::Backend::LOCK_IS_TRANSACTION {
        // All of it in one message: on MySQL each message costs two more.
        return conn.batch_execute(&enclosed(sql)).inspect_err(|_| {
            let _the_first_error_counts = conn.batch_execute("ROLLBACK");
        });
    }
    C::TransactionManager::begin_transaction(conn)?;
    if let Err(error) = conn.batch_execute(sql) {
        // A full disk ended the transaction of SQLite already; that the rollback then fails is not what went wrong.
        let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
        return Err(error);
    }
    C::TransactionManager::commit_transaction(conn)
}
