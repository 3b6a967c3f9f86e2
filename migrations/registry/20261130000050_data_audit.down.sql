DROP FUNCTION purge_audit;
DROP TRIGGER audit_log_sealed ON audit_log;
CREATE TRIGGER audit_log_sealed BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW
    WHEN (OLD.block IS NOT NULL) EXECUTE FUNCTION refuse_sealed();
DROP TRIGGER audit_blocks_sealed ON audit_blocks;
CREATE TRIGGER audit_blocks_sealed BEFORE UPDATE OR DELETE ON audit_blocks FOR EACH ROW EXECUTE FUNCTION refuse_block_change();
-- Rows whose actor is a role stay.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check;
ALTER TABLE audit_log ADD CONSTRAINT audit_log_actor_kind_check
    CHECK (actor_kind IN ('key', 'user', 'visitor', 'system')) NOT VALID;
DROP INDEX tenant_config_data_audit;
ALTER TABLE placements DROP COLUMN data_audit;
