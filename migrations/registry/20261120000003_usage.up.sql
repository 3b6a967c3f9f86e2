-- What tenants take on disk, by the worker. One row per tenant and hour, however many workers sample.
CREATE TABLE storage_samples (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    at         timestamptz NOT NULL,                -- the hour
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (tenant_id, at)
);
CREATE INDEX storage_samples_at ON storage_samples (at);

-- Data planes append every few seconds; the worker merges what is older into hours.
ALTER TABLE usage_samples ADD COLUMN hourly boolean NOT NULL DEFAULT false;
CREATE INDEX usage_samples_fine ON usage_samples (at) WHERE NOT hourly;
CREATE INDEX usage_samples_hourly ON usage_samples (at) WHERE hourly;

GRANT SELECT ON storage_samples TO tenantry_control_plane;
GRANT SELECT, INSERT, UPDATE, DELETE ON storage_samples TO tenantry_worker;
