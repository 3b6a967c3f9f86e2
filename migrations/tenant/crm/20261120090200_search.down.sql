DROP INDEX idx_contacts_email_trgm;
DROP INDEX idx_contacts_email_pattern;
DROP INDEX idx_messages_content;
