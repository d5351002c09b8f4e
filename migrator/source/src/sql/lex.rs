//! Tokens: words, quoted text and symbols of one dialect, each byte of the script looked at a bounded number of times.
//!
//! Only what decides where a statement ends is told apart. The server judges the rest, so an unknown character is a
//! [`TokenKind::Symbol`] and never an error here.

use super::directive::Directive;
use super::{Fault, SqlDialect};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare word that may be a keyword.
    Word,
    /// A quoted identifier, or a bare word that cannot be a keyword because it follows a `.` (or `@` in MySQL).
    Name,
    /// A string, dollar-quoted text included.
    Text,
    /// A number.
    Number,
    /// Any other single character.
    Symbol(u8),
    /// A `;`.
    Semicolon,
    /// The `/*!50003` that opens MySQL's executable comment. What follows are tokens again.
    HintOpen,
    /// The `*/` that closes it.
    HintClose,
    /// drizzle's `--> statement-breakpoint` where it is no comment, up to the end of its line.
    Breakpoint,
}

/// One token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    /// Byte offset in the script.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

impl Token<'_> {
    /// Whether this is the keyword `word`, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.kind, TokenKind::Word) && self.reads(word)
    }

    /// Whether its text is `word`, in any case. Most differ in length or in the first letter.
    pub(super) fn reads(&self, word: &str) -> bool {
        let (text, wanted) = (self.text.as_bytes(), word.as_bytes());
        text.len() == wanted.len() && text[0] | 0x20 == wanted[0] | 0x20 && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether this is one of the keywords `words`.
    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether this is the single character `symbol`.
    pub(super) fn is_symbol(&self, symbol: u8) -> bool {
        self.kind == TokenKind::Symbol(symbol)
    }

    /// The offset behind the last byte.
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Which bytes go on a word, and which a number, where `$` is left out, so that the dollar quote in `1$$…$$` is seen.
///
/// Tables and indices, here and below, because the macro runs unoptimised, where an iterator is ten calls for each byte.
const IN_WORD: [bool; 256] = table(b"_$", true);
const BEGINS_WORD: [bool; 256] = without_digits(table(b"__", true));
const IN_NUMBER: [bool; 256] = table(b"_.", false);

const fn table(marks: &[u8; 2], beyond_ascii: bool) -> [bool; 256] {
    let mut accepted = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let ascii = byte as u8;
        let mark = ascii == marks[0] || ascii == marks[1];
        accepted[byte] = ascii.is_ascii_alphanumeric() || mark || (beyond_ascii && byte >= 0x80);
        byte += 1;
    }
    accepted
}

const fn without_digits(mut accepted: [bool; 256]) -> [bool; 256] {
    let mut byte = b'0';
    while byte <= b'9' {
        accepted[byte as usize] = false;
        byte += 1;
    }
    accepted
}

