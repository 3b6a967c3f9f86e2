-- Whether changes of the data at a placement are noted, for tenants whose configuration says `audit.data`: nowhere yet (null), in
-- some of its tables (`beginning`), in all (`on`), or no more, but what was noted is still there (`ending`).
ALTER TABLE placements ADD COLUMN data_audit text CHECK (data_audit IN ('beginning', 'on', 'ending'));
CREATE INDEX placements_data_audit ON placements (tenant_id) WHERE data_audit IS NOT NULL;
CREATE INDEX tenant_config_data_audit ON tenant_config (tenant_id) WHERE key = 'audit.data';

ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check;
ALTER TABLE audit_log ADD CONSTRAINT audit_log_actor_kind_check
    CHECK (actor_kind IN ('key', 'user', 'visitor', 'role', 'system'));

-- What was done to a tenant goes with it. Who had it purged, and what its chain ended with, stays in the chain of what is no
-- tenant's.
DROP TRIGGER audit_log_sealed ON audit_log;
CREATE TRIGGER audit_log_sealed BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW
    WHEN (OLD.block IS NOT NULL AND current_setting('tenantry.purges', true) IS DISTINCT FROM OLD.tenant_id::text)
    EXECUTE FUNCTION refuse_sealed();
DROP TRIGGER audit_blocks_sealed ON audit_blocks;
CREATE TRIGGER audit_blocks_sealed BEFORE UPDATE OR DELETE ON audit_blocks FOR EACH ROW
    WHEN (current_setting('tenantry.purges', true) IS DISTINCT FROM OLD.chain::text)
    EXECUTE FUNCTION refuse_block_change();

CREATE FUNCTION purge_audit(tenant uuid) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    asked audit_log;
    head text;
    gone bigint;
BEGIN
    SELECT * INTO asked FROM audit_log
        WHERE tenant_id = tenant AND action IN ('tenants.delete', 'tenants.purge') AND outcome = 'succeeded'
        ORDER BY number DESC LIMIT 1;
    SELECT number || ':' || encode(hash, 'hex') INTO head FROM audit_blocks WHERE chain = tenant ORDER BY number DESC LIMIT 1;
    PERFORM set_config('tenantry.purges', tenant::text, true);
    DELETE FROM audit_log WHERE tenant_id = tenant;
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM audit_blocks WHERE chain = tenant;
    PERFORM set_config('tenantry.purges', '', true);
    IF gone > 0 THEN
        INSERT INTO audit_log (id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id,
            address, outcome, after)
        VALUES (uuid_v7(), now(), coalesce(asked.actor_kind, 'system'), asked.actor_id, asked.actor_name, 'tenants.purged',
            'tenants', tenant, asked.request, asked.request_id, asked.address, 'succeeded',
            json_build_object('rows', gone, 'head', head));
    END IF;
END $$;
REVOKE ALL ON FUNCTION purge_audit FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_audit TO tenantry_worker, tenantry_control_plane;
