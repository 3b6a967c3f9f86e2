CREATE TYPE mood AS ENUM ('calm', 'busy');
CREATE DOMAIN amount AS numeric(12, 2) CHECK (VALUE > -1000000);
CREATE TYPE span AS (first integer, last integer);
CREATE COLLATION plain (provider = libc, locale = 'C');

CREATE TABLE accounts (
    id      integer PRIMARY KEY,
    balance amount  NOT NULL DEFAULT 0,
    mood    mood    NOT NULL DEFAULT 'calm',
    parent  integer REFERENCES accounts DEFERRABLE INITIALLY DEFERRED,
    spans   span[]
);
COMMENT ON COLUMN accounts.balance IS 'What is left';

CREATE TABLE entries (
    id      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account integer NOT NULL REFERENCES accounts,
    number  integer NOT NULL,
    amount  amount  NOT NULL,
    doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
    note    text    COLLATE plain,
    UNIQUE (account, number)
);
CREATE INDEX entries_note ON entries (lower(note)) WHERE note IS NOT NULL;
CREATE STATISTICS entries_together ON account, number FROM entries;

-- Without a key.
CREATE TABLE seen (entry bigint, at timestamptz DEFAULT now());
CREATE TABLE files (name text PRIMARY KEY, content bytea);

CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE events_later PARTITION OF events DEFAULT;

CREATE TABLE things (name text);
CREATE TABLE special_things (speciality text) INHERITS (things);

CREATE VIEW rich AS SELECT * FROM accounts WHERE balance > 100;
CREATE MATERIALIZED VIEW totals AS SELECT account, sum(amount) AS total FROM entries GROUP BY account;

-- The balance follows the entries.
CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET balance = balance + NEW.amount WHERE id = NEW.account;
    RETURN NEW;
END
$$;
CREATE TRIGGER entries_book AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION book();

CREATE FUNCTION note_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen (entry) VALUES (NEW.id);
    RETURN NEW;
END
$$;
CREATE TRIGGER entries_seen AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION note_seen();
ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_seen;

CREATE RULE events_never AS ON DELETE TO events DO INSTEAD NOTHING;

ALTER TABLE files ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON files USING (true) WITH CHECK (true);

-- With its owner's rights, which no right of the tenant's role limits.
CREATE FUNCTION charge(account integer, amount numeric) RETURNS numeric LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    UPDATE accounts SET balance = balance - charge.amount WHERE id = charge.account RETURNING balance;
END;
