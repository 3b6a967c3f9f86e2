//! Each rule: a form that it finds, by line, and the safer form, in which it finds nothing.

use std::collections::BTreeSet;

use tenantry_lint::{Known, Rule, ViewColumn, Weight, lint};

/// Tenants have `t (a, b)` with the view `v` on `a`, and the small table `few`.
fn known<'a>() -> Known<'a> {
    let versions =
        [migration(1, "CREATE TABLE t (a int, b int); CREATE TABLE few (a int); CREATE INDEX t_a ON t (a);")];
    let mut known = Known::nothing().after(&versions);
    known.rows.insert("t", 1_000_000);
    known.rows.insert("few", 100);
    known.views.push(ViewColumn { view: "v", table: "t", column: "a" });
    known
}

fn migration(version: i64, up: &str) -> tenantry_domain::app::Migration {
    let version = version.try_into().expect("versions are positive");
    tenantry_domain::app::Migration { version, name: "m".into(), up: up.into(), down: None }
}

fn found(sql: &str, known: &Known<'_>) -> Vec<(String, u32)> {
    lint(sql, known).into_iter().map(|finding| (finding.rule.to_string(), finding.line)).collect()
}

/// Rule, what it finds in line 2, what it does not find.
const RULES: &[(&str, &str, &str)] = &[
    (
        "require-concurrent-index-creation",
        "-- \nCREATE INDEX i ON t (b);",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (b);",
    ),
    (
        "require-concurrent-reindex",
        "-- \nREINDEX TABLE t;",
        "-- no-transaction\nREINDEX TABLE CONCURRENTLY t;",
    ),
    (
        "require-concurrent-partition-detach",
        "-- \nALTER TABLE t DETACH PARTITION p;",
        "-- no-transaction\nALTER TABLE t DETACH PARTITION p CONCURRENTLY;",
    ),
    (
        "constraint-missing-not-valid",
        "-- \nALTER TABLE t ADD CONSTRAINT c CHECK (b > 0);",
        "-- \nALTER TABLE t ADD CONSTRAINT c CHECK (b > 0) NOT VALID;",
    ),
    (
        "constraint-missing-not-valid",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\nALTER TABLE t VALIDATE CONSTRAINT c;",
        "-- \nALTER TABLE t VALIDATE CONSTRAINT c;",
    ),
    ("constraint-missing-not-valid", "-- \nALTER TABLE t ADD c int CHECK (c > 0);", "-- \nALTER TABLE t ADD c int;"),
    (
        "adding-foreign-key-constraint",
        "-- \nALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES few (a);",
        "-- \nALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES few (a) NOT VALID;",
    ),
    (
        "adding-exclusion-constraint",
        "-- \nALTER TABLE t ADD CONSTRAINT c EXCLUDE USING gist (b WITH =);",
        "-- \nCREATE TABLE n (b int, CONSTRAINT c EXCLUDE USING gist (b WITH =));",
    ),
    (
        "adding-serial-primary-key-field",
        "-- \nALTER TABLE t ADD PRIMARY KEY (b);",
        "-- \nALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_b;",
    ),
    (
        "disallowed-unique-constraint",
        "-- \nALTER TABLE t ADD CONSTRAINT c UNIQUE (b);",
        "-- \nALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX t_b;",
    ),
    ("disallowed-unique-constraint", "-- \nALTER TABLE t ADD c int UNIQUE;", "-- \nALTER TABLE t ADD c int;"),
    (
        "adding-not-nullable-field",
        "-- \nALTER TABLE t ALTER COLUMN b SET NOT NULL;",
        "-- \nALTER TABLE t ADD CONSTRAINT b_is_there CHECK (b IS NOT NULL) NOT VALID;",
    ),
    (
        "adding-field-with-default",
        "-- \nALTER TABLE t ADD COLUMN c uuid DEFAULT gen_random_uuid();",
        "-- \nALTER TABLE t ADD COLUMN c uuid; ALTER TABLE t ALTER COLUMN c SET DEFAULT gen_random_uuid();",
    ),
    (
        "adding-field-with-default",
        "-- \nALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a + 1) STORED;",
        "-- \nALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a + 1) VIRTUAL;",
    ),
    (
        "adding-field-with-default",
        "ALTER TABLE t ADD COLUMN c timestamptz DEFAULT now(),\n  ADD COLUMN d timestamptz DEFAULT clock_timestamp();",
        "-- \nALTER TABLE t ADD COLUMN c timestamptz NOT NULL DEFAULT now(), ADD COLUMN d text DEFAULT 'x',
             ADD COLUMN e int DEFAULT -1, ADD COLUMN f date DEFAULT current_date, ADD COLUMN g text DEFAULT lower('A'),
             ADD COLUMN h timestamptz DEFAULT now() - interval '1 day', ADD COLUMN i jsonb DEFAULT '{}'::jsonb;",
    ),
    (
        "adding-identity-column",
        "-- \nALTER TABLE t ADD COLUMN c bigint GENERATED ALWAYS AS IDENTITY;",
        "-- \nALTER TABLE t ADD COLUMN c bigint;",
    ),
    (
        "adding-identity-column",
        "-- \nALTER TABLE t ADD COLUMN c bigserial;",
        "-- \nCREATE TABLE n (c bigserial);",
    ),
    (
        "ban-alter-generated-expression",
        "-- \nALTER TABLE t ALTER COLUMN b SET EXPRESSION AS (a + 2);",
        "-- \nALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a + 2) VIRTUAL;",
    ),
    (
        "changing-column-type",
        "-- \nALTER TABLE t ALTER COLUMN b TYPE text;",
        "-- \nALTER TABLE t ADD COLUMN b_text text;",
    ),
    (
        "ban-alter-domain-with-add-constraint",
        "-- \nALTER DOMAIN d ADD CONSTRAINT c CHECK (value > 0);",
        "-- \nALTER TABLE t ADD CONSTRAINT c CHECK (b > 0) NOT VALID;",
    ),
    ("table-rewrite", "-- no-transaction\nVACUUM FULL t;", "-- no-transaction\nVACUUM t;"),
    ("table-rewrite", "-- \nCLUSTER t USING t_a;", "-- \nALTER TABLE t CLUSTER ON t_a;"),
    ("table-rewrite", "-- \nALTER TABLE t SET UNLOGGED;", "-- \nCREATE UNLOGGED TABLE n (a int);"),
    (
        "whole-table-update",
        "-- \nUPDATE t SET b = 1;",
        "-- backfill\nUPDATE t SET b = 1 WHERE a IN (SELECT a FROM t WHERE b IS NULL LIMIT 1000);",
    ),
    ("whole-table-update", "-- backfill\nUPDATE t SET b = 1;", "-- backfill\nDELETE FROM t;"),
    ("whole-table-update", "-- \nDELETE FROM t;", "-- \nDELETE FROM t WHERE b = 1;"),
    ("lock-table", "-- \nLOCK TABLE t;", "-- \nSELECT * FROM t FOR UPDATE;"),
    (
        "refreshing-materialized-view",
        "-- \nREFRESH MATERIALIZED VIEW m;",
        "-- \nREFRESH MATERIALIZED VIEW CONCURRENTLY m;",
    ),
    (
        "attaching-partition",
        "-- \nALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1);",
        "-- \nCREATE TABLE p PARTITION OF t FOR VALUES IN (1);",
    ),
    (
        "require-concurrent-index-deletion",
        "-- \nDROP INDEX t_a;",
        "-- no-transaction\nDROP INDEX CONCURRENTLY t_a;",
    ),
    (
        "adding-required-field",
        "-- \nALTER TABLE t ADD COLUMN c int NOT NULL;",
        "-- \nALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 0;",
    ),
    ("renaming-column", "-- \nALTER TABLE t RENAME COLUMN b TO c;", "-- \nALTER TABLE t ADD COLUMN c int;"),
    ("renaming-table", "-- \nALTER TABLE t RENAME TO u;", "-- \nCREATE VIEW u AS SELECT * FROM t;"),
    (
        "ban-drop-column",
        "-- \nALTER TABLE t DROP COLUMN b;",
        "-- \nALTER TABLE t ALTER COLUMN b SET DEFAULT 0;",
    ),
    ("ban-drop-table", "-- \nDROP TABLE t;", "-- \nSELECT 1;"),
    ("column-used-by-view", "-- \nALTER TABLE t DROP COLUMN a CASCADE;", "-- \nALTER TABLE t DROP COLUMN b;"),
    ("ban-truncate-cascade", "-- \nTRUNCATE t CASCADE;", "-- \nTRUNCATE t, few;"),
    ("renaming-object", "-- \nALTER TABLE t RENAME CONSTRAINT c TO d;", "-- \nSELECT 1;"),
    ("ban-drop-view", "-- \nDROP VIEW v;", "-- \nCREATE OR REPLACE VIEW v AS SELECT 1;"),
    (
        "ban-drop-function",
        "-- \nDROP FUNCTION f();",
        "-- \nCREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ),
    ("ban-drop-type", "-- \nDROP TYPE e;", "-- \nALTER TYPE e ADD VALUE 'x';"),
    ("ban-drop-domain", "-- \nDROP DOMAIN d;", "-- \nSELECT 1;"),
    ("ban-drop-sequence", "-- \nDROP SEQUENCE s;", "-- \nALTER SEQUENCE s OWNED BY t.a;"),
    (
        "ban-drop-default",
        "-- \nALTER TABLE t ALTER b DROP DEFAULT;",
        "-- \nALTER TABLE t ALTER b SET DEFAULT 1;",
    ),
    ("ban-drop-not-null", "-- \nALTER TABLE t ALTER b DROP NOT NULL;", "-- \nSELECT 1;"),
    ("ban-drop-constraint", "-- \nALTER TABLE t DROP CONSTRAINT c;", "-- \nSELECT 1;"),
    ("ban-drop-generated-expression", "-- \nALTER TABLE t ALTER b DROP EXPRESSION;", "-- \nSELECT 1;"),
    (
        "ban-alter-identity",
        "-- \nALTER TABLE t ALTER b ADD GENERATED ALWAYS AS IDENTITY;",
        "-- \nALTER TABLE t ALTER b SET GENERATED BY DEFAULT;",
    ),
    (
        "ban-disable-trigger",
        "-- \nALTER TABLE t DISABLE TRIGGER g;",
        "-- \nALTER TABLE t ENABLE ROW LEVEL SECURITY;",
    ),
    (
        "adding-unique-index",
        "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY i ON t (b);",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (b);",
    ),
    (
        "ban-create-domain-with-constraint",
        "-- \nCREATE DOMAIN d AS int CHECK (value > 0);",
        "-- \nCREATE DOMAIN d AS int;",
    ),
    (
        "schema-reference",
        "-- \nCREATE VIEW u AS SELECT * FROM app.t;",
        "-- \nCREATE VIEW u AS SELECT t.a FROM t;",
    ),
    ("search-path", "-- \nSET LOCAL search_path TO app;", "-- \nSET LOCAL work_mem TO '64MB';"),
    (
        "search-path",
        "-- \nSELECT pg_catalog.set_config('search_path', 'app', true);",
        "-- \nSELECT set_config('app.x', '1', true);",
    ),
    ("search-path", "-- \nSET SCHEMA 'app';", "-- \nSET app.x = 1;"),
    (
        "search-path",
        "DO $$ BEGIN\n  SET search_path = app; END $$;",
        "DO $$ BEGIN\n  SET app.path = 1; END $$;",
    ),
    (
        "search-path",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql\n  SET search_path FROM CURRENT AS 'SELECT 1';",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_catalog, pg_temp AS 'SELECT 1';",
    ),
    (
        "search-path",
        "-- \nALTER FUNCTION f() SET search_path = app;",
        "-- \nALTER FUNCTION f() SET search_path = '';",
    ),
    ("session-role", "-- \nSET ROLE postgres;", "-- \nSET LOCAL work_mem TO '64MB';"),
    (
        "session-role",
        "-- \nSELECT set_config('role', 'postgres', true);",
        "-- \nSELECT current_setting('role');",
    ),
    ("session-role", "-- \nSET session_authorization = 'postgres';", "-- \nSHOW session_authorization;"),
    ("shared-object", "-- \nCREATE ROLE x;", "-- \nCREATE TABLE n (a int);"),
    ("shared-object", "-- \nCREATE EXTENSION pg_trgm;", "-- \nSELECT 1;"),
    ("shared-object", "-- \nALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;", "-- \nSELECT 1;"),
    ("timeout-setting", "-- \nSET LOCAL lock_timeout = 0;", "-- \nSET LOCAL work_mem TO '64MB'; SHOW lock_timeout;"),
    (
        "timeout-setting",
        "-- \nSELECT set_config('Statement_Timeout', '0', false);",
        "-- \nSELECT set_config('work_mem', '64MB', true);",
    ),
    ("ban-alter-role-options", "-- \nALTER ROLE x SET search_path = app;", "-- \nSELECT 1;"),
    ("ban-alter-database-options", "-- \nALTER DATABASE x SET search_path = app;", "-- \nSELECT 1;"),
    ("ban-alter-system-options", "-- \nALTER SYSTEM SET work_mem = '1MB';", "-- \nSELECT 1;"),
    ("ban-alter-extension", "-- \nALTER EXTENSION e UPDATE;", "-- \nSELECT 1;"),
    ("ban-drop-extension", "-- \nDROP EXTENSION e;", "-- \nSELECT 1;"),
    ("ban-drop-database", "-- no-transaction\nDROP DATABASE d;", "-- \nSELECT 1;"),
    ("ban-drop-schema", "-- \nDROP SCHEMA s;", "-- \nSELECT 1;"),
    ("ban-set-schema", "-- \nALTER TABLE t SET SCHEMA s;", "-- \nSELECT 1;"),
    ("ban-revoke", "-- \nREVOKE SELECT ON t FROM x;", "-- \nSELECT 1;"),
    ("ban-replica-identity", "-- \nALTER TABLE t REPLICA IDENTITY NOTHING;", "-- \nSELECT 1;"),
    (
        "security-definer",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql\n  SECURITY DEFINER AS 'SELECT 1';",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';",
    ),
    (
        "autovacuum-off",
        "-- \nALTER TABLE t SET (autovacuum_enabled = false);",
        "-- \nALTER TABLE t SET (autovacuum_enabled = true, fillfactor = 50);",
    ),
    ("transaction-nesting", "-- \nCOMMIT;", "DO $$ BEGIN PERFORM 1; END $$;"),
    ("ban-uncommitted-transaction", "-- no-transaction\nBEGIN;", "-- \nSELECT 1;"),
    (
        "ban-concurrent-index-creation-in-transaction",
        "-- \nCREATE INDEX CONCURRENTLY i ON t (b);",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (b);",
    ),
    (
        "ban-concurrent-index-creation-in-transaction",
        "-- \nDROP INDEX CONCURRENTLY t_a;",
        "-- no-transaction\nDROP INDEX CONCURRENTLY t_a;",
    ),
    (
        "prefer-robust-stmts",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (b);\n\nSELECT 1;",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (b);\n\nSELECT 1;",
    ),
    (
        "prefer-robust-stmts",
        "-- no-transaction\nINSERT INTO t VALUES (1);\nSELECT 1;",
        "-- no-transaction\nINSERT INTO t VALUES (1) ON CONFLICT DO NOTHING; CREATE OR REPLACE VIEW u AS SELECT 1;",
    ),
    (
        "prefer-robust-stmts",
        "-- no-transaction\nCREATE VIEW u AS SELECT 1;\nSELECT 1;",
        "-- \nCREATE VIEW u AS SELECT 1; SELECT 1;",
    ),
    (
        "identifier-too-long",
        "-- \nCREATE TABLE a_name_that_is_longer_than_the_sixty_three_bytes_that_postgresql_keeps (a int);",
        "-- \nCREATE TABLE a_name (a int);",
    ),
    (
        "ban-duplicate-column-assignments",
        "-- \nUPDATE t SET b = 1, b = 2 WHERE a = 1;",
        "-- \nUPDATE t SET b = 1 WHERE a = 1;",
    ),
    ("prefer-timestamp-tz", "CREATE TABLE n (\n  a timestamp);", "CREATE TABLE n (a timestamptz);"),
    ("ban-char-field", "CREATE TABLE n (\n  a char(5));", "CREATE TABLE n (a text);"),
    (
        "unused-ignore",
        "-- \n-- squawk-ignore no-such-rule\nSELECT 1;",
        "-- squawk-ignore ban-drop-column\nSELECT 1;",
    ),
    ("unread", "-- \nCREATE TABLE broken(", "-- \nCREATE TABLE whole (a int)"),
    ("unread", "DO $$ BEGIN\n  EXECUTE 'DROP TABLE t'; END $$;", "DO $$ BEGIN PERFORM 1; END $$;"),
];

#[test]
fn each_rule_finds_what_is_unsafe_and_not_the_safer_form() {
    let known = known();
    let mut wrong = Vec::new();
    for (rule, unsafe_form, safer_form) in RULES {
        let findings = found(unsafe_form, &known);
        if !findings.contains(&((*rule).to_owned(), 2)) {
            wrong.push(format!("{rule} is not found in line 2: {unsafe_form}\n  {findings:?}"));
        }
        let findings = found(safer_form, &known);
        if findings.iter().any(|(found, _)| found == rule) {
            wrong.push(format!("{rule} is found: {safer_form}\n  {findings:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let tested: BTreeSet<_> = RULES.iter().map(|(rule, ..)| *rule).collect();
    let all: BTreeSet<_> = Rule::all().map(Rule::name).collect();
    assert_eq!(tested, all);
}

#[test]
fn what_is_unsafe_has_a_weight_a_sentence_and_the_safer_form() {
    let findings = lint("-- \nCREATE INDEX i ON t (b);", &known());
    let json = serde_json::to_value(&findings).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "rule": "require-concurrent-index-creation",
            "line": 2,
            "message": "`t`: building an index blocks writes to its table until it is built",
            "help": "`CREATE INDEX CONCURRENTLY`, alone in a file that is marked as `-- no-transaction`",
            "weight": "unsafe",
        }])
    );
    let read: Vec<tenantry_lint::Finding> = serde_json::from_value(json).unwrap();
    assert_eq!(read, findings);
    assert!(serde_json::from_str::<Rule>("\"no-such-rule\"").is_err());
}

#[test]
fn the_safer_forms_as_they_are_taught_have_no_unsafe_finding() {
    for sql in [
        "CREATE TABLE n (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t_id bigint NOT NULL REFERENCES t (a));
         CREATE INDEX n_t ON n (t_id); ALTER TABLE n ADD CONSTRAINT c UNIQUE (t_id); ALTER TABLE n ALTER t_id TYPE int;
         UPDATE n SET t_id = 1; CREATE UNIQUE INDEX n_u ON n (id); DROP INDEX n_t; ALTER TABLE n RENAME TO m; DROP TABLE m;",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY t_b ON t (b);",
        "ALTER TABLE t ADD COLUMN c text, ADD COLUMN d boolean NOT NULL DEFAULT false;",
        "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES few (a) NOT VALID;",
        "CREATE TEMP TABLE x AS SELECT * FROM t; CREATE INDEX ON x (a);",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r t; x t.a%TYPE; BEGIN
             NEW.a := OLD.b; SELECT q.a, q.b INTO NEW.b, x FROM t q JOIN few ON few.a = q.a; PERFORM pg_catalog.now();
             UPDATE t SET b = NEW.b WHERE t.a = NEW.a; DELETE FROM few; RETURN NEW; END $$;
         CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
        "COMMENT ON COLUMN t.a IS 'x'; ALTER SEQUENCE s OWNED BY t.a; SELECT (c).x.y, extensions.similarity('a', 'b') FROM t;
         INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b; SELECT nextval('s'), 'a.b', 't'::regclass;",
        "CREATE POLICY p ON t USING (t.a = current_setting('app.user')::int); ALTER TABLE t ENABLE ROW LEVEL SECURITY;",
    ] {
        let findings = lint(sql, &known());
        let findings: Vec<_> = findings.iter().filter(|finding| finding.weight == Weight::Unsafe).collect();
        assert!(findings.is_empty(), "{sql}\n{findings:?}");
    }
}

#[test]
fn a_schema_is_found_wherever_it_is_named() {
    for sql in [
        "CREATE TABLE IF NOT EXISTS\n app.n (id int);",
        "CREATE OR REPLACE FUNCTION\n public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "SELECT * FROM t JOIN\n app.b ON true;",
        "CREATE TABLE n (b_id int REFERENCES\n app.b);",
        "CREATE TABLE n (k\n app.kind);",
        "INSERT INTO\n \"App\".a VALUES (1);",
        "UPDATE\n app.a SET x = 1 WHERE true;",
        "DELETE FROM ONLY\n app.a WHERE true;",
        "SELECT a::\n app.kind;",
        "SELECT 1,\n public.f();",
        "SELECT\n app.t.a;",
        "SELECT 1 OPERATOR(\n app.+) 2;",
        "SELECT nextval(\n'app.s');",
        "SELECT\n'app.t'::regclass;",
        "GRANT SELECT ON TABLE\n app.a TO x;",
        "COMMENT ON COLUMN\n app.t.a IS 'x';",
        "CREATE SEQUENCE s OWNED BY\n app.t.a;",
        "CREATE TRIGGER g BEFORE INSERT ON t EXECUTE FUNCTION\n app.f();",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN DELETE FROM\n app.a; END $body$;",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM\n app.a';",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 FROM\n app.a; END;",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ DECLARE\n r app.t; BEGIN END $$;",
        "DO $$ BEGIN PERFORM\n public.f(); END $$;",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ DECLARE x int; BEGIN\n SELECT t.a INTO x FROM app.t; END $$;",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN\n INSERT INTO app.t VALUES (1) RETURNING a INTO x; END $$;",
        "-- \nCREATE SCHEMA s;",
        "GRANT USAGE ON SCHEMA\n public TO x;",
        "GRANT SELECT ON ALL TABLES IN SCHEMA\n public TO x;",
        "ALTER SCHEMA\n a RENAME TO b;",
    ] {
        let found = found(sql, &known());
        assert!(found.contains(&("schema-reference".to_owned(), 2)), "{sql}\n{found:?}");
        assert_eq!(
            found.iter().filter(|(rule, _)| rule == "schema-reference").count(),
            1,
            "{sql}\n{found:?}"
        );
    }
}

#[test]
fn small_tables_may_be_locked_and_large_ones_not() {
    let findings = found("CREATE INDEX i ON few (a);\nCREATE INDEX j ON t (a);", &known());
    assert_eq!(findings, [("require-concurrent-index-creation".to_owned(), 2)]);
    // Clients break whatever its size.
    assert_eq!(found("ALTER TABLE few DROP COLUMN b;", &known()), [("ban-drop-column".to_owned(), 1)]);
}

#[test]
fn a_table_that_may_be_there_already_is_not_new() {
    let sql = "CREATE TABLE IF NOT EXISTS t (a int);\nCREATE INDEX i ON t (a);";
    assert_eq!(found(sql, &known()), [("require-concurrent-index-creation".to_owned(), 2)]);
    assert_eq!(found(sql, &Known::nothing()), []);
    // Nor is one that is made in the place of another, before it is.
    let sql = "CREATE INDEX i ON t (a);\nDROP TABLE t;\nCREATE TABLE t (a int);\nCREATE INDEX j ON t (a);";
    let rules = ["require-concurrent-index-creation", "ban-drop-table"].map(str::to_owned);
    assert_eq!(found(sql, &known()), rules.into_iter().zip([1, 2]).collect::<Vec<_>>());
}

#[test]
fn what_is_marked_as_contract_may_drop_but_not_rewrite() {
    let known = known();
    assert_eq!(found("-- contract\nALTER TABLE t DROP COLUMN b; DROP TABLE few; DROP VIEW u;", &known), []);
    let used = found("-- contract\nALTER TABLE t DROP COLUMN a;", &known);
    assert_eq!(used, [("column-used-by-view".to_owned(), 2)]);
    assert_eq!(
        found("-- contract\nALTER TABLE t ALTER b TYPE text;", &known),
        [("changing-column-type".to_owned(), 2)]
    );
}

#[test]
fn a_column_that_a_version_before_has_checked_may_be_set_not_null() {
    let versions = [
        migration(1, "ALTER TABLE t ADD CONSTRAINT c CHECK (b IS NOT NULL) NOT VALID;"),
        migration(2, "ALTER TABLE t VALIDATE CONSTRAINT c;"),
    ];
    let sql = "ALTER TABLE t ALTER b SET NOT NULL;";
    assert_eq!(found(sql, &known().after(&versions)), []);
    assert_eq!(found(sql, &known().after(&versions[..1])), [("adding-not-nullable-field".to_owned(), 1)]);
}

#[test]
fn what_do_does_is_looked_at_as_if_it_stood_in_the_file() {
    let sql = "DO $$ BEGIN\n  IF true THEN\n    ALTER TABLE t DROP COLUMN b;\n  END IF;\n  CREATE INDEX i ON t (a);\nEND $$;";
    let expected = [("ban-drop-column".to_owned(), 3), ("require-concurrent-index-creation".to_owned(), 5)];
    assert_eq!(found(sql, &known()), expected);
    let sql = "DO $$ DECLARE x int; t int; BEGIN\n  SELECT a INTO STRICT t FROM t; DELETE FROM t\n    RETURNING a INTO x; ALTER TABLE t DROP COLUMN b; END $$;";
    let expected = [("whole-table-update".to_owned(), 2), ("ban-drop-column".to_owned(), 3)];
    assert_eq!(found(sql, &known()), expected);
    // A function does it only when it is called.
    let sql = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE t; END $$;";
    assert_eq!(found(sql, &known()), []);
}

#[test]
fn many_warnings_hide_nothing_that_is_unsafe() {
    let sql = format!("{}DROP TABLE t;\n", "DROP VIEW u;\n".repeat(600));
    let expected = [("unread".to_owned(), 1), ("ban-drop-table".to_owned(), 601)];
    assert_eq!(found(&sql, &known()), expected);
}

#[test]
fn a_comment_silences_a_rule_of_squawk_on_the_line_after_it() {
    let sql = "-- squawk-ignore ban-drop-column\nALTER TABLE t DROP COLUMN b;\nALTER TABLE t DROP COLUMN c;";
    assert_eq!(found(sql, &known()), [("ban-drop-column".to_owned(), 3)]);
}
