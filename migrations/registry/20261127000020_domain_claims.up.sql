-- Several tenants may claim a domain; whoever proves it first has it, and the other claims end.
ALTER TABLE domains DROP CONSTRAINT domains_pkey;
ALTER TABLE domains ADD PRIMARY KEY (name, tenant_id);
CREATE UNIQUE INDEX domains_proven ON domains (name) WHERE verified_at IS NOT NULL;

-- A proven domain cannot be claimed, in whatever way: with the sign-up or later.
CREATE FUNCTION refuse_proven_domain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM domains WHERE name = NEW.name AND verified_at IS NOT NULL) THEN
        RAISE EXCEPTION 'domain % is proven by a tenant', NEW.name
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'domains_proven';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER domains_claimed BEFORE INSERT ON domains
    FOR EACH ROW EXECUTE FUNCTION refuse_proven_domain();

-- A claim that ends was never served: no news.
DROP TRIGGER domains_changed ON domains;
CREATE TRIGGER domains_changed AFTER DELETE ON domains
    FOR EACH ROW WHEN (OLD.verified_at IS NOT NULL) EXECUTE FUNCTION notify_domain();
