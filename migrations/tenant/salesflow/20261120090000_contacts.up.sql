-- Reads no table, so it is the same in every schema whatever the session's search_path.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE contacts (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    first_name text        NOT NULL,
    last_name  text,
    email      text,
    phone      text,
    company    text,
    job_title  text,
    notes      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE contacts IS 'People the sales team deals with';

CREATE INDEX idx_contacts_email ON contacts (email);
CREATE INDEX idx_contacts_name ON contacts (last_name, first_name);
CREATE INDEX idx_contacts_created_at ON contacts (created_at DESC);

CREATE TRIGGER contacts_set_updated_at BEFORE UPDATE ON contacts
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE tags (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL UNIQUE,
    color      text        NOT NULL DEFAULT '#64748b' CHECK (color ~ '^#[0-9a-fA-F]{6}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE tags IS 'Labels for contacts';

CREATE TRIGGER tags_set_updated_at BEFORE UPDATE ON tags
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE contact_tags (
    contact_id uuid        NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    tag_id     uuid        NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (contact_id, tag_id)
);
COMMENT ON TABLE contact_tags IS 'Which contact carries which tag';

CREATE INDEX idx_contact_tags_tag ON contact_tags (tag_id);
