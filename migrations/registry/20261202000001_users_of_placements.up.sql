-- Whether a placement's schema has the tables of users, as far as is known: an app may come to want them after its tenants
-- were made (reconciler `add_users`).
ALTER TABLE placements ADD COLUMN has_users boolean NOT NULL DEFAULT false;
CREATE INDEX placements_without_users ON placements (tenant_id) WHERE NOT has_users;
