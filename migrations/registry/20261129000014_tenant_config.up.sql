-- What a tenant has set over the defaults of its plan.
CREATE TABLE tenant_config (
    tenant_id    uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key          text NOT NULL,
    value        jsonb,
    -- Instead of the value, sealed with the tenant's data key for this tenant and key.
    sealed_value bytea,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key),
    CHECK ((value IS NULL) <> (sealed_value IS NULL))
);
CREATE TRIGGER tenant_config_changed AFTER INSERT OR UPDATE OR DELETE ON tenant_config
    FOR EACH ROW EXECUTE FUNCTION notify_tenant();

GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_config TO tenantry_control_plane, tenantry_worker;
GRANT SELECT (tenant_id, key, value) ON tenant_config TO tenantry_data_plane;
