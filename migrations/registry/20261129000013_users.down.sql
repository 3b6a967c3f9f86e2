DROP INDEX server_logins_for_users;
DELETE FROM server_logins WHERE for_users;
ALTER TABLE server_logins DROP COLUMN for_users;
DROP TABLE revoked_sessions;
DROP FUNCTION notify_revoked_session();
DROP TABLE signing_keys;
