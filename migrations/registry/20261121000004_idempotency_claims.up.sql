-- What a request makes gets its id from its claim, so that a repeat after a crash finds it instead of
-- making it again.
ALTER TABLE idempotency_records ADD COLUMN claim uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE idempotency_records ALTER COLUMN claim DROP DEFAULT, ADD UNIQUE (claim);
-- The request failed for a reason that may pass: it may come again at once.
ALTER TABLE idempotency_records ADD COLUMN released boolean NOT NULL DEFAULT false;
