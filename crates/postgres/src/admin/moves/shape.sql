-- $1: the schema. Rows of the catalogs are told apart by the transactions that wrote them; not those of pg_class, which change
-- with a table's triggers and statistics. What is in the schema is found by way of pg_depend, which has an index for it; the
-- other catalogs have none on the schema, and hold what all tenants have. The number before the digest is that of this query.
WITH members AS MATERIALIZED (
    SELECT DISTINCT classid, objid, refobjid AS schema FROM pg_depend
    WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident($1))
), types AS MATERIALIZED (
    SELECT t.oid, t.xmin, typrelid FROM members
    JOIN pg_type t ON classid = 'pg_type'::regclass AND t.oid = objid AND typnamespace = schema
), relations AS MATERIALIZED (
    SELECT c.oid FROM members JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid AND relnamespace = schema
), tables AS MATERIALIZED (
    SELECT c.oid, relname, relkind, relnatts, relpersistence, relowner, relrowsecurity, relforcerowsecurity, relacl, reloptions
    FROM pg_class c JOIN (
        SELECT oid FROM relations
        UNION ALL
        -- These depend on their tables alone, and composite types' relations on their types.
        SELECT indexrelid FROM relations JOIN pg_index ON indrelid = oid
        UNION ALL
        SELECT typrelid FROM types WHERE typrelid <> 0
    ) AS members (oid) USING (oid)
), parts AS (
    SELECT 'c' AS of, oid::bigint AS first, 0 AS second, concat_ws(' ', relname, relkind, relnatts, relpersistence, relowner,
        relrowsecurity, relforcerowsecurity, relacl::text, reloptions::text) AS what
    FROM tables
    UNION ALL
    SELECT 'a', attrelid::bigint, attnum, a.xmin::text FROM tables JOIN pg_attribute a ON attrelid = tables.oid
    UNION ALL
    SELECT 'd', adrelid::bigint, adnum, a.xmin::text FROM tables JOIN pg_attrdef a ON adrelid = tables.oid
    UNION ALL
    SELECT 'o', n.oid::bigint, 0, n.xmin::text FROM tables JOIN pg_constraint n ON conrelid = tables.oid
    UNION ALL
    SELECT 'o', n.oid::bigint, 0, n.xmin::text FROM types JOIN pg_constraint n ON contypid = types.oid
    UNION ALL
    SELECT 'f', p.oid::bigint, 0, p.xmin::text FROM members
        JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid AND pronamespace = schema
    UNION ALL
    SELECT 't', oid::bigint, 0, xmin::text FROM types
    UNION ALL
    SELECT 'e', e.oid::bigint, 0, e.xmin::text FROM types JOIN pg_enum e ON enumtypid = types.oid
    UNION ALL
    SELECT 'q', seqrelid::bigint, 0, q.xmin::text FROM tables JOIN pg_sequence q ON seqrelid = tables.oid
    UNION ALL
    SELECT 's', s.oid::bigint, 0, s.xmin::text FROM members
        JOIN pg_statistic_ext s ON classid = 'pg_statistic_ext'::regclass AND s.oid = objid AND stxnamespace = schema
    UNION ALL
    SELECT 'r', r.oid::bigint, 0, r.xmin::text FROM tables JOIN pg_rewrite r ON ev_class = tables.oid
    UNION ALL
    SELECT 'p', p.oid::bigint, 0, p.xmin::text FROM tables JOIN pg_policy p ON polrelid = tables.oid
)
SELECT '2 ' || md5(coalesce(string_agg(format('%s %s %s %s', of, first, second, what), ',' ORDER BY of, first, second), ''))
FROM parts
