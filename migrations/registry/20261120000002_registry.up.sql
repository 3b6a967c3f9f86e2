CREATE TABLE plans (
    name            text PRIMARY KEY,
    tier            text NOT NULL CHECK (tier IN ('schema', 'database', 'instance')),
    limits          jsonb NOT NULL,
    features        jsonb NOT NULL,
    default_config  jsonb NOT NULL,
    retention_days  smallint NOT NULL CHECK (retention_days >= 0),
    updated_at      timestamptz NOT NULL
);

CREATE TABLE apps (
    name        text PRIMARY KEY,
    manifest    jsonb NOT NULL,
    seed        text,
    updated_at  timestamptz NOT NULL
);

-- Immutable: a version is pushed once and never changes.
CREATE TABLE app_versions (
    app         text NOT NULL REFERENCES apps ON DELETE CASCADE,
    version     bigint NOT NULL CHECK (version > 0),
    name        text NOT NULL,
    up          text NOT NULL,
    down        text,
    checksum    bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (app, version)
);

CREATE TABLE servers (
    id               uuid PRIMARY KEY,
    name             text NOT NULL UNIQUE,
    region           text NOT NULL,
    host             text NOT NULL,
    port             integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    admin_user       text NOT NULL,
    admin_password   bytea NOT NULL,            -- sealed
    shared_database  text NOT NULL,             -- where tenants of tier `schema` live
    state            text NOT NULL CHECK (state IN ('active', 'cordoned', 'draining')),
    provider         text NOT NULL CHECK (provider IN ('static', 'local', 'rds', 'kubernetes')),
    tiers            text[] NOT NULL,
    capacity         integer NOT NULL CHECK (capacity >= 0),
    tenants          integer NOT NULL DEFAULT 0 CHECK (tenants >= 0),   -- counted by the trigger below
    max_connections  integer NOT NULL CHECK (max_connections > 0),
    created_at       timestamptz NOT NULL,
    UNIQUE (host, port)
);

-- The data plane's logins on a server. A login that is a member of thousands of roles slows every
-- backend down (quadratic), so tenants are spread over several.
CREATE TABLE server_logins (
    server_id   uuid NOT NULL REFERENCES servers ON DELETE CASCADE,
    name        text NOT NULL,
    password    bytea NOT NULL,                 -- sealed
    tenants     integer NOT NULL DEFAULT 0 CHECK (tenants >= 0),        -- counted by the trigger below
    PRIMARY KEY (server_id, name)
);

CREATE TABLE tenants (
    id           uuid PRIMARY KEY,
    slug         text NOT NULL,
    subdomain    text,
    name         text NOT NULL,
    status       text NOT NULL CHECK (status IN
        ('provisioning', 'active', 'suspended', 'deactivated', 'purging', 'purged', 'failed')),
    purge_at     timestamptz,
    plan         text NOT NULL REFERENCES plans,
    app          text NOT NULL REFERENCES apps,
    features     jsonb NOT NULL,
    limits       jsonb NOT NULL,
    settings     jsonb NOT NULL,
    data_key     bytea NOT NULL,                -- wrapped by the key-encryption key
    -- The data plane's logins that a purged tenant had. Who gets its slug next gets another login, so
    -- that a data plane which heard nothing cannot become the new tenant with the old one's route.
    retired_logins text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    CHECK ((status = 'deactivated') = (purge_at IS NOT NULL))
);
CREATE INDEX tenants_slug ON tenants (slug);
CREATE INDEX tenants_plan ON tenants (plan);
CREATE INDEX tenants_app ON tenants (app);
CREATE INDEX tenants_purge_at ON tenants (purge_at) WHERE purge_at IS NOT NULL;

-- Slugs and subdomains share one namespace: both are labels below the base domain. A purge frees them.
CREATE TABLE tenant_labels (
    label      text PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('slug', 'subdomain'))
);
CREATE INDEX tenant_labels_tenant ON tenant_labels (tenant_id);

CREATE TABLE domains (
    name         text PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    token        text NOT NULL,
    verified_at  timestamptz,
    checked_at   timestamptz,
    created_at   timestamptz NOT NULL
);
CREATE INDEX domains_tenant ON domains (tenant_id);
CREATE INDEX domains_unverified ON domains (checked_at NULLS FIRST) WHERE verified_at IS NULL;

