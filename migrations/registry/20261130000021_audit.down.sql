DROP TABLE audit_blocks, audit_log;
DROP FUNCTION refuse_sealed(), refuse_block_change();
