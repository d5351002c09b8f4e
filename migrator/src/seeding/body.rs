//! What a seed runs: a function, a script, or the rows of a file.

use diesel::connection::{LoadConnection, TransactionManager};
use migrator_source::data::{self, Cell, Kind, Rows};
use migrator_source::sql::{Kind as StatementKind, Mode, Script, Statement, position};

use super::failure::Failure;
use crate::dialect::Dialect;
use crate::seed::{Body, Existing, Seed, SeedFile};

/// How many rows one statement holds.
const CHUNK: usize = 100;

/// Runs it, and returns how many rows it touched.
pub(super) fn run<C: LoadConnection<Backend: Dialect>>(conn: &mut C, seed: &Seed<C>) -> Result<u64, Failure> {
    match seed.body {
        Body::Call(call) => Ok(call(conn)?),
        Body::File(file) if file.kind == Kind::Sql => script(conn, file, seed.transaction),
        Body::File(file) => {
            let table = Table::open(conn, file)?;
            fill(conn, &table)
        }
    }
}

/// Whether what a file promises is there.
pub(super) fn holds<C: LoadConnection<Backend: Dialect>>(conn: &mut C, seed: &Seed<C>) -> Result<bool, Failure> {
    match seed.body {
        Body::File(file) if file.kind != Kind::Sql => {
            let table = Table::open(conn, file)?;
            table.is_filled(conn)
        }
        Body::Call(_) | Body::File(_) => Ok(true),
    }
}

/// Runs a script statement by statement, and counts the rows that its writes touched.
fn script<C: LoadConnection<Backend: Dialect>>(
    conn: &mut C,
    file: &SeedFile,
    transaction: bool,
) -> Result<u64, Failure> {
    let at = |start: usize| format!("{}:{}", file.path, position(file.text, start));
    let script = Script::parse(file.text, C::Backend::SQL, None).map_err(|faults| {
        let told: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}; {}", at(fault.offset), fault.message, fault.help)).collect();
        Failure::Data(told.join("\n"))
    })?;
    let alone = |statement: &&Statement<'_>| matches!(statement.kind, StatementKind::Commits | StatementKind::Alone);
    if let Some(statement) = script.statements().iter().find(alone).filter(|_| transaction) {
        let message = "this statement ends a transaction or cannot run in one, and the seed has one: move it into a migration, or \
                       say .without_transaction(verify) of the seed";
        return Err(Failure::Data(format!("{}: {message}", at(statement.start))));
    }
    if transaction && script.mode() == Mode::NoTransaction {
        let message = "asks for no transaction, and the seed has one: say .without_transaction(verify) of it";
        return Err(Failure::Data(format!("{} {message}", file.path)));
    }
    let mut rows = 0;
    for statement in script.statements() {
        let place = |error| Failure::Statement(at(statement.start), error);
        if writes(statement.text) {
            rows += C::Backend::execute(conn, statement.text).map_err(place)? as u64;
        } else {
            conn.batch_execute(statement.text).map_err(place)?;
        }
    }
    Ok(rows)
}

