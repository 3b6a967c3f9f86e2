-- Queries must name the configuration too, to_tsvector('english', content), or the index is not used.
CREATE INDEX idx_messages_content ON messages USING GIN (to_tsvector('english', content));

-- LIKE 'alice@%' in any collation.
CREATE INDEX idx_contacts_email_pattern ON contacts (email text_pattern_ops);

-- LIKE '%@company.com' and ILIKE.
CREATE INDEX idx_contacts_email_trgm ON contacts USING GIN (email gin_trgm_ops);
