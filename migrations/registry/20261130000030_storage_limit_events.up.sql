-- Data planes, and webhooks, hear of it when a tenant has too much data, or no longer has.
CREATE OR REPLACE FUNCTION notify_tenant_storage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most     numeric;
    too_much boolean;
BEGIN
    SELECT max_storage(tenants.limits, plans.limits) INTO most
    FROM tenants JOIN plans ON plans.name = plan WHERE tenants.id = NEW.tenant_id;
    too_much := coalesce(NEW.bytes >= most, false);
    IF too_much IS DISTINCT FROM (TG_OP = 'UPDATE' AND coalesce(OLD.bytes >= most, false)) THEN
        PERFORM pg_notify('tenantry_routes', 'tenant:' || NEW.tenant_id);
        IF too_much THEN
            INSERT INTO events (id, type, tenant_id, data)
            VALUES (uuid_v7(), 'tenant.limit_reached', NEW.tenant_id, '{"limit": "maxStorage"}');
        END IF;
    END IF;
    RETURN NULL;
END $$;
