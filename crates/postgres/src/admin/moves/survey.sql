-- $1: the schema, $2: who owns what is in it. Answers bytes, those of rows, tables, obstacles, and those of a move while it is written to.
WITH members AS (
    SELECT c.* FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
        AND d.refobjid = to_regnamespace(quote_ident($1)) AND c.relnamespace = d.refobjid
), obstacles AS (
    SELECT format('table %I is a foreign table: drop it, or move what it shows into a table', relname) AS obstacle
    FROM members WHERE relkind = 'f'
    UNION ALL
    SELECT format('%I belongs to %I: ALTER TABLE %I.%I OWNER TO %I', relname, pg_get_userbyid(relowner), $1, relname, $2)
    FROM members WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND pg_get_userbyid(relowner) <> $2
    UNION ALL
    SELECT format('table %I has FORCE ROW LEVEL SECURITY, which hides rows from its owner and from the admin login', relname)
    FROM members, pg_roles
    WHERE relkind IN ('r', 'p') AND relforcerowsecurity
        AND rolname = current_user AND NOT rolsuper AND NOT rolbypassrls
    UNION ALL
    SELECT format('the tenant has %s large objects, which belong to no table: keep their content in bytea columns', count(*))
    FROM pg_largeobject_metadata
    WHERE lomowner IN (to_regrole(quote_ident($1)), to_regrole($2)) HAVING count(*) > 0
    UNION ALL
    SELECT format('transaction %L is prepared: COMMIT PREPARED or ROLLBACK PREPARED it', gid)
    FROM pg_prepared_xacts WHERE database = current_database() AND owner IN ($1, $2)
)
, live_obstacles AS (
    SELECT format('table %I is unlogged, so that its changes are in no log: ALTER TABLE %I.%I SET LOGGED', relname, $1, relname) AS obstacle
    FROM members WHERE relkind = 'r' AND relpersistence = 'u'
    UNION ALL
    SELECT format('the server''s wal_level is %s: ALTER SYSTEM SET wal_level = logical, and restart it', setting)
    FROM pg_settings WHERE name = 'wal_level' AND setting <> 'logical'
    UNION ALL
    SELECT format('the admin login may not read changes: ALTER ROLE %I REPLICATION, as a superuser', rolname)
    FROM pg_roles
    WHERE rolname = current_user AND NOT rolsuper AND NOT rolreplication
        AND NOT coalesce(pg_has_role(to_regrole('rds_replication')::oid, 'MEMBER'), false)
    UNION ALL
    -- Those of other moves become free: the move waits for one.
    SELECT format('all %s replication slots of the server are used, none of them by a move: raise max_replication_slots, '
        'and restart it', setting)
    FROM pg_settings WHERE name = 'max_replication_slots'
        AND setting::bigint <= (SELECT count(*) FROM pg_replication_slots WHERE NOT starts_with(slot_name, 'tenantry_'))
)
SELECT
    (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM members WHERE relkind IN ('r', 'm')),
    -- More than two pages: a table or an index with next to nothing in it has as many.
    (SELECT coalesce(sum(greatest(pg_relation_size(relation) - 2 * current_setting('block_size')::int, 0)), 0)::bigint
        FROM (
            SELECT unnest(ARRAY[oid, nullif(reltoastrelid, 0)]) FROM members WHERE relkind IN ('r', 'm')
            UNION ALL
            SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM members)
        ) AS relations (relation)
        WHERE relation IS NOT NULL),
    (SELECT count(*) FROM members WHERE relkind = 'r'),
    ARRAY(SELECT obstacle FROM obstacles)
    || CASE WHEN to_regnamespace(quote_ident($1)) IS NULL
        THEN ARRAY[format('schema %I is not there', $1)] ELSE '{}' END,
    ARRAY(SELECT obstacle FROM live_obstacles)
