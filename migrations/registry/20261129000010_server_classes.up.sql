-- Templates from which providers make servers. `min_free`: the room for tenants that is kept.
CREATE TABLE server_classes (
    name            text PRIMARY KEY,
    provider        text NOT NULL,
    region          text NOT NULL,
    parameters      jsonb NOT NULL,
    tiers           text[] NOT NULL,
    capacity        integer NOT NULL CHECK (capacity > 0),
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

-- How many servers of each class are being made, and how many more are to be. Room that is ordered counts as room.
CREATE VIEW server_class_orders AS
SELECT class.name, ordered.servers AS ordered, greatest(least(
    ceil((class.min_free - made.room - ordered.servers * class.capacity)::numeric / class.capacity),
    class.max_servers - made.servers - ordered.servers), 0)::integer AS missing
FROM server_classes AS class, LATERAL (
    SELECT count(*) AS servers, coalesce(sum(greatest(servers.capacity - tenants, 0)) FILTER (
        -- One that is away for a moment is back before another one is made.
        WHERE state = 'active' AND (unreachable_since IS NULL OR unreachable_since > now() - interval '2 minutes')
            AND servers.tiers @> class.tiers), 0) AS room
    FROM servers WHERE servers.class = class.name AND state <> 'lost' AND owner_id IS NULL
) AS made, LATERAL (
    SELECT count(*) AS servers FROM operations
    WHERE kind = 'order_server' AND input->>'class' = class.name
        AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
) AS ordered;
GRANT SELECT ON server_class_orders TO tenantry_worker;
