//! The control plane reads whatever is pushed: no text makes it panic, overflow a stack or take long.

use std::{
    panic,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tenantry_lint::{Known, lint};

/// SQL that the mutations begin with.
const SQL: &[&str] = &[
    "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text DEFAULT 'it''s' NOT NULL CHECK (b <> ''));\n",
    "ALTER TABLE t ADD COLUMN c timestamp DEFAULT clock_timestamp(), DROP COLUMN b, ALTER c TYPE date USING c::date;\n",
    "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY i ON app.t USING gin (b extensions.gin_trgm_ops) WHERE id > 1;\n",
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM app.t LOOP EXECUTE 'x'; ALTER TABLE t ADD d int; END LOOP; END $$;\n",
    "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $x$ BEGIN RETURN NEW.a + app.g(a); END $x$;\n",
    "CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END FROM app.t; SELECT 2; END;\n",
    "CREATE FUNCTION h() RETURNS int LANGUAGE sql AS E'SELECT \\x28 1 FROM app.t';\n",
    "INSERT INTO t (b) VALUES ('ä'), (U&'\\00e4'), (E'\\n') ON CONFLICT DO NOTHING; UPDATE t SET b = 1; /* /* x */ */\n",
    "SET search_path = a; SELECT set_config('search_path', \"B\".c, true), a.b.c, 'x.y'::regclass FROM x.y AS z JOIN w USING (v);\n",
    "-- squawk-ignore ban-drop-column, nonsense\nALTER TABLE t DROP COLUMN b; VACUUM (FULL true) t; DROP TABLE x, y CASCADE;\n",
];

/// What goes on for as long as a file may, in ways that the parser goes down, or looks far ahead.
const REPEATED: &[(&str, &str, &str)] = &[
    ("SELECT ", "(", ""),
    ("SELECT ", "(1)", ""),
    ("SELECT ", "NOT ", "true"),
    ("SELECT ", "- ", "1"),
    ("SELECT 1", "+1", ""),
    ("SELECT 1", "::int", ""),
    ("SELECT a", ".b", ""),
    ("SELECT true", " AND a = 1", ""),
    ("SELECT ", "CASE WHEN ", ""),
    ("SELECT ", "CASE WHEN a THEN ", " 1"),
    ("SELECT ", "ARRAY[", ""),
    ("SELECT ", "f(", ""),
    ("SELECT * FROM a", " JOIN b", ""),
    ("SELECT * FROM a", " JOIN b ON true", ""),
    ("SELECT * FROM a", ", LATERAL b", ""),
    ("SELECT 1", " UNION SELECT 1", ""),
    ("SELECT 1", " a BETWEEN 1", ""),
    ("", "EXPLAIN ", "SELECT 1"),
    ("", "PREPARE x AS ", "SELECT 1"),
    ("", "WITH a AS (", "SELECT 1"),
    ("", "CREATE SCHEMA a ", ""),
    ("", "DROP INDEX i; ", ""),
    ("", "CREATE INDEX ON t (a);\n", ""),
    ("", "ALTER TABLE t ADD CHECK (a > 0);", ""),
    ("", "CREATE TABLE t (a timestamp);", ""),
    ("", "INSERT INTO a.b VALUES (1);", ""),
    ("", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM a.b';", ""),
    ("", "DO 'BEGIN ALTER TABLE t DROP COLUMN a; END';", ""),
    ("", "DO $$ BEGIN SELECT ((((((((1)))))))); END $$;", ""),
    ("", ";", ""),
    ("", "(];", ""),
    ("", "BEGIN ATOMIC ", ""),
    ("", "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE END; ", ""),
    ("", "-- squawk-ignore x\n", ""),
    ("", "/*", ""),
    ("", "'(' ", ""),
    ("", "\"", ""),
    ("", "a,", ""),
    ("INSERT INTO a VALUES (1)", ", (1)", ""),
    ("CREATE TABLE a (b int", ", b int", ")"),
    ("ALTER TABLE a ADD b int", ", ADD b int", ""),
    ("DO $$ BEGIN ", "IF a THEN ", " END $$"),
    ("DO $$ BEGIN ", "IF a THEN b; ", " END $$"),
    ("DO $$ ", "BEGIN ", " END $$"),
    ("DO $$ ", "DROP TABLE a; ", " $$"),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT ", "NOT ", "true'"),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS E'SELECT ", "\\x28", "'"),
];

/// Ten times what the slowest takes, for machines that have other work; what grows without bounds takes minutes.
const LONG: Duration = Duration::from_secs(10);

/// Panics of the parser: the lint itself makes a finding of them.
static PANICS: AtomicUsize = AtomicUsize::new(0);
static COUNTED: Once = Once::new();

/// How long it took.
fn linted(sql: &str) -> Duration {
    COUNTED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() == Some("lint") {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
    let began = Instant::now();
    lint(sql, &Known::nothing());
    let took = began.elapsed();
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "the parser panicked");
    took
}

#[test]
fn what_goes_on_and_on_ends() {
    let mut slow = Vec::new();
    for (before, repeated, after) in REPEATED {
        // As much as is looked at of one statement, of a file of many, and as can be pushed.
        let tokens = repeated.split_whitespace().count().max(1);
        for times in [3_000 / tokens, 7_900 / tokens, 40_000 / tokens, (1 << 20) / repeated.len() - 200] {
            let sql = format!("{before}{}{after}", repeated.repeat(times));
            let took = linted(&sql);
            if took > LONG {
                slow.push(format!("{took:?}: {before}{repeated}{after} {times} times"));
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

fn mutated() -> impl Strategy<Value = String> {
    let edit =
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8);
    let files = prop::collection::vec(prop::sample::select(SQL), 1..4);
    (files, prop::collection::vec(edit, 0..6)).prop_map(|(files, edits)| {
        let mut words: Vec<String> = files
            .concat()
            .split_inclusive([' ', '(', ')', ';', '\n', '.', '\''])
            .map(str::to_owned)
            .collect();
        for (at, from, to, kind) in edits {
            let (at, from, to) = (at.index(words.len()), from.index(words.len()), to.index(words.len()));
            match kind {
                0 if words.len() > 1 => drop(words.remove(at)),
                1 => words.swap(from, to),
                2 => words.insert(at, words[from].clone()),
                _ => {
                    let first = words[at].chars().next().map_or(0, char::len_utf8);
                    words[at].truncate(first);
                }
            }
        }
        words.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        linted(&text);
    }

    #[test]
    fn any_signs_are_read(text in "[-a-c0-2 ,.;:'\"$()\\[\\]{}*/\\\\%&|=<>!?@#~^`\n]{0,120}") {
        linted(&text);
    }

    #[test]
    fn what_is_nearly_sql_is_read(sql in mutated()) {
        let took = linted(&sql);
        prop_assert!(took < LONG, "{took:?}");
    }
}
