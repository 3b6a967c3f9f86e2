ALTER TABLE plans DROP COLUMN database_share;
