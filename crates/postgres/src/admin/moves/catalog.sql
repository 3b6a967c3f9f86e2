-- $1: the schema. Answers what each object is called, how it is defined, and the server's
-- major version. Whatever has no definition of its own below is at least known by name (the last part). What is elsewhere may
-- depend on the schema too: a default with the constant 'tenant'::regnamespace does.
WITH namespace AS (
    SELECT oid, nspacl, nspowner FROM pg_namespace WHERE nspname = $1
), members AS (
    SELECT DISTINCT d.classid, d.objid, namespace.oid AS schema FROM pg_depend d, namespace
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = namespace.oid
), relations AS (
    SELECT c.* FROM pg_class c JOIN members ON classid = 'pg_class'::regclass AND objid = c.oid AND relnamespace = schema
    UNION
    -- Indexes depend on their tables alone.
    SELECT i.* FROM pg_class i JOIN pg_index ON indexrelid = i.oid
        JOIN members ON classid = 'pg_class'::regclass AND objid = indrelid AND relnamespace = schema
), described (object, definition) AS (
    SELECT format('%s %I', CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'type' WHEN 'i' THEN 'index'
            WHEN 'I' THEN 'partitioned index' ELSE 'relation' END, relname),
        concat_ws(' | ', 'owner ' || pg_get_userbyid(relowner), 'persistence ' || relpersistence::text,
            'security ' || relrowsecurity || ' ' || relforcerowsecurity, 'identity ' ||
                -- Of a table without a key whose changes are kept.
                CASE WHEN relreplident = 'f' AND EXISTS (SELECT FROM pg_publication p WHERE pubname ~ '^tenantry_[0-9a-f]{32}$'
                    AND c.oid = ANY (obj_description(p.oid, 'pg_publication')::oid[]))
                THEN 'd' ELSE relreplident::text END,
            reloptions::text, obj_description(c.oid, 'pg_class'),
            CASE WHEN relkind IN ('r', 'p', 'v', 'm', 'S') THEN (
                SELECT string_agg(item::text, ',' ORDER BY item::text)
                FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) item) END,
            pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid),
            (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
            CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
            CASE WHEN relkind = 'm' THEN 'populated ' || relispopulated END,
            (SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident)
                FROM pg_index WHERE indexrelid = c.oid),
            (SELECT concat_ws(' ', format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
                FROM pg_sequence WHERE seqrelid = c.oid),
            (SELECT format('owned by %s.%s', d.refobjid::regclass, d.refobjsubid) FROM pg_depend d
                WHERE relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                    AND d.refclassid = 'pg_class'::regclass LIMIT 1))
    FROM relations c WHERE relkind <> 't'
    UNION ALL
    SELECT format('column %I.%I', relname, attname),
        concat_ws(' | ', row_number() OVER (PARTITION BY c.oid ORDER BY attnum), format_type(atttypid, atttypmod),
            'not null ' || attnotnull, attidentity::text, attgenerated::text, pg_get_expr(adbin, adrelid), attstorage::text,
            attcompression::text, (SELECT collname FROM pg_collation WHERE oid = attcollation), attoptions::text,
            (SELECT string_agg(item::text, ',' ORDER BY item::text) FROM unnest(attacl) item),
            col_description(c.oid, attnum), 'inherited ' || attinhcount)
    FROM relations c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
    WHERE relkind IN ('r', 'p', 'v', 'm', 'c', 'f')
    UNION ALL
    -- From version 18 on NOT NULL is a constraint too.
    SELECT format('constraint %I on %s', conname, CASE WHEN conrelid <> 0 THEN conrelid::regclass::text ELSE contypid::regtype::text END),
        concat_ws(' | ', pg_get_constraintdef(con.oid), convalidated, obj_description(con.oid, 'pg_constraint'))
    FROM (
        SELECT con.* FROM relations c JOIN pg_constraint con ON conrelid = c.oid
        UNION ALL
        SELECT con.* FROM members JOIN pg_constraint con
            ON classid = 'pg_type'::regclass AND contypid = objid AND connamespace = schema
    ) con WHERE contype NOT IN ('n', 't')
    UNION ALL
    SELECT format('trigger %I on %I', tgname, relname),
        concat_ws(' | ', pg_get_triggerdef(t.oid), tgenabled::text, obj_description(t.oid, 'pg_trigger'))
    FROM pg_trigger t JOIN relations c ON c.oid = tgrelid WHERE NOT tgisinternal AND NOT starts_with(tgname, 'tenantry_')
    UNION ALL
    SELECT format('rule %I on %I', rulename, relname),
        concat_ws(' | ', pg_get_ruledef(r.oid), ev_enabled::text, obj_description(r.oid, 'pg_rewrite'))
    FROM pg_rewrite r JOIN relations c ON c.oid = ev_class WHERE rulename <> '_RETURN'
    UNION ALL
    SELECT format('policy %I on %I', polname, relname),
        concat_ws(' | ', polcmd::text, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid),
            ARRAY(SELECT pg_get_userbyid(role) FROM unnest(polroles) role ORDER BY 1)::text)
    FROM pg_policy JOIN relations c ON c.oid = polrelid
    UNION ALL
    SELECT format('function %I(%s)', proname, pg_get_function_identity_arguments(p.oid)),
        concat_ws(' | ', CASE WHEN prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END,
            'owner ' || pg_get_userbyid(proowner), obj_description(p.oid, 'pg_proc'),
            (SELECT string_agg(item::text, ',' ORDER BY item::text)
                FROM unnest(coalesce(proacl, acldefault('f', proowner))) item))
    FROM pg_proc p JOIN members ON classid = 'pg_proc'::regclass AND objid = p.oid AND pronamespace = schema
    UNION ALL
    SELECT format('type %I', typname),
        concat_ws(' | ', typtype::text, 'owner ' || pg_get_userbyid(typowner), format_type(typbasetype, typtypmod), typnotnull,
            typdefault, obj_description(t.oid, 'pg_type'),
            ARRAY(SELECT enumlabel FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)::text,
            ARRAY(SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
                WHERE attrelid = typrelid AND attnum > 0 AND NOT attisdropped ORDER BY attnum)::text,
            (SELECT string_agg(item::text, ',' ORDER BY item::text)
                FROM unnest(coalesce(typacl, acldefault('T', typowner))) item))
    FROM pg_type t JOIN members ON classid = 'pg_type'::regclass AND objid = t.oid AND typnamespace = schema
    WHERE typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c')
    UNION ALL
    SELECT format('statistics %I', stxname), concat_ws(' | ', pg_get_statisticsobjdef(s.oid), obj_description(s.oid, 'pg_statistic_ext'))
    FROM pg_statistic_ext s JOIN members ON classid = 'pg_statistic_ext'::regclass AND objid = s.oid AND stxnamespace = schema
    UNION ALL
    SELECT format('default privileges on %s', defaclobjtype),
        (SELECT string_agg(item::text, ',' ORDER BY item::text) FROM unnest(defaclacl) item)
    FROM pg_default_acl a JOIN members ON classid = 'pg_default_acl'::regclass AND objid = a.oid
    UNION ALL
    SELECT format('%s %s', o.type, o.identity), ''
    FROM members, LATERAL pg_identify_object(classid, objid, 0) o
    WHERE classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_constraint'::regclass,
        'pg_default_acl'::regclass, 'pg_statistic_ext'::regclass, 'pg_attrdef'::regclass, 'pg_rewrite'::regclass,
        'pg_policy'::regclass, 'pg_trigger'::regclass) AND coalesce(o.schema, quote_ident($1)) = quote_ident($1)
)
SELECT object, coalesce(string_agg(definition, ' || ' ORDER BY definition), ''),
    current_setting('server_version_num')::int / 10000
FROM described GROUP BY object
