-- Servers of tenants' own may be stopped by their provider while the tenant is suspended. What works on one waits, as for a
-- server that is away.
ALTER TABLE servers DROP CONSTRAINT servers_state_check;
ALTER TABLE servers
    ADD CHECK (state IN ('active', 'cordoned', 'draining', 'lost', 'hibernated')),
    ADD CONSTRAINT servers_hibernated_check CHECK (state <> 'hibernated' OR unreachable_since IS NOT NULL);
