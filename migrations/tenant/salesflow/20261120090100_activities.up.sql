CREATE TABLE activities (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id   uuid        NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    type         text        NOT NULL DEFAULT 'note'
                             CHECK (type IN ('call', 'email', 'meeting', 'note', 'task')),
    subject      text        NOT NULL,
    body         text,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz,
    completed_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE activities IS 'Calls, mails, meetings, notes and tasks with a contact';

CREATE INDEX idx_activities_contact_occurred ON activities (contact_id, occurred_at DESC);

CREATE TRIGGER activities_set_updated_at BEFORE UPDATE ON activities
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
