-- Who did what: every change that the API is asked for, every secret that it shows, and how users log in. ADR 18.
CREATE TABLE audit_log (
    id           uuid PRIMARY KEY,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    -- No reference: what was done to a tenant outlives its record.
    tenant_id    uuid,
    at           timestamptz NOT NULL,
    actor_kind   text NOT NULL CHECK (actor_kind IN ('key', 'user', 'visitor', 'system')),
    actor_id     text,
    actor_name   text,
    action       text NOT NULL,                 -- `tenants.suspend`, `users.login`
    target_kind  text,
    target_id    text,
    request      text,                          -- method, path and query
    request_id   text,
    address      text,
    outcome      text NOT NULL CHECK (outcome IN ('pending', 'succeeded', 'refused', 'failed', 'unknown')),
    status       integer,                       -- of the answer
    -- Texts that are kept as they are written, since they are hashed; no secrets.
    input        json,                          -- what was sent
    before       json,
    after        json,
    written_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    block        bigint                         -- that seals it
);
CREATE UNIQUE INDEX audit_log_in_order ON audit_log (number);
CREATE INDEX audit_log_tenant ON audit_log (tenant_id, number);
CREATE INDEX audit_log_actor ON audit_log (actor_id, number);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_unsealed ON audit_log (number) WHERE block IS NULL;
CREATE INDEX audit_log_block ON audit_log ((coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')), block)
    WHERE block IS NOT NULL;

-- Chains of blocks: one per tenant, and one (nil) for what is no tenant's.
CREATE TABLE audit_blocks (
    chain      uuid NOT NULL,
    number     bigint NOT NULL CHECK (number > 0),
    rows       uuid[] NOT NULL,                 -- what it seals, in order
    digests    bytea NOT NULL,                  -- of those rows, 32 bytes each
    hash       bytea NOT NULL,                  -- over the hash of the block before and all of the above
    sealed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain, number)
);

-- What is sealed stays as it is, also for a statement that went astray. Who administers the database can do away with this: then
-- the hashes tell.
CREATE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit row % is sealed', OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_log_sealed BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW
    WHEN (OLD.block IS NOT NULL) EXECUTE FUNCTION refuse_sealed();
CREATE FUNCTION refuse_block_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit block % is sealed', OLD.number USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_blocks_sealed BEFORE UPDATE OR DELETE ON audit_blocks FOR EACH ROW EXECUTE FUNCTION refuse_block_change();

-- What seals a row, and its place, are nobody's to say but the worker's.
GRANT SELECT ON audit_log TO tenantry_control_plane, tenantry_worker;
GRANT INSERT (id, tenant_id, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, request, request_id, address,
    outcome, status, input, before, after) ON audit_log TO tenantry_control_plane, tenantry_worker, tenantry_data_plane;
GRANT UPDATE (tenant_id, target_kind, target_id, outcome, status, after) ON audit_log TO tenantry_control_plane;
GRANT UPDATE (outcome, block) ON audit_log TO tenantry_worker;
GRANT SELECT ON audit_blocks TO tenantry_control_plane;
GRANT SELECT, INSERT ON audit_blocks TO tenantry_worker;
