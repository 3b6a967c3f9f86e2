//! What a file of SQL must not hold, because of where it runs: in one transaction that Tenantry begins,
//! in a schema whose name it does not know. By its tokens; whether it parses is PostgreSQL's to say.

use sqlparser::{
    dialect::PostgreSqlDialect,
    tokenizer::{Token as SqlToken, Tokenizer},
};

/// What is wrong, and on which line, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) line: u64,
    pub(super) rule: &'static str,
    pub(super) message: String,
}

/// Schemas that are the same for every tenant.
const COMMON_SCHEMAS: [&str; 3] =
    ["pg_catalog", "information_schema", tenantry_domain::names::EXTENSIONS_SCHEMA];

/// Words that what they name follows, in any statement.
const BEFORE_NAMES: [&str; 3] = ["from", "join", "references"];

/// Functions with a FROM among their arguments that names no table.
const FROM_INSIDE: [&str; 5] = ["extract", "substring", "trim", "overlay", "position"];

/// A token that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: u64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A keyword or a name, in lower case unless it is quoted.
    Word(String),
    /// A string.
    Text(String),
    /// A dollar-quoted string, a function's body most likely.
    Body(String),
    Semicolon,
    Period,
    Open,
    Close,
    Cast,
    Backslash,
    Other,
}

/// Whether there is nothing but space and comments. What cannot be read as tokens is something.
pub(super) fn is_empty(sql: &str) -> bool {
    tokens(sql, 1).is_ok_and(|tokens| tokens.is_empty())
}

/// All flaws of a file.
pub(super) fn flaws(sql: &str) -> Vec<Flaw> {
    let tokens = match tokens(sql, 1) {
        Ok(tokens) => tokens,
        Err(flaw) => return vec![flaw],
    };
    let mut flaws = Vec::new();
    for statement in statements(&tokens) {
        of_statement(statement, &mut flaws);
        of_names(statement, &mut flaws);
    }
    flaws
}

fn tokens(sql: &str, first_line: u64) -> Result<Vec<Token>, Flaw> {
    let read = Tokenizer::new(&PostgreSqlDialect {}, sql).with_unescape(false).tokenize_with_location();
    let read = read.map_err(|error| Flaw {
        line: first_line - 1 + error.location.line.max(1),
        rule: "unreadable",
        message: format!("cannot be read as SQL: {}", error.message),
    })?;
    let tokens = read.into_iter().filter_map(|token| {
        let line = first_line - 1 + token.span.start.line;
        let kind = match token.token {
            SqlToken::Whitespace(_) | SqlToken::EOF => return None,
            SqlToken::Word(word) if word.quote_style.is_some() => Kind::Word(word.value),
            SqlToken::Word(word) => Kind::Word(word.value.to_lowercase()),
            SqlToken::SingleQuotedString(text) => Kind::Text(text),
            SqlToken::DollarQuotedString(body) => Kind::Body(body.value),
            SqlToken::SemiColon => Kind::Semicolon,
            SqlToken::Period => Kind::Period,
            SqlToken::LParen => Kind::Open,
            SqlToken::RParen => Kind::Close,
            SqlToken::DoubleColon => Kind::Cast,
            SqlToken::Backslash => Kind::Backslash,
            _ => Kind::Other,
        };
        Some(Token { line, kind })
    });
    Ok(tokens.collect())
}

