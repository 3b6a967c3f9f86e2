CREATE INDEX warm_tenants_free ON warm_tenants (app, server_id, tier, fingerprint) WHERE operation_id IS NULL;
DROP INDEX warm_tenants_oldest;
