-- Who asked for a public sign-up, so that the same visitor may repeat it when it failed. No reference:
-- it is written before the operation, which may then be refused.
CREATE TABLE public_signups (
    operation_id  uuid PRIMARY KEY,         -- the operation that provisions the tenant
    visitor       text NOT NULL,            -- an address, or a network
    created_at    timestamptz NOT NULL
);
CREATE INDEX public_signups_created_at ON public_signups (created_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON public_signups TO tenantry_control_plane, tenantry_worker;
