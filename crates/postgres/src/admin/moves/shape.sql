-- $1: the schema. Rows of the catalogs are told apart by the transactions that wrote them; not those of pg_class, which change
-- with a table's triggers and statistics.
WITH here AS MATERIALIZED (
    SELECT oid FROM pg_namespace WHERE nspname = $1
), tables AS MATERIALIZED (
    SELECT c.oid, relname, relkind, relnatts, relpersistence FROM pg_class c JOIN here ON relnamespace = here.oid
), parts AS (
    SELECT 'c' AS of, oid::bigint AS first, 0 AS second, format('%s %s %s %s', relname, relkind, relnatts, relpersistence) AS what
    FROM tables
    UNION ALL
    SELECT 'a', attrelid::bigint, attnum, a.xmin::text FROM pg_attribute a JOIN tables ON tables.oid = attrelid
    UNION ALL
    SELECT 'd', adrelid::bigint, adnum, a.xmin::text FROM pg_attrdef a JOIN tables ON tables.oid = adrelid
    UNION ALL
    SELECT 'o', n.oid::bigint, 0, n.xmin::text FROM pg_constraint n JOIN here ON connamespace = here.oid
    UNION ALL
    SELECT 'f', p.oid::bigint, 0, p.xmin::text FROM pg_proc p JOIN here ON pronamespace = here.oid
    UNION ALL
    SELECT 't', t.oid::bigint, 0, t.xmin::text FROM pg_type t JOIN here ON typnamespace = here.oid
    UNION ALL
    SELECT 'r', r.oid::bigint, 0, r.xmin::text FROM pg_rewrite r JOIN tables ON tables.oid = ev_class
    UNION ALL
    SELECT 'p', p.oid::bigint, 0, p.xmin::text FROM pg_policy p JOIN tables ON tables.oid = polrelid
)
SELECT md5(coalesce(string_agg(format('%s %s %s %s', of, first, second, what), ',' ORDER BY of, first, second), ''))
FROM parts
