-- An app that lets its tenants run what they want, leave behind what they can, and look for what others left.
CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text);
CREATE TABLE tags (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note_id int REFERENCES notes, label text);

-- A row of everything that a session may have kept of an earlier transaction.
CREATE VIEW kept AS SELECT
    current_setting('app.secret', true) AS secret,
    current_setting('request.jwt.claims', true) AS claims,
    current_setting('statement_timeout') AS statement_timeout,
    current_setting('search_path') AS path,
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind') AS prepared,
    (SELECT count(*) FROM pg_listening_channels()) AS channels,
    (SELECT count(*) FROM pg_cursors WHERE name <> '') AS cursors;
CREATE VIEW note_list AS SELECT id, word FROM notes;
CREATE VIEW everything WITH (security_barrier) AS SELECT n.id, n.word, t.label FROM notes n LEFT JOIN tags t ON t.note_id = n.id;

CREATE FUNCTION run(code text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE code; END $$;
CREATE FUNCTION perform(code text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE code; END $$;
CREATE FUNCTION read_as(role text, code text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('role', role, true);
    RETURN QUERY EXECUTE code;
END $$;
CREATE FUNCTION keep(name text, value text) RETURNS text LANGUAGE sql AS $$ SELECT set_config(name, value, false) $$;
CREATE FUNCTION lock_on(key bigint) RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(key) $$;
-- A column and an embedding that run what the row says.
CREATE FUNCTION ran(notes) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE found text;
BEGIN EXECUTE $1.word INTO found; RETURN found; END $$;
CREATE FUNCTION related(notes) RETURNS SETOF notes LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN QUERY EXECUTE $1.word; END $$;
CREATE FUNCTION search(notes_of text) RETURNS SETOF notes LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN QUERY EXECUTE format('SELECT * FROM %s.notes', notes_of); END $$;
