-- Whether changes of the data at a placement are noted, for tenants whose configuration says `audit.data`: nowhere yet (null), in
-- some of its tables (`beginning`), in all (`on`), or no more, but what was noted is still there (`ending`).
ALTER TABLE placements ADD COLUMN data_audit text CHECK (data_audit IN ('beginning', 'on', 'ending'));
CREATE INDEX placements_data_audit ON placements (tenant_id) WHERE data_audit IS NOT NULL;
CREATE INDEX tenant_config_data_audit ON tenant_config (tenant_id) WHERE key = 'audit.data';

-- Rows that are there have been checked by the narrower constraint.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check,
    ADD CONSTRAINT audit_log_actor_kind_check
        CHECK (actor_kind IN ('key', 'user', 'visitor', 'role', 'system')) NOT VALID;

-- What was done to a tenant goes with it: `purge_audit` alone, whose owner the tables' is, removes what is sealed.
CREATE FUNCTION purges_audit(relation oid, chain uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('tenantry.purges', true) = chain::text, false)
        AND pg_has_role(current_user, relowner, 'MEMBER') FROM pg_class WHERE oid = relation
$$;
CREATE OR REPLACE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND purges_audit(TG_RELID, OLD.tenant_id) THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'audit row % is sealed', OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION refuse_block_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND purges_audit(TG_RELID, OLD.chain) THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'audit block % is sealed', OLD.number USING ERRCODE = 'restrict_violation';
END $$;

-- Removes so many of the oldest rows of a tenant that is being purged; with the last ones its blocks. Who had it purged, and what
-- its chain ended with, stays in the chain of what is no tenant's. Answers whether nothing is left.
CREATE FUNCTION purge_audit(tenant uuid, most bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    asked audit_log;
    head text;
    sealed bigint;
    gone bigint;
BEGIN
    IF EXISTS (SELECT FROM tenants WHERE id = tenant AND status NOT IN ('purging', 'purged')) THEN
        RAISE EXCEPTION 'tenant % is not being purged', tenant USING ERRCODE = 'restrict_violation';
    END IF;
    SELECT * INTO asked FROM audit_log
        WHERE tenant_id = tenant AND action IN ('tenants.delete', 'tenants.purge') AND outcome = 'succeeded'
        ORDER BY number DESC LIMIT 1;
    PERFORM set_config('tenantry.purges', tenant::text, true);
    DELETE FROM audit_log WHERE id IN (
        SELECT id FROM audit_log WHERE tenant_id = tenant ORDER BY number LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone = most THEN
        PERFORM set_config('tenantry.purges', '', true);
        RETURN false;
    END IF;
    -- Whoever sealed some of them has done so by now.
    SELECT number || ':' || encode(hash, 'hex') INTO head FROM audit_blocks WHERE chain = tenant ORDER BY number DESC LIMIT 1;
    SELECT coalesce(sum(cardinality(rows)), 0) INTO sealed FROM audit_blocks WHERE chain = tenant;
    DELETE FROM audit_blocks WHERE chain = tenant;
    PERFORM set_config('tenantry.purges', '', true);
    IF gone > 0 OR sealed > 0 THEN
        INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
            address, outcome, after)
        VALUES (uuid_v7(), now(), coalesce(asked.actor_kind, 'system'), asked.actor_id, asked.actor_name, 'tenants.purged',
            'tenants', tenant, asked.request, asked.request_id, asked.address, 'succeeded',
            json_build_object('sealedRows', sealed, 'head', head));
    END IF;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION purge_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_audit TO tenantry_worker, tenantry_control_plane;
