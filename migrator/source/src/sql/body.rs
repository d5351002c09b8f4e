//! Where a `;` belongs to the statement: bodies of triggers, routines and rules.

use super::SqlDialect;
use super::lex::{Token, TokenKind};
use super::program::Program;

/// Follows one statement and knows whether a `;` would end it.
#[derive(Debug)]
pub(super) enum Body {
    Sqlite(Trigger),
    Postgres(Routine),
    Mysql(Program),
}

impl Body {
    /// The start of a statement.
    pub(super) fn new(dialect: SqlDialect) -> Self {
        match dialect {
            SqlDialect::Sqlite => Body::Sqlite(Trigger::default()),
            SqlDialect::Postgres => Body::Postgres(Routine::default()),
            SqlDialect::Mysql => Body::Mysql(Program::default()),
        }
    }

    /// Takes the statement's next token; `next` is the one behind it, asked for only when that decides something.
    pub(super) fn step<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        match self {
            Body::Sqlite(trigger) => trigger.step(token, next),
            Body::Postgres(routine) => routine.step(token, next),
            Body::Mysql(program) => program.step(token, next),
        }
    }

    /// Whether a `;` that comes now belongs to the statement. Takes the `;` when it does.
    pub(super) fn holds_semicolon(&mut self) -> bool {
        match self {
            Body::Sqlite(trigger) => trigger.holds_semicolon(),
            Body::Postgres(routine) => routine.holds_semicolon(),
            Body::Mysql(program) => program.holds_semicolon(),
        }
    }

    /// Where the body that is still open begins.
    pub(super) fn open(&self) -> Option<usize> {
        match self {
            Body::Sqlite(trigger) => trigger.open,
            Body::Postgres(routine) => routine.open(),
            Body::Mysql(program) => program.open(),
        }
    }
}

/// SQLite's `CREATE TRIGGER … BEGIN …; …; END`.
#[derive(Debug, Default)]
pub(super) struct Trigger {
    head: TriggerHead,
    open: Option<usize>,
    behind_semicolon: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum TriggerHead {
    #[default]
    Start,
    Create,
    /// In front of `ON`. A trigger may be called `begin`, and `UPDATE OF begin` names a column.
    Trigger,
    /// Behind `ON`, where `BEGIN` opens the body.
    Table,
    /// Every other statement, and a trigger behind its `END`.
    Flat,
}

impl Trigger {
    fn step<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        if self.open.is_some() {
            // SQLite accepts `end` as a column's name, so that only `END` behind a `;` closes, where no statement of a
            // trigger can begin with it. The `END` of a CASE never stands there.
            if self.behind_semicolon && token.is("END") {
                *self = Trigger { head: TriggerHead::Flat, ..Trigger::default() };
            }
            self.behind_semicolon = false;
            return;
        }
        self.head = match self.head {
            TriggerHead::Start if token.is_any(&["EXPLAIN", "QUERY", "PLAN"]) => TriggerHead::Start,
            TriggerHead::Start if token.is("CREATE") => TriggerHead::Create,
            TriggerHead::Create if token.is_any(&["TEMP", "TEMPORARY"]) => TriggerHead::Create,
            TriggerHead::Create if token.is("TRIGGER") => TriggerHead::Trigger,
            TriggerHead::Trigger if token.is("ON") => TriggerHead::Table,
            TriggerHead::Trigger => TriggerHead::Trigger,
            TriggerHead::Table => {
                let steps = &["INSERT", "REPLACE", "UPDATE", "DELETE", "SELECT", "WITH"];
                // `WHEN begin > 1` compares a column: what follows is no step of a trigger.
                if token.is("BEGIN") && next().is_some_and(|next| next.is_any(steps)) {
                    self.open = Some(token.start);
                }
                TriggerHead::Table
            }
            _ => TriggerHead::Flat,
        };
    }

    fn holds_semicolon(&mut self) -> bool {
        self.behind_semicolon = true;
        self.open.is_some()
    }
}

/// PostgreSQL's `BEGIN ATOMIC …; END` and `CREATE RULE … DO (…; …)`.
#[derive(Debug, Default)]
pub(super) struct Routine {
    head: RoutineHead,
    open: Option<usize>,
    /// How many `(` are open.
    parentheses: usize,
    /// Where the outermost of them is.
    outermost: usize,
    /// Behind a `;` or the ATOMIC, where alone the END of the body stands.
    boundary: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum RoutineHead {
    #[default]
    Start,
    Create,
    Routine,
    Rule,
    Flat,
}

impl Routine {
    fn step<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        match token.kind {
            TokenKind::Symbol(b'(') => {
                if self.parentheses == 0 {
                    self.outermost = token.start;
                }
                self.parentheses += 1;
            }
            TokenKind::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        if self.open.is_some() {
            // Elsewhere END ends a CASE, or is a column's label: `SELECT 1 AS end`.
            if self.boundary && token.is("END") {
                *self = Routine { head: RoutineHead::Flat, ..Routine::default() };
            }
            self.boundary &= token.is("ATOMIC");
            return;
        }
        self.head = match self.head {
            RoutineHead::Start if token.is("CREATE") => RoutineHead::Create,
            RoutineHead::Create if token.is_any(&["OR", "REPLACE"]) => RoutineHead::Create,
            RoutineHead::Create if token.is_any(&["FUNCTION", "PROCEDURE"]) => RoutineHead::Routine,
            RoutineHead::Create if token.is("RULE") => RoutineHead::Rule,
            RoutineHead::Routine => {
                if token.is("BEGIN") && self.parentheses == 0 && next().is_some_and(|next| next.is("ATOMIC")) {
                    (self.open, self.boundary) = (Some(token.start), true);
                }
                RoutineHead::Routine
            }
            RoutineHead::Rule => RoutineHead::Rule,
            _ => RoutineHead::Flat,
        };
    }

    fn holds_semicolon(&mut self) -> bool {
        self.boundary = true;
        self.open().is_some()
    }

    fn open(&self) -> Option<usize> {
        let actions = self.head == RoutineHead::Rule && self.parentheses > 0;
        self.open.or(actions.then_some(self.outermost))
    }
}
