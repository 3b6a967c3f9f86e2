DROP TABLE events;
DROP TABLE venues;
DROP FUNCTION set_updated_at();
