-- Operations on any subject, with typed input and durable state, lanes, waits and an end for everything.
ALTER TABLE operations DROP CONSTRAINT operations_state_check;
ALTER TABLE operations ADD CHECK (state IN
    ('queued', 'running', 'waiting', 'undoing', 'stuck', 'succeeded', 'failed', 'cancelled'));
ALTER TABLE operations
    ADD COLUMN subject_kind   text NOT NULL DEFAULT 'tenant' CHECK (subject_kind IN ('tenant', 'server', 'rollout')),
    ADD COLUMN subject_id     uuid,
    ADD COLUMN subject_name   text,
    ADD COLUMN lane           text NOT NULL DEFAULT 'interactive'
        CHECK (lane IN ('interactive', 'long', 'fleet', 'idle')),
    ADD COLUMN undoing        boolean NOT NULL DEFAULT false,
    ADD COLUMN steps          text[] NOT NULL DEFAULT '{}',     -- their names, kept at the first lease
    ADD COLUMN durable_state  jsonb NOT NULL DEFAULT '{}',      -- what steps write down for later ones
    ADD COLUMN message        text,                             -- what it does now, overwritten
    ADD COLUMN fence          bigint NOT NULL DEFAULT 0,        -- grows with every lease on the subject
    ADD COLUMN silent_ends    smallint NOT NULL DEFAULT 0,      -- leases in a row that ended without a word
    ADD COLUMN waiting_for    uuid;                             -- the server that it waits for

UPDATE operations SET
    subject_id = tenant_id,
    subject_name = (SELECT slug FROM tenants WHERE tenants.id = tenant_id),
    lane = CASE kind WHEN 'purge' THEN 'long' ELSE 'interactive' END,
    undoing = state = 'undoing',
    input = jsonb_build_object('kind', kind)
        || CASE WHEN kind = 'provision' THEN '{}' ELSE jsonb_build_object('was',
               jsonb_build_object('status', coalesce(input ->> 'from', 'active'))
               || CASE WHEN input ? 'fromPurgeAt' THEN jsonb_build_object('purge_at', input -> 'fromPurgeAt')
                       ELSE '{}' END) END
        || CASE kind WHEN 'purge' THEN '{"reason": "asked"}'
                     WHEN 'deactivate' THEN jsonb_build_object('retention_days', (
                         SELECT retention_days FROM tenants JOIN plans ON plans.name = plan
                         WHERE tenants.id = tenant_id))
                     ELSE '{}' END;

ALTER TABLE operations ALTER COLUMN subject_id SET NOT NULL, ALTER COLUMN subject_name SET NOT NULL,
    ALTER COLUMN subject_kind DROP DEFAULT, ALTER COLUMN lane DROP DEFAULT;
-- The tenant is derived, and keeps the foreign key.
DROP INDEX operations_one_unfinished, operations_unfinished, operations_tenant;
ALTER TABLE operations DROP COLUMN tenant_id;
ALTER TABLE operations ADD COLUMN tenant_id uuid
    GENERATED ALWAYS AS (CASE subject_kind WHEN 'tenant' THEN subject_id END) STORED
    REFERENCES tenants ON DELETE CASCADE;

-- At most one unfinished operation per subject.
CREATE UNIQUE INDEX operations_one_unfinished ON operations (subject_kind, subject_id)
    WHERE state IN ('queued', 'running', 'waiting', 'undoing', 'stuck');
CREATE INDEX operations_due ON operations (run_after) WHERE state IN ('queued', 'running', 'waiting', 'undoing');
CREATE INDEX operations_subject ON operations (subject_kind, subject_id, id DESC);
CREATE INDEX operations_state ON operations (state, id DESC) WHERE state NOT IN ('succeeded');
CREATE INDEX operations_waiting_for ON operations (waiting_for) WHERE waiting_for IS NOT NULL;
CREATE INDEX operations_finished_at ON operations (finished_at) WHERE finished_at IS NOT NULL;

-- One notification per operation and statement, of its last event: notifications of one commit are
-- sent under a lock that all commits share.
DROP TRIGGER operation_events_added ON operation_events;
CREATE OR REPLACE FUNCTION notify_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_operations', operation_id || ' ' || kind)
    FROM (SELECT DISTINCT ON (operation_id) operation_id, kind FROM added ORDER BY operation_id, id DESC) AS last;
    RETURN NULL;
END $$;
CREATE TRIGGER operation_events_added AFTER INSERT ON operation_events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION notify_operation();

-- The states of a move.
ALTER TABLE placements DROP CONSTRAINT placements_state_check;
ALTER TABLE placements ADD CHECK (state IN ('preparing', 'serving', 'cutover', 'fenced', 'retired'));
DROP INDEX placements_one_serving;
CREATE UNIQUE INDEX placements_one_serving ON placements (tenant_id) WHERE state IN ('serving', 'cutover');
CREATE UNIQUE INDEX placements_one_preparing ON placements (tenant_id) WHERE state = 'preparing';
DROP INDEX placements_server;
CREATE INDEX placements_server ON placements (server_id, tier, created_at);
-- What serves a tenant; before it is served, what is being prepared.
CREATE FUNCTION current_placement(tenant uuid) RETURNS SETOF placements LANGUAGE sql STABLE AS $$
    SELECT * FROM placements WHERE tenant_id = tenant
    ORDER BY state IN ('serving', 'cutover') DESC, state = 'preparing' DESC, epoch DESC LIMIT 1
