-- Users of tenants log in with tokens that each tenant signs with keys of its own.
CREATE TABLE signing_keys (
    id          text PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    public_key  bytea NOT NULL,
    -- Sealed with the key-encryption key.
    private_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- When a newer one took its place; what it has signed counts until it ends.
    superseded_at timestamptz
);
CREATE INDEX signing_keys_superseded ON signing_keys (superseded_at) WHERE superseded_at IS NOT NULL;
CREATE INDEX signing_keys_tenant ON signing_keys (tenant_id);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (tenant_id) WHERE superseded_at IS NULL;
CREATE TRIGGER signing_keys_changed AFTER INSERT OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION notify_tenant();

-- Log-ins that ended before their access tokens did: data planes keep them in memory until then.
CREATE TABLE revoked_sessions (
    session_id uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    -- When the last access token of the session ends by itself.
    expires_at timestamptz NOT NULL
);
CREATE INDEX revoked_sessions_expiry ON revoked_sessions (expires_at);
CREATE FUNCTION notify_revoked_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'session:' || NEW.session_id || ' ' || ceil(extract(epoch FROM NEW.expires_at)));
    RETURN NULL;
END $$;
CREATE TRIGGER revoked_sessions_added AFTER INSERT ON revoked_sessions
    FOR EACH ROW EXECUTE FUNCTION notify_revoked_session();

-- The login of the data plane that sees what Tenantry keeps of users, and nothing else: one of each server.
ALTER TABLE server_logins ADD COLUMN for_users boolean NOT NULL DEFAULT false;
CREATE UNIQUE INDEX server_logins_for_users ON server_logins (server_id) WHERE for_users;

GRANT SELECT, INSERT, UPDATE, DELETE ON signing_keys, revoked_sessions TO tenantry_control_plane, tenantry_worker;
GRANT SELECT ON signing_keys TO tenantry_data_plane;
GRANT SELECT, INSERT ON revoked_sessions TO tenantry_data_plane;
