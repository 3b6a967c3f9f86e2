DROP TABLE inquiries, reconcilers, warm_tenants;
DROP FUNCTION notify_inquiry, count_warm_tenant, current_placement;

ALTER TABLE apps DROP COLUMN promoted_version;

ALTER TABLE servers DROP COLUMN revision, DROP COLUMN unreachable_since, DROP COLUMN unreachable_error,
    DROP COLUMN checked_at;
UPDATE servers SET state = 'cordoned' WHERE state = 'lost';
ALTER TABLE servers DROP CONSTRAINT servers_state_check;
ALTER TABLE servers ADD CHECK (state IN ('active', 'cordoned', 'draining'));

DROP TRIGGER tenants_changed ON tenants;
CREATE TRIGGER tenants_changed AFTER UPDATE ON tenants FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION notify_tenants_row();
ALTER TABLE tenants DROP COLUMN last_epoch;

DROP TRIGGER placements_served ON placements;
CREATE TRIGGER placements_served AFTER INSERT OR UPDATE ON placements
    FOR EACH ROW WHEN (NEW.state = 'serving') EXECUTE FUNCTION notify_tenant();
DROP INDEX placements_one_serving, placements_one_preparing, placements_server;
CREATE INDEX placements_server ON placements (server_id);
CREATE UNIQUE INDEX placements_one_serving ON placements (tenant_id) WHERE state = 'serving';
ALTER TABLE placements DROP CONSTRAINT placements_state_check;
ALTER TABLE placements ADD CHECK (state IN ('preparing', 'serving'));

DROP TRIGGER operation_events_added ON operation_events;
CREATE OR REPLACE FUNCTION notify_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenantry_operations', NEW.operation_id || ' ' || NEW.kind);
    RETURN NULL;
END $$;
CREATE TRIGGER operation_events_added AFTER INSERT ON operation_events
    FOR EACH ROW EXECUTE FUNCTION notify_operation();

DELETE FROM operations WHERE subject_kind <> 'tenant';
DROP INDEX operations_one_unfinished, operations_due, operations_subject, operations_state,
    operations_waiting_for, operations_finished_at;
ALTER TABLE operations DROP COLUMN tenant_id;
ALTER TABLE operations RENAME COLUMN subject_id TO tenant_id;
ALTER TABLE operations ADD FOREIGN KEY (tenant_id) REFERENCES tenants ON DELETE CASCADE;
UPDATE operations SET state = CASE WHEN undoing THEN 'undoing' ELSE 'queued' END WHERE state IN ('waiting', 'stuck');
ALTER TABLE operations DROP COLUMN subject_kind, DROP COLUMN subject_name, DROP COLUMN lane, DROP COLUMN undoing,
    DROP COLUMN steps, DROP COLUMN durable_state, DROP COLUMN message, DROP COLUMN fence, DROP COLUMN silent_ends,
    DROP COLUMN waiting_for;
ALTER TABLE operations DROP CONSTRAINT operations_state_check;
ALTER TABLE operations ADD CHECK (state IN ('queued', 'running', 'undoing', 'succeeded', 'failed', 'cancelled'));
CREATE UNIQUE INDEX operations_one_unfinished ON operations (tenant_id)
    WHERE state IN ('queued', 'running', 'undoing');
CREATE INDEX operations_unfinished ON operations (run_after) WHERE state IN ('queued', 'running', 'undoing');
CREATE INDEX operations_tenant ON operations (tenant_id, id DESC);
