DROP INDEX placements_without_users;
ALTER TABLE placements DROP COLUMN has_users;
