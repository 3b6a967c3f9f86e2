DROP TRIGGER servers_changed ON servers;
CREATE TRIGGER servers_changed AFTER UPDATE OF host, port, max_connections ON servers
    FOR EACH ROW EXECUTE FUNCTION notify_shared('server', 'id');

ALTER TABLE servers DROP COLUMN ssl_root_cert, DROP COLUMN ssl_mode;
