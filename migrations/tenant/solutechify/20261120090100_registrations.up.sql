CREATE TABLE tickets (
    id              uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    event_id        uuid          NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    name            text          NOT NULL,
    status          text          NOT NULL DEFAULT 'on_sale'
                                  CHECK (status IN ('on_sale', 'paused', 'sold_out', 'closed')),
    price           numeric(12,2) NOT NULL DEFAULT 0 CHECK (price >= 0),
    currency        text          NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    capacity        integer       CHECK (capacity > 0),
    sold            integer       NOT NULL DEFAULT 0 CHECK (sold >= 0),
    sales_starts_at timestamptz,
    sales_ends_at   timestamptz,
    created_at      timestamptz   NOT NULL DEFAULT now(),
    updated_at      timestamptz   NOT NULL DEFAULT now(),
    CONSTRAINT tickets_not_oversold CHECK (sold <= capacity),
    CONSTRAINT tickets_sales_end_after_start CHECK (sales_ends_at > sales_starts_at),
    UNIQUE (event_id, name),
    UNIQUE (id, event_id)
);
COMMENT ON TABLE tickets IS 'Kinds of ticket on sale for an event';

CREATE TRIGGER tickets_set_updated_at BEFORE UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE registrations (
    id                  uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    registration_number bigint        GENERATED ALWAYS AS IDENTITY UNIQUE,
    event_id            uuid          NOT NULL REFERENCES events (id) ON DELETE RESTRICT,
    ticket_id           uuid,
    attendee_name       text          NOT NULL,
    attendee_email      text          NOT NULL,
    status              text          NOT NULL DEFAULT 'pending'
                                      CHECK (status IN ('pending', 'confirmed', 'checked_in', 'cancelled', 'refunded')),
    quantity            integer       NOT NULL DEFAULT 1 CHECK (quantity > 0),
    amount              numeric(12,2) NOT NULL DEFAULT 0 CHECK (amount >= 0),
    currency            text          NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    checked_in_at       timestamptz,
    created_at          timestamptz   NOT NULL DEFAULT now(),
    updated_at          timestamptz   NOT NULL DEFAULT now(),
    -- With event_id, so that nobody registers for one event with a ticket of another.
    FOREIGN KEY (ticket_id, event_id) REFERENCES tickets (id, event_id)
);
COMMENT ON TABLE registrations IS 'Who comes to which event; cancel an event rather than delete it';

CREATE INDEX idx_registrations_event_status ON registrations (event_id, status);
CREATE INDEX idx_registrations_ticket ON registrations (ticket_id);
CREATE INDEX idx_registrations_attendee_email ON registrations (attendee_email);

CREATE TRIGGER registrations_set_updated_at BEFORE UPDATE ON registrations
    FOR EACH ROW EXECUTE FUNCTION set_updated_at();
