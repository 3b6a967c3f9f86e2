//! Whether SQL makes functions whose statements are put together as text, or that set settings by name.
//!
//! Such a function may run what a tenant wrote, with all that the session's login may become.

/// Functions of PostgreSQL's own and of common extensions that run text, or set the setting that a text names.
const RUN_TEXT: [&str; 5] = ["set_config", "ts_stat", "ts_rewrite", "connectby", "xpath_table"];

/// What the names of whole families of them begin with, and of those that read whatever table a text names.
const FAMILIES: [&str; 8] = [
    "query_to_xml",
    "cursor_to_xml",
    "table_to_xml",
    "schema_to_xml",
    "database_to_xml",
    "crosstab",
    "dblink",
    "pgr_",
];

/// What comes after `LANGUAGE` where functions hold nothing else than SQL, or where it is a column.
const LANGUAGES: [&str; 6] = ["sql", "plpgsql", "text", "varchar", "character", "char"];

/// Words that cannot name a trigger's function, since they go on an expression, and may have a parenthesis behind them.
const GO_ON: [&str; 21] = [
    "into",
    "using",
    "where",
    "limit",
    "offset",
    "fetch",
    "group",
    "order",
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "for",
    "operator",
    "collate",
    "in",
    "and",
    "or",
    "is",
    "between",
];

/// Takes a word in a comment or a literal for what it says: rather one too many.
pub(super) fn has_dynamic_sql(sql: &str) -> bool {
    let mut rest = sql;
    while let Some((word, after)) = next_word(rest) {
        let found = if is_one_of(word, &["execute"]) {
            !is_a_trigger_s(after) && !is_one_of(bare(after), &["on"])
        } else if is_one_of(word, &["language"]) {
            !is_one_of(following(after), &LANGUAGES)
        } else if is_one_of(word, &["set"]) {
            // SET ROLE, SET LOCAL ROLE, SET SESSION AUTHORIZATION; or a comment in between.
            is_one_of(following(after), &["role", "session", "local"]) || starts_with_comment(after)
        } else {
            let family = |start: &&str| word.get(..start.len()).is_some_and(|word| is_one_of(word, &[start]));
            is_one_of(word, &RUN_TEXT) || FAMILIES.iter().any(family)
        };
        if found {
            return true;
        }
        rest = after;
    }
    may_hide_words(sql)
}

fn is_one_of(word: &str, those: &[&str]) -> bool {
    those.iter().any(|that| word.eq_ignore_ascii_case(that))
}

/// The first word of a text, and what comes after it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let text = &text[text.find(is_word)?..];
    Some(text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len())))
}

/// The word that a text begins with, if only blanks or a quote come before it.
fn following(text: &str) -> &str {
    let text = text.trim_start();
    let text = text.strip_prefix(['"', '\'']).unwrap_or(text);
    next_word(text).filter(|(word, _)| text.starts_with(word)).map_or("", |(word, _)| word)
}

fn starts_with_comment(text: &str) -> bool {
    ["--", "/*"].iter().any(|start| text.trim_start().starts_with(start))
}

/// The bare word that a text begins with, if only blanks come before it.
fn bare(text: &str) -> &str {
    if text.trim_start().starts_with('"') { "" } else { following(text) }
}

/// Whether what comes after `EXECUTE` is a trigger's function, and not a variable called `function` or `procedure`.
fn is_a_trigger_s(text: &str) -> bool {
    let word = bare(text);
    let rest = text.trim_start().strip_prefix(word).unwrap_or_default();
    let name = following(rest);
    // `name(`, or of a schema.
    let after = next_word(rest).map_or("", |(_, after)| after.strip_prefix('"').unwrap_or(after));
    is_one_of(word, &["function", "procedure"])
        && !name.is_empty()
        && !is_one_of(bare(rest), &GO_ON)
        && after.trim_start().starts_with(['(', '.'])
}

