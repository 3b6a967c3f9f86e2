ALTER TABLE servers DROP owner_id;
