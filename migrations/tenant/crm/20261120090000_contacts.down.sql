DROP TABLE contacts;
DROP FUNCTION set_updated_at();
