//! Statements: tokens up to the `;` that ends them.

use super::body::Body;
use super::directive::Directive;
use super::kind::{Class, Head};
use super::lex::{Lexer, Token, TokenKind};
use super::{Fault, SqlDialect};

/// A statement as it stands in the script, those that control the transaction included.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
    pub(super) class: Class,
}

/// All that one reading of a script finds.
pub(super) struct Pieces<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) directives: Vec<Directive<'a>>,
    pub(super) faults: Vec<Fault>,
}

/// Splits a script.
pub(super) fn split(text: &str, dialect: SqlDialect) -> Pieces<'_> {
    let lexer = Lexer::new(text, dialect);
    let current = Current::new(dialect);
    let splitter = Splitter {
        text,
        dialect,
        lexer,
        current,
        pieces: vec![],
        faults: vec![],
        breakpoints: vec![],
        delimiter: None,
    };
    splitter.run()
}

struct Splitter<'a> {
    text: &'a str,
    dialect: SqlDialect,
    lexer: Lexer<'a>,
    current: Current<'a>,
    pieces: Vec<Piece<'a>>,
    faults: Vec<Fault>,
    breakpoints: Vec<usize>,
    /// The first DELIMITER. The others belong to it, and so does a body whose `END$$` is one word to a server.
    delimiter: Option<usize>,
}

/// The statement that is being read.
struct Current<'a> {
    /// From the first token to the end of the last one. Empty between statements.
    range: std::ops::Range<usize>,
    head: Head<'a>,
    body: Body,
    parentheses: usize,
}

impl Current<'_> {
    fn new(dialect: SqlDialect) -> Self {
        Current { range: 0..0, head: Head::default(), body: Body::new(dialect), parentheses: 0 }
    }

    /// Makes room for the next statement; the head keeps its memory.
    fn clear(&mut self, dialect: SqlDialect) {
        self.range = 0..0;
        self.head.clear();
        self.body = Body::new(dialect);
        self.parentheses = 0;
    }
}

impl<'a> Splitter<'a> {
    fn run(mut self) -> Pieces<'a> {
        while let Some(token) = self.lexer.next() {
            match token.kind {
                TokenKind::Breakpoint => {
                    self.breakpoints.push(token.start);
                    self.finish();
                }
                TokenKind::Semicolon => self.semicolon(&token),
                TokenKind::Word | TokenKind::Symbol(_) if self.is_client_command(&token) => self.client_command(&token),
                _ => self.push(&token),
            }
        }
        // What is open at the end because a quote swallowed the rest is the quote's fault.
        if self.lexer.faults.is_empty() {
            if let Some(hint) = self.lexer.open_hint() {
                self.faults.push(Fault::unterminated_comment(hint));
            }
            if let Some(open) = self.current.body.open().filter(|_| self.delimiter.is_none()) {
                self.faults.push(Fault::unterminated_body(open));
            }
        }
        self.finish();
        self.faults.append(&mut self.lexer.faults);
        self.faults.extend(self.delimiter.map(Fault::delimiter));
        if let Some((first, more)) = self.breakpoints.split_first() {
            self.faults.push(Fault::drizzle_breakpoint(*first, more.len()));
        }
        Pieces { pieces: self.pieces, directives: self.lexer.directives, faults: self.faults }
    }

    fn between_statements(&self) -> bool {
        self.current.range.is_empty()
    }

    fn push(&mut self, token: &Token<'a>) {
        match token.kind {
            TokenKind::Symbol(b'(') => self.current.parentheses += 1,
            TokenKind::Symbol(b')') => self.current.parentheses = self.current.parentheses.saturating_sub(1),
            _ => {}
        }
        let start = if self.between_statements() { token.start } else { self.current.range.start };
        self.current.range = start..token.end();
        self.current.head.push(token, self.current.parentheses);
        self.current.body.step(token, || self.lexer.peek());
    }

    fn semicolon(&mut self, token: &Token<'a>) {
        if self.between_statements() {
            return;
        }
        // mysqldump puts the whole of a trigger, body included, into one executable comment.
        if self.current.body.holds_semicolon() || self.lexer.in_hint() {
            self.current.range.end = token.end();
            return;
        }
        if self.dialect == SqlDialect::Postgres && self.current.head.copies_from_stdin() {
            self.lexer.skip_copy_data();
        }
        self.finish();
    }

    fn finish(&mut self) {
        let Current { range, head, .. } = &self.current;
        match self.dialect {
            SqlDialect::Postgres if head.copies_from_stdin() => self.faults.push(Fault::copy_from_stdin(range.start)),
            SqlDialect::Mysql if head.locks_tables() => self.faults.push(Fault::lock_tables(range.start)),
            _ => {}
        }
        // An executable comment with nothing in it is a comment; behind a DELIMITER statements are not told apart.
        if !range.is_empty() && !head.is_empty() && self.delimiter.is_none() {
            let class = head.classify(self.dialect);
            self.pieces.push(Piece { text: &self.text[range.clone()], start: range.start, class });
        }
        self.current.clear(self.dialect);
    }

    /// Whether a line for the client begins here, which no server accepts at this place.
    fn is_client_command(&self, token: &Token<'a>) -> bool {
        // Not the line itself: a script of one long line would be read once for each of its tokens.
        let follows = |accept: fn(char) -> bool| self.text[token.end()..].starts_with(accept);
        match (token.kind, self.dialect) {
            (TokenKind::Symbol(b'\\'), SqlDialect::Postgres) => true,
            // Within a statement `\N` is NULL.
            (TokenKind::Symbol(b'\\'), SqlDialect::Mysql) => {
                self.between_statements() || follows(|c| matches!(c, 'g' | 'G'))
            }
            // The client takes a line of dashes for a comment, the server does not.
            (TokenKind::Symbol(b'-'), SqlDialect::Mysql) => self.between_statements() && follows(|c| c == '-'),
            (TokenKind::Symbol(b'.'), SqlDialect::Sqlite) => {
                let starts_line = token.start == 0 || self.text.as_bytes()[token.start - 1] == b'\n';
                self.between_statements() && starts_line && follows(|c| c.is_ascii_alphabetic())
            }
            (TokenKind::Word, _) if self.between_statements() && token.is("DELIMITER") => {
                !self.lexer.line_from(token.end()).trim().is_empty()
            }
            _ => false,
        }
    }

    fn client_command(&mut self, token: &Token<'a>) {
        match token.kind {
            TokenKind::Word => _ = self.delimiter.get_or_insert(token.start),
            TokenKind::Symbol(b'-') => self.faults.push(Fault::not_a_comment(token.start)),
            _ => {
                let line = self.lexer.line_from(token.start);
                self.faults.push(Fault::client_command(token.start, self.dialect, line));
            }
        }
        self.lexer.skip_line();
        self.finish();
    }
}
