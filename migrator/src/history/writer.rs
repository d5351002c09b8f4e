//! Adding to the history.

use diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::checksum::Fingerprint;
use migrator_source::layout::Layout;

use super::{HISTORY, HISTORY_COLUMNS, Home, META, read};
use crate::dialect::{Dialect, Facts, LockKey, table};
use crate::migration::{Checksum, MigrationSet};
use crate::record::{self, History, Record, RecordKind};

/// Writes the history of one run, under the lock.
///
/// Each record's number is given by the writer and is the primary key, and it is NULL unless this very connection holds the
/// lock: so a process that lost the lock, or a second one, fails at the write instead of adding to the history.
pub(crate) struct Writer {
    pub(super) home: Home,
    layout: Layout,
    owned: String,
    pub(super) run_id: String,
    started: Option<i64>,
    pub(crate) sequence: i64,
    applied: Vec<(String, Checksum)>,
    running: Fingerprint,
    /// In front of each record.
    myself: String,
}

/// What a written record changes in its writer, once it is committed.
#[derive(Clone)]
pub(crate) struct Written {
    sequence: i64,
    applied: Option<(String, Checksum)>,
}

impl Writer {
    pub(crate) fn new<D: Dialect>(
        home: &Home,
        set: &MigrationSet,
        history: Option<&History>,
        key: &LockKey,
        run_id: &str,
        facts: &Facts,
    ) -> Self {
        let applied = history.map(|history| history.applied(set.layout())).unwrap_or_default();
        let mut writer = Self {
            home: home.clone(),
            layout: set.layout(),
            owned: D::owned(key),
            run_id: run_id.to_owned(),
            started: facts.started,
            sequence: history.and_then(|history| history.records.last()).map_or(0, |record| record.sequence),
            applied,
            running: Fingerprint::default(),
            myself: String::new(),
        };
        writer.rehash();
        writer
    }

    /// Has each record written by who this SQL makes the session until the end of the record's transaction.
    pub(crate) fn acting_as(mut self, myself: &str) -> Self {
        self.myself = myself.to_owned();
        self
    }

    fn rehash(&mut self) {
        self.running = Fingerprint::default();
        for (version, checksum) in &self.applied {
            self.running.push(self.layout.canonical(version), &checksum.0);
        }
    }

    /// A record of this run for a migration, to be filled in.
    pub(crate) fn record(&self, kind: RecordKind, version: &str, name: &str) -> Record {
        Record {
            sequence: self.sequence + 1,
            kind: Some(kind),
            version: version.to_owned(),
            name: name.to_owned(),
            checksum: None,
            statement: None,
            statements: None,
            duration_ms: None,
            run_id: self.run_id.clone(),
            started: self.started,
            detail: None,
            recorded_at: String::new(),
        }
    }

    /// The SQL that writes a record and moves the meta row with it. Both must commit together.
    pub(crate) fn sql<D: Dialect>(&self, record: &Record) -> (String, Written) {
        self.sql_for::<D>(record, None)
    }

    /// As [`sql`](Self::sql), where the database itself may have to tell how long it took.
    pub(super) fn sql_for<D: Dialect>(&self, record: &Record, elapsed: Option<String>) -> (String, Written) {
        let (fingerprint, written) = self.moved(record);
        let mut values = self.values::<D>(record);
        if let Some(elapsed) = elapsed {
            values[8] = elapsed;
        }
        let insert = self.insert::<D>(&values);
        let update = self.update::<D>(&format!("'{fingerprint}'"), &record.sequence.to_string());
        (format!("{}{insert};\n{update};", self.myself), written)
    }

