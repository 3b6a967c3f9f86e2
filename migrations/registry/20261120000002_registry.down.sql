DROP TABLE usage_samples, idempotency_records, api_keys, operation_events, operations, placements, domains,
    tenant_labels, tenants, server_logins, servers, app_versions, apps, plans;
DROP FUNCTION count_placement, notify_tenant, notify_tenants_row, notify_api_key, notify_label, notify_domain,
    notify_shared, notify_operation;
