-- How a tenant does, from what is known at the moment: checks that hold or not, and what its requests were like.
CREATE FUNCTION tenant_health(tenant uuid) RETURNS TABLE (
    health        text,
    database      boolean,      -- it is placed on a server that answers, and nothing about it is stuck
    storage       boolean,      -- its data takes less than it may
    users         boolean,      -- it may have more users
    limits        boolean,      -- requests of today are left
    version       boolean,      -- it has the app's promoted version
    api           boolean,      -- it is served, and of the last hour's requests fewer than 5 % failed
    response_ms   float8,       -- of the last hour's requests, on average
    error_rate    float8,       -- of the last hour's requests
    uptime        float8        -- percent of the last 30 days' requests that did not fail
) LANGUAGE sql STABLE AS $$
    SELECT CASE
            WHEN tenants.status = 'failed' OR tenants.status = 'active' AND NOT checks.database THEN 'unhealthy'
            WHEN checks.database AND checks.storage AND checks.users AND checks.limits AND checks.version AND checks.api
                THEN 'healthy'
            ELSE 'degraded' END,
        checks.*, hour.duration_us::float8 / nullif(hour.requests, 0) / 1000,
        hour.errors::float8 / nullif(hour.requests, 0),
        100 * (1 - month.errors::float8 / nullif(month.requests, 0))
    FROM tenants
    JOIN plans ON plans.name = tenants.plan
    JOIN apps ON apps.name = tenants.app
    LEFT JOIN LATERAL current_placement(tenants.id) AS placement ON true
    LEFT JOIN servers ON servers.id = placement.server_id
    LEFT JOIN tenant_storage ON tenant_storage.tenant_id = tenants.id
    LEFT JOIN daily_requests ON daily_requests.tenant_id = tenants.id
        AND daily_requests.day = (now() AT TIME ZONE 'UTC')::date
    LEFT JOIN tenant_config ON tenant_config.tenant_id = tenants.id AND tenant_config.key = 'api.rate_limit'
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(errors), 0) AS errors,
            coalesce(sum(duration_us), 0) AS duration_us
        FROM usage_samples WHERE usage_samples.tenant_id = tenants.id AND at > now() - interval '1 hour'
    ) AS hour
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(errors), 0) AS errors
        FROM usage_samples WHERE usage_samples.tenant_id = tenants.id AND at > now() - interval '30 days'
    ) AS month
    CROSS JOIN LATERAL (
        SELECT coalesce(placement.state IN ('serving', 'cutover') AND servers.unreachable_since IS NULL, false)
                AND NOT EXISTS (SELECT FROM operations WHERE operations.tenant_id = tenants.id AND operations.state = 'stuck')
                AS database,
            coalesce(tenant_storage.bytes < max_storage(tenants.limits, plans.limits), true) AS storage,
            coalesce(tenant_storage.users
                < coalesce((tenants.limits ->> 'maxUsers')::numeric, (plans.limits ->> 'maxUsers')::numeric), true) AS users,
            coalesce(daily_requests.taken
                < coalesce((tenant_config.value #>> '{}')::numeric, (plans.limits ->> 'apiRequestsPerDay')::numeric), true)
                AS limits,
            coalesce(placement.schema_version >= apps.promoted_version, apps.promoted_version IS NULL) AS version,
            tenants.status = 'active' AND hour.errors * 20 <= hour.requests AS api
    ) AS checks
    WHERE tenants.id = tenant
$$;
