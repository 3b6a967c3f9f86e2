DROP FUNCTION tenant_health;
