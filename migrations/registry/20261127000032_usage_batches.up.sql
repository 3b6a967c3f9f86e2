-- A data plane that does not learn whether its samples were appended sends the batch again: it counts once.
CREATE TABLE usage_batches (
    id uuid PRIMARY KEY,
    appended_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_batches_appended_at ON usage_batches (appended_at);
GRANT INSERT ON usage_batches TO tenantry_data_plane;
GRANT SELECT, DELETE ON usage_batches TO tenantry_worker;
