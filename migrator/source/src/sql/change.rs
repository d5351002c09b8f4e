//! What a statement of MySQL changes in the catalogue, so that it can be asked before the statement and after it.
//!
//! Only what is sure is read: one table, view, column, index or foreign key that a statement makes, removes or renames, and what can be
//! done twice. The statement is one that MariaDB carries out whole or not at all.

use super::SqlDialect;
use super::lex::{Lexer, Token, TokenKind};

/// One name that a statement makes or removes. What it renames is two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The database, where the statement names it.
    pub schema: Option<String>,
    /// The table or view, which is what changes where there is no part.
    pub table: String,
    /// What changes of the table.
    pub part: Option<(Part, String)>,
    /// Whether it is there when the statement took.
    pub is_made: bool,
}

impl Change {
    /// Whether both may be about the same part of a table: what letters are equal beyond ASCII, the server knows.
    fn may_be(&self, other: &Change) -> bool {
        // A table that is renamed takes its parts along.
        let (Some((part, name)), Some((others, others_name))) = (&self.part, &other.part) else { return true };
        let is_plain = name.is_ascii() && others_name.is_ascii();
        part == others && (!is_plain || name.eq_ignore_ascii_case(others_name))
    }
}

/// What the catalogue lists of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A column.
    Column,
    /// An index, unique or not.
    Index,
    /// A foreign key, by the name of its constraint.
    ForeignKey,
}

/// Reads what a statement of MySQL changes. Nothing, when it can be done twice; `None`, when the catalogue would not tell.
pub fn changes(statement: &str) -> Option<Vec<Change>> {
    let mut lexer = Lexer::new(statement, SqlDialect::Mysql);
    let tokens: Vec<Token<'_>> = std::iter::from_fn(|| lexer.next()).collect();
    // What an executable comment says depends on the server.
    let is_odd = |token: &Token<'_>| {
        matches!(token.kind, TokenKind::HintOpen | TokenKind::HintClose | TokenKind::Semicolon | TokenKind::Breakpoint)
    };
    if tokens.iter().any(is_odd) || !lexer.faults.is_empty() {
        return None;
    }
    let mut reader = Reader { tokens: &tokens };
    match () {
        () if reader.took("CREATE") => reader.create(),
        () if reader.took("DROP") => reader.drop(),
        () if reader.took("RENAME") => reader.rename(),
        () if reader.took("ALTER") => reader.alter(),
        () if reader.took_any(&["OPTIMIZE", "ANALYZE"]) => {
            reader.took_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
            reader.took("TABLE").then(Vec::new)
        }
        () => None,
    }
}

/// A table or view as it is written.
#[derive(Debug, Clone)]
struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    fn whole(&self, is_made: bool) -> Change {
        Change { schema: self.schema.clone(), table: self.name.clone(), part: None, is_made }
    }

    fn part(&self, part: Part, name: String, is_made: bool) -> Change {
        Change { part: Some((part, name)), ..self.whole(is_made) }
    }

    fn renamed(&self, part: Part, from: String, to: String) -> Vec<Change> {
        vec![self.part(part, from, false), self.part(part, to, true)]
    }
}

/// The tokens that are still to be read.
struct Reader<'t, 's> {
    tokens: &'t [Token<'s>],
}

/// What may follow `ADD` and `DROP` and is no column's name.
const NO_COLUMN: &[&str] = &[
    "COLUMN",
    "INDEX",
    "KEY",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
    "VECTOR",
    "PRIMARY",
    "FOREIGN",
    "CONSTRAINT",
    "CHECK",
    "PARTITION",
    "PERIOD",
    "SYSTEM",
    "IF",
];

/// What makes of a column's definition more than the column, so that it cannot be given twice.
const MORE_THAN_A_COLUMN: &[&str] = &["PRIMARY", "UNIQUE", "KEY", "REFERENCES"];

impl<'t, 's> Reader<'t, 's> {
    /// Takes a keyword, if it is the next token.
    fn took(&mut self, word: &str) -> bool {
        self.took_any(&[word])
    }

