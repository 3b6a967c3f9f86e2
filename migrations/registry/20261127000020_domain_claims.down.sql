DROP TRIGGER domains_changed ON domains;
CREATE TRIGGER domains_changed AFTER DELETE ON domains
    FOR EACH ROW EXECUTE FUNCTION notify_domain();
DROP TRIGGER domains_claimed ON domains;
DROP FUNCTION refuse_proven_domain;
-- Of several claims the proven one stays, or else the oldest.
DELETE FROM domains WHERE (name, tenant_id) NOT IN (
    SELECT DISTINCT ON (name) name, tenant_id FROM domains ORDER BY name, verified_at, created_at, tenant_id
);
DROP INDEX domains_proven;
ALTER TABLE domains DROP CONSTRAINT domains_pkey;
ALTER TABLE domains ADD PRIMARY KEY (name);
