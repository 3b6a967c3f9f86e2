DROP INDEX rollout_tenants_claimed;
CREATE INDEX rollout_tenants_claimed ON rollout_tenants (server_id, batch) WHERE state = 'migrating';
ALTER TABLE rollout_tenants DROP COLUMN session;
