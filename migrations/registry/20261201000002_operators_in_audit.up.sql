-- Operators who sign in by an identity provider. Rows that are there have been checked by the narrower constraint.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_actor_kind_check,
    ADD CONSTRAINT audit_log_actor_kind_check
        CHECK (actor_kind IN ('key', 'operator', 'user', 'visitor', 'role', 'system')) NOT VALID;
