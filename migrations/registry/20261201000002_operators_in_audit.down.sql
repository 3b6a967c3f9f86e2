-- Rows that are still to be sealed, which the constraint looks at.
UPDATE audit_log SET actor_kind = 'visitor' WHERE actor_kind = 'operator' AND block IS NULL;
ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check,
    ADD CONSTRAINT audit_log_actor_kind_check CHECK (actor_kind IN ('key', 'user', 'visitor', 'role', 'system')) NOT VALID;
