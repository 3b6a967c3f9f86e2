//! Whether SQL makes functions whose statements are put together as text, or that set settings by name.
//!
//! Such a function may run what a tenant wrote, with all that the session's login may become.

/// Functions of PostgreSQL's own and of common extensions that run text, or set the setting that a text names.
const RUN_TEXT: [&str; 11] = [
    "set_config",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "ts_stat",
    "ts_rewrite",
    "dblink",
    "dblink_exec",
    "dblink_send_query",
    "connectby",
];

/// What the names of a whole family of them begin with.
const CROSSTAB: &str = "crosstab";

/// The languages whose functions hold nothing else than SQL.
const LANGUAGES: [&str; 4] = ["sql", "plpgsql", "c", "internal"];

/// Takes a word in a comment or a literal for what it says: rather one too many.
pub(super) fn has_dynamic_sql(sql: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_one_of = |word: &str, those: &[&str]| those.iter().any(|that| word.eq_ignore_ascii_case(that));
    let mut words = sql.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).peekable();
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        let found = if word.eq_ignore_ascii_case("execute") {
            // Of a trigger, or a right.
            !is_one_of(next, &["function", "procedure", "on"])
        } else if word.eq_ignore_ascii_case("language") {
            !is_one_of(next, &LANGUAGES)
        } else if word.eq_ignore_ascii_case("set") {
            // SET ROLE, SET LOCAL ROLE, SET SESSION AUTHORIZATION.
            is_one_of(next, &["role", "session", "local"])
        } else {
            is_one_of(word, &RUN_TEXT)
                || word.get(..CROSSTAB.len()).is_some_and(|start| start.eq_ignore_ascii_case(CROSSTAB))
        };
        if found {
            return true;
        }
    }
    may_hide_words(sql)
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
            "SELECT query_to_xml(t, true, true, '')",
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
