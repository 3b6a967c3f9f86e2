-- Public keys of issuers that tenants trust, as workers fetched them.
CREATE TABLE issuer_keys (
    -- The key set's URL, or the issuer, whose OpenID configuration leads there.
    kind          text NOT NULL CHECK (kind IN ('jwks_uri', 'discovery')),
    url           text NOT NULL,
    -- A key set; none before the first fetch.
    keys          jsonb,
    fetched_at    timestamptz,
    -- Until when the keys count, should no later fetch succeed.
    good_until    timestamptz,
    fetch_at      timestamptz NOT NULL DEFAULT '-infinity',
    attempted_at  timestamptz,
    -- Why the last fetches failed, and how many.
    error         text,
    failures      integer NOT NULL DEFAULT 0,
    -- A data plane has met a token with a key that is not among these since.
    asked         boolean NOT NULL DEFAULT false,
    -- When it was last configured somewhere: for the race between that and being forgotten.
    wanted_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, url),
    CHECK ((keys IS NULL) = (fetched_at IS NULL) AND (keys IS NULL) = (good_until IS NULL)),
    CHECK ((error IS NULL) = (failures = 0))
);

-- What is to be fetched for a value of `auth.issuers`, whatever it is.
CREATE FUNCTION issuer_key_sources(issuers jsonb) RETURNS TABLE (kind text, url text) LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT CASE WHEN issuer ->> 'jwksUri' IS NULL THEN 'discovery' ELSE 'jwks_uri' END,
        coalesce(issuer ->> 'jwksUri', issuer ->> 'issuer')
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(issuers) = 'array' THEN issuers END) AS issuer
    WHERE issuer ->> 'jwks' IS NULL
        AND coalesce(issuer ->> 'jwksUri', issuer ->> 'issuer') IS NOT NULL
$$;

CREATE INDEX tenant_config_issuers ON tenant_config (tenant_id) WHERE key = 'auth.issuers';

-- A source that is configured is known from then on. One that is so no more is forgotten when it is due.
CREATE FUNCTION add_issuer_keys() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO issuer_keys (kind, url)
    SELECT kind, url FROM issuer_key_sources(CASE TG_TABLE_NAME
        WHEN 'plans' THEN to_jsonb(NEW) -> 'default_config' -> 'auth.issuers' ELSE to_jsonb(NEW) -> 'value' END)
    -- Whoever configures it again wants to see at once whether it works now.
    ON CONFLICT ON CONSTRAINT issuer_keys_pkey DO UPDATE SET wanted_at = now(),
        fetch_at = CASE WHEN issuer_keys.failures > 0 THEN '-infinity' ELSE issuer_keys.fetch_at END;
    RETURN NULL;
END $$;
CREATE TRIGGER tenant_config_issuers AFTER INSERT OR UPDATE ON tenant_config
    FOR EACH ROW WHEN (NEW.key = 'auth.issuers') EXECUTE FUNCTION add_issuer_keys();
CREATE TRIGGER plans_issuers AFTER INSERT OR UPDATE OF default_config ON plans
    FOR EACH ROW WHEN (NEW.default_config ? 'auth.issuers') EXECUTE FUNCTION add_issuer_keys();

CREATE FUNCTION notify_issuer_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_routes', 'issuer-keys:' || NEW.kind || ' ' || NEW.url);
    RETURN NULL;
END $$;
CREATE TRIGGER issuer_keys_changed AFTER UPDATE ON issuer_keys
    FOR EACH ROW WHEN (OLD.keys IS DISTINCT FROM NEW.keys OR OLD.good_until IS DISTINCT FROM NEW.good_until)
    EXECUTE FUNCTION notify_issuer_keys();

GRANT SELECT ON issuer_keys TO tenantry_control_plane;
GRANT SELECT, UPDATE, DELETE ON issuer_keys TO tenantry_worker;
GRANT SELECT (kind, url, keys, good_until), UPDATE (asked) ON issuer_keys TO tenantry_data_plane;

-- Tenants' health, with one check more: no fetch of its issuers' keys has failed last.
ALTER FUNCTION tenant_health RENAME TO tenant_health_without_issuers;
CREATE FUNCTION tenant_health(tenant uuid) RETURNS TABLE (
    health        text,
    database      boolean,
    storage       boolean,
    users         boolean,
    limits        boolean,
    version       boolean,
    api           boolean,
    response_ms   float8,
    error_rate    float8,
    uptime        float8,
    issuers       boolean       -- the keys of all issuers that it trusts could be fetched
) LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN known.health = 'healthy' AND NOT keys.fetched THEN 'degraded' ELSE known.health END,
        database, storage, users, limits, version, api, response_ms, error_rate, uptime, keys.fetched
    FROM tenant_health_without_issuers(tenant) AS known
    CROSS JOIN LATERAL (
        SELECT NOT EXISTS (
            SELECT FROM tenants
            JOIN plans ON plans.name = tenants.plan
            LEFT JOIN tenant_config ON tenant_config.tenant_id = tenants.id AND tenant_config.key = 'auth.issuers'
            CROSS JOIN LATERAL issuer_key_sources(coalesce(tenant_config.value, plans.default_config -> 'auth.issuers'))
                AS source
            JOIN issuer_keys ON issuer_keys.kind = source.kind AND issuer_keys.url = source.url
            WHERE tenants.id = tenant AND issuer_keys.error IS NOT NULL
        ) AS fetched
    ) AS keys
$$;
