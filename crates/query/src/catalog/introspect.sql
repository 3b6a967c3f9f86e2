WITH target AS (
    SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname = CAST($1 AS text)
), relation AS (
    SELECT c.oid, c.relname, c.relkind, c.reltype, c.relhassubclass
    FROM pg_catalog.pg_class c JOIN target ON c.relnamespace = target.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND NOT pg_catalog.starts_with(CAST(c.relname AS text), 'tenantry_')
), function AS (
    -- What a client can call: no triggers, no aggregates, nothing of an extension, nothing of ours.
    SELECT p.oid, p.proname, p.proretset, p.provolatile, p.prorettype, p.prorows, p.pronargs, p.pronargdefaults,
        p.proargnames, p.proargmodes, coalesce(p.proallargtypes, CAST(p.proargtypes AS oid[])) AS types,
        coalesce(p.proargmodes && CAST(ARRAY['t', 'b', 'o'] AS "char"[]), false) AS has_columns,
        t.typtype = 'c' AS is_row, t.typrelid
    FROM pg_catalog.pg_proc p JOIN target ON p.pronamespace = target.oid
    JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
    WHERE p.prokind = 'f' AND NOT pg_catalog.starts_with(CAST(p.proname AS text), 'tenantry_')
      AND (t.typtype <> 'p' OR t.typname IN ('void', 'record'))
      AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
      AND NOT EXISTS (SELECT FROM pg_catalog.unnest(CAST(p.proargtypes AS oid[])) AS a(type)
          JOIN pg_catalog.pg_type y ON y.oid = a.type AND y.typtype = 'p')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.objid = p.oid
          AND d.classid = CAST('pg_catalog.pg_proc' AS regclass))
), named_type AS NOT MATERIALIZED (
    -- Inlined, because a database of many tenants has hundreds of thousands of types.
    -- A type of the tenant's own schema carries no schema: one tenant's catalog serves all tenants of its version.
    -- format_type(..., -1) and not NULL, which would make char(1) of char.
    SELECT t.oid, pg_catalog.json_build_object(
        'origin', CASE n.nspname WHEN 'pg_catalog' THEN 'system' WHEN CAST($1 AS text) THEN 'own' ELSE 'other' END,
        'schema', n.nspname,
        'name', CASE n.nspname WHEN 'pg_catalog' THEN pg_catalog.format_type(t.oid, -1) ELSE t.typname END,
        'family', t.typname,
        'array', t.typcategory = 'A',
        'row', t.typtype = 'c',
        'bytes', CAST('pg_catalog.bytea' AS regtype) IN (t.oid, t.typbasetype),
        -- How a domain is written in JSON and read from it, and from text: casts, which PostgreSQL ignores of domains.
        'casts', CASE WHEN t.typtype = 'd' AND n.nspname = CAST($1 AS text) THEN (
            SELECT pg_catalog.json_object_agg(CASE
                    WHEN k.castsource = t.oid THEN 'to_json'
                    WHEN k.castsource = CAST('pg_catalog.json' AS regtype) THEN 'from_json' ELSE 'from_text' END, f.proname)
            FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_proc f ON f.oid = k.castfunc AND f.pronamespace = n.oid
            WHERE (k.castsource = t.oid AND k.casttarget = CAST('pg_catalog.json' AS regtype))
               OR (k.casttarget = t.oid AND k.castsource IN (
                   CAST('pg_catalog.json' AS regtype), CAST('pg_catalog.text' AS regtype)))) END,
        'labels', (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum e WHERE t.typtype = 'e' AND e.enumtypid = t.oid)) AS definition
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
), attribute AS (
    -- Columns of relations and of the composite types that functions return, and functions' OUT parameters.
    SELECT a.attrelid AS owner, a.attnum AS number, a.attname AS name, a.atttypid AS type, a.atttypmod AS typmod,
        NOT a.attnotnull AS nullable, a.atthasdef OR a.attidentity <> '' AS has_default,
        a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
        pg_catalog.col_description(a.attrelid, a.attnum) AS comment
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid IN (SELECT r.oid FROM relation r UNION SELECT f.typrelid FROM function f WHERE f.is_row)
      AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT f.oid, CAST(o.number AS int2), coalesce(nullif(f.proargnames[o.number], ''), 'column' || o.number), o.type, -1,
        true, false, false, NULL
    FROM function f, pg_catalog.unnest(f.types) WITH ORDINALITY AS o(type, number)
    WHERE f.has_columns AND f.proargmodes[o.number] IN ('t', 'b', 'o')
), columns AS (
    SELECT a.owner, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', a.name,
        'number', a.number,
        'type', (SELECT y.definition FROM named_type y WHERE y.oid = a.type),
        'base', (
            -- A domain may be over a domain.
            WITH RECURSIVE layer AS (
                SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = a.type
                UNION ALL
                SELECT t.oid, t.typtype, t.typbasetype
                FROM layer l JOIN pg_catalog.pg_type t ON t.oid = l.typbasetype WHERE l.typtype = 'd'
            )
            SELECT y.definition FROM layer l JOIN named_type y ON y.oid = l.oid WHERE l.typtype <> 'd'),
        'full_type', pg_catalog.format_type(a.type, a.typmod),
        'nullable', a.nullable,
        'has_default', a.has_default,
        'generated', a.generated,
        'comment', a.comment) ORDER BY a.number) AS list
    FROM attribute a
    GROUP BY a.owner
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
), arguments AS (
    SELECT f.oid, pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', coalesce(f.proargnames[a.number], ''),
        'type', (SELECT y.definition FROM named_type y WHERE y.oid = a.type),
        'full_type', pg_catalog.format_type(a.type, -1),
        'variadic', coalesce(f.proargmodes[a.number] = 'v', false),
        'optional', a.place > f.pronargs - f.pronargdefaults) ORDER BY a.number) AS list
    FROM function f, LATERAL (
        SELECT i.type, i.number, pg_catalog.row_number() OVER (ORDER BY i.number) AS place
        FROM pg_catalog.unnest(f.types) WITH ORDINALITY AS i(type, number)
        WHERE coalesce(f.proargmodes[i.number] IN ('i', 'b', 'v'), true)) AS a
    GROUP BY f.oid
)
SELECT CAST(pg_catalog.json_build_object(
    'tables', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', r.relname,
        'oid', CAST(r.oid AS bigint),
        'kind', r.relkind,
        'has_children', r.relkind = 'r' AND r.relhassubclass,
        'comment', pg_catalog.obj_description(r.oid, 'pg_class'),
        'writable', CASE WHEN r.relkind = 'm' THEN 0 ELSE pg_catalog.pg_relation_is_updatable(r.oid, true) END,
        'columns', coalesce(c.list, '[]'),
        'primary_key', coalesce((SELECT u.names FROM uniques u WHERE u.indrelid = r.oid AND u.indisprimary), '[]'),
        'uniques', coalesce((SELECT pg_catalog.json_agg(u.names) FROM uniques u WHERE u.indrelid = r.oid AND NOT u.indisprimary), '[]'),
        'foreign_keys', coalesce(k.list, '[]'),
        -- How the view was parsed: it says which column of which relation each of its columns is.
        'query', CASE WHEN r.relkind IN ('v', 'm') THEN (
            SELECT CAST(w.ev_action AS text) FROM pg_catalog.pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename = '_RETURN') END
        ) ORDER BY r.relname), '[]')
        FROM relation r
        LEFT JOIN columns c ON c.owner = r.oid
        LEFT JOIN foreign_keys k ON k.conrelid = r.oid),
    'functions', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', f.proname,
        'comment', pg_catalog.obj_description(f.oid, 'pg_proc'),
        'volatility', f.provolatile,
        'arguments', coalesce(a.list, '[]'),
        'set', f.proretset,
        'one_row', f.prorows = 1,
        'table', (SELECT r.relname FROM relation r WHERE NOT f.has_columns AND r.reltype = f.prorettype),
        'columns', CASE WHEN f.has_columns OR f.is_row THEN c.list END,
        'returns', (SELECT y.definition FROM named_type y WHERE y.oid = f.prorettype),
        'full_type', pg_catalog.format_type(f.prorettype, -1)
        ) ORDER BY f.proname, f.oid), '[]')
        FROM function f
        LEFT JOIN arguments a ON a.oid = f.oid
        LEFT JOIN columns c ON c.owner = CASE WHEN f.has_columns THEN f.oid WHEN f.is_row THEN f.typrelid END),
        'handlers', (
        -- Aggregates that make a media type of rows: they return a domain that is called like it.
        SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'aggregate', p.proname, 'media', t.typname, 'bytes', t.typbasetype = CAST('pg_catalog.bytea' AS regtype),
            'table', r.relname) ORDER BY p.proname, p.oid), '[]')
        FROM pg_catalog.pg_proc p JOIN target ON p.pronamespace = target.oid
        JOIN pg_catalog.pg_type t ON t.oid = p.prorettype AND t.typtype = 'd' AND t.typname LIKE '%/%'
        LEFT JOIN relation r ON r.reltype = p.proargtypes[0]
        WHERE p.prokind = 'a' AND p.pronargs = 1
          AND (r.oid IS NOT NULL OR p.proargtypes[0] = CAST('pg_catalog.anyelement' AS regtype)))
    ) AS text) AS catalog