$$;
DROP TRIGGER placements_served ON placements;
CREATE TRIGGER placements_served AFTER INSERT OR UPDATE ON placements
    FOR EACH ROW WHEN (NEW.state IN ('serving', 'cutover', 'fenced')) EXECUTE FUNCTION notify_tenant();

-- Each placement of a tenant gets the next epoch, also when an earlier one was given up.
ALTER TABLE tenants ADD COLUMN last_epoch integer NOT NULL DEFAULT 0;
UPDATE tenants SET last_epoch = coalesce((SELECT max(epoch) FROM placements WHERE tenant_id = tenants.id), 0);
DROP TRIGGER tenants_changed ON tenants;
CREATE TRIGGER tenants_changed AFTER UPDATE ON tenants FOR EACH ROW
    WHEN ((OLD.status, OLD.name, OLD.plan, OLD.app, OLD.features, OLD.limits, OLD.settings, OLD.subdomain)
        IS DISTINCT FROM (NEW.status, NEW.name, NEW.plan, NEW.app, NEW.features, NEW.limits, NEW.settings, NEW.subdomain))
    EXECUTE FUNCTION notify_tenants_row();

-- Servers have health, and a revision that tells connections of an older address or login apart.
ALTER TABLE servers DROP CONSTRAINT servers_state_check;
ALTER TABLE servers ADD CHECK (state IN ('active', 'cordoned', 'draining', 'lost'));
ALTER TABLE servers
    ADD COLUMN revision           bigint NOT NULL DEFAULT 1,
    ADD COLUMN unreachable_since  timestamptz,
    ADD COLUMN unreachable_error  text,
    ADD COLUMN checked_at         timestamptz,
    ADD CHECK ((unreachable_since IS NULL) = (unreachable_error IS NULL));

-- New tenants get the promoted version.
ALTER TABLE apps ADD COLUMN promoted_version bigint;
UPDATE apps SET promoted_version = (SELECT max(version) FROM app_versions WHERE app = apps.name);
ALTER TABLE apps ADD FOREIGN KEY (name, promoted_version) REFERENCES app_versions (app, version);

-- Finished, unnamed tenants that wait for a sign-up.
CREATE TABLE warm_tenants (
    server_id    uuid NOT NULL REFERENCES servers ON DELETE CASCADE,
    name         text NOT NULL,                 -- of role and schema, until a tenant takes it
    app          text NOT NULL REFERENCES apps ON DELETE CASCADE,
    fingerprint  text NOT NULL,                 -- of all that it was made from
    version      bigint NOT NULL,
    tier         text NOT NULL CHECK (tier IN ('schema', 'database')),
    login        text NOT NULL,
    password     bytea NOT NULL,                -- sealed
    operation_id uuid REFERENCES operations ON DELETE SET NULL,     -- that takes it
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (server_id, name),
    FOREIGN KEY (server_id, login) REFERENCES server_logins (server_id, name)
);
CREATE INDEX warm_tenants_free ON warm_tenants (app, server_id, tier, fingerprint) WHERE operation_id IS NULL;
CREATE INDEX warm_tenants_operation ON warm_tenants (operation_id) WHERE operation_id IS NOT NULL;

-- Periodic tasks: each runs in one worker at a time, on the registry's clock.
CREATE TABLE reconcilers (
    name              text PRIMARY KEY,
    due_at            timestamptz NOT NULL DEFAULT now(),
    lease_owner       text,
    lease_expires_at  timestamptz,
    finished_at       timestamptz,
    error             text
);

-- Questions that only a worker can answer, because they need a tenant server.
CREATE TABLE inquiries (
    id           uuid PRIMARY KEY,
    question     jsonb NOT NULL,                -- secrets in it are sealed
    answer       jsonb,
    taken_until  timestamptz,                   -- a worker is at it
    created_at   timestamptz NOT NULL DEFAULT now(),
    answered_at  timestamptz
);
CREATE INDEX inquiries_open ON inquiries (created_at) WHERE answer IS NULL;
CREATE FUNCTION notify_inquiry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_inquiries', NEW.id || CASE WHEN NEW.answer IS NULL THEN ' asked' ELSE ' answered' END);
    RETURN NULL;
END $$;
CREATE TRIGGER inquiries_changed AFTER INSERT OR UPDATE OF answer ON inquiries
    FOR EACH ROW EXECUTE FUNCTION notify_inquiry();

GRANT SELECT, INSERT, UPDATE, DELETE ON warm_tenants, reconcilers TO tenantry_worker;
GRANT SELECT, DELETE ON warm_tenants TO tenantry_control_plane;
GRANT SELECT, INSERT, UPDATE, DELETE ON inquiries TO tenantry_control_plane, tenantry_worker;

-- A login's room counts warm tenants too: it is a member of their roles.
CREATE FUNCTION count_warm_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed warm_tenants := coalesce(NEW, OLD);
    by_one  integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    UPDATE server_logins SET tenants = tenants + by_one WHERE server_id = changed.server_id AND name = changed.login;
    RETURN NULL;
END $$;
CREATE TRIGGER warm_tenants_count AFTER INSERT OR DELETE ON warm_tenants
    FOR EACH ROW EXECUTE FUNCTION count_warm_tenant();
