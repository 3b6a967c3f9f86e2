DROP FUNCTION make_sample_weeks, drop_sample_weeks;
ALTER TABLE storage_samples RENAME TO storage_samples_partitioned;
ALTER TABLE usage_samples RENAME TO usage_samples_partitioned;
DROP INDEX usage_samples_tenant, usage_samples_fine;

CREATE TABLE storage_samples (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (tenant_id, at)
);
CREATE INDEX storage_samples_at ON storage_samples (at);
CREATE TABLE usage_samples (
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    requests   bigint NOT NULL,
    bytes_in   bigint NOT NULL,
    bytes_out  bigint NOT NULL,
    hourly     boolean NOT NULL DEFAULT false
);
CREATE INDEX usage_samples_tenant ON usage_samples (tenant_id, at);
CREATE INDEX usage_samples_fine ON usage_samples (at) WHERE NOT hourly;
CREATE INDEX usage_samples_hourly ON usage_samples (at) WHERE hourly;

INSERT INTO storage_samples SELECT * FROM storage_samples_partitioned WHERE tenant_id IN (SELECT id FROM tenants);
INSERT INTO usage_samples SELECT * FROM usage_samples_partitioned WHERE tenant_id IN (SELECT id FROM tenants);
DROP TABLE storage_samples_partitioned, usage_samples_partitioned;

GRANT SELECT, INSERT, UPDATE, DELETE ON storage_samples, usage_samples TO tenantry_worker;
GRANT SELECT ON storage_samples TO tenantry_control_plane;
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_samples TO tenantry_control_plane;
GRANT INSERT ON usage_samples TO tenantry_data_plane;
