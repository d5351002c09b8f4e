//! The records of migrations that travel together in one message: prepared once, carried out for each; or all at once.

use std::fmt::Write;
use std::marker::PhantomData;

use diesel::connection::LoadConnection;

use super::{CHECKSUM, DURATION, HISTORY, META, NAME, RECORDED_AT, SEQUENCE, STATEMENTS, VERSION, Writer, Written};
use crate::dialect::{Dialect, Together, table};
use crate::record::{Change, Record, RecordKind};

/// Writes ahead of what is committed. Whether it came so far, [`Writer::took`] reads.
pub(crate) struct Several<'a, D> {
    ahead: Writer,
    together: &'a Together,
    /// Of the two prepared statements; the host's session may have others.
    names: [String; 2],
    written: Vec<Written>,
    dialect: PhantomData<D>,
}

impl Writer {
    /// Begins to write ahead.
    pub(crate) fn several<'a, D: Dialect>(&self, together: &'a Together) -> Several<'a, D> {
        let name = |what: &str| format!("migrator_{what}_{}_{}", self.run_id, self.sequence);
        let names = [name("record"), name("meta")];
        Several { ahead: self.ahead(), together, names, written: Vec::new(), dialect: PhantomData }
    }

    /// How long each record took that this run wrote ahead and that is committed, in order.
    pub(crate) fn took<C>(&self, conn: &mut C) -> diesel::QueryResult<Vec<u64>>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let [set, sequence, run] = ["set_name", "sequence", "run_id"].map(C::Backend::ident);
        let sql = format!(
            "SELECT {} FROM {} WHERE {set} = {} AND {sequence} > {} AND {run} = {} ORDER BY {sequence}",
            C::Backend::text("duration_ms", false),
            table::<C::Backend>(&self.home.schema, HISTORY),
            C::Backend::literal(&self.home.set_name),
            self.sequence,
            C::Backend::literal(&self.run_id),
        );
        let rows = C::Backend::rows(conn, &sql)?;
        Ok(rows.iter().map(|row| row.number(0).unwrap_or(0)).collect())
    }

    /// Has everything that is committed on disk: a commit that waits for it takes along what did not.
    pub(crate) fn settle<C>(&self, conn: &mut C) -> diesel::QueryResult<()>
    where
        C: LoadConnection<Backend: Dialect>,
    {
        let (table, sequence) = (table::<C::Backend>(&self.home.schema, META), C::Backend::ident("sequence"));
        let (set, name) = (C::Backend::ident("set_name"), C::Backend::literal(&self.home.set_name));
        conn.batch_execute(&format!("UPDATE {table} SET {sequence} = {sequence} WHERE {set} = {name}"))
    }
}

