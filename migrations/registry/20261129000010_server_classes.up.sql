-- Templates from which providers make servers. `min_free`: the room for tenants that is kept.
CREATE TABLE server_classes (
    name            text PRIMARY KEY,
    provider        text NOT NULL,
    region          text NOT NULL,
    parameters      jsonb NOT NULL,
    tiers           text[] NOT NULL,
    capacity        integer NOT NULL,
    max_connections integer NOT NULL,
    min_free        integer NOT NULL,
    max_servers     integer NOT NULL,
    cost            text,
    created_at      timestamptz NOT NULL
);
GRANT SELECT ON server_classes TO tenantry_worker;
-- Ordering one locks the class.
GRANT UPDATE (name) ON server_classes TO tenantry_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON server_classes TO tenantry_control_plane;

ALTER TABLE servers ADD class text REFERENCES server_classes;
CREATE INDEX servers_class ON servers (class) WHERE class IS NOT NULL;