    fn took_any(&mut self, words: &[&str]) -> bool {
        let found = self.tokens.first().is_some_and(|token| token.is_any(words));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn took_symbol(&mut self, symbol: u8) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn is_symbol(&self, symbol: u8) -> bool {
        self.tokens.first().is_some_and(|token| token.is_symbol(symbol))
    }

    fn is_at_end(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether a statement that may say `IF EXISTS` or `IF NOT EXISTS` here goes on.
    fn passed_if(&mut self) -> Option<()> {
        if self.took("IF") {
            self.took("NOT");
            return self.took("EXISTS").then_some(());
        }
        Some(())
    }

    /// The next token as a name without its quotes.
    fn name(&mut self) -> Option<String> {
        let (token, rest) = self.tokens.split_first()?;
        let name = match token.kind {
            TokenKind::Word => token.text.to_owned(),
            TokenKind::Name => match token.text.strip_prefix('`') {
                Some(quoted) => quoted.strip_suffix('`')?.replace("``", "`"),
                None => token.text.to_owned(),
            },
            _ => return None,
        };
        self.tokens = rest;
        Some(name)
    }

    fn table(&mut self) -> Option<Table> {
        let name = self.name()?;
        if !self.took_symbol(b'.') {
            return Some(Table { schema: None, name });
        }
        Some(Table { schema: Some(name), name: self.name()? })
    }

    /// Whether nothing is left but how the statement waits and copies: `WAIT 5`, `ALGORITHM = INPLACE`, `RESTRICT`.
    fn ends(&mut self) -> Option<()> {
        loop {
            if self.is_at_end() {
                return Some(());
            }
            if self.took_any(&["ALGORITHM", "LOCK"]) {
                self.took_symbol(b'=');
                self.name()?;
            } else if !self.took_any(&["RESTRICT", "CASCADE"]) && !self.waits()? {
                return None;
            }
        }
    }

    /// Whether `WAIT n` or `NOWAIT` was there.
    fn waits(&mut self) -> Option<bool> {
        if self.took("WAIT") {
            let (number, rest) = self.tokens.split_first()?;
            self.tokens = rest;
            return (number.kind == TokenKind::Number).then_some(true);
        }
        Some(self.took("NOWAIT"))
    }

    fn create(&mut self) -> Option<Vec<Change>> {
        if self.took("OR") {
            self.took("REPLACE");
            return self.replaces_view().then(Vec::new);
        }
        if self.took("VIEW") {
            self.passed_if()?;
            return Some(vec![self.table()?.whole(true)]);
        }
        if self.took("TABLE") {
            self.passed_if()?;
            let table = self.table()?;
            return self.makes_columns().then(|| vec![table.whole(true)]);
        }
        self.took_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
        if !self.took("INDEX") {
            return None;
        }
        self.passed_if()?;
        let name = self.name()?;
        if self.took("USING") {
            self.name()?;
        }
        if !self.took("ON") {
            return None;
        }
        Some(vec![self.table()?.part(Part::Index, name, true)])
    }

    /// Whether it is a view that is replaced, which is made of nothing but its text; a table would lose its rows again.
    fn replaces_view(&self) -> bool {
        let is_view = |token: &&Token<'_>| token.is_any(&["VIEW", "PROCEDURE", "FUNCTION", "TRIGGER", "EVENT"]);
        self.tokens.first().is_some_and(|token| token.is_any(&["VIEW", "ALGORITHM", "DEFINER", "SQL"]))
            && self.tokens.iter().find(is_view).is_some_and(|token| token.is("VIEW"))
    }

    /// Whether a table is made with columns or like another one, and takes no rows from anywhere.
    fn makes_columns(&mut self) -> bool {
        if self.took("LIKE") {
            return self.table().is_some() && self.is_at_end();
        }
        // Also in parentheses that a query stands in.
        let begins_query =
            |token: &Token<'_>| token.is_any(&["SELECT", "VALUES", "TABLE", "WITH", "LIKE"]) || token.is_symbol(b'(');
        let has_columns = self.is_symbol(b'(');
        let (mut depth, mut has_opened) = (0_usize, false);
        let takes_no_rows = self.tokens.iter().all(|token| {
            let is_query = match depth {
                0 => token.is_any(&["SELECT", "VALUES", "AS", "TABLE", "REPLACE", "IGNORE"]),
                depth => depth == 1 && has_opened && begins_query(token),
            };
            has_opened = depth == 0 && token.is_symbol(b'(');
            depth = deeper(depth, token);
            !is_query
        });
        has_columns && takes_no_rows
    }

    fn drop(&mut self) -> Option<Vec<Change>> {
        let dropped = if self.took_any(&["TABLE", "VIEW"]) {
            self.passed_if()?;
            self.table()?.whole(false)
        } else if self.took("INDEX") {
            self.passed_if()?;
            let name = self.name()?;
            let table = if self.took("ON") { self.table() } else { None };
            table?.part(Part::Index, name, false)
        } else {
            return None;
        };
        self.ends()?;
        Some(vec![dropped])
    }

    fn rename(&mut self) -> Option<Vec<Change>> {
        if !self.took_any(&["TABLE", "TABLES"]) {
            return None;
        }
        self.passed_if()?;
        let from = self.table()?;
        self.waits()?;
        let to = if self.took("TO") { self.table() } else { None };
        (self.is_at_end()).then_some(vec![from.whole(false), to?.whole(true)])
    }

    fn alter(&mut self) -> Option<Vec<Change>> {
        self.took("ONLINE");
        if !self.took("TABLE") {
            return None;
        }
        self.passed_if()?;
        let table = self.table()?;
        self.waits()?;
        let actions = split(self.tokens).filter(|action| !action[0].is_any(&["ALGORITHM", "LOCK"]));
        let actions: Vec<Vec<Change>> =
            actions.map(|tokens| Reader { tokens }.action(&table)).collect::<Option<_>>()?;
        let (is_one, is_none) = (actions.len() == 1, actions.is_empty());
        let changes: Vec<Change> = actions.into_iter().flatten().collect();
        // All of them take or none, so what each changes tells; not so where two may be about the same name.
        let is_alone = |at: usize| !changes[..at].iter().any(|other| changes[at].may_be(other));
        (is_one || !is_none && (0..changes.len()).all(is_alone)).then_some(changes)
    }

    /// One of the actions of an `ALTER TABLE`.
    fn action(&mut self, table: &Table) -> Option<Vec<Change>> {
        match () {
            () if self.took("ADD") => Some(vec![self.added(table)?]),
            () if self.took("DROP") => Some(vec![self.dropped(table)?]),
            () if self.took("RENAME") => self.renamed(table),
            () if self.took("MODIFY") => self.has_plain_column().then(Vec::new),
            () if self.took("CHANGE") => {
                self.took("COLUMN");
                self.passed_if()?;
                let (from, to) = (self.name()?, self.name()?);
                if from.eq_ignore_ascii_case(&to) {
                    return self.has_plain_column().then(Vec::new);
                }
                Some(table.renamed(Part::Column, from, to))
            }
            () => None,
        }
    }

    /// Behind `ADD`.
    fn added(&mut self, table: &Table) -> Option<Change> {
        if self.took("CONSTRAINT") {
            self.passed_if()?;
            let name = self.name()?;
            let is_key = self.took("FOREIGN") && self.took("KEY");
            return is_key.then(|| table.part(Part::ForeignKey, name, true));
        }
        let is_special = self.took_any(&["UNIQUE", "FULLTEXT", "SPATIAL"]);
        if self.took_any(&["INDEX", "KEY"]) || is_special {
            self.passed_if()?;
            let is_named = self.tokens.first().is_some_and(|token| !token.is("USING"));
            let name = self.name().filter(|_| is_named)?;
            return Some(table.part(Part::Index, name, true));
        }
        Some(table.part(Part::Column, self.column()?, true))
    }

    /// Behind `DROP`.
    fn dropped(&mut self, table: &Table) -> Option<Change> {
        let part = if self.took("FOREIGN") {
            self.took("KEY").then_some(Part::ForeignKey)?
        } else if self.took_any(&["INDEX", "KEY"]) {
            Part::Index
        } else {
            let column = self.column()?;
            self.ends()?;
            return Some(table.part(Part::Column, column, false));
        };
        self.passed_if()?;
        let name = self.name()?;
        self.is_at_end().then(|| table.part(part, name, false))
    }

    /// Behind `RENAME`.
    fn renamed(&mut self, table: &Table) -> Option<Vec<Change>> {
        let part = match () {
            () if self.took("COLUMN") => Part::Column,
            () if self.took_any(&["INDEX", "KEY"]) => Part::Index,
            () => {
                let _is_said = self.took_any(&["TO", "AS"]) || self.took_symbol(b'=');
                let to = self.table()?;
                // Which database the new name is in depends on more than the statement.
                let is_sure = table.schema.is_some() == to.schema.is_some() && self.is_at_end();
                return is_sure.then(|| vec![table.whole(false), to.whole(true)]);
            }
        };
        self.passed_if()?;
        let from = self.name()?;
        let to = if self.took("TO") { self.name() } else { None };
        Some(table.renamed(part, from, to?)).filter(|_| self.is_at_end())
    }

    /// The name of a column behind `ADD` or `DROP`, with or without the word `COLUMN`.
    fn column(&mut self) -> Option<String> {
        if self.took("COLUMN") {
            self.passed_if()?;
        } else if self.tokens.first()?.is_any(NO_COLUMN) {
            return None;
        }
        self.name()
    }

    fn has_plain_column(&self) -> bool {
        !self.tokens.iter().any(|token| token.is_any(MORE_THAN_A_COLUMN))
    }
}

/// The parts between the commas that stand in no parentheses.
fn split<'t, 's>(tokens: &'t [Token<'s>]) -> impl Iterator<Item = &'t [Token<'s>]> {
    let mut depth = 0_usize;
    let parts = tokens.split(move |token| {
        depth = deeper(depth, token);
        depth == 0 && token.is_symbol(b',')
    });
    parts.filter(|part| !part.is_empty())
}

fn deeper(depth: usize, token: &Token<'_>) -> usize {
    match token.kind {
        TokenKind::Symbol(b'(') => depth + 1,
        TokenKind::Symbol(b')') => depth.saturating_sub(1),
        _ => depth,
    }
}
