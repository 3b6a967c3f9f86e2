-- Reads no table, so it is the same in every schema whatever the session's search_path.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE venues (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL,
    address    text,
    city       text,
    country    text,
    timezone   text        NOT NULL DEFAULT 'UTC',
    capacity   integer     CHECK (capacity > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE venues IS 'Places where events are held';

CREATE TRIGGER venues_set_updated_at BEFORE UPDATE ON venues
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE events (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    venue_id    uuid        REFERENCES venues (id) ON DELETE SET NULL,
    name        text        NOT NULL,
    description text,
    status      text        NOT NULL DEFAULT 'draft'
                            CHECK (status IN ('draft', 'published', 'cancelled', 'completed')),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz,
    capacity    integer     CHECK (capacity > 0),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT events_end_after_start CHECK (ends_at > starts_at)
);
COMMENT ON TABLE events IS 'Events that people register for; without a venue, online';

CREATE INDEX idx_events_venue ON events (venue_id);
CREATE INDEX idx_events_status_starts ON events (status, starts_at);

CREATE TRIGGER events_set_updated_at BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
