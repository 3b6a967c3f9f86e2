DROP TABLE storage_samples;
DROP INDEX usage_samples_fine, usage_samples_hourly;
ALTER TABLE usage_samples DROP COLUMN hourly;
