-- The time in which a move can be undone at once: its old placement is kept, and what is written at the new one is written
-- there too.
CREATE TABLE undo_windows (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    operation_id   uuid NOT NULL,                   -- the move; also what the publication is named by
    kept_epoch     integer NOT NULL,                -- may be gone, with a server that was given up
    serving_epoch  integer NOT NULL,
    slot           text NOT NULL,                   -- at the placement that serves
    closes_at      timestamptz NOT NULL,
    closing        boolean NOT NULL DEFAULT false,  -- the kept placement is being dropped
    FOREIGN KEY (tenant_id, serving_epoch) REFERENCES placements ON DELETE CASCADE
);
GRANT SELECT, INSERT, UPDATE, DELETE ON undo_windows TO tenantry_worker;
GRANT SELECT, DELETE ON undo_windows TO tenantry_control_plane;