/// Whether words may be written otherwise than they read: `U&"\0065xecute"`, `E'\x65xecute'`, `E'ex\ecute'`, `'exe'` and
/// `'cute'` on two lines, which are one literal.
fn may_hide_words(sql: &str) -> bool {
    let mut before = ' ';
    let mut chars = sql.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map_or(' ', |(_, next)| *next);
        let found = match c {
            '&' => before.eq_ignore_ascii_case(&'u') && matches!(next, '"' | '\''),
            '\\' => {
                next.is_ascii_digit()
                    || matches!(next, 'x' | 'u' | 'U')
                    // Others stand for themselves; these for blanks.
                    || (before.is_ascii_alphabetic() && next.is_ascii_alphabetic() && !"bfnrt".contains(next))
            }
            '\'' => goes_on(&sql[at + 1..]),
            _ => false,
        };
        if found {
            return true;
        }
        before = c;
    }
    false
}

/// Bytes of a comment behind a literal that are looked at.
const LONGEST_COMMENT: usize = 256;

/// Whether a literal that has ended goes on: after the end of a line, and comments.
fn goes_on(text: &str) -> bool {
    let mut rest = text;
    let mut lines = false;
    loop {
        let blank = rest.trim_start();
        lines |= rest[..rest.len() - blank.len()].contains(['\n', '\r']);
        match blank.strip_prefix("--") {
            // Of a longer one it is not known: each quote in a long line would be followed to its end.
            Some(comment) => {
                match comment.bytes().take(LONGEST_COMMENT).position(|c| matches!(c, b'\n' | b'\r')) {
                    Some(end) => rest = &comment[end..],
                    None => return comment.len() > LONGEST_COMMENT,
                }
            }
            None => return lines && blank.starts_with('\''),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_dynamic_sql;

    #[test]
    fn functions_that_run_text_are_found() {
        for sql in [
            "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE t; END $$",
            "BEGIN\nexecute\nformat('select %s', t); END",
            "DECLARE procedure text := t; BEGIN EXECUTE procedure; END",
            "DECLARE function text := t; BEGIN EXECUTE function INTO r; END",
            "BEGIN EXECUTE function || t; END",
            "DECLARE \"on\" text := t; BEGIN EXECUTE \"on\"; END",
            "BEGIN EXECUTE function WHERE true; END",
            "BEGIN EXECUTE function LIMIT (1); END",
            "BEGIN EXECUTE function COLLATE \"C\"; END",
            r"CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS E'BEGIN EX\ECUTE t; END'",
            "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXEC' -- c\n'UTE t; END'",
            "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXEC'\r'UTE t; END'",
            "CREATE FUNCTION f(t text, u text, v bool) RETURNS text LANGUAGE internal AS 'set_config_by_name'",
            "SELECT table_to_xml(t::regclass, true, true, '')",
            "BEGIN EXECUTE /* function f */ t; END",
            "CREATE FUNCTION f() RETURNS void AS 'pass' LANGUAGE /* sql */ plpython3u",
            "BEGIN SET LOCAL -- it is\n ROLE x; END",
            "BEGIN SET /* it */ ROLE x; END",
            "SELECT query_to_xml(t, true, true, '')",
            "SELECT * FROM dblink_open('c', t)",
            "SELECT pg_catalog.set_config(a, b, true)",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpython3u AS 'pass'",
            "CREATE FUNCTION f() RETURNS void AS $$ SET LOCAL ROLE x $$ LANGUAGE sql",
            r#"SELECT U&"set\005fconfig"(a, b, true)"#,
            r"CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS E'BEGIN \x65xecute t; END'",
            "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXEC'\n  'UTE t; END'",
        ] {
            assert!(has_dynamic_sql(sql), "{sql}");
        }
    }

    #[test]
    fn what_is_common_is_not() {
        for sql in [
            "CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
            "CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE PROCEDURE \"Set\"()",
            "CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE FUNCTION app.\"Set\" ('x')",
            "CREATE TABLE a (language text, pattern text CHECK (pattern ~ '^\\w+$'))",
            "GRANT EXECUTE ON FUNCTION f TO PUBLIC",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := now(); RETURN NEW; END $$",
            "UPDATE a SET b = 1 WHERE executed",
            "CREATE FUNCTION f() RETURNS int LANGUAGE 'sql' AS 'SELECT 1'",
            "INSERT INTO a VALUES ('b'),\n('c'),\n(E'd\\n'); SELECT 1 & b",
        ] {
            assert!(!has_dynamic_sql(sql), "{sql}");
        }
    }
}
