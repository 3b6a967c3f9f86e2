//! Whether SQL makes functions whose statements are put together as text, or that set settings by name.
//!
//! Such a function may run what a tenant wrote, with all that the session's login may become.

/// Functions of PostgreSQL's own and of common extensions that run text, or set the setting that a text names.
const RUN_TEXT: [&str; 9] = [
    "set_config",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "ts_stat",
    "ts_rewrite",
    "connectby",
    "xpath_table",
];

/// What the names of whole families of them begin with.
const FAMILIES: [&str; 2] = ["crosstab", "dblink"];

/// The languages whose functions hold nothing else than SQL.
const LANGUAGES: [&str; 4] = ["sql", "plpgsql", "c", "internal"];

/// Takes a word in a comment or a literal for what it says: rather one too many.
pub(super) fn has_dynamic_sql(sql: &str) -> bool {
    let mut rest = sql;
    while let Some((word, after)) = next_word(rest) {
        let found = if is_one_of(word, &["execute"]) {
            !is_a_trigger_s(after) && !is_one_of(following(after), &["on"])
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

/// Whether what comes after `EXECUTE` is a trigger's function, and not a variable called `function` or `procedure`.
fn is_a_trigger_s(text: &str) -> bool {
    let word = following(text);
    let name = text.trim_start().strip_prefix(word).map_or("", following);
    is_one_of(word, &["function", "procedure"]) && !name.is_empty() && !is_one_of(name, &["into", "using"])
}

/// Whether words may be written otherwise than they read: `U&"\0065xecute"`, `E'\x65xecute'`, `'exe'` and `'cute'` on
/// two lines, which are one literal.
fn may_hide_words(sql: &str) -> bool {
    let mut before = ' ';
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or_default();
        let found = match c {
            '&' => before.eq_ignore_ascii_case(&'u') && matches!(next, '"' | '\''),
            '\\' => next.is_ascii_digit() || matches!(next, 'x' | 'u' | 'U'),
            '\'' => {
                let rest = chars.clone().take_while(|c| c.is_whitespace());
                let (blank, line) = rest.fold((0, false), |(n, line), c| (n + 1, line || c == '\n'));
                line && chars.clone().nth(blank) == Some('\'')
            }
            _ => false,
        };
        if found {
            return true;
        }
        before = c;
    }
    false
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
