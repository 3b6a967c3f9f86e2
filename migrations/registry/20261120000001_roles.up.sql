-- Who may touch what (DESIGN section 2), as database roles. They belong to the whole server, so that
-- several registries on one server share them; a race between two registries' first migrations is harmless.
DO $$
DECLARE part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['tenantry_control_plane', 'tenantry_worker', 'tenantry_data_plane'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', part);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO tenantry_control_plane, tenantry_worker, tenantry_data_plane;
