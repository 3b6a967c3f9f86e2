DROP TABLE members;
DROP FUNCTION set_updated_at();