impl<D: Dialect> Several<'_, D> {
    /// In front of the first record.
    pub(crate) fn prepare(&self) -> String {
        let [record, meta] = &self.names;
        let [number, text] = self.together.types;
        let mut values = self.ahead.values::<D>(&self.ahead.record(RecordKind::Applied, "", ""));
        values[SEQUENCE] = format!("CASE WHEN {} THEN $1 END", self.together.owned);
        for (at, parameter) in [(3, "$2"), (4, "$3"), (5, "$4"), (7, "$5")] {
            values[at] = parameter.to_owned();
        }
        values[DURATION] = self.elapsed();
        format!(
            "PREPARE {record} ({number}, {text}, {text}, {text}, {number}) AS {};\nPREPARE {meta} ({text}, {number}) AS {};\n",
            self.ahead.insert::<D>(&values),
            self.ahead.update::<D>("$1", "$2"),
        )
    }

    /// Behind the last one.
    pub(crate) fn release(&self) -> String {
        let [record, meta] = &self.names;
        format!("DEALLOCATE {record}; DEALLOCATE {meta};")
    }

    /// The next record, and the meta row with it. Both must commit together.
    pub(crate) fn next(&mut self, record: &Record) -> String {
        let record = Record { sequence: self.ahead.sequence + 1, ..record.clone() };
        let (fingerprint, written) = self.ahead.moved(&record);
        let values = self.ahead.values::<D>(&record);
        let ([insert, update], sequence) = (&self.names, record.sequence);
        let follow = self.ahead.follow::<D>(&written);
        let sql = format!(
            "EXECUTE {insert}({sequence}, {}, {}, {}, {});\n{follow}EXECUTE {update}('{fingerprint}', {sequence});",
            values[VERSION], values[NAME], values[CHECKSUM], values[STATEMENTS]
        );
        self.wrote(written);
        sql
    }

    /// As [`next`](Self::next), under the whole fence, by who the session is whatever role a script took.
    pub(crate) fn next_fenced(&mut self, record: &Record) -> String {
        let record = Record { sequence: self.ahead.sequence + 1, ..record.clone() };
        let (sql, written) = self.ahead.sql_for::<D>(&record, Some(self.elapsed()));
        self.wrote(written);
        sql
    }

    /// In front of a transaction that several share, within it in front of the first, and behind each.
    pub(crate) fn clock(&self) -> [String; 3] {
        let ([name, _], clock) = (&self.names, self.together);
        let tick = format!("EXECUTE {name};\n");
        [format!("PREPARE {name} AS {};\n", clock.note), tick.clone(), format!("{}{tick}", clock.check)]
    }

    /// Behind that transaction.
    pub(crate) fn stop_clock(&self) -> String {
        format!("DEALLOCATE {};", self.names[0])
    }

    /// All of them in one statement, and the meta row once, under the whole fence: for migrations that share a transaction, whose
    /// clock ticked behind each.
    pub(crate) fn at_once(&mut self, records: Vec<Record>) -> String {
        let (mut rows, mut follow) = (String::new(), String::new());
        let mut values = self.ahead.values::<D>(&self.ahead.record(RecordKind::Applied, "", ""));
        for (number, record) in (1..).zip(records) {
            let record = Record { sequence: self.ahead.sequence + 1, ..record };
            let separator = if number == 1 { "" } else { ",\n" };
            let (version, name) = (D::literal(&record.version), D::literal(&record.name));
            let checksum = record.checksum.map_or_else(|| "NULL".to_owned(), |checksum| format!("'{checksum}'"));
            let statements = record.statements.unwrap_or_default();
            let _infallible =
                write!(rows, "{separator}({number}, {}, {version}, {name}, {checksum}, {statements})", record.sequence);
            let change = Change::of(&record, self.ahead.tally.layout);
            let written = Written { record, change };
            follow.push_str(&self.ahead.follow::<D>(&written));
            self.wrote(written);
        }
        let clock = self.together;
        [values[DURATION], values[RECORDED_AT]] = (clock.took_and_at)("column1");
        values[SEQUENCE] = format!("CASE WHEN {} THEN column2 END", self.ahead.owned);
        for (at, column) in [(3, "column3"), (4, "column4"), (5, "column5"), (7, "column6")] {
            values[at] = column.to_owned();
        }
        let fingerprint = format!("'{}'", self.ahead.tally.fingerprint());
        format!(
            "{}{} SELECT {} FROM (VALUES {rows}) AS took, ({}) AS clock;\n{follow}{};",
            self.ahead.myself,
            self.ahead.insert_into::<D>(),
            values.join(", "),
            clock.noted,
            self.ahead.update::<D>(&fingerprint, &self.ahead.sequence.to_string()),
        )
    }

    /// What the records change in their writer, once they are committed.
    pub(crate) fn written(self) -> Vec<Written> {
        self.written
    }

    fn wrote(&mut self, written: Written) {
        self.written.push(written.clone());
        self.ahead.wrote(written);
    }

    /// The time since the last record moved the meta row.
    fn elapsed(&self) -> String {
        let home = &self.ahead.home;
        let (table, set) = (table::<D>(&home.schema, META), D::ident("set_name"));
        let since =
            format!("(SELECT {} FROM {table} WHERE {set} = {})", D::ident("updated_at"), D::literal(&home.set_name));
        (self.together.elapsed)(&since)
    }
}
