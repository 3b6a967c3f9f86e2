-- Requests that data planes may serve, per tenant and day in UTC: taken in portions, each before it is used.
CREATE TABLE daily_requests (
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    day        date NOT NULL,
    taken      bigint NOT NULL,
    PRIMARY KEY (tenant_id, day)
) WITH (fillfactor = 50);
CREATE INDEX daily_requests_day ON daily_requests (day);

-- Takes up to `wanted` of the `most` requests of a day; how many. `unasked` were served while nobody could be asked: they
-- count in any case. A portion is at most an eighth of what is left: what idle data planes hold at the end is little.
CREATE FUNCTION take_daily_requests(tenant uuid, of_day date, most bigint, wanted bigint, unasked bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    before  bigint;
    granted bigint;
BEGIN
    INSERT INTO daily_requests VALUES (tenant, of_day, 0) ON CONFLICT DO NOTHING;
    SELECT taken + unasked INTO before FROM daily_requests WHERE tenant_id = tenant AND day = of_day FOR UPDATE;
    granted := least(wanted, (greatest(most - before, 0) + 7) / 8);
    UPDATE daily_requests SET taken = before + granted WHERE tenant_id = tenant AND day = of_day;
    RETURN granted;
END $$;
REVOKE ALL ON FUNCTION take_daily_requests FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_daily_requests TO tenantry_data_plane;
GRANT SELECT ON daily_requests TO tenantry_control_plane;
GRANT SELECT, DELETE ON daily_requests TO tenantry_worker;

-- How requests went, and what they took.
ALTER TABLE usage_samples
    ADD COLUMN errors      bigint NOT NULL DEFAULT 0,   -- answered with 5xx
    ADD COLUMN duration_us bigint NOT NULL DEFAULT 0,   -- from the request's head to the answer's
    ADD COLUMN database_us bigint NOT NULL DEFAULT 0;   -- of that, while PostgreSQL had it

-- The last that is known of what each tenant's data takes: what routes and limits look at.
CREATE TABLE tenant_storage (
    tenant_id   uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    bytes       bigint NOT NULL CHECK (bytes >= 0),
    users       bigint,                                 -- none where the app has none
    sampled_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
GRANT SELECT ON tenant_storage TO tenantry_control_plane, tenantry_data_plane;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenant_storage TO tenantry_worker;

-- Bytes that a tenant's data may take; null: as many as it likes.
CREATE FUNCTION max_storage(own jsonb, of_plan jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE
RETURN coalesce((own ->> 'maxStorageBytes')::numeric, (of_plan ->> 'maxStorageBytes')::numeric);

-- Data planes hear of it when a tenant has too much, or no longer has.
CREATE FUNCTION notify_tenant_storage() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER tenant_storage_changed AFTER INSERT OR UPDATE ON tenant_storage
    FOR EACH ROW EXECUTE FUNCTION notify_tenant_storage();

-- How many requests a day has is one of a plan's limits; its default configuration says the same, or nothing.
UPDATE plans SET default_config = default_config - 'api.rate_limit'
WHERE default_config -> 'api.rate_limit' IS DISTINCT FROM limits -> 'apiRequestsPerDay';
