ALTER TABLE idempotency_records DROP COLUMN released;
ALTER TABLE idempotency_records DROP COLUMN claim;