    /// The values of a record, in the order of the columns.
    pub(super) fn values<D: Dialect>(&self, record: &Record) -> [String; HISTORY_COLUMNS.len()] {
        let literal = |text: Option<&str>| text.map_or_else(|| "NULL".to_owned(), D::literal);
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
            literal(record.detail.as_deref()),
            user.to_owned(),
            D::literal(concat!("migrator ", env!("CARGO_PKG_VERSION"))),
            now.to_owned(),
        ]
    }

    pub(super) fn insert<D: Dialect>(&self, values: &[String; HISTORY_COLUMNS.len()]) -> String {
        let columns: Vec<String> = HISTORY_COLUMNS.iter().map(|(name, _)| D::ident(name)).collect();
        let table = table::<D>(&self.home.schema, HISTORY);
        format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "))
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

    /// What the meta row's fingerprint is with a record, and what the record changes here.
    pub(super) fn moved(&self, record: &Record) -> (Checksum, Written) {
        let applied = self.applied_by(record);
        let fingerprint = match &applied {
            Some((version, checksum)) if self.is_newest(version) => {
                let mut running = self.running.clone();
                running.push(self.layout.canonical(version), &checksum.0);
                Checksum(running.sum())
            }
            Some(one) => {
                let mut all = self.applied.clone();
                insert(self.layout, &mut all, one.clone());
                record::fingerprint(self.layout, &all)
            }
            None => Checksum(self.running.sum()),
        };
        (fingerprint, Written { sequence: record.sequence, applied })
    }

    /// As this writer, without what is applied before the newest: to write ahead of what is committed.
    pub(super) fn ahead(&self) -> Self {
        Self {
            home: self.home.clone(),
            layout: self.layout,
            owned: self.owned.clone(),
            run_id: self.run_id.clone(),
            started: self.started,
            sequence: self.sequence,
            applied: self.applied.last().cloned().into_iter().collect(),
            running: self.running.clone(),
            myself: self.myself.clone(),
        }
    }

    /// Writes a record in a transaction of its own (a savepoint, where the lock is a transaction).
    pub(crate) fn write<C>(&mut self, conn: &mut C, record: &Record) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let record = Record { sequence: self.sequence + 1, ..record.clone() };
        let (sql, written) = self.sql::<C::Backend>(&record);
        if !C::Backend::LOCK_IS_TRANSACTION {
            // All of it in one message: on MySQL each message costs two more.
            if let Err(error) = conn.batch_execute(&in_transaction(&sql)) {
                let _the_first_error_counts = conn.batch_execute("ROLLBACK");
                return Err(error);
            }
            self.wrote(written);
            return Ok(());
        }
        C::TransactionManager::begin_transaction(conn)?;
        if let Err(error) = conn.batch_execute(&sql) {
            // A full disk ended the transaction of SQLite already; that the rollback then fails is not what went wrong.
            let _the_first_error_counts = C::TransactionManager::rollback_transaction(conn);
            return Err(error);
        }
        C::TransactionManager::commit_transaction(conn)?;
        self.wrote(written);
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

    /// Takes note that a record is committed.
    pub(crate) fn wrote(&mut self, written: Written) {
        self.sequence = written.sequence;
        let Some(one) = written.applied else { return };
        if self.is_newest(&one.0) {
            self.running.push(self.layout.canonical(&one.0), &one.1.0);
            self.applied.push(one);
        } else {
            insert(self.layout, &mut self.applied, one);
            self.rehash();
        }
    }

    fn applied_by(&self, record: &Record) -> Option<(String, Checksum)> {
        let applies = match record.kind? {
            RecordKind::Applied | RecordKind::Baselined => true,
            RecordKind::Resolved => record.detail.as_deref() == Some(record::RESOLVED_APPLIED),
            _ => false,
        };
        applies.then_some((self.layout.canonical(&record.version).to_owned(), record.checksum?))
    }

    /// Whether a version is behind all that is applied.
    pub(crate) fn is_newest(&self, version: &str) -> bool {
        self.applied.last().is_none_or(|(last, _)| self.layout.order(last, version).is_lt())
    }
}

/// SQL in a transaction of its own, where the lock is none.
pub(crate) fn in_transaction(sql: &str) -> String {
    format!("BEGIN;\n{sql}\nCOMMIT;")
}

/// Puts a version at its place, instead of an older entry of its own.
fn insert(layout: Layout, applied: &mut Vec<(String, Checksum)>, one: (String, Checksum)) {
    applied.retain(|(version, _)| layout.order(version, &one.0).is_ne());
    let at = applied.partition_point(|(version, _)| layout.order(version, &one.0).is_lt());
    applied.insert(at, one);
}
