DROP FUNCTION purge_audit;
CREATE OR REPLACE FUNCTION refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit row % is sealed', OLD.id USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION refuse_block_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit block % is sealed', OLD.number USING ERRCODE = 'restrict_violation';
END $$;
DROP FUNCTION purges_audit;
-- Sealed rows whose actor is a role stay as they are; others are still to be sealed, which the constraint looks at.
UPDATE audit_log SET actor_kind = 'visitor' WHERE actor_kind = 'role' AND block IS NULL;
ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check,
    ADD CONSTRAINT audit_log_actor_kind_check CHECK (actor_kind IN ('key', 'user', 'visitor', 'system')) NOT VALID;
DROP INDEX tenant_config_data_audit;
ALTER TABLE placements DROP COLUMN data_audit;