/// The statements; the semicolons between `BEGIN ATOMIC` and its `END` end none.
fn statements(tokens: &[Token]) -> Vec<&[Token]> {
    let mut statements = Vec::new();
    let (mut begin, mut depth) = (0, 0_u32);
    for (at, token) in tokens.iter().enumerate() {
        match (&token.kind, depth) {
            (Kind::Word(word), 0) if word == "begin" && word_at(tokens, at + 1) == Some("atomic") => {
                depth = 1;
            }
            (Kind::Word(word), 1..) if word == "case" => depth += 1,
            (Kind::Word(word), 1..) if word == "end" => depth -= 1,
            (Kind::Semicolon, 0) => {
                statements.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    statements.push(&tokens[begin..]);
    statements.retain(|statement| !statement.is_empty());
    statements
}

fn word_at(tokens: &[Token], at: usize) -> Option<&str> {
    match tokens.get(at).map(|token| &token.kind) {
        Some(Kind::Word(word)) => Some(word),
        _ => None,
    }
}

/// The line of the first place where these words follow each other.
fn line_of(tokens: &[Token], words: &[&str]) -> Option<u64> {
    let follow = |at: &usize| words.iter().enumerate().all(|(i, word)| word_at(tokens, at + i) == Some(word));
    (0..tokens.len()).find(follow).map(|at| tokens[at].line)
}

/// What a statement must not be.
fn of_statement(statement: &[Token], flaws: &mut Vec<Flaw>) {
    let line = statement[0].line;
    let mut flaw = |line, rule, message: &str| flaws.push(Flaw { line, rule, message: message.to_owned() });
    let words = |at: usize| word_at(statement, at).unwrap_or_default();

    if statement[0].kind == Kind::Backslash {
        return flaw(line, "psql-command", "is a command of psql, not SQL");
    }
    let transaction = match words(0) {
        "begin" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => true,
        "start" | "prepare" => words(1) == "transaction",
        _ => false,
    };
    if transaction {
        flaw(
            line,
            "transaction-control",
            "controls the transaction; each file runs in one that Tenantry begins",
        );
    }
    // A fixed search path of a function may name schemas that all tenants have.
    let is_function = (0..4).any(|at| matches!(words(at), "function" | "procedure" | "routine"))
        && matches!(words(0), "create" | "alter");
    let path = ["session", "local"].into_iter().find_map(|s| line_of(statement, &["set", s, "search_path"]));
    let path = path.or_else(|| line_of(statement, &["set", "search_path"]));
    if let Some(line) = path.or_else(|| line_of(statement, &["search_path", "from", "current"])) {
        if line_of(statement, &["search_path", "from", "current"]).is_some() {
            let message = "`search_path FROM CURRENT` keeps the schema's name as it was when the file ran; leave it out";
            flaw(line, "search-path", message);
        } else if !is_function {
            flaw(line, "search-path", "sets the search path; the tenant's schema is on it already");
        }
    }
    if words(0) == "create" && words(1) == "extension" {
        flaw(line, "extension", "creates an extension; name it in manifest.toml under `extensions`");
    }
    if words(0) == "copy" && line_of(statement, &["from", "stdin"]).is_some() {
        flaw(line, "copy", "reads data that a file of SQL cannot hold; use INSERT");
    }
}

/// Names with a schema: the tenant's schema has another name for each tenant.
fn of_names(statement: &[Token], flaws: &mut Vec<Flaw>) {
    // For each open parenthesis, whether a FROM directly inside names a table.
    let mut parentheses: Vec<bool> = Vec::new();
    let header = header_name(statement);
    for (at, token) in statement.iter().enumerate() {
        let previous = at.checked_sub(1).and_then(|before| word_at(statement, before));
        match &token.kind {
            Kind::Open => parentheses.push(!previous.is_some_and(|word| FROM_INSIDE.contains(&word))),
            Kind::Close => {
                parentheses.pop();
            }
            Kind::Text(text) if text == "search_path" && is_set_config(statement, at) => flaws.push(Flaw {
                line: token.line,
                rule: "search-path",
                message: "sets the search path; the tenant's schema is on it already".to_owned(),
            }),
            Kind::Body(body) => of_body(body, token.line, flaws),
            Kind::Word(word) => {
                let names = BEFORE_NAMES.contains(&word.as_str())
                    && previous != Some("distinct")
                    && (word != "from" || parentheses.last().copied().unwrap_or(true));
                let inserts = word == "into" && matches!(previous, Some("insert" | "merge"));
                let calls = matches!(word.as_str(), "function" | "procedure") && previous == Some("execute");
                if names || inserts || calls {
                    let name =
                        at + 1 + usize::from(matches!(word_at(statement, at + 1), Some("only" | "lateral")));
                    qualified(statement, name, flaws);
                } else if header == Some(at) || (at == 0 && word == "update") {
                    qualified(statement, if header == Some(at) { at } else { 1 }, flaws);
                } else if word == "public" && statement.get(at + 1).is_some_and(|t| t.kind == Kind::Period) {
                    // Told already where a name was expected.
                    if flaws.last().is_none_or(|flaw| flaw.line != token.line || flaw.rule != "schema-name") {
                        qualified(statement, at, flaws);
                    }
                }
            }
            Kind::Cast => qualified(statement, at + 1, flaws),
            _ => {}
        }
    }
}

/// Where the name is that a CREATE, ALTER, DROP, TRUNCATE, COMMENT, GRANT or REVOKE is about.
fn header_name(statement: &[Token]) -> Option<usize> {
    const OBJECTS: [&str; 11] = [
        "table",
        "view",
        "sequence",
        "type",
        "domain",
        "function",
        "procedure",
        "aggregate",
        "routine",
        "index",
        "statistics",
    ];
    let word = |at| word_at(statement, at).unwrap_or_default();
    let position =
        |names: &[&str], most: usize| (1..most.min(statement.len())).find(|at| names.contains(&word(*at)));
    let attached = |at: &usize| matches!(word(*at), "trigger" | "policy" | "rule" | "index");
    let first = match word(0) {
        // These are on a table; an index has a name of its own first, and never a schema.
        "create" | "drop" | "alter" if (1..5).any(|at| attached(&at)) => position(&["on"], usize::MAX)?,
        "create" | "alter" | "drop" | "comment" | "lock" => position(&OBJECTS, 6)?,
        "truncate" => usize::from(word(1) == "table"),
        "grant" | "revoke" => position(&["on"], usize::MAX)?,
        _ => return None,
    };
    let skipped =
        ["if", "not", "exists", "only", "concurrently", "table", "sequence", "function", "procedure"];
    let name = (first + 1..statement.len()).find(|at| !skipped.contains(&word(*at)))?;
    // COMMENT ON COLUMN has a column's name last, and is no object above.
    Some(name)
}

fn is_set_config(statement: &[Token], at: usize) -> bool {
    at >= 2 && statement[at - 1].kind == Kind::Open && word_at(statement, at - 2) == Some("set_config")
}

/// Notes `schema.name` where a name is expected.
fn qualified(statement: &[Token], at: usize, flaws: &mut Vec<Flaw>) {
    let period = statement.get(at + 1).is_some_and(|token| token.kind == Kind::Period);
    let (Some(schema), true, Some(name)) = (word_at(statement, at), period, word_at(statement, at + 2))
    else {
        return;
    };
    if COMMON_SCHEMAS.contains(&schema) {
        return;
    }
    flaws.push(Flaw {
        line: statement[at].line,
        rule: "schema-name",
        message: format!("`{schema}.{name}` names a schema; each tenant has its own, so write `{name}`"),
    });
}

/// A body of a function or of DO: its names, and what it does to the search path. Its BEGIN and END are
/// blocks, no transactions.
fn of_body(body: &str, first_line: u64, flaws: &mut Vec<Flaw>) {
    // A body in another language than SQL need not be readable.
    let Ok(tokens) = tokens(body, first_line) else { return };
    for statement in statements(&tokens) {
        if let Some(line) = line_of(statement, &["set", "search_path"]) {
            let message = "sets the search path; the tenant's schema is on it already".to_owned();
            flaws.push(Flaw { line, rule: "search-path", message });
        }
        of_names(statement, flaws);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sql: &str) -> Vec<(u64, &'static str)> {
        flaws(sql).into_iter().map(|flaw| (flaw.line, flaw.rule)).collect()
    }

    #[test]
    fn sql_without_a_schema_is_fine() {
        for sql in [
            "CREATE TABLE a (id bigint PRIMARY KEY, type text, b_id bigint REFERENCES b (id));",
            "CREATE INDEX i ON a (lower(name)); CREATE TRIGGER t BEFORE UPDATE OF x ON a EXECUTE FUNCTION f();",
            "SELECT a.x, b.y FROM a JOIN b ON a.id = b.a_id WHERE a.x IS DISTINCT FROM b.y;",
            "SELECT extract(epoch FROM a.created_at), substring(a.name FROM 2), trim(BOTH FROM a.name) FROM a;",
            "UPDATE a SET x = b.y FROM b WHERE a.id = b.id;",
            "INSERT INTO a SELECT pg_catalog.now(), x::pg_catalog.text, extensions.similarity(x, y) FROM b;",
            "COMMENT ON COLUMN a.name IS 'public.x is no name here';",
            "ALTER TABLE a ADD CONSTRAINT c CHECK (public IS NOT NULL); ALTER SEQUENCE s OWNED BY a.id;",
            "-- BEGIN; SET search_path = x;\n/* public.a */ SELECT 'public.a', E'it\\'s';",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN x THEN 1 END; SELECT 2; END;",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.a IS DISTINCT FROM OLD.a THEN SELECT 1 INTO NEW.b; END IF; RETURN NEW; END $$;",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_catalog AS 'SELECT 1';",
            "PREPARE p AS SELECT 1;",
        ] {
            assert_eq!(flaws(sql), [], "{sql}");
        }
    }

    #[test]
    fn a_name_with_a_schema_is_found_where_it_stands() {
        for sql in [
            "CREATE TABLE IF NOT EXISTS\n app.a (id int);",
            "CREATE OR REPLACE FUNCTION\n public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            "SELECT * FROM\n app.a;",
            "SELECT * FROM a JOIN\n app.b ON true;",
            "CREATE TABLE a (b_id int REFERENCES\n app.b);",
            "CREATE INDEX ON\n app.a (x);",
            "INSERT INTO\n \"App\".a VALUES (1);",
            "UPDATE\n app.a SET x = 1;",
            "DELETE FROM ONLY\n app.a;",
            "TRUNCATE\n app.a;",
            "DROP TABLE IF EXISTS\n tenant_acme.a;",
            "SELECT a::\n app.kind;",
            "SELECT 1,\n public.f();",
            "GRANT SELECT ON TABLE\n app.a TO x;",
            "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION\n app.f();",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN DELETE FROM\n app.a; END $body$;",
            "DO $$ BEGIN PERFORM\n public.f(); END $$;",
        ] {
            assert_eq!(rules(sql), [(2, "schema-name")], "{sql}");
        }
    }

    #[test]
    fn the_transaction_is_not_the_file_s() {
        for word in [
            "BEGIN",
            "START TRANSACTION",
            "COMMIT",
            "END",
            "ROLLBACK",
            "SAVEPOINT s",
            "PREPARE TRANSACTION 'x'",
        ] {
            assert_eq!(rules(&format!("SELECT 1;\n{word};")), [(2, "transaction-control")], "{word}");
        }
    }

    #[test]
    fn the_search_path_is_not_the_file_s() {
        for sql in [
            "\nSET search_path TO app;",
            "\nSET LOCAL search_path = app, public;",
            "\nSET SESSION search_path = '';",
            "\nSELECT set_config('search_path', 'app', true);",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql\nSET search_path FROM CURRENT AS 'SELECT 1';",
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN\nSET search_path = app; END $$;",
            "ALTER FUNCTION f()\nSET search_path FROM CURRENT;",
        ] {
            assert_eq!(rules(sql), [(2, "search-path")], "{sql}");
        }
    }

    #[test]
    fn what_belongs_elsewhere_is_found() {
        assert_eq!(rules("SELECT 1;\n\\i other.sql\n"), [(2, "psql-command")]);
        assert_eq!(rules("CREATE EXTENSION pg_trgm;"), [(1, "extension")]);
        assert_eq!(rules("COPY a FROM STDIN;"), [(1, "copy")]);
        assert_eq!(rules("SELECT 1;\nSELECT 'open;\n"), [(2, "unreadable")]);
    }

    #[test]
    fn what_postgresql_reads_can_be_read() {
        for sql in [
            "SELECT a->>'x', a #>> '{b,c}', a @> '{}', a ? 'k', a ?| ARRAY['k'], a ?& b, a @? '$.x', a @@ '$.y';",
            "SELECT a <-> b, a <=> b, a <@ b, a && b, a || b, a ~* 'x', a !~ 'y', a % b, a ^ 2, |/ 25, @ -5;",
            "SELECT a OPERATOR(pg_catalog.+) b, x[1:2], (r).f, '1'::numeric(4,2), 1e10, .5, 1_000, 0x1F;",
            "SELECT E'\\x41\\'', U&'d\\0061t', B'01', X'1F', N'n', 'a' 'b', 'it''s', $1, $tag$ $$ $tag$;",
            "SELECT f(a => 1, b := 2), ARRAY(SELECT 1), CAST(a AS text) COLLATE \"C\", interval '1 day';",
            "CREATE INDEX ON a USING gin (name gin_trgm_ops) WHERE (b IS NOT NULL);",
            "CREATE TABLE a (id uuid DEFAULT gen_random_uuid(), t tsvector GENERATED ALWAYS AS (f(x)) STORED);",
        ] {
            assert_eq!(flaws(sql), [], "{sql}");
        }
    }

    #[test]
    fn comments_are_nothing() {
        assert!(is_empty(" \n-- a\n/* b /* c */ */\n"));
        assert!(!is_empty("SELECT 1"));
        assert!(!is_empty("'open"));
    }
}
