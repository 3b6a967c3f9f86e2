//! What is read at all. The parser goes as deep as its input does, and its time can grow with the square of a statement's
//! length: text that anyone pushes is measured by its tokens first, and what is too much is left out.

use std::ops::Range;

use squawk_lexer::{LiteralKind, Token, TokenKind, tokenize};

/// The most that is looked at.
const BYTES: usize = 1 << 20;
const TOKENS: usize = 200_000;
/// Of one statement, with what its texts hold. The depth of the tree is less, whatever it says; [`crate::deep_stack`] has room
/// for four times as much.
const TOKENS_OF_STATEMENT: usize = 8_000;
/// Of brackets in brackets.
const DEPTH: usize = 100;
/// Of the squares of the statements' tokens: four of the longest, or thousands of the usual ones.
const WORK: usize = 4 * TOKENS_OF_STATEMENT * TOKENS_OF_STATEMENT;
/// Of bodies of functions whose semicolons end no statement of the file.
const ATOMIC: usize = 100;

/// Something that is not read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooMuch {
    pub(crate) offset: usize,
    pub(crate) why: &'static str,
}

/// Text that can be parsed: as long as it was, with blanks for what is too much.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) text: String,
    /// The first statement that was left out.
    pub(crate) left_out: Option<TooMuch>,
}

/// Leaves out statements that are too long or too deep, and texts in them that are no SQL.
///
/// # Errors
/// The file as a whole is too much, or its brackets and quotes do not match, so that it has no statements.
pub(crate) fn bounded(sql: &str) -> Result<Bounded, TooMuch> {
    if sql.len() > BYTES {
        return Err(TooMuch { offset: 0, why: "the file is longer than 1 MiB" });
    }
    let mut measured = Measured::default();
    let mut offset = 0;
    for (count, token) in tokenize(sql).enumerate() {
        let range = offset..offset + token.len as usize;
        offset = range.end;
        let too_much = |why| TooMuch { offset: range.start, why };
        if count == TOKENS {
            return Err(too_much("the file has more than 200,000 words and signs"));
        }
        measured.take(sql, &token, range.clone()).map_err(too_much)?;
    }
    measured.end_statement(sql.len());
    if let Some(open) = measured.brackets.first() {
        return Err(TooMuch { offset: open.offset, why: "a bracket is never closed" });
    }
    let mut text = sql.to_owned().into_bytes();
    for range in measured.blanks {
        // Line breaks stay, so that what comes after is on its line.
        text[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    // Blanks go from one token's end to another's.
    let text = String::from_utf8(text).map_err(|_| TooMuch { offset: 0, why: "the file is no text" })?;
    Ok(Bounded { text, left_out: measured.left_out })
}

struct Open {
    offset: usize,
    closed_by: Bracket,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Round,
    Square,
}

/// What a token does to the brackets that are open.
enum Step {
    Open(Bracket),
    Close(Bracket),
}

fn step(kind: TokenKind) -> Option<Step> {
    match kind {
        TokenKind::OpenParen => Some(Step::Open(Bracket::Round)),
        TokenKind::CloseParen => Some(Step::Close(Bracket::Round)),
        TokenKind::OpenBracket => Some(Step::Open(Bracket::Square)),
        TokenKind::CloseBracket => Some(Step::Close(Bracket::Square)),
        _ => None,
    }
}

#[derive(Default)]
struct Measured {
    brackets: Vec<Open>,
    /// Where the statement begins, without what is before its first word.
    start: Option<usize>,
    tokens: usize,
    depth: usize,
    atomic: usize,
    work: usize,
    blanks: Vec<Range<usize>>,
    left_out: Option<TooMuch>,
}

impl Measured {
    fn take(&mut self, sql: &str, token: &Token, range: Range<usize>) -> Result<(), &'static str> {
        if matches!(
            token.kind,
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment { terminated: true }
        ) {
            return Ok(());
        }
        if token.kind == TokenKind::Semi && self.brackets.is_empty() {
            self.end_statement(range.start);
            return Ok(());
        }
        self.start.get_or_insert(range.start);
        self.tokens += 1;
        match step(token.kind) {
            Some(Step::Open(closed_by)) => {
                self.brackets.push(Open { offset: range.start, closed_by });
                self.depth = self.depth.max(self.brackets.len());
            }
            Some(Step::Close(kind)) if self.brackets.pop().is_none_or(|open| open.closed_by != kind) => {
                return Err("a bracket is closed that is not open");
            }
            _ => {}
        }
        match token.kind {
            TokenKind::Ident if sql[range.clone()].eq_ignore_ascii_case("atomic") => {
                self.atomic += 1;
                if self.atomic > ATOMIC {
                    return Err("the file has more than 100 bodies of `BEGIN ATOMIC`");
                }
            }
            TokenKind::Literal { kind } => {
                let inside = inside(kind, &sql[range.clone()])?;
                let inside = range.start + inside.start..range.start + inside.end;
                match tokens_inside(kind, &sql[inside.clone()]) {
                    Some(tokens) => self.tokens += tokens,
                    // No SQL, so that nothing is to be found in it.
                    None => self.blanks.push(inside),
                }
            }
            TokenKind::BlockComment { .. } => return Err("a comment is never ended"),
            TokenKind::QuotedIdent { terminated: false, .. } => return Err("a name is never ended"),
            _ => {}
        }
        Ok(())
    }

    fn end_statement(&mut self, end: usize) {
        let (tokens, depth) = (std::mem::take(&mut self.tokens), std::mem::take(&mut self.depth));
        let Some(start) = self.start.take() else { return };
        let work = tokens * tokens;
        let why = if tokens > TOKENS_OF_STATEMENT {
            "the statement has more than 8,000 words and signs"
        } else if depth > DEPTH {
            "the statement has more than 100 brackets in brackets"
        } else if self.work + work > WORK {
            "the file has too many long statements"
        } else {
            self.work += work;
            return;
        };
        self.blanks.push(start..end);
        self.left_out.get_or_insert(TooMuch { offset: start, why });
    }
}

/// What is between the quotes.
fn inside(kind: LiteralKind, literal: &str) -> Result<Range<usize>, &'static str> {
    let quoted = |before: usize, terminated: bool| {
        if terminated { Ok(before..literal.len() - 1) } else { Err("a text is never ended") }
    };
    match kind {
        LiteralKind::Int { .. } | LiteralKind::Numeric { .. } => Ok(0..0),
        LiteralKind::Str { terminated } => quoted(1, terminated),
        LiteralKind::NationalStr { terminated }
        | LiteralKind::ByteStr { terminated }
        | LiteralKind::BitStr { terminated }
        | LiteralKind::EscStr { terminated } => quoted(2, terminated),
        LiteralKind::UnicodeEscStr { terminated } => quoted(3, terminated),
        LiteralKind::DollarQuotedString { terminated } => {
            let tag = literal[1..].find('$').map_or(literal.len(), |at| at + 2);
            if terminated && literal.len() >= 2 * tag {
                Ok(tag..literal.len() - tag)
            } else {
                Err("a text is never ended")
            }
        }
    }
}

