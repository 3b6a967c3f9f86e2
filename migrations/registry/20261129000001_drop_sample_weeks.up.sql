-- Weeks are dropped by name: of one that somebody else drops meanwhile, only that it is gone is known then.
CREATE OR REPLACE FUNCTION drop_sample_weeks(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    week  name;
    gone  bigint := 0;
    rows  bigint;
BEGIN
    FOR week IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent IN ('storage_samples'::regclass, 'usage_samples'::regclass)
            AND relname ~ '_\d{8}$'
            AND to_date(right(relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + interval '7 days' <= before
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', week);
            gone := gone + 1;
        EXCEPTION WHEN lock_not_available OR undefined_table THEN NULL;
        END;
    END LOOP;
    DELETE FROM storage_samples_other WHERE at < before;
    GET DIAGNOSTICS rows = ROW_COUNT;
    gone := gone + rows;
    DELETE FROM usage_samples_other WHERE at < before;
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN gone + rows;
END $$;
