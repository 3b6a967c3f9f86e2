-- $1: schemas, with commas between them. Answers a row of JSON for each of them that there is: its objects, in pieces that are
-- compared one by one, and the SQL that makes each where PostgreSQL can say it. Identifiers are quoted where they need it.
WITH namespaces AS MATERIALIZED (
    SELECT oid, nspname FROM pg_namespace
    -- With this path every name of the schema's own is printed with the schema, whoever asks.
    WHERE nspname = ANY (string_to_array($1, ',')::name[]) AND set_config('search_path', 'pg_catalog', true) IS NOT NULL
), members AS MATERIALIZED (
    SELECT namespaces.oid AS schema, classid, objid FROM namespaces
    JOIN pg_depend ON refclassid = 'pg_namespace'::regclass AND refobjid = namespaces.oid
), relations AS MATERIALIZED (
    SELECT schema, format('%I', relname) AS called, c.* FROM members JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
        AND relnamespace = schema
    -- Tenantry's own tables are not the app's.
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT starts_with(relname, 'tenantry_')
), functions AS MATERIALIZED (
    SELECT schema, format('%I(%s)', proname, pg_get_function_identity_arguments(p.oid)) AS called, p.*
    FROM members JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid AND pronamespace = schema
    WHERE NOT starts_with(proname, 'tenantry_')
), granted AS (
    SELECT oid, CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS kind, relowner AS owner, relacl AS acl FROM relations
    UNION ALL
    SELECT oid, 'f', proowner, proacl FROM functions
), rights AS MATERIALIZED (
    SELECT oid, jsonb_object_agg('rights of ' || grantee, privileges) AS facts FROM (
        SELECT oid, kind, CASE item.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(item.grantee)) END AS grantee,
            string_agg(privilege_type, ', ' ORDER BY privilege_type) AS privileges
        FROM granted, LATERAL aclexplode(coalesce(acl, acldefault(kind, owner))) item
        WHERE item.grantee <> owner GROUP BY 1, 2, 3
    ) each GROUP BY oid
), objects (schema, kind, parent, name, place, facts, made) AS (
    SELECT r.schema, CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' ELSE 'table' END, NULL, called,
        r.oid::bigint, jsonb_build_object(
            'owner', pg_get_userbyid(relowner),
            'persistence', CASE relpersistence WHEN 'u' THEN 'unlogged' END,
            'row security', CASE WHEN relforcerowsecurity AND relrowsecurity THEN 'forced' WHEN relrowsecurity THEN 'enabled' END,
            'options', array_to_string(reloptions, ', '),
            'partitioned by', pg_get_partkeydef(r.oid),
            'bounds', pg_get_expr(relpartbound, r.oid),
            'server', CASE relkind WHEN 'f' THEN (SELECT srvname FROM pg_foreign_table JOIN pg_foreign_server s ON s.oid = ftserver
                WHERE ftrelid = r.oid) END,
            'parents', (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = r.oid),
            'columns', CASE WHEN relkind IN ('v', 'm') THEN (
                SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped) END,
            'definition', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END
        ) || coalesce(rights.facts, '{}'),
        CASE WHEN relkind IN ('v', 'm') THEN format('%s %s%s AS%s%s', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END,
            called, ' WITH (' || array_to_string(reloptions, ', ') || ')', E'\n', pg_get_viewdef(r.oid)) END
    FROM relations r LEFT JOIN rights USING (oid) WHERE relkind <> 'S'
    UNION ALL
    SELECT r.schema, 'sequence', NULL, called, r.oid::bigint, jsonb_build_object(
            'owner', pg_get_userbyid(relowner),
            'options', options,
            'owned by', (SELECT format('%I.%I', o.relname, attname) FROM pg_depend d
                JOIN pg_class o ON d.refclassid = 'pg_class'::regclass AND o.oid = d.refobjid
                JOIN pg_attribute ON attrelid = o.oid AND attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'a')
        ) || coalesce(rights.facts, '{}'),
        format('CREATE SEQUENCE %s %s', called, options)
    FROM relations r LEFT JOIN rights USING (oid) JOIN pg_sequence ON seqrelid = r.oid,
        LATERAL format('AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', format_type(seqtypid, NULL),
            seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS options
    -- That of an identity belongs to its column.
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'i')
    UNION ALL
    SELECT schema, 'column', called, format('%I', attname), attnum, jsonb_build_object(
            'type', format_type(atttypid, atttypmod),
            'null', CASE WHEN attnotnull THEN 'not allowed' ELSE 'allowed' END,
            'default', CASE WHEN attgenerated = '' THEN pg_get_expr(adbin, adrelid) END,
            'generation', CASE WHEN attgenerated <> '' THEN format('GENERATED ALWAYS AS (%s) %s', pg_get_expr(adbin, adrelid),
                CASE attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END) END,
            'identity', CASE attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
            'collation', CASE WHEN attcollation <> typcollation THEN (
                SELECT format('%I.%I', nspname, collname) FROM pg_collation JOIN pg_namespace n ON n.oid = collnamespace
                WHERE pg_collation.oid = attcollation) END,
            'storage', CASE attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
        ), NULL
    FROM relations r JOIN pg_attribute ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped
        JOIN pg_type t ON t.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum
    -- One that a table has from another is that one's.
    WHERE relkind IN ('r', 'p', 'f') AND attislocal
    UNION ALL
    SELECT schema, 'index', called, format('%I', i.relname), i.oid::bigint, jsonb_build_object(
            'definition', pg_get_indexdef(i.oid), 'state', CASE WHEN NOT indisvalid AND r.relkind <> 'p' THEN 'invalid' END),
        replace(pg_get_indexdef(i.oid), ' ON ONLY ', ' ON ')
    FROM relations r JOIN pg_index ON indrelid = r.oid JOIN pg_class i ON i.oid = indexrelid
    WHERE NOT i.relispartition
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = r.oid AND conindid = i.oid AND contype IN ('p', 'u', 'x'))
    UNION ALL
    -- A foreign key needs the key that it refers to. From version 18 on NOT NULL is a constraint too.
    SELECT schema, 'constraint', called, format('%I', conname), con.oid::bigint + CASE contype WHEN 'f' THEN 1::bigint << 40 ELSE 0 END,
        jsonb_build_object('definition', pg_get_constraintdef(con.oid)),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', called, conname, pg_get_constraintdef(con.oid))
    FROM relations r JOIN pg_constraint con ON conrelid = r.oid
    WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND conislocal AND conparentid = 0
    UNION ALL
    SELECT schema, 'trigger', called, format('%I', tgname), t.oid::bigint, jsonb_build_object(
            'definition', pg_get_triggerdef(t.oid),
            'state', CASE tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END),
        pg_get_triggerdef(t.oid)
    FROM relations r JOIN pg_trigger t ON tgrelid = r.oid
    WHERE NOT tgisinternal AND tgparentid = 0 AND NOT starts_with(tgname, 'tenantry_')
    UNION ALL
    SELECT schema, 'rule', called, format('%I', rulename), w.oid::bigint,
        jsonb_build_object('definition', pg_get_ruledef(w.oid), 'state', CASE WHEN ev_enabled <> 'O' THEN ev_enabled::text END),
        pg_get_ruledef(w.oid)
    FROM relations r JOIN pg_rewrite w ON ev_class = r.oid WHERE rulename <> '_RETURN'
    UNION ALL
    SELECT schema, 'policy', called, format('%I', polname), pol.oid::bigint, jsonb_build_object('definition', definition),
        format('CREATE POLICY %I ON %s %s', polname, called, definition)
    FROM relations r JOIN pg_policy pol ON polrelid = r.oid, LATERAL concat_ws(' ',
        'AS', CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        'FOR', CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        'TO', (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(role)) END, ', ' ORDER BY role)
            FROM unnest(polroles) role),
        'USING (' || pg_get_expr(polqual, polrelid) || ')', 'WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')') AS definition
    UNION ALL
    SELECT f.schema, CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, NULL, called,
        f.oid::bigint, jsonb_build_object(
            'owner', pg_get_userbyid(proowner),
            'result', pg_get_function_result(f.oid),
            'definition', definition
        ) || coalesce(rights.facts, '{}'), definition
    FROM functions f LEFT JOIN rights USING (oid),
        LATERAL (SELECT CASE WHEN prokind <> 'a' THEN pg_get_functiondef(f.oid) END AS definition) d
    UNION ALL
    SELECT schema, 'type', NULL, called, t.oid::bigint, jsonb_build_object(
            'owner', pg_get_userbyid(typowner),
            'definition', definition),
        format('CREATE %s', definition)
    FROM members JOIN pg_type t ON classid = 'pg_type'::regclass AND objid = t.oid AND typnamespace = schema,
        LATERAL format('%I', typname) AS called,
        LATERAL (SELECT CASE typtype
            WHEN 'e' THEN format('TYPE %s AS ENUM (%s)', called,
                (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
            WHEN 'd' THEN concat_ws(' ', 'DOMAIN', called, 'AS', format_type(typbasetype, typtypmod), 'DEFAULT ' || typdefault,
                CASE WHEN typnotnull THEN 'NOT NULL' END,
                (SELECT string_agg(format('CONSTRAINT %I %s', conname, pg_get_constraintdef(oid)), ' ' ORDER BY conname)
                FROM pg_constraint WHERE contypid = t.oid AND contype = 'c'))
            WHEN 'c' THEN format('TYPE %s AS (%s)', called,
                (SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
                FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped))
            WHEN 'r' THEN format('TYPE %s AS RANGE (SUBTYPE = %s)', called,
                (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid)) END AS definition) d
    WHERE (typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))
        AND NOT starts_with(typname, 'tenantry_')
    UNION ALL
    SELECT schema, 'statistics', NULL, format('%I', stxname), s.oid::bigint,
        jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid)), pg_get_statisticsobjdef(s.oid)
    FROM members JOIN pg_statistic_ext s ON classid = 'pg_statistic_ext'::regclass AND objid = s.oid AND stxnamespace = schema
)
SELECT jsonb_build_object('schema', nspname, 'objects', coalesce((
    SELECT jsonb_agg(jsonb_build_object('kind', kind, 'parent', parent, 'name', name, 'place', place,
        'facts', jsonb_strip_nulls(facts), 'made', made))
    FROM objects WHERE objects.schema = namespaces.oid), '[]'))::text
FROM namespaces
