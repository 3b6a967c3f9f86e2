//! A position in a piece of client text. Every parser reads through it.

use std::borrow::Cow;

use crate::error::{QueryError, excerpt};

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// The error code of whatever is being parsed.
    code: &'static str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, code: &'static str) -> Self {
        Self { text, at: 0, code }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn spaces(&mut self) {
        self.take_while(|c| c == ' ' || c == '\t');
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), QueryError> {
        if self.eat(text) { Ok(()) } else { Err(self.error(&format!("expected '{text}'"))) }
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The next `bytes` bytes, which end at a character's end.
    pub(super) fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn reset(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn take_rest(&mut self) -> &'a str {
        let rest = self.rest();
        self.at = self.text.len();
        rest
    }

    /// A name: quoted, or everything up to a delimiter. A dash belongs to it unless it begins `->`.
    pub(super) fn name(&mut self) -> Result<Cow<'a, str>, QueryError> {
        self.spaces();
        if self.looking_at("\"") {
            let name = self.quoted()?;
            self.spaces();
            return Ok(name);
        }
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|(at, c)| matches!(c, ',' | '.' | ':' | '(' | ')' | '!') || rest[*at..].starts_with("->"))
            .map_or(rest.len(), |(at, _)| at);
        self.at += end;
        match rest[..end].trim_matches([' ', '\t']) {
            "" => Err(self.error("expected a name")),
            name => Ok(Cow::Borrowed(name)),
        }
    }

    /// A double-quoted text in which a backslash takes the next character as it is.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, QueryError> {
        self.expect("\"")?;
        let rest = self.rest();
        let plain = rest.find(['"', '\\']).ok_or_else(|| self.error("a double quote is not closed"))?;
        if rest.as_bytes()[plain] == b'"' {
            self.at += plain + 1;
            return Ok(Cow::Borrowed(&rest[..plain]));
        }
        let mut text = String::new();
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(Cow::Owned(text));
                }
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c => text.push(c),
            }
        }
        Err(self.error("a double quote is not closed"))
    }

    pub(super) fn error(&self, wanted: &str) -> QueryError {
        let near = match excerpt(self.rest()) {
            "" => "at the end".to_owned(),
            rest => format!("at '{rest}'"),
        };
        QueryError::bad(self.code, format!("{wanted} {near} of '{}'", excerpt(self.text)))
    }
}
