DROP TABLE contact_tags;
DROP TABLE tags;
DROP TABLE contacts;
DROP FUNCTION set_updated_at();
