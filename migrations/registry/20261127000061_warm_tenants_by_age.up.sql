-- The oldest of a server, without looking at the others.
CREATE INDEX warm_tenants_oldest ON warm_tenants (server_id, app, tier, fingerprint, created_at) WHERE operation_id IS NULL;
DROP INDEX warm_tenants_free;
