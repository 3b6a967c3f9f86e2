CREATE TABLE conversations (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    contact_id      uuid        NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel         text        NOT NULL DEFAULT 'email'
                                CHECK (channel IN ('email', 'sms', 'whatsapp', 'phone', 'chat')),
    status          text        NOT NULL DEFAULT 'open'
                                CHECK (status IN ('open', 'pending', 'closed')),
    subject         text,
    assigned_to     text,
    last_message_at timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE conversations IS 'Threads of messages with one contact';

CREATE INDEX idx_conversations_contact_status ON conversations (contact_id, status);

CREATE TRIGGER conversations_set_updated_at BEFORE UPDATE ON conversations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE messages (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid        NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    direction       text        NOT NULL DEFAULT 'inbound'
                                CHECK (direction IN ('inbound', 'outbound')),
    sender          text,
    content         text        NOT NULL,
    read_at         timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE messages IS 'What was said in a conversation';

CREATE INDEX idx_messages_conversation_created ON messages (conversation_id, created_at DESC);

CREATE TRIGGER messages_set_updated_at BEFORE UPDATE ON messages
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
