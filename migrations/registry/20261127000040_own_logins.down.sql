ALTER TABLE server_logins DROP COLUMN own;
