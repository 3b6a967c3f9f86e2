REVOKE SELECT ON _sqlx_migrations FROM tenantry_control_plane, tenantry_worker, tenantry_data_plane;
DROP TABLE key_checks;
