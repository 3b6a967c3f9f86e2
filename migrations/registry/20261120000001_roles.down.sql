-- The roles stay: they belong to the whole server.
REVOKE USAGE ON SCHEMA public FROM tenantry_control_plane, tenantry_worker, tenantry_data_plane;
