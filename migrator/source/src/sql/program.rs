//! MySQL's and MariaDB's stored programs, written without DELIMITER.
//!
//! A server reads a program to its end by its grammar; a client splits at a DELIMITER that the server does not know.
//! What follows is the least of the grammar that tells a `;` in a body from the one behind it: which words open and
//! close blocks, and at which places they are words at all. `IF`, `REPEAT` and `CASE` open a block only where a
//! statement can begin (elsewhere they are the functions and the expression), and `END` closes a block only there,
//! because MySQL accepts `end` and `begin` as names.

use super::lex::{Token, TokenKind};

/// Follows one statement of MySQL.
#[derive(Debug, Default)]
pub(super) struct Program {
    stage: Stage,
    /// What is open, outermost first, and where it begins.
    blocks: Vec<(Block, usize)>,
    parentheses: usize,
    /// Whether a statement of the body can begin with the next token.
    fresh: bool,
    /// Whether the last token stood where a statement can begin, so that a `:` behind it makes it a label.
    label: bool,
    /// Behind the HANDLER of `DECLARE … HANDLER FOR …`, whose statement follows without any mark.
    handler: bool,
    /// Behind the PROCEDURE or FUNCTION of a package's body, whose `AS` opens declarations.
    routine: bool,
    /// How many of the next tokens belong to the last word, as the IF of `END IF`.
    skip: u8,
    operand: Operand,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Start,
    /// Behind CREATE, in front of the word that says what is created.
    Create,
    Header(Header),
    Body,
    /// No program: the first `;` ends the statement.
    Flat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// A procedure or function in front of or within its parameters.
    Routine,
    /// Behind the parameters: characteristics, then the body.
    Characteristics,
    /// A trigger in front of `FOR EACH ROW`.
    Trigger,
    /// Behind `FOR EACH ROW`.
    Row,
    /// Behind FOLLOWS or PRECEDES: another trigger's name.
    Order,
    /// An event in front of DO.
    Event,
    Package,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// `BEGIN … END`.
    Begin,
    /// Declarations in front of BEGIN, and the package around routines: only in MariaDB's Oracle mode.
    Declare,
    Package,
    /// `CASE … END`, the expression.
    Expression,
    /// `IF … END IF` and its like, by the word.
    Compound(&'static str),
}

/// Whether an expression wants an operand next, where `end` is a column.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Wanted,
    #[default]
    Given,
}

/// The blocks whose END names them.
const COMPOUNDS: &[&str] = &["IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"];

impl Program {
    /// Where the outermost open block begins.
    pub(super) fn open(&self) -> Option<usize> {
        self.blocks.first().map(|(_, start)| *start)
    }

    pub(super) fn holds_semicolon(&mut self) -> bool {
        // No CASE expression reaches over a `;`.
        while self.top() == Some(Block::Expression) {
            self.blocks.pop();
        }
        (self.fresh, self.label, self.handler, self.routine) = (true, false, false, false);
        !self.blocks.is_empty()
    }

    pub(super) fn step<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        if matches!(token.kind, TokenKind::HintOpen | TokenKind::HintClose) {
            return;
        }
        match token.kind {
            TokenKind::Symbol(b'(') => self.parentheses += 1,
            TokenKind::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        match self.stage {
            Stage::Start => self.start(token, next),
            Stage::Create => self.create(token),
            Stage::Header(header) => self.header(header, token, next),
            Stage::Body => self.body(token, next),
            Stage::Flat => {}
        }
        self.operand = operand_behind(token);
    }

