-- What a tenant of a plan may take of its database server.
ALTER TABLE plans ADD COLUMN database_share jsonb NOT NULL DEFAULT '{}';
