-- A server that a provider made for one tenant. It holds no other, and goes with its placement there.
ALTER TABLE servers ADD owner_id uuid REFERENCES tenants;
CREATE INDEX servers_owner ON servers (owner_id) WHERE owner_id IS NOT NULL;
