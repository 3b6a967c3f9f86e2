DROP FUNCTION tenant_health;
ALTER FUNCTION tenant_health_without_issuers RENAME TO tenant_health;
DROP TRIGGER plans_issuers ON plans;
DROP TRIGGER tenant_config_issuers ON tenant_config;
DROP INDEX tenant_config_issuers;
DROP TABLE issuer_keys;
DROP FUNCTION add_issuer_keys, notify_issuer_keys, issuer_key_sources;
