//! What every fresh database can do, whichever server it is on.

use std::collections::BTreeMap;

use diesel::{
    Connection, QueryableByName, RunQueryDsl, connection::SimpleConnection, query_builder::SqlQuery,
    query_dsl::methods::LoadQuery, sql_query, sql_types::Text,
};

use crate::dump::Table;

/// A database of one test's own, gone when it is dropped. One suite of tests can be generic over it.
///
/// The methods that ask the database something connect as its administrator and panic with its words.
pub trait Database {
    /// diesel's connection to this kind of database.
    type Connection: Connection;

    /// The name of the database; for SQLite the path of its file.
    fn name(&self) -> &str;

    /// The URL that an application would be given, with user and password where the database knows them.
    fn url(&self) -> &str;

    /// What the database holds as tables, those of migration tools left out.
    fn tables(&self) -> Vec<Table>;

    /// The schema as the database's own dump tool writes it, normalised: no comments, no session settings, nothing that
    /// depends on the rows, none of the migration tools' own tables. Equal dumps mean equal schemas.
    fn dump(&self) -> String;

    /// Runs a query whose one column is text and is called `value`.
    fn texts(&self, query: &str) -> Vec<String>;

    /// Connects to [`url`](Self::url).
    fn connect(&self) -> Self::Connection {
        Self::Connection::establish(self.url()).unwrap_or_else(|error| panic!("connect to {}: {error}", self.name()))
    }

    /// Runs a script of any number of statements.
    fn execute(&self, script: &str) {
        self.connect().batch_execute(script).unwrap_or_else(|error| panic!("{error}, in the script:\n{script}"));
    }

    /// How many rows each of [`tables`](Self::tables) has.
    fn row_counts(&self) -> BTreeMap<String, u64> {
        let count = |table: &Table| {
            let value = self.texts(&format!("SELECT TRIM(CAST(COUNT(*) AS CHAR(20))) AS value FROM {}", table.quoted));
            value[0].parse().expect("a count is a number")
        };
        self.tables().iter().map(|table| (table.name.clone(), count(table))).collect()
    }
}

/// One row of [`Database::texts`].
#[derive(QueryableByName)]
pub(crate) struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

/// [`Database::texts`] on a connection that is already there.
pub(crate) fn texts<C>(connection: &mut C, query: &str) -> Vec<String>
where
    C: Connection,
    SqlQuery: for<'query> LoadQuery<'query, C, Value>,
{
    let rows = sql_query(query).load::<Value>(connection);
    rows.unwrap_or_else(|error| panic!("{error}, in the query: {query}")).into_iter().map(|row| row.value).collect()
}