/// The tokens of a text as if it were SQL, which it is as the body of a function; none if it cannot be.
fn tokens_inside(kind: LiteralKind, text: &str) -> Option<usize> {
    let escaped = match kind {
        LiteralKind::EscStr { .. } | LiteralKind::UnicodeEscStr { .. } => text.contains('\\'),
        _ => false,
    };
    if escaped {
        // What it comes to is not known here, but no more than its bytes.
        return (text.len() <= 500).then_some(text.len());
    }
    let unquoted;
    let text = if !matches!(kind, LiteralKind::DollarQuotedString { .. }) && text.contains("''") {
        unquoted = text.replace("''", "'");
        &unquoted
    } else {
        text
    };
    let (mut brackets, mut count) = (Vec::new(), 0);
    for token in tokenize(text) {
        if matches!(token.kind, TokenKind::Whitespace | TokenKind::LineComment) {
            continue;
        }
        count += 1;
        match step(token.kind) {
            Some(Step::Open(kind)) => brackets.push(kind),
            Some(Step::Close(kind)) if brackets.pop() != Some(kind) => return None,
            _ => {}
        }
        if count > TOKENS_OF_STATEMENT || brackets.len() > DEPTH {
            return None;
        }
    }
    brackets.is_empty().then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(sql: &str) -> Option<(usize, &'static str)> {
        match bounded(sql) {
            Ok(bounded) => bounded.left_out.map(|left_out| (left_out.offset, left_out.why)),
            Err(too_much) => Some((too_much.offset, too_much.why)),
        }
    }

    #[test]
    fn what_is_usual_stays_as_it_is() {
        let sql = "CREATE TABLE é (a text DEFAULT 'it''s' CHECK (a <> '['));\nDO $x$ BEGIN PERFORM f('a)'); END $x$;";
        let expected = sql.replace("'['", "' '");
        assert_eq!(bounded(sql).unwrap().text, expected);
        assert_eq!(why(sql), None);
    }

    #[test]
    fn too_much_is_left_out_with_its_statement_only() {
        let long = format!("SELECT 1;\n  INSERT INTO a VALUES (1){};\nSELECT 2;", ", (1)".repeat(3_000));
        assert_eq!(why(&long), Some((12, "the statement has more than 8,000 words and signs")));
        let text = bounded(&long).unwrap().text;
        assert_eq!(text.len(), long.len());
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["SELECT", "1;", ";", "SELECT", "2;"]);
        let deep = format!("SELECT {}1{};SELECT 2", "(".repeat(101), ")".repeat(101));
        assert_eq!(why(&deep), Some((0, "the statement has more than 100 brackets in brackets")));
        assert_eq!(bounded(&deep).unwrap().text.trim(), ";SELECT 2");
        // As long as its body: it runs as one, whatever semicolons are in it.
        let body = format!("DO $$ BEGIN {} END $$", "IF a THEN b; ".repeat(2_000));
        assert!(why(&body).is_none() && bounded(&body).unwrap().text.contains("DO $$  "));
    }

    #[test]
    fn a_file_without_an_end_has_no_statements() {
        for (sql, expected) in [
            ("SELECT (", (7, "a bracket is never closed")),
            ("SELECT 1);", (8, "a bracket is closed that is not open")),
            ("SELECT (a];", (9, "a bracket is closed that is not open")),
            ("SELECT 'a", (7, "a text is never ended")),
            ("SELECT $a$ $b$", (7, "a text is never ended")),
            ("SELECT \"a", (7, "a name is never ended")),
            ("/* a", (0, "a comment is never ended")),
        ] {
            assert_eq!(why(sql), Some(expected), "{sql}");
        }
        assert!(bounded(&"(".repeat(1 << 20)).is_err());
        assert!(bounded(&";".repeat(1 << 20)).is_err());
        assert!(bounded(&" ".repeat((1 << 20) + 1)).is_err());
    }
}
