-- A session of a worker claims its next tenants before the last of those before are migrated: the limit of batches at a time on a
-- server is one of sessions.
ALTER TABLE rollout_tenants ADD COLUMN session bigint NOT NULL DEFAULT 0;     -- the token of its first claim
DROP INDEX rollout_tenants_claimed;
CREATE INDEX rollout_tenants_claimed ON rollout_tenants (server_id, session) WHERE state = 'migrating';
