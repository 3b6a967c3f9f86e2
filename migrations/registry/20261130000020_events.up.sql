-- What happened, written in the transaction in which it did, and who is told of it. ADR 17.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
        52, 1), 53, 1), 'hex')::uuid
$$;

CREATE TABLE events (
    id          uuid PRIMARY KEY,
    number      bigint NOT NULL,                -- their order; of one tenant that of the commits
    type        text NOT NULL,
    -- No reference: a tenant's last event outlives its record.
    tenant_id   uuid,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    data        jsonb NOT NULL,
    -- A one-time token, sealed with the key-encryption key; only while an endpoint that asks for the type by name waits for it.
    secret      bytea,
    secret_expires_at timestamptz,
    CHECK ((secret IS NULL) = (secret_expires_at IS NULL))
);
CREATE SEQUENCE events_number OWNED BY events.number;
CREATE UNIQUE INDEX events_in_order ON events (number);
CREATE INDEX events_tenant ON events (tenant_id, number);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_secret ON events (secret_expires_at) WHERE secret IS NOT NULL;

CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    url             text NOT NULL,
    types           text[] NOT NULL,            -- names, `tenant.*` or `*`
    tenant_id       uuid REFERENCES tenants ON DELETE CASCADE,  -- only events of this one
    description     text NOT NULL,
    enabled         boolean NOT NULL,
    disabled_reason text,                       -- why it was disabled by the worker
    secret          bytea NOT NULL,             -- sealed
    former_secret   bytea,                      -- sealed; signs beside the other until then
    former_until    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CHECK ((former_secret IS NULL) = (former_until IS NULL))
);

