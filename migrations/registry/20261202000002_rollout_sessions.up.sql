-- A session of a worker claims its next tenants before the last of those before are migrated: the limit of batches at a time on a
-- server is one of sessions.
ALTER TABLE rollout_tenants ADD COLUMN session bigint;     -- the token of its first claim; null: as the batch (a worker of before)
DROP INDEX rollout_tenants_claimed;
CREATE INDEX rollout_tenants_claimed ON rollout_tenants (server_id, session, batch) WHERE state = 'migrating';