/// Whether the database's count of a statement is one of rows that were written.
fn writes(statement: &str) -> bool {
    let first = statement.split(|char: char| !char.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or("");
    ["insert", "update", "delete", "replace", "merge"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The rows of a file, and the table that they belong into.
struct Table<'a> {
    file: &'a SeedFile,
    rows: Rows,
    /// The places of the key's columns.
    key: Vec<usize>,
}

impl<'a> Table<'a> {
    /// Reads the file, and refuses it before anything is written when the table has not got its columns.
    fn open<C: LoadConnection<Backend: Dialect>>(conn: &mut C, file: &'a SeedFile) -> Result<Self, Failure> {
        let told = |fault: migrator_source::fault::Fault| {
            Failure::Data(format!("{}: {}; {}", fault.place(""), fault.message, fault.help))
        };
        let rows = data::rows(file.kind, file.path, file.text).map_err(told)?;
        let key = rows.key(file.path, file.key).map_err(told)?;
        let columns = columns(conn, file)?;
        if let Some(unknown) = rows.columns.iter().find(|column| !columns.contains(column)) {
            let message = format!("{}:1: the table {} has no column `{unknown}`", file.path, file.table);
            return Err(Failure::Data(format!("{message}; its columns are: {}", columns.join(", "))));
        }
        Ok(Self { file, rows, key })
    }

    fn name<D: Dialect>(&self) -> String {
        qualified::<D>(self.file.table)
    }

    fn value<D: Dialect>(&self, row: usize, column: usize) -> String {
        match &self.rows.rows[row].cells[column] {
            Cell::Null => "NULL".to_owned(),
            Cell::Text(text) | Cell::Json(text) => D::literal(text),
            Cell::Number(number) => D::number(number),
            Cell::Bool(true) => "TRUE".to_owned(),
            Cell::Bool(false) => "FALSE".to_owned(),
        }
    }

    /// A condition that holds for the row in the table that has the key of a row of the file.
    fn is_row<D: Dialect>(&self, row: usize) -> String {
        let same =
            |column: &usize| format!("{} = {}", D::ident(&self.rows.columns[*column]), self.value::<D>(row, *column));
        self.key.iter().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// Whether each key of the file is in the table, and each value too where existing rows get those of the file.
    fn is_filled<C: LoadConnection<Backend: Dialect>>(&self, conn: &mut C) -> Result<bool, Failure> {
        let all: Vec<usize> = (0..self.rows.rows.len()).collect();
        for chunk in all.chunks(CHUNK) {
            if self.found(conn, chunk)?.iter().any(|found| *found != Found::Same) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the table has of some rows of the file, with one query.
    fn found<C: LoadConnection<Backend: Dialect>>(&self, conn: &mut C, rows: &[usize]) -> Result<Vec<Found>, Failure> {
        let name = self.name::<C::Backend>();
        let found = |row: &usize| {
            let is_row = self.is_row::<C::Backend>(*row);
            let differs = self.differs::<C::Backend>(*row).map_or_else(String::new, |differs| {
                format!(" WHEN EXISTS (SELECT 1 FROM {name} WHERE {is_row} AND ({differs})) THEN 'differs'")
            });
            format!(
                "CASE WHEN NOT EXISTS (SELECT 1 FROM {name} WHERE {is_row}) THEN 'missing'{differs} ELSE 'same' END"
            )
        };
        let columns: Vec<String> =
            rows.iter().enumerate().map(|(at, row)| format!("{} AS c{at}", found(row))).collect();
        let answer = C::Backend::rows(conn, &format!("SELECT {}", columns.join(", ")))?;
        let word = |at| answer.first().map_or("", |row| row.text(at));
        Ok((0..rows.len()).map(|at| Found::from_word(word(at))).collect())
    }

    /// A condition that holds when an existing row has other values than the file, where it gets those of the file.
    fn differs<D: Dialect>(&self, row: usize) -> Option<String> {
        let others = (0..self.rows.columns.len()).filter(|column| !self.key.contains(column));
        let differs: Vec<String> =
            others.map(|column| D::differs(&self.rows.columns[column], &self.value::<D>(row, column))).collect();
        (self.file.existing == Existing::Update && !differs.is_empty()).then(|| differs.join(" OR "))
    }

    fn line(&self, row: usize) -> String {
        format!("{}:{}", self.file.path, self.rows.rows[row].line)
    }
}

/// The names of a table's columns.
fn columns<C: LoadConnection<Backend: Dialect>>(conn: &mut C, file: &SeedFile) -> Result<Vec<String>, Failure> {
    let rows = C::Backend::rows(conn, &C::Backend::columns_here(file.table))?;
    if rows.is_empty() {
        let message = format!("{}: there is no table {}", file.path, file.table);
        return Err(Failure::Data(format!("{message}; name it: seed_file!(…, table = \"…\")")));
    }
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

fn qualified<D: Dialect>(table: &str) -> String {
    table.split('.').map(D::ident).collect::<Vec<_>>().join(".")
}

/// What a table has of a row of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Missing,
    /// Its key, and other values, where it gets those of the file.
    Differs,
    Same,
}

impl Found {
    fn from_word(word: &str) -> Self {
        match word {
            "same" => Self::Same,
            "differs" => Self::Differs,
            _ => Self::Missing,
        }
    }
}

/// Puts the rows into the table: all of them when it is empty, else those that are missing.
fn fill<C: LoadConnection<Backend: Dialect>>(conn: &mut C, table: &Table<'_>) -> Result<u64, Failure> {
    let name = table.name::<C::Backend>();
    let is_empty = C::Backend::rows(conn, &format!("SELECT '1' FROM {name} LIMIT 1"))?.is_empty();
    let all: Vec<usize> = (0..table.rows.rows.len()).collect();
    let mut touched = 0;
    for chunk in all.chunks(CHUNK) {
        let found = if is_empty { vec![Found::Missing; chunk.len()] } else { table.found(conn, chunk)? };
        let of =
            |wanted: Found| chunk.iter().zip(&found).filter(move |(_, found)| **found == wanted).map(|(row, _)| *row);
        touched += add(conn, table, &of(Found::Missing).collect::<Vec<_>>())?;
        for row in of(Found::Differs) {
            touched += update(conn, table, row)?;
        }
    }
    Ok(touched)
}

/// Inserts rows with one statement; when the database refuses it, one by one, so that the line is told.
fn add<C: LoadConnection<Backend: Dialect>>(conn: &mut C, table: &Table<'_>, rows: &[usize]) -> Result<u64, Failure> {
    C::TransactionManager::begin_transaction(conn)?;
    match insert(conn, table, rows) {
        Ok(touched) => {
            C::TransactionManager::commit_transaction(conn)?;
            Ok(touched)
        }
        Err(failure) => {
            C::TransactionManager::rollback_transaction(conn)?;
            match failure.is_transient::<C::Backend>() {
                true => Err(failure),
                false => rows.iter().map(|row| insert(conn, table, &[*row])).sum(),
            }
        }
    }
}

fn insert<C: LoadConnection<Backend: Dialect>>(
    conn: &mut C,
    table: &Table<'_>,
    rows: &[usize],
) -> Result<u64, Failure> {
    let Some(first) = rows.first() else { return Ok(0) };
    let columns: Vec<String> = table.rows.columns.iter().map(|column| C::Backend::ident(column)).collect();
    let values = |row: &usize| {
        let values = (0..columns.len()).map(|column| table.value::<C::Backend>(*row, column));
        format!("({})", values.collect::<Vec<_>>().join(", "))
    };
    let values: Vec<String> = rows.iter().map(values).collect();
    let (name, columns) = (table.name::<C::Backend>(), columns.join(", "));
    let done = C::Backend::execute(conn, &format!("INSERT INTO {name} ({columns}) VALUES {}", values.join(", ")));
    Ok(done.map_err(|error| Failure::Statement(table.line(*first), error))? as u64)
}

fn update<C: LoadConnection<Backend: Dialect>>(conn: &mut C, table: &Table<'_>, row: usize) -> Result<u64, Failure> {
    let others = (0..table.rows.columns.len()).filter(|column| !table.key.contains(column));
    let set = others.map(|column| {
        format!("{} = {}", C::Backend::ident(&table.rows.columns[column]), table.value::<C::Backend>(row, column))
    });
    let (name, is_row) = (table.name::<C::Backend>(), table.is_row::<C::Backend>(row));
    let sql = format!("UPDATE {name} SET {} WHERE {is_row}", set.collect::<Vec<_>>().join(", "));
    Ok(C::Backend::execute(conn, &sql).map_err(|error| Failure::Statement(table.line(row), error))? as u64)
}