CREATE TABLE placements (
    tenant_id       uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    epoch           integer NOT NULL CHECK (epoch > 0),
    state           text NOT NULL CHECK (state IN ('preparing', 'serving')),
    tier            text NOT NULL CHECK (tier IN ('schema', 'database', 'instance')),
    server_id       uuid NOT NULL REFERENCES servers,
    database        text NOT NULL,
    schema          text NOT NULL,
    login           text NOT NULL,
    role_password   bytea NOT NULL,             -- sealed with the tenant's data key
    schema_version  bigint,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, epoch),
    FOREIGN KEY (server_id, login) REFERENCES server_logins (server_id, name)
);
CREATE UNIQUE INDEX placements_one_serving ON placements (tenant_id) WHERE state = 'serving';
CREATE INDEX placements_server ON placements (server_id);

CREATE TABLE operations (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    kind              text NOT NULL,
    state             text NOT NULL CHECK (state IN
        ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled')),
    step              text,
    steps_done        smallint NOT NULL DEFAULT 0,
    progress          real NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    error             text,
    attempts          integer NOT NULL DEFAULT 0,   -- also the fence against a worker that lost its lease
    retries           integer NOT NULL DEFAULT 0,
    cancellable       boolean NOT NULL DEFAULT true,    -- before its point of no return
    cancel_requested  boolean NOT NULL DEFAULT false,
    input             jsonb NOT NULL,
    lease_owner       text,
    lease_expires_at  timestamptz,
    run_after         timestamptz NOT NULL,
    enqueued_at       timestamptz NOT NULL DEFAULT now(),   -- when a job for it was last queued
    created_at        timestamptz NOT NULL,
    started_at        timestamptz,
    finished_at       timestamptz
);
-- At most one unfinished operation per tenant.
CREATE UNIQUE INDEX operations_one_unfinished ON operations (tenant_id)
    WHERE state IN ('queued', 'running', 'undoing');
CREATE INDEX operations_unfinished ON operations (run_after) WHERE state IN ('queued', 'running', 'undoing');
CREATE INDEX operations_tenant ON operations (tenant_id, id DESC);

CREATE TABLE operation_events (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id  uuid NOT NULL REFERENCES operations ON DELETE CASCADE,
    kind          text NOT NULL,
    step          text,
    progress      real NOT NULL,
    message       text NOT NULL,
    at            timestamptz NOT NULL
);
CREATE INDEX operation_events_operation ON operation_events (operation_id, id);

CREATE TABLE api_keys (
    id          uuid PRIMARY KEY,
    tenant_id   uuid REFERENCES tenants ON DELETE CASCADE,   -- null: a key of the control plane
    name        text NOT NULL,
    hash        bytea NOT NULL UNIQUE,
    scopes      text[] NOT NULL,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id);

CREATE TABLE idempotency_records (
    caller        text NOT NULL,                -- whose key space: an API key's id, or an address
    key           text NOT NULL,
    request_hash  bytea NOT NULL,
    status        smallint,                     -- null while the first request is still at work
    headers       jsonb,
    body          bytea,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_records_created_at ON idempotency_records (created_at);

CREATE TABLE usage_samples (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    requests   bigint NOT NULL,
    bytes_in   bigint NOT NULL,
    bytes_out  bigint NOT NULL
);
CREATE INDEX usage_samples_tenant ON usage_samples (tenant_id, at);

-- Counters, so that choosing a server or a login is a look at one row instead of a count.
CREATE FUNCTION count_placement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed placements := coalesce(NEW, OLD);
    by_one  integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    UPDATE servers SET tenants = tenants + by_one WHERE id = changed.server_id;
    UPDATE server_logins SET tenants = tenants + by_one WHERE server_id = changed.server_id AND name = changed.login;
    RETURN NULL;
END $$;
CREATE TRIGGER placements_count AFTER INSERT OR DELETE ON placements
    FOR EACH ROW EXECUTE FUNCTION count_placement();

-- The change feed. Payloads name what changed, never how: a listener reads the rows again.
--   tenantry_routes:     tenant:<id> | label:<label> | domain:<name> | plan:<name> | app:<name> | server:<id>
--   tenantry_operations: <operation id> <kind of event>
CREATE FUNCTION notify_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'tenant:' || coalesce(NEW.tenant_id, OLD.tenant_id));
    RETURN NULL;
END $$;

CREATE FUNCTION notify_tenants_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'tenant:' || NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER tenants_changed AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION notify_tenants_row();

CREATE TRIGGER placements_changed AFTER DELETE ON placements
    FOR EACH ROW EXECUTE FUNCTION notify_tenant();
-- A placement that is only being prepared is no news.
CREATE TRIGGER placements_served AFTER INSERT OR UPDATE ON placements
    FOR EACH ROW WHEN (NEW.state = 'serving') EXECUTE FUNCTION notify_tenant();

CREATE FUNCTION notify_api_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'tenant:' || coalesce(NEW.tenant_id, OLD.tenant_id));
    RETURN NULL;