    fn start<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        let next = next();
        let before = |word: &str| next.is_some_and(|next| next.is(word));
        let label = next.is_some_and(|next| next.is_symbol(b':'));
        self.stage = match token {
            _ if token.is("CREATE") => Stage::Create,
            _ if token.is("ALTER") && (before("EVENT") || before("DEFINER")) => Stage::Create,
            // MariaDB runs blocks outside of programs; MySQL refuses them, which is the server's to say.
            _ if (token.is("BEGIN") && before("NOT")) || token.is_any(COMPOUNDS) || label => {
                self.fresh = true;
                self.body(token, || next);
                Stage::Body
            }
            _ => Stage::Flat,
        };
    }

    fn create(&mut self, token: &Token<'_>) {
        self.stage = match token {
            // The user behind `DEFINER =`, or `CURRENT_USER()`.
            _ if token.kind != TokenKind::Word || self.operand == Operand::Wanted => Stage::Create,
            _ if token.is_any(&["OR", "REPLACE", "DEFINER", "AGGREGATE", "CURRENT_USER", "CURRENT_ROLE"]) => {
                Stage::Create
            }
            _ if token.is_any(&["PROCEDURE", "FUNCTION"]) => Stage::Header(Header::Routine),
            _ if token.is("TRIGGER") => Stage::Header(Header::Trigger),
            _ if token.is("EVENT") => Stage::Header(Header::Event),
            _ if token.is("PACKAGE") => Stage::Header(Header::Package),
            _ => Stage::Flat,
        };
        self.parentheses = 0;
    }

    fn header<'a>(&mut self, header: Header, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        let top_level = self.parentheses == 0;
        let declares = top_level && token.is_any(&["AS", "IS"]);
        self.stage = match header {
            Header::Routine if top_level && token.is_symbol(b')') => Stage::Header(Header::Characteristics),
            Header::Routine | Header::Characteristics if declares => self.open_declarations(Block::Declare, token),
            Header::Package if declares => self.open_declarations(Block::Package, token),
            Header::Characteristics | Header::Row if top_level => return self.first_of_body(token, next),
            Header::Trigger if token.is("ROW") => Stage::Header(Header::Row),
            Header::Order => Stage::Header(Header::Row),
            Header::Event if top_level && token.is("DO") => {
                self.fresh = true;
                Stage::Body
            }
            _ => return,
        };
    }

    fn open_declarations(&mut self, block: Block, token: &Token<'_>) -> Stage {
        self.blocks.push((block, token.start));
        self.fresh = true;
        Stage::Body
    }

    /// Where the body may begin: opens it, or stays in front of it while characteristics follow.
    fn first_of_body<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        let next = next();
        let label = next.is_some_and(|next| next.is_symbol(b':'));
        // In `SET @x = IF(…)` the word is an operand; SET itself says nothing, see `RETURNS CHAR(2) CHARACTER SET utf8`.
        let opens = self.operand == Operand::Given && (token.is("BEGIN") || token.is_any(COMPOUNDS));
        if opens || label {
            (self.stage, self.fresh) = (Stage::Body, true);
            self.body(token, || next);
        } else if self.stage == Stage::Header(Header::Row) && token.is_any(&["FOLLOWS", "PRECEDES"]) {
            self.stage = Stage::Header(Header::Order);
        } else if self.stage == Stage::Header(Header::Row) || is_simple_statement(token) {
            self.stage = Stage::Body;
        }
    }

    fn body<'a>(&mut self, token: &Token<'a>, next: impl FnOnce() -> Option<Token<'a>>) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let fresh = std::mem::replace(&mut self.fresh, false);
        let label = std::mem::replace(&mut self.label, fresh);
        if token.is_symbol(b':') && label {
            self.fresh = true;
        }
        if token.kind == TokenKind::Word {
            self.word(token, fresh, next);
        }
    }

    fn word<'a>(&mut self, token: &Token<'a>, fresh: bool, next: impl FnOnce() -> Option<Token<'a>>) {
        let compound = COMPOUNDS.iter().find(|word| token.is(word));
        if token.is("BEGIN") && (fresh || self.handler) {
            self.begin(token.start);
            // MariaDB's `BEGIN NOT ATOMIC`.
            self.skip = if next().is_some_and(|next| next.is("NOT")) { 2 } else { 0 };
            self.fresh = true;
        } else if token.is("END") {
            self.end(fresh, next());
        } else if let Some(word) = compound.filter(|_| fresh) {
            self.blocks.push((Block::Compound(word), token.start));
            self.fresh = matches!(*word, "LOOP" | "REPEAT");
        } else if token.is("CASE") {
            self.blocks.push((Block::Expression, token.start));
        } else if token.is_any(&["THEN", "ELSE"]) {
            self.fresh = self.top() != Some(Block::Expression);
        } else if token.is_any(&["DO", "LOOP"]) {
            // `WHILE … DO`; at the begin of a statement DO evaluates an expression.
            self.fresh = !fresh;
        } else if token.is("HANDLER") {
            self.handler = !fresh;
        } else if token.is_any(&["PROCEDURE", "FUNCTION"]) && fresh {
            self.routine = matches!(self.top(), Some(Block::Package | Block::Declare));
        } else if token.is_any(&["AS", "IS"]) && self.routine && self.parentheses == 0 {
            self.routine = false;
            self.open_declarations(Block::Declare, token);
        }
    }

    fn begin(&mut self, start: usize) {
        self.handler = false;
        match self.blocks.last_mut() {
            Some((block @ Block::Declare, _)) => *block = Block::Begin,
            // The part of a package that initialises it ends with the package.
            Some((Block::Package, _)) => {}
            _ => self.blocks.push((Block::Begin, start)),
        }
    }

    fn end(&mut self, fresh: bool, next: Option<Token<'_>>) {
        if self.top() == Some(Block::Expression) {
            if self.operand == Operand::Given {
                self.blocks.pop();
            }
            return;
        }
        let named = next.and_then(|next| COMPOUNDS.iter().find(|word| next.is(word)));
        match named {
            Some(word) => {
                // Another word than that of the block on top closes a block that was not seen to open.
                if self.top() == Some(Block::Compound(word)) {
                    self.blocks.pop();
                }
                self.skip = 1;
            }
            None if fresh => {
                let plain = |(block, _): &(Block, usize)| !matches!(block, Block::Compound(_));
                self.blocks.truncate(self.blocks.iter().rposition(plain).unwrap_or(0));
            }
            None => {}
        }
    }

    fn top(&self) -> Option<Block> {
        self.blocks.last().map(|(block, _)| *block)
    }
}

/// Whether a routine's body that is no block begins with this word, behind which IF and CASE are parts of expressions.
fn is_simple_statement(token: &Token<'_>) -> bool {
    token.is_any(&[
        "RETURN", "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "CALL", "DO", "EXECUTE", "SIGNAL",
    ]) || token.is_any(&["ALTER", "CREATE", "DROP", "TRUNCATE", "PREPARE", "VALUES"])
}

fn operand_behind(token: &Token<'_>) -> Operand {
    let wanted = match token.kind {
        TokenKind::Symbol(byte) => byte != b')',
        TokenKind::Word => {
            token.is_any(&["CASE", "WHEN", "THEN", "ELSE", "AND", "OR", "NOT", "XOR", "BETWEEN", "LIKE", "IN"])
        }
        _ => false,
    };
    if wanted { Operand::Wanted } else { Operand::Given }
}
