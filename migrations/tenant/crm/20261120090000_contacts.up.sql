-- Reads no table, so it is the same in every schema whatever the session's search_path.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE contacts (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    first_name text,
    last_name  text,
    email      text,
    phone      text,
    company    text,
    metadata   jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- A first message brings only an address or a number, so no single one of these can be required.
    CONSTRAINT contacts_identified CHECK (num_nonnulls(first_name, last_name, email, phone) > 0)
);
COMMENT ON TABLE contacts IS 'People who write to us or whom we write to';

CREATE INDEX idx_contacts_email ON contacts (email);
CREATE INDEX idx_contacts_phone ON contacts (phone);
CREATE INDEX idx_contacts_created_at ON contacts (created_at DESC);
CREATE INDEX idx_contacts_metadata ON contacts USING GIN (metadata);

CREATE TRIGGER contacts_set_updated_at BEFORE UPDATE ON contacts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
