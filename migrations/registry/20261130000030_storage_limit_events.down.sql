CREATE OR REPLACE FUNCTION notify_tenant_storage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most numeric;
BEGIN
    SELECT max_storage(tenants.limits, plans.limits) INTO most
    FROM tenants JOIN plans ON plans.name = plan WHERE tenants.id = NEW.tenant_id;
    IF (NEW.bytes >= most) IS DISTINCT FROM (CASE WHEN TG_OP = 'UPDATE' THEN OLD.bytes >= most ELSE false END) THEN
        PERFORM pg_notify('tenantry_routes', 'tenant:' || NEW.tenant_id);
    END IF;
    RETURN NULL;
END $$;
