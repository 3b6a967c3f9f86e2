ALTER TABLE contacts DROP COLUMN notes;