END $$;
CREATE TRIGGER api_keys_added AFTER INSERT ON api_keys
    FOR EACH ROW WHEN (NEW.tenant_id IS NOT NULL) EXECUTE FUNCTION notify_api_key();
CREATE TRIGGER api_keys_removed AFTER DELETE ON api_keys
    FOR EACH ROW WHEN (OLD.tenant_id IS NOT NULL) EXECUTE FUNCTION notify_api_key();

CREATE FUNCTION notify_label() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'label:' || coalesce(NEW.label, OLD.label));
    RETURN NULL;
END $$;
CREATE TRIGGER tenant_labels_changed AFTER INSERT OR DELETE ON tenant_labels
    FOR EACH ROW EXECUTE FUNCTION notify_label();

CREATE FUNCTION notify_domain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'domain:' || coalesce(NEW.name, OLD.name));
    PERFORM pg_notify('tenantry_routes', 'tenant:' || coalesce(NEW.tenant_id, OLD.tenant_id));
    RETURN NULL;
END $$;
CREATE TRIGGER domains_changed AFTER DELETE ON domains
    FOR EACH ROW EXECUTE FUNCTION notify_domain();
CREATE TRIGGER domains_verified AFTER UPDATE OF verified_at ON domains
    FOR EACH ROW WHEN (OLD.verified_at IS DISTINCT FROM NEW.verified_at) EXECUTE FUNCTION notify_domain();

CREATE FUNCTION notify_shared() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', TG_ARGV[0] || ':' || (to_jsonb(NEW) ->> TG_ARGV[1]));
    RETURN NULL;
END $$;
CREATE TRIGGER plans_changed AFTER UPDATE ON plans
    FOR EACH ROW EXECUTE FUNCTION notify_shared('plan', 'name');
CREATE TRIGGER apps_changed AFTER UPDATE ON apps
    FOR EACH ROW EXECUTE FUNCTION notify_shared('app', 'name');
-- Counters are no news.
CREATE TRIGGER servers_changed AFTER UPDATE OF host, port, max_connections ON servers
    FOR EACH ROW EXECUTE FUNCTION notify_shared('server', 'id');

CREATE FUNCTION notify_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_operations', NEW.operation_id || ' ' || NEW.kind);
    RETURN NULL;
END $$;
CREATE TRIGGER operation_events_added AFTER INSERT ON operation_events
    FOR EACH ROW EXECUTE FUNCTION notify_operation();

GRANT SELECT, INSERT, UPDATE, DELETE ON
    plans, apps, app_versions, servers, server_logins, tenants, tenant_labels, domains, placements,
    operations, operation_events, api_keys, idempotency_records, usage_samples
    TO tenantry_control_plane, tenantry_worker;
GRANT SELECT ON
    plans, apps, servers, server_logins, tenants, tenant_labels, domains, placements, api_keys
    TO tenantry_data_plane;
GRANT INSERT ON usage_samples TO tenantry_data_plane;
-- Secrets that are none of the data plane's business.
REVOKE SELECT ON servers, tenants, placements FROM tenantry_data_plane;
GRANT SELECT (id, name, region, host, port, max_connections) ON servers TO tenantry_data_plane;
GRANT SELECT (id, slug, subdomain, name, status, plan, app, features, limits, settings) ON tenants TO tenantry_data_plane;
GRANT SELECT (tenant_id, epoch, state, tier, server_id, database, schema, login, schema_version) ON placements
    TO tenantry_data_plane;
