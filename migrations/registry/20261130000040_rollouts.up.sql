-- Rollouts: one version of an app, carried to all of its tenants in waves.
CREATE TABLE rollouts (
    id              uuid PRIMARY KEY,
    app             text NOT NULL REFERENCES apps ON DELETE CASCADE,
    target_version  bigint NOT NULL,            -- no reference: a version that no tenant could take may be deleted
    former_version  bigint,                     -- promoted when it began
    state           text NOT NULL DEFAULT 'running' CHECK (state IN
        ('running', 'paused', 'halted', 'succeeded', 'rolled_back', 'aborted')),
    direction       text NOT NULL DEFAULT 'up' CHECK (direction IN ('up', 'down')),
    reason          text,                       -- why it is not running
    settings        jsonb NOT NULL,
    wave            smallint NOT NULL DEFAULT 0,
    soak_until      timestamptz,                -- that wave is done, and watched
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CHECK ((state IN ('succeeded', 'rolled_back', 'aborted')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX rollouts_one_unfinished ON rollouts (app) WHERE finished_at IS NULL;
CREATE INDEX rollouts_listed ON rollouts (app, id DESC);

CREATE TABLE rollout_tenants (
    rollout_id     uuid NOT NULL REFERENCES rollouts ON DELETE CASCADE,
    tenant_id      uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    server_id      uuid NOT NULL,               -- where it was when it was last looked at
    wave           smallint NOT NULL,
    state          text NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'migrating', 'done', 'failed', 'skipped')),
    from_version   bigint NOT NULL,             -- that it had, and has again after a rollback
    tries          smallint NOT NULL DEFAULT 0,
    error          text,                        -- of the last try, or what it waits for
    again_at       timestamptz NOT NULL DEFAULT '-infinity',
    batch          bigint NOT NULL DEFAULT 0,   -- the fencing token of whoever was at it last
    claimed_until  timestamptz,
    finished_at    timestamptz,
    PRIMARY KEY (rollout_id, tenant_id),
    CHECK ((state = 'migrating') = (claimed_until IS NOT NULL))
);
CREATE INDEX rollout_tenants_pending ON rollout_tenants (rollout_id, server_id, wave, again_at) WHERE state = 'pending';
-- A tenant that is being migrated is nobody else's: see `operation_lease`.
CREATE UNIQUE INDEX rollout_tenants_migrating ON rollout_tenants (tenant_id) WHERE state = 'migrating';
CREATE INDEX rollout_tenants_claimed ON rollout_tenants (server_id, batch) WHERE state = 'migrating';
CREATE INDEX rollout_tenants_tenant ON rollout_tenants (tenant_id);
CREATE INDEX rollout_tenants_state ON rollout_tenants (rollout_id, state, wave);

CREATE FUNCTION notify_rollout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_rollouts', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER rollouts_changed AFTER INSERT OR UPDATE ON rollouts FOR EACH ROW EXECUTE FUNCTION notify_rollout();

CREATE FUNCTION rollout_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (id, type, data)
    VALUES (uuid_v7(), 'rollout.' || CASE NEW.state WHEN 'running' THEN 'started' ELSE NEW.state END,
        jsonb_build_object('rollout', jsonb_build_object(
            'id', NEW.id, 'app', NEW.app, 'targetVersion', NEW.target_version, 'reason', NEW.reason)));
    RETURN NULL;
END $$;
CREATE TRIGGER rollouts_started AFTER INSERT ON rollouts FOR EACH ROW EXECUTE FUNCTION rollout_events();
CREATE TRIGGER rollouts_turned AFTER UPDATE OF state ON rollouts FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND NEW.state NOT IN ('running', 'paused')) EXECUTE FUNCTION rollout_events();

-- Whether a tenant's tables may be worked on at a time: by its configuration `maintenance.window`.
CREATE FUNCTION in_maintenance_window(maintenance jsonb, at timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT maintenance IS NULL
        OR (coalesce(maintenance -> 'days', '[]') = '[]' OR (maintenance -> 'days') ? lower(to_char(day, 'FMDay')))
            AND CASE WHEN begins < ends THEN clock >= begins AND clock < ends ELSE clock >= begins OR clock < ends END
    FROM (SELECT *,
            -- After midnight it belongs to the day on which it began.
            CASE WHEN begins > ends AND clock < ends THEN utc - interval '1 day' ELSE utc END AS day
        FROM (SELECT at AT TIME ZONE 'UTC' AS utc, (at AT TIME ZONE 'UTC')::time AS clock,
            (maintenance ->> 'start')::time AS begins, (maintenance ->> 'end')::time AS ends) AS times) AS days
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON rollouts, rollout_tenants TO tenantry_control_plane, tenantry_worker;
GRANT SELECT (tenant_id, state) ON rollout_tenants TO tenantry_data_plane;
