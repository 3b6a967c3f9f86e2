-- A login of the data plane that only one tenant has: it can become nobody else.
ALTER TABLE server_logins ADD COLUMN own boolean NOT NULL DEFAULT false;