/// Reads a script token by token. Comments are passed over; directives in them are kept.
pub(super) struct Lexer<'a> {
    text: &'a str,
    dialect: SqlDialect,
    at: usize,
    peeked: Option<Token<'a>>,
    /// The last token, which decides whether a word can be a keyword.
    last: Option<TokenKind>,
    /// Where the executable comments that are still open begin.
    hints: Vec<usize>,
    pub(super) directives: Vec<Directive<'a>>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, dialect: SqlDialect) -> Self {
        // An editor on Windows puts a byte order mark first; no server takes it for white space.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Lexer { text, dialect, at, peeked: None, last: None, hints: Vec::new(), directives: vec![], faults: vec![] }
    }

    /// The next token, without taking it.
    ///
    /// Never ask behind a `;`: [`Lexer::skip_line`] and [`Lexer::skip_copy_data`] go on from where reading stopped.
    pub(super) fn peek(&mut self) -> Option<Token<'a>> {
        if self.peeked.is_none() {
            self.peeked = self.read();
        }
        self.peeked
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        match self.peeked {
            None => self.read(),
            peeked => {
                self.peeked = None;
                peeked
            }
        }
    }

    /// Whether an executable comment is open, in which a `;` does not end a statement.
    pub(super) fn in_hint(&self) -> bool {
        !self.hints.is_empty()
    }

    /// Where the outermost executable comment that is still open begins.
    pub(super) fn open_hint(&self) -> Option<usize> {
        self.hints.first().copied()
    }

    /// Goes on behind the end of the current line.
    pub(super) fn skip_line(&mut self) {
        self.at = self.line_end(self.at);
    }

    /// Goes on behind the data of a `COPY … FROM STDIN`, which ends with a line `\.` or with the script.
    pub(super) fn skip_copy_data(&mut self) {
        let rest = &self.text[self.at..];
        let data = rest.find("\n\\.").map(|found| self.line_end(self.at + found + 1));
        self.at = data.unwrap_or(self.text.len());
    }

    /// The rest of the line behind `offset`.
    pub(super) fn line_from(&self, offset: usize) -> &'a str {
        &self.text[offset..self.line_end(offset)]
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |found| from + found)
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        let bytes = self.text.as_bytes();
        if offset < bytes.len() { Some(bytes[offset]) } else { None }
    }

    fn read(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let start = self.at;
        let byte = self.byte(start)?;
        let kind = match byte {
            _ if BEGINS_WORD[byte as usize] => self.word(),
            b';' => self.take(1, TokenKind::Semicolon),
            b'\'' => self.string(start, self.dialect == SqlDialect::Mysql),
            // MySQL reads "…" as a string unless ANSI_QUOTES is set, and both end at the same place without `\`.
            b'"' if self.dialect == SqlDialect::Mysql => self.string(start, true),
            b'"' => self.identifier(b'"'),
            b'`' if self.dialect != SqlDialect::Postgres => self.identifier(b'`'),
            b'[' if self.dialect == SqlDialect::Sqlite => self.bracketed(),
            b'$' if self.dialect == SqlDialect::Postgres => self.dollar(),
            b'/' if self.text[start..].starts_with("/*") && self.dialect == SqlDialect::Mysql => {
                // `skip_blanks` stops only in front of an executable comment.
                self.at += hint_marker(&self.text[start..]);
                self.hints.push(start);
                TokenKind::HintOpen
            }
            b'*' if self.in_hint() && self.byte(start + 1) == Some(b'/') => {
                self.hints.pop();
                self.take(2, TokenKind::HintClose)
            }
            b'-' if self.at_breakpoint() => {
                self.skip_line();
                TokenKind::Breakpoint
            }
            b'0'..=b'9' => self.number(),
            b'$' if self.dialect == SqlDialect::Mysql => self.word(),
            _ => self.take(1, TokenKind::Symbol(byte)),
        };
        self.last = Some(kind);
        Some(Token { kind, start, text: &self.text[start..self.at] })
    }

    fn take(&mut self, length: usize, kind: TokenKind) -> TokenKind {
        self.at += length;
        kind
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        self.skip(&IN_WORD);
        let word = &self.text[start..self.at];
        // In PostgreSQL `E'…'` is one string in which a backslash protects the quote; `ne'…'` is a word and a string.
        if self.dialect == SqlDialect::Postgres && word.eq_ignore_ascii_case("e") && self.byte(self.at) == Some(b'\'') {
            return self.escape_string(start);
        }
        match self.last {
            Some(TokenKind::Symbol(b'.')) => TokenKind::Name,
            // `@end` is a variable, and `localhost` in `root@localhost` a host.
            Some(TokenKind::Symbol(b'@')) if self.dialect == SqlDialect::Mysql => TokenKind::Name,
            _ => TokenKind::Word,
        }
    }

    fn number(&mut self) -> TokenKind {
        self.skip(&IN_NUMBER);
        TokenKind::Number
    }

    fn skip(&mut self, accepted: &[bool; 256]) {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() && accepted[bytes[self.at] as usize] {
            self.at += 1;
        }
    }

    /// The end of what is quoted from `open` on, or `None` when nothing closes it. A doubled quote stands for itself.
    fn close(&self, open: usize, quote: u8, escapes: bool) -> Option<usize> {
        let mut at = open + 1;
        loop {
            match self.byte(at)? {
                b'\\' if escapes => at += 2,
                byte if byte == quote && self.byte(at + 1) == Some(quote) => at += 2,
                byte if byte == quote => return Some(at + 1),
                _ => at += 1,
            }
        }
    }

    fn string(&mut self, start: usize, escapes: bool) -> TokenKind {
        let quote = self.text.as_bytes()[self.at];
        match self.close(self.at, quote, escapes) {
            Some(end) => self.at = end,
            None => self.unterminated(Fault::unterminated_string(start, quote, escapes)),
        }
        TokenKind::Text
    }

    /// `E'…'` and the strings that continue it on the next lines, which PostgreSQL reads by the same rules.
    fn escape_string(&mut self, start: usize) -> TokenKind {
        loop {
            self.string(start, true);
            match self.continued() {
                Some(next) => self.at = next,
                None => return TokenKind::Text,
            }
        }
    }

    /// Where the next piece of a string begins: behind white space with at least one line break in it.
    fn continued(&self) -> Option<usize> {
        let (mut at, mut broken) = (self.at, false);
        loop {
            match self.byte(at)? {
                b'\n' | b'\r' => broken = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' if self.byte(at + 1) == Some(b'-') => {
                    at = self.comment_line_end(at);
                    continue;
                }
                b'\'' if broken => return Some(at),
                _ => return None,
            }
            at += 1;
        }
    }

    fn identifier(&mut self, quote: u8) -> TokenKind {
        match self.close(self.at, quote, false) {
            Some(end) => self.at = end,
            None => self.unterminated(Fault::unterminated_identifier(self.at, char::from(quote))),
        }
        TokenKind::Name
    }

    fn bracketed(&mut self) -> TokenKind {
        match self.text[self.at..].find(']') {
            Some(found) => self.at += found + 1,
            None => self.unterminated(Fault::unterminated_identifier(self.at, ']')),
        }
        TokenKind::Name
    }

    /// `$tag$ … $tag$`, or the `$` of a parameter.
    fn dollar(&mut self) -> TokenKind {
        let rest = &self.text[self.at..];
        let inner = rest.as_bytes()[1..].iter().take_while(|&&byte| byte != b'$' && is_tag(byte)).count();
        let tag = &rest[..(inner + 2).min(rest.len())];
        // A tag does not begin with a digit: in `$1$2` there are two parameters.
        if rest.as_bytes().get(inner + 1) != Some(&b'$') || tag.as_bytes()[1].is_ascii_digit() {
            return self.take(1, TokenKind::Symbol(b'$'));
        }
        match rest[tag.len()..].find(tag) {
            Some(found) => self.at += 2 * tag.len() + found,
            None => self.unterminated(Fault::unterminated_dollar_quote(self.at, tag)),
        }
        TokenKind::Text
    }

    fn unterminated(&mut self, fault: Fault) {
        self.faults.push(fault);
        self.at = self.text.len();
    }

    /// Passes over white space and comments.
    fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            match bytes[self.at] {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0c => self.at += 1,
                0x0b if self.dialect != SqlDialect::Sqlite => self.at += 1,
                b'-' if self.at_dashes() => self.line_comment(2),
                b'#' if self.dialect == SqlDialect::Mysql => self.line_comment(1),
                b'/' if self.byte(self.at + 1) == Some(b'*') => {
                    if self.dialect == SqlDialect::Mysql && hint_marker(&self.text[self.at..]) > 0 {
                        return;
                    }
                    self.block_comment();
                }
                _ => return,
            }
        }
    }

    /// Whether a `--` comment begins here. MySQL wants white space, a control character or the end behind it, so that
    /// `5--1` is a sum.
    fn at_dashes(&self) -> bool {
        self.byte(self.at + 1) == Some(b'-')
            && (self.dialect != SqlDialect::Mysql
                || self.byte(self.at + 2).is_none_or(|byte| byte == b' ' || byte.is_ascii_control()))
    }

    fn at_breakpoint(&self) -> bool {
        self.dialect == SqlDialect::Mysql && self.text[self.at..].starts_with("--> statement-breakpoint")
    }

    fn comment_line_end(&self, from: usize) -> usize {
        // Only PostgreSQL ends a comment at a lone carriage return.
        if self.dialect != SqlDialect::Postgres {
            return self.line_end(from);
        }
        let rest = &self.text.as_bytes()[from..];
        rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(self.text.len(), |found| from + found)
    }

    fn line_comment(&mut self, marker: usize) {
        let (start, end) = (self.at, self.comment_line_end(self.at));
        self.directives.extend(Directive::read(start, &self.text[start + marker..end]));
        self.at = end;
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let end = match self.dialect {
            SqlDialect::Postgres => self.nested_comment_end(start),
            _ => self.text[start + 2..].find("*/").map(|found| start + 2 + found + 2),
        };
        // SQLite lets a comment run to the end of the input, but reads a `/*` with nothing behind it as two operators.
        let open_end = self.dialect == SqlDialect::Sqlite && start + 2 < self.text.len();
        match end {
            Some(end) => {
                self.directives.extend(Directive::read(start, &self.text[start + 2..end - 2]));
                self.at = end;
            }
            None if open_end => {
                self.directives.extend(Directive::read(start, &self.text[start + 2..]));
                self.at = self.text.len();
            }
            None => self.unterminated(Fault::unterminated_comment(start)),
        }
    }

    /// PostgreSQL's comments nest; counted rather than recursed, so that depth costs nothing.
    fn nested_comment_end(&self, start: usize) -> Option<usize> {
        let (mut at, mut depth) = (start, 0_usize);
        loop {
            match (self.byte(at)?, self.byte(at + 1)) {
                (b'/', Some(b'*')) => (at, depth) = (at + 2, depth + 1),
                (b'*', Some(b'/')) if depth == 1 => return Some(at + 2),
                (b'*', Some(b'/')) => (at, depth) = (at + 2, depth - 1),
                _ => at += 1,
            }
        }
    }
}

fn is_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// How many bytes open an executable comment (`/*!`, `/*!50003`, `/*M!100100`), 0 when this is a plain comment.
fn hint_marker(rest: &str) -> usize {
    let marker = ["/*!", "/*M!"].into_iter().find(|marker| rest.starts_with(marker)).map_or(0, str::len);
    let digits = rest.as_bytes()[marker..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    let version: u32 = rest[marker..marker + digits].parse().unwrap_or(0);
    // mariadb-dump begins a file with `/*!999999\- enable the sandbox mode */`, which no server's version reaches.
    let never = version == 99_999 || version >= 990_000;
    if marker == 0 || never { 0 } else { marker + digits }
}
