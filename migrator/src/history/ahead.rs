//! Records that stand in one message behind what they record, each as if it were written alone.

use std::marker::PhantomData;

use super::{Writer, Written};
use crate::dialect::Dialect;
use crate::record::Record;

/// Writes ahead of what is committed. Whether it came so far, [`Writer::took`] reads.
pub(crate) struct Ahead<D> {
    ahead: Writer,
    written: Vec<Written>,
    dialect: PhantomData<D>,
}

impl Writer {
    /// Begins to write ahead, of migrations that are newer than what is applied.
    pub(crate) fn write_ahead<D: Dialect>(&self) -> Ahead<D> {
        Ahead { ahead: self.ahead(), written: Vec::new(), dialect: PhantomData }
    }
}

impl<D: Dialect> Ahead<D> {
    /// The SQL of the next record, with what else must commit with it. `elapsed`: an expression for how long it took.
    pub(crate) fn next(&mut self, record: &Record, elapsed: Option<&str>) -> String {
        let record = Record { sequence: self.ahead.sequence + 1, ..record.clone() };
        let sql = self.ahead.sql_for::<D>(&record, elapsed.map(str::to_owned));
        self.wrote(sql)
    }

    /// As [`next`](Self::next), where one more record commits with it.
    pub(crate) fn next_in_front(&mut self, record: &Record, elapsed: Option<&str>) -> String {
        let record = Record { sequence: self.ahead.sequence + 1, ..record.clone() };
        let sql = self.ahead.sql_in_front::<D>(&record, elapsed.map(str::to_owned));
        self.wrote(sql)
    }

    fn wrote(&mut self, (sql, written): (String, Written)) -> String {
        self.written.push(written.clone());
        self.ahead.wrote(written);
        sql
    }

    /// How many there are by now.
    pub(crate) fn count(&self) -> usize {
        self.written.len()
    }

    /// What the records change in their writer, once they are committed.
    pub(crate) fn written(self) -> Vec<Written> {
        self.written
    }
}
