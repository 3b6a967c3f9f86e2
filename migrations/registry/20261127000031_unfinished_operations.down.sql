ALTER TABLE operations DROP COLUMN left_since;
