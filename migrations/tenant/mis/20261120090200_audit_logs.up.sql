-- No foreign keys: an entry outlives what it speaks of. No updated_at: an entry is never changed.
CREATE TABLE audit_logs (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    sequence    bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    actor       text        NOT NULL DEFAULT 'system',
    action      text        NOT NULL,
    target_type text,
    target_id   uuid,
    details     jsonb       NOT NULL DEFAULT '{}',
    ip_address  inet,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE audit_logs IS 'Who did what; sequence gives the order, gaps are normal';

CREATE INDEX idx_audit_logs_created_at ON audit_logs (created_at DESC);
CREATE INDEX idx_audit_logs_target ON audit_logs (target_type, target_id);
