-- Samples are the registry's many rows: one per tenant and hour. A partition for each week, so that a week whose time
-- is over is dropped instead of deleted row by row. No foreign key to tenants: making or dropping a partition would
-- lock that table. Rows of tenants that are gone leave with their week.
ALTER TABLE storage_samples RENAME TO storage_samples_before;
ALTER TABLE usage_samples RENAME TO usage_samples_before;

CREATE TABLE storage_samples (
    tenant_id  uuid NOT NULL,
    at         timestamptz NOT NULL,                -- the hour
    bytes      bigint NOT NULL CHECK (bytes >= 0),
    UNIQUE (tenant_id, at)
) PARTITION BY RANGE (at);

CREATE TABLE usage_samples (
    tenant_id  uuid NOT NULL,
    at         timestamptz NOT NULL,
    requests   bigint NOT NULL,
    bytes_in   bigint NOT NULL,
    bytes_out  bigint NOT NULL,
    hourly     boolean NOT NULL DEFAULT false       -- merged from what data planes appended
) PARTITION BY RANGE (at);
DROP INDEX usage_samples_tenant, usage_samples_fine, usage_samples_hourly;
CREATE INDEX usage_samples_tenant ON usage_samples (tenant_id, at);
CREATE INDEX usage_samples_fine ON usage_samples (at) WHERE NOT hourly;

-- Whatever no week was made for: of a worker that did not run, of a clock that is wrong.
CREATE TABLE storage_samples_other PARTITION OF storage_samples DEFAULT;
CREATE TABLE usage_samples_other PARTITION OF usage_samples DEFAULT;

-- Makes the weeks from one time to another that are missing. One with rows among the others, or whose table is busy,
-- is left to the next call.
CREATE FUNCTION make_sample_weeks(since timestamptz, until timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    samples text;
    week    timestamptz;
    name    text;
BEGIN
    FOR week IN SELECT generate_series(date_trunc('week', since, 'UTC'), until, interval '7 days') LOOP
        FOREACH samples IN ARRAY ARRAY['storage_samples', 'usage_samples'] LOOP
            name := samples || '_' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD');
            CONTINUE WHEN to_regclass(name) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    name, samples, week, week + interval '7 days');
            EXCEPTION WHEN check_violation OR lock_not_available OR duplicate_table THEN NULL;
            END;
        END LOOP;
    END LOOP;
END $$;

-- Drops the weeks that ended before a time, and such rows among the others. Answers how many tables and rows.
CREATE FUNCTION drop_sample_weeks(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '200ms' AS $$
DECLARE
    week  regclass;
    gone  bigint := 0;
    rows  bigint;
BEGIN
    FOR week IN
        SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent IN ('storage_samples'::regclass, 'usage_samples'::regclass)
            AND relname ~ '_\d{8}$'
            AND to_date(right(relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + interval '7 days' <= before
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %s', week);
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

REVOKE ALL ON FUNCTION make_sample_weeks, drop_sample_weeks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_sample_weeks, drop_sample_weeks TO tenantry_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON storage_samples, usage_samples TO tenantry_worker;
GRANT SELECT ON storage_samples, usage_samples TO tenantry_control_plane;
GRANT INSERT ON usage_samples TO tenantry_data_plane;

SELECT make_sample_weeks(
    least((SELECT min(at) FROM storage_samples_before), (SELECT min(at) FROM usage_samples_before), now()),
    now() + interval '14 days');
INSERT INTO storage_samples SELECT tenant_id, at, bytes FROM storage_samples_before;
INSERT INTO usage_samples SELECT tenant_id, at, requests, bytes_in, bytes_out, hourly FROM usage_samples_before;
DROP TABLE storage_samples_before, usage_samples_before;