CREATE TABLE webhook_deliveries (
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id     uuid NOT NULL REFERENCES events ON DELETE CASCADE,
    number       bigint NOT NULL,               -- the event's
    queue        uuid NOT NULL,                 -- the event's tenant, or nil; a test has one of its own
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts     integer NOT NULL DEFAULT 0,    -- since it was last begun
    status       integer,                       -- of the last answer
    error        text,                          -- of the last attempt that failed
    attempted_at timestamptz,
    finished_at  timestamptz,
    PRIMARY KEY (webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_next ON webhook_deliveries (webhook_id, queue, number) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (webhook_id, number);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_id);

-- One for each tenant of which a webhook has not been told all: its deliveries go out one after the other. Workers take queues.
CREATE TABLE webhook_queues (
    webhook_id   uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    queue        uuid NOT NULL,
    due_at       timestamptz NOT NULL DEFAULT '-infinity',
    fence        bigint NOT NULL DEFAULT 0,     -- of the last attempt: whoever has another comes too late
    leased_until timestamptz,
    PRIMARY KEY (webhook_id, queue)
);
CREATE INDEX webhook_queues_due ON webhook_queues (webhook_id, due_at);
CREATE SEQUENCE webhook_fences;

CREATE FUNCTION event_before() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    -- Until the commit: a later number of the same tenant is committed later.
    PERFORM pg_advisory_xact_lock(hashtext('tenantry event'), hashtext(coalesce(NEW.tenant_id::text, '')));
    NEW.number := nextval('events_number');
    IF NEW.tenant_id IS NOT NULL THEN
        NEW.data := jsonb_build_object('tenant', (
            SELECT jsonb_build_object('id', id, 'slug', slug, 'name', name) FROM tenants WHERE id = NEW.tenant_id
        )) || NEW.data;
    END IF;
    IF NEW.secret IS NOT NULL AND NOT EXISTS (
        SELECT FROM webhooks WHERE enabled AND NEW.type = ANY (types) AND coalesce(tenant_id = NEW.tenant_id, true)
    ) THEN
        NEW.secret := NULL;
        NEW.secret_expires_at := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER events_numbered BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION event_before();

CREATE FUNCTION event_after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    -- A test is for one webhook, whatever it asks for; who writes it makes its delivery.
    IF NEW.type = 'webhook.test' THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_deliveries (webhook_id, event_id, number, queue)
    SELECT id, NEW.id, NEW.number, coalesce(NEW.tenant_id, '00000000-0000-0000-0000-000000000000')
    FROM webhooks
    WHERE enabled AND types && ARRAY[NEW.type, split_part(NEW.type, '.', 1) || '.*', '*']
        AND (tenant_id IS NULL OR tenant_id = NEW.tenant_id);
    IF FOUND THEN
        -- The row is written in any case: whoever empties the queue at this moment waits, and finds the delivery.
        INSERT INTO webhook_queues AS known (webhook_id, queue)
        SELECT webhook_id, queue FROM webhook_deliveries WHERE event_id = NEW.id ORDER BY webhook_id
        ON CONFLICT (webhook_id, queue) DO UPDATE SET due_at = known.due_at;
        PERFORM pg_notify('tenantry_webhooks', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER events_told AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION event_after();

-- What happens to tenants goes through their rows, whoever changes them.
CREATE FUNCTION tenant_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    type text;
    data jsonb := jsonb_build_object('status', NEW.status, 'plan', NEW.plan, 'app', NEW.app);
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (id, type, tenant_id, data) VALUES (uuid_v7(), 'tenant.created', NEW.id, data);
        RETURN NULL;
    END IF;
    type := CASE
        WHEN OLD.status = NEW.status THEN NULL
        WHEN NEW.status = 'purged' THEN 'tenant.purged'
        WHEN NEW.status = 'failed' THEN 'tenant.failed'
        -- A purge that is undone was never told.
        WHEN OLD.status = 'purging' THEN NULL
        WHEN NEW.status = 'deactivated' THEN 'tenant.deleted'
        WHEN OLD.status = 'deactivated' AND NEW.status IN ('active', 'suspended') THEN 'tenant.restored'
        WHEN NEW.status = 'suspended' THEN 'tenant.suspended'
        WHEN NEW.status = 'active' AND OLD.status = 'suspended' THEN 'tenant.resumed'
        WHEN NEW.status = 'active' THEN 'tenant.activated'
    END;
    IF type = 'tenant.deleted' THEN
        data := data || jsonb_build_object('purgeAt', to_char(NEW.purge_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    END IF;
    IF type IS NOT NULL THEN
        INSERT INTO events (id, type, tenant_id, data) VALUES (uuid_v7(), type, NEW.id, data);
    END IF;
    IF OLD.plan <> NEW.plan THEN
        INSERT INTO events (id, type, tenant_id, data) VALUES (uuid_v7(), 'tenant.plan_changed', NEW.id,
            jsonb_build_object('plan', NEW.plan, 'formerPlan', OLD.plan));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tenants_created AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION tenant_events();
CREATE TRIGGER tenants_turned AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.plan <> NEW.plan) EXECUTE FUNCTION tenant_events();

-- Fires at the end of the statement that flips the placements: the former one is fenced by then.
CREATE FUNCTION placement_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (id, type, tenant_id, data)
    SELECT uuid_v7(), 'tenant.moved', NEW.tenant_id, jsonb_build_object(
        'from', jsonb_build_object('server', former_server.name, 'tier', former.tier),
        'to', jsonb_build_object('server', server.name, 'tier', NEW.tier))
    FROM (SELECT * FROM placements WHERE tenant_id = NEW.tenant_id AND state IN ('fenced', 'retired') AND epoch < NEW.epoch
          ORDER BY epoch DESC LIMIT 1) AS former
        JOIN servers AS former_server ON former_server.id = former.server_id
        JOIN servers AS server ON server.id = NEW.server_id;
    RETURN NULL;
END $$;
CREATE TRIGGER placements_flipped AFTER UPDATE OF state ON placements FOR EACH ROW
    WHEN (OLD.state = 'preparing' AND NEW.state = 'serving') EXECUTE FUNCTION placement_events();

CREATE FUNCTION signing_key_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM signing_keys WHERE tenant_id = NEW.tenant_id AND id <> NEW.id) THEN
        INSERT INTO events (id, type, tenant_id, data)
        VALUES (uuid_v7(), 'key.rotated', NEW.tenant_id, jsonb_build_object('kind', 'signing', 'keyId', NEW.id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER signing_keys_rotated AFTER INSERT ON signing_keys FOR EACH ROW EXECUTE FUNCTION signing_key_events();

CREATE FUNCTION operation_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (id, type, tenant_id, data)
    VALUES (uuid_v7(), 'operation.' || NEW.state, NEW.tenant_id, jsonb_build_object('operation', jsonb_build_object(
        'id', NEW.id, 'kind', NEW.kind, 'subject', jsonb_build_object(
            'kind', NEW.subject_kind, 'id', NEW.subject_id, 'name', NEW.subject_name), 'error', NEW.error)));
    RETURN NULL;
END $$;
CREATE TRIGGER operations_ended AFTER UPDATE OF state ON operations FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state IN ('failed', 'stuck')) EXECUTE FUNCTION operation_ends();

CREATE FUNCTION server_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    server servers := coalesce(NEW, OLD);
BEGIN
    INSERT INTO events (id, type, data) VALUES (uuid_v7(), TG_ARGV[0], jsonb_build_object('server', jsonb_build_object(
        'id', server.id, 'name', server.name, 'region', server.region, 'provider', server.provider)));
    RETURN NULL;
END $$;
CREATE TRIGGER servers_added AFTER INSERT ON servers FOR EACH ROW EXECUTE FUNCTION server_events('server.added');
CREATE TRIGGER servers_removed AFTER DELETE ON servers FOR EACH ROW EXECUTE FUNCTION server_events('server.removed');
-- One that is hibernated is not away.
CREATE TRIGGER servers_disconnected AFTER UPDATE OF unreachable_since ON servers FOR EACH ROW
    WHEN (OLD.unreachable_since IS NULL AND NEW.unreachable_since IS NOT NULL AND NEW.state <> 'hibernated')
    EXECUTE FUNCTION server_events('server.disconnected');
CREATE TRIGGER servers_reconnected AFTER UPDATE OF unreachable_since ON servers FOR EACH ROW
    WHEN (OLD.unreachable_since IS NOT NULL AND NEW.unreachable_since IS NULL AND OLD.state <> 'hibernated')
    EXECUTE FUNCTION server_events('server.reconnected');

GRANT SELECT, INSERT, UPDATE, DELETE ON events, webhooks, webhook_deliveries, webhook_queues
    TO tenantry_control_plane, tenantry_worker;
GRANT USAGE ON SEQUENCE webhook_fences TO tenantry_worker;
-- It appends, and reads nothing.
GRANT INSERT (id, type, tenant_id, data, secret, secret_expires_at) ON events TO tenantry_data_plane;
