WITH target AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname = CAST($1 AS text)
), relation AS (
    SELECT c.oid, c.relname, c.relkind
    FROM pg_catalog.pg_class c JOIN target ON c.relnamespace = target.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND NOT pg_catalog.starts_with(CAST(c.relname AS text), 'tenantry_')
), named_type AS NOT MATERIALIZED (
    -- Inlined, because a database of many tenants has hundreds of thousands of types.
    -- A type of the tenant's own schema carries no schema: one tenant's catalog serves all tenants of its version.
    -- format_type(..., -1) and not NULL, which would make char(1) of char.
    SELECT t.oid, pg_catalog.json_build_object(
        'origin', CASE n.nspname WHEN 'pg_catalog' THEN 'system' WHEN CAST($1 AS text) THEN 'own' ELSE 'other' END,
        'schema', n.nspname,
        'name', CASE n.nspname WHEN 'pg_catalog' THEN pg_catalog.format_type(t.oid, -1) ELSE t.typname END,
        'family', t.typname,
        'array', t.typcategory = 'A') AS definition
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
), columns AS (
    SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.attname,
        'type', (SELECT y.definition FROM named_type y WHERE y.oid = a.atttypid),
        'base', (
            -- A domain may be over a domain.
            WITH RECURSIVE layer AS (
                SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
                UNION ALL
                SELECT t.oid, t.typtype, t.typbasetype
                FROM layer l JOIN pg_catalog.pg_type t ON t.oid = l.typbasetype WHERE l.typtype = 'd'
            )
            SELECT y.definition FROM layer l JOIN named_type y ON y.oid = l.oid WHERE l.typtype <> 'd'),
        'full_type', pg_catalog.format_type(a.atttypid, a.atttypmod),
        'nullable', NOT a.attnotnull,
        'has_default', a.atthasdef OR a.attidentity <> '',
        'generated', a.attgenerated <> '' OR a.attidentity = 'a') ORDER BY a.attnum) AS list
    FROM relation r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
), uniques AS (
    SELECT i.indrelid, i.indisprimary, (
        SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
        FROM pg_catalog.unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY AS k(attnum, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.position <= i.indnkeyatts) AS names
    FROM pg_catalog.pg_index i JOIN relation r ON r.oid = i.indrelid
    WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
), foreign_keys AS (
    SELECT k.conrelid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'constraint', k.conname,
        'table', f.relname,
        'columns', (
            SELECT pg_catalog.json_agg(pg_catalog.json_build_array(here.attname, there.attname) ORDER BY pair.position)
            FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) WITH ORDINALITY AS pair(here, there, position)
            JOIN pg_catalog.pg_attribute here ON here.attrelid = k.conrelid AND here.attnum = pair.here
            JOIN pg_catalog.pg_attribute there ON there.attrelid = k.confrelid AND there.attnum = pair.there)
        ) ORDER BY k.conname) AS list
    FROM pg_catalog.pg_constraint k
    JOIN relation r ON r.oid = k.conrelid
    JOIN relation f ON f.oid = k.confrelid
    WHERE k.contype = 'f'
    GROUP BY k.conrelid
)
SELECT CAST(pg_catalog.json_build_object('tables', coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', r.relname,
    'kind', r.relkind,
    'writable', CASE WHEN r.relkind = 'm' THEN 0 ELSE pg_catalog.pg_relation_is_updatable(r.oid, true) END,
    'columns', coalesce(c.list, '[]'),
    'primary_key', coalesce((SELECT u.names FROM uniques u WHERE u.indrelid = r.oid AND u.indisprimary), '[]'),
    'uniques', coalesce((SELECT pg_catalog.json_agg(u.names) FROM uniques u WHERE u.indrelid = r.oid AND NOT u.indisprimary), '[]'),
    'foreign_keys', coalesce(k.list, '[]')) ORDER BY r.relname), '[]')) AS text) AS catalog
FROM relation r
LEFT JOIN columns c ON c.attrelid = r.oid
LEFT JOIN foreign_keys k ON k.conrelid = r.oid
