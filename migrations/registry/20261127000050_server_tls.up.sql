-- How connections to a server are protected: libpq's `sslmode`, and `sslrootcert` as `system` or as PEM text.
ALTER TABLE servers
    ADD COLUMN ssl_mode text NOT NULL DEFAULT 'prefer'
        CHECK (ssl_mode IN ('disable', 'prefer', 'require', 'verify-ca', 'verify-full')),
    ADD COLUMN ssl_root_cert text,
    ADD CONSTRAINT servers_ssl_root_cert_check CHECK (CASE ssl_mode
        WHEN 'disable' THEN ssl_root_cert IS NULL
        WHEN 'prefer' THEN ssl_root_cert IS NULL
        WHEN 'require' THEN ssl_root_cert IS DISTINCT FROM 'system'
        WHEN 'verify-ca' THEN ssl_root_cert IS NOT NULL AND ssl_root_cert <> 'system'
        ELSE ssl_root_cert IS NOT NULL
    END);

GRANT SELECT (ssl_mode, ssl_root_cert) ON servers TO tenantry_data_plane;

DROP TRIGGER servers_changed ON servers;
CREATE TRIGGER servers_changed AFTER UPDATE OF host, port, max_connections, ssl_mode, ssl_root_cert ON servers
    FOR EACH ROW EXECUTE FUNCTION notify_shared('server', 'id');
