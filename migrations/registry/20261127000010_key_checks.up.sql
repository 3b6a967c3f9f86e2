-- What tells the right key-encryption key from a wrong one: a known text that was sealed with it, written by the
-- first process that has a key. One row.
CREATE TABLE key_checks (
    only_one     boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    fingerprint  text NOT NULL,         -- of the key, for messages
    sealed       bytea NOT NULL,
    created_at   timestamptz NOT NULL
);

GRANT SELECT, INSERT ON key_checks TO tenantry_control_plane, tenantry_worker;
GRANT SELECT ON key_checks TO tenantry_data_plane;

-- Every part compares the registry's version with its own before it is ready.
GRANT SELECT ON _sqlx_migrations TO tenantry_control_plane, tenantry_worker, tenantry_data_plane;
