DROP TABLE tenant_storage;
DROP FUNCTION notify_tenant_storage, max_storage;
ALTER TABLE usage_samples DROP COLUMN errors, DROP COLUMN duration_us, DROP COLUMN database_us;
DROP FUNCTION take_daily_requests;
DROP TABLE daily_requests;
