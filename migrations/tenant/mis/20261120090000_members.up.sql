-- Reads no table, so it is the same in every schema whatever the session's search_path.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE members (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    email             text        NOT NULL UNIQUE CHECK (position('@' IN email) > 1),
    first_name        text,
    last_name         text,
    phone             text,
    date_of_birth     date,
    membership_number text        UNIQUE,
    status            text        NOT NULL DEFAULT 'pending'
                                  CHECK (status IN ('pending', 'active', 'suspended', 'withdrawn')),
    initiated_at      timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE members IS 'People who are, or are becoming, members of the organisation';

-- The constraint on email serves upserts (on_conflict=email); this one refuses the same address in other letter case.
CREATE UNIQUE INDEX members_email_lower_key ON members (lower(email));
CREATE INDEX idx_members_created_at ON members (created_at DESC);

CREATE TRIGGER members_set_updated_at BEFORE UPDATE ON members
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
