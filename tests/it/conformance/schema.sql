-- A library, with one thing of each kind that a request can name.

CREATE TYPE book_format AS ENUM ('hardback', 'paperback', 'ebook');
CREATE DOMAIN email AS text CHECK (value LIKE '%@%');
CREATE DOMAIN starred AS int CHECK (value BETWEEN 1 AND 5);
CREATE DOMAIN "text/html" AS text;
CREATE DOMAIN "image/png" AS bytea;
CREATE DOMAIN "text/tab-separated-values" AS text;

CREATE TABLE authors (
    id int PRIMARY KEY, name text NOT NULL, country text, born int, alive boolean
);
INSERT INTO authors VALUES
    (1, 'Ursula', 'US', 1929, false), (2, 'Italo', 'IT', 1923, false), (3, 'Haruki', 'JP', 1949, true),
    (4, 'Chimamanda', 'NG', 1977, true), (5, 'Anon', NULL, NULL, NULL);

CREATE TABLE publishers (id int PRIMARY KEY, name text NOT NULL);
COMMENT ON TABLE publishers IS 'Who prints books';
INSERT INTO publishers VALUES (1, 'North'), (2, 'South'), (3, 'East');

CREATE TABLE books (
    id int PRIMARY KEY, title text NOT NULL, author_id int REFERENCES authors, publisher_id int REFERENCES publishers,
    pages int, price numeric(8, 2), published date, format book_format, isbn text UNIQUE, meta jsonb, tags text[],
    in_print boolean
);
COMMENT ON COLUMN books.isbn IS 'International number';
INSERT INTO books VALUES
    (1, 'Earthsea', 1, 1, 205, 9.50, '1968-11-01', 'paperback', '111',
        '{"lang": "en", "awards": ["hugo"], "size": {"h": 20, "w": 12}, "rating": 4.5}', '{fantasy,classic}', true),
    (2, 'The Dispossessed', 1, 1, 341, 12.00, '1974-05-01', 'hardback', '222',
        '{"lang": "en", "awards": ["hugo", "nebula"], "size": {"h": 24, "w": 16}, "rating": 4.7}', '{scifi,classic}', true),
    (3, 'Invisible Cities', 2, 2, 165, 8.00, '1972-01-01', 'paperback', '333',
        '{"lang": "it", "awards": [], "size": {"h": 18, "w": 11}, "rating": 4.1}', '{classic}', true),
    (4, 'Kafka on the Shore', 3, 2, 505, 15.25, '2002-09-12', 'ebook', '444', '{"lang": "ja", "rating": 3.9}', '{}', false),
    (5, 'Americanah', 4, 1, 477, 14.00, '2013-05-14', 'hardback', '555',
        '{"lang": "en", "awards": ["nbcc"], "rating": 4.3}', '{novel}', true),
    (6, 'Untitled', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE editions (
    book_id int NOT NULL REFERENCES books, no int NOT NULL, year int, note text, PRIMARY KEY (book_id, no)
);
INSERT INTO editions VALUES (1, 1, 1968, 'first'), (1, 2, 1990, NULL), (2, 1, 1974, 'first'), (3, 1, 1972, NULL);

-- Nothing keeps a parent and its child from having one key.
CREATE TABLE notices (id int PRIMARY KEY, word text);
CREATE TABLE old_notices (PRIMARY KEY (id)) INHERITS (notices);
INSERT INTO notices VALUES (1, 'new');
INSERT INTO old_notices VALUES (1, 'old');

CREATE TABLE shelves (id int PRIMARY KEY, code text NOT NULL, floor int NOT NULL);
INSERT INTO shelves VALUES (1, 'A1', 0), (2, 'B1', 1), (3, 'C1', 1);

CREATE TABLE copies (
    id int PRIMARY KEY, book_id int NOT NULL, edition_no int NOT NULL, shelf_id int REFERENCES shelves,
    condition text NOT NULL,
    CONSTRAINT copies_edition_fkey FOREIGN KEY (book_id, edition_no) REFERENCES editions (book_id, no)
);
INSERT INTO copies VALUES
    (1, 1, 1, 1, 'good'), (2, 1, 1, 2, 'worn'), (3, 1, 2, 1, 'new'), (4, 2, 1, 3, 'good'), (5, 3, 1, NULL, 'lost');

CREATE TABLE genres (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO genres VALUES (1, 'fantasy'), (2, 'scifi'), (3, 'novel'), (4, 'poetry');
CREATE TABLE book_genres (
    book_id int REFERENCES books, genre_id int REFERENCES genres, PRIMARY KEY (book_id, genre_id)
);
INSERT INTO book_genres VALUES (1, 1), (2, 2), (3, 1), (3, 3), (4, 3), (5, 3);

CREATE TABLE members (
    id int PRIMARY KEY, name text NOT NULL, email email NOT NULL UNIQUE, sponsor_id int REFERENCES members,
    joined timestamptz NOT NULL, active boolean NOT NULL DEFAULT true, profile json
);
INSERT INTO members VALUES
    (1, 'Mia', 'mia@x.org', NULL, '2024-01-01T10:00:00Z', true, '{"city": "Rome", "age": 40}'),
    (2, 'Noah', 'noah@x.org', 1, '2024-02-01T12:00:00Z', true, '{"city": "Oslo", "age": 25}'),
    (3, 'Oli', 'oli@x.org', 1, '2024-03-01T08:30:00Z', false, NULL),
    (4, 'Pia', 'pia@x.org', 2, '2024-04-01T00:00:00Z', true, '{"city": "Rome"}');

-- One to one.
CREATE TABLE cards (member_id int PRIMARY KEY REFERENCES members, number text NOT NULL);
INSERT INTO cards VALUES (1, 'C-1'), (2, 'C-2');

-- Two references to the same table.
CREATE TABLE loans (
    id int PRIMARY KEY, book_id int NOT NULL REFERENCES books, member_id int NOT NULL REFERENCES members,
    lent_by int NOT NULL REFERENCES members, during daterange NOT NULL, fee numeric
);
INSERT INTO loans VALUES
    (1, 1, 2, 1, '[2024-05-01,2024-05-15)', 0), (2, 2, 3, 1, '[2024-05-10,2024-06-01)', 1.50),
    (3, 1, 4, 2, '[2024-06-01,2024-06-10)', 0.75), (4, 4, 2, 1, '[2024-07-01,)', NULL);

CREATE TABLE reviews (
    id int PRIMARY KEY, book_id int NOT NULL REFERENCES books ON DELETE CASCADE, member_id int NOT NULL REFERENCES members,
    stars starred NOT NULL, body text NOT NULL, words tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED
);
INSERT INTO reviews VALUES
    (1, 1, 1, 5, 'A wonderful wizard and the sea'), (2, 1, 2, 4, 'The sea is calm'), (3, 2, 1, 5, 'Two worlds, one wall'),
    (4, 3, 3, 2, 'Cities and cities and signs'), (5, 4, 4, 3, 'Cats talk in the rain');

-- The one junction between books and members.
CREATE TABLE favourites (
    book_id int REFERENCES books, member_id int REFERENCES members, rank int, PRIMARY KEY (book_id, member_id)
);
INSERT INTO favourites VALUES (1, 1, 1), (1, 2, 1), (2, 1, 2), (5, 3, 1);

CREATE TABLE orders (
    region text NOT NULL, no int NOT NULL, customer int REFERENCES members, total numeric(8, 2) NOT NULL DEFAULT 0,
    PRIMARY KEY (region, no)
);
INSERT INTO orders VALUES ('eu', 1, 1, 21.50), ('eu', 2, 2, 8.00), ('us', 1, 1, 15.25);
CREATE TABLE order_lines (
    region text NOT NULL, no int NOT NULL, line int NOT NULL, book_id int NOT NULL REFERENCES books, quantity int NOT NULL DEFAULT 1,
    PRIMARY KEY (region, no, line), FOREIGN KEY (region, no) REFERENCES orders
);
INSERT INTO order_lines VALUES ('eu', 1, 1, 1, 1), ('eu', 1, 2, 2, 1), ('eu', 2, 1, 3, 2), ('us', 1, 1, 4, 1);

CREATE TABLE visits (
    day date NOT NULL, member_id int NOT NULL REFERENCES members, minutes int, PRIMARY KEY (day, member_id)
) PARTITION BY RANGE (day);
CREATE TABLE visits_2024 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO visits VALUES ('2024-05-01', 2, 30), ('2024-12-31', 1, 45), ('2025-01-01', 2, 10);

-- Every type that JSON writes in a way of its own.
CREATE TABLE samples (
    id int PRIMARY KEY, small smallint, big bigint, dec numeric(10, 3), dbl float8, txt text, chr char(3), flag boolean,
    day date, at timestamp, atz timestamptz, span interval, clock time, uid uuid, js json, jb jsonb, ints int[],
    texts text[], rng int4range, days daterange, raw bytea, ip inet, kind book_format, mail email, bits bit(3)
);
INSERT INTO samples VALUES
    (1, -7, 9007199254740993, 12.500, 1.5, 'plain', 'ab', true, '2024-02-29', '2024-02-29T13:00:00', '2024-02-29T13:00:00Z',
        '1 day 02:00', '13:30', '019a0000-0000-7000-8000-000000000001', '{"b": 1, "a": [1, 2]}', '{"b": 1, "a": [1, 2]}',
        '{1,2,3}', '{x,"y z"}', '[1,5)', '[2024-01-01,2024-02-01)', '\x0102', '10.0.0.1', 'ebook', 'a@b.c', '101'),
    (2, 0, 0, 0, -0.25, '', '', false, '1999-12-31', '1999-12-31T00:00:00', '1999-12-31T00:00:00Z', '-1 hour', '00:00',
        '019a0000-0000-7000-8000-000000000002', '[]', '"text"', '{}', '{}', 'empty', '(,)', '\x', '::1', 'hardback', 'x@y.z', '000'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL);

CREATE TABLE journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry text NOT NULL, kind text NOT NULL DEFAULT 'note',
    weight int DEFAULT 10, length int GENERATED ALWAYS AS (length(entry)) STORED
);
CREATE TABLE counters (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text DEFAULT 'new', n int DEFAULT 0);
CREATE TABLE notes (a text, b text);
INSERT INTO notes VALUES ('1', 'x'), ('2', 'x');
CREATE TABLE codes (code text PRIMARY KEY);
INSERT INTO codes VALUES ('a'), ('b');
CREATE TABLE settings (name text PRIMARY KEY, value jsonb, version int NOT NULL DEFAULT 1, UNIQUE (version, value));
CREATE TABLE "Odd Names" ("Some id" int PRIMARY KEY, "camelCase" text, "with,comma" text, "dot.ted" text, "ümlaut" text);
INSERT INTO "Odd Names" VALUES (1, 'one', 'a,b', 'c.d', 'ü'), (2, 'two', NULL, NULL, NULL);

-- A domain with representations of its own.
CREATE DOMAIN colour AS int;
CREATE FUNCTION colour_to_json(colour) RETURNS json IMMUTABLE LANGUAGE sql
    AS $$ SELECT to_json('#' || lpad(upper(to_hex($1::int)), 6, '0')) $$;
CREATE FUNCTION colour_from_json(json) RETURNS colour IMMUTABLE LANGUAGE sql
    AS $$ SELECT ('x' || lpad(substr($1 #>> '{}', 2), 8, '0'))::bit(32)::int::colour $$;
CREATE FUNCTION colour_from_text(text) RETURNS colour IMMUTABLE LANGUAGE sql
    AS $$ SELECT ('x' || lpad(substr($1, 2), 8, '0'))::bit(32)::int::colour $$;
CREATE CAST (colour AS json) WITH FUNCTION colour_to_json(colour) AS IMPLICIT;
CREATE CAST (json AS colour) WITH FUNCTION colour_from_json(json) AS IMPLICIT;
CREATE CAST (text AS colour) WITH FUNCTION colour_from_text(text) AS IMPLICIT;
CREATE TABLE labels (id int PRIMARY KEY, name text, paint colour);
INSERT INTO labels VALUES (1, 'red', 16711680), (2, 'black', 0), (3, 'none', NULL);

CREATE VIEW book_list AS SELECT id, title, author_id, pages FROM books;
CREATE VIEW classics AS SELECT id, title AS name, author_id AS writer FROM books WHERE 'classic' = ANY (tags);
CREATE VIEW book_authors AS
    SELECT b.id, b.title, a.id AS author_id, a.name AS author FROM books b JOIN authors a ON a.id = b.author_id;
CREATE VIEW joined_again AS SELECT * FROM book_authors;
CREATE VIEW author_stats AS
    SELECT author_id, count(*)::int AS books, sum(pages)::int AS pages FROM books WHERE author_id IS NOT NULL GROUP BY author_id;
CREATE VIEW edition_list AS SELECT book_id, no, year FROM editions;
CREATE MATERIALIZED VIEW genre_counts AS
    SELECT g.id AS genre_id, g.name, count(bg.book_id)::int AS books
    FROM genres g LEFT JOIN book_genres bg ON bg.genre_id = g.id GROUP BY g.id, g.name;

-- Computed columns.
CREATE FUNCTION full_title(books) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT $1.title || coalesce(' (' || extract(year FROM $1.published)::int || ')', '') $$;
CREATE FUNCTION is_long(books) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT $1.pages > 400 $$;
CREATE FUNCTION initial(authors) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT left($1.name, 1) $$;
CREATE FUNCTION initial(members) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT lower(left($1.name, 1)) $$;
CREATE FUNCTION shout(book_list) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT upper($1.title) $$;

-- Computed relationships.
CREATE FUNCTION writer(books) RETURNS SETOF authors ROWS 1 STABLE LANGUAGE sql
    AS $$ SELECT * FROM authors WHERE id = $1.author_id $$;
CREATE FUNCTION long_books(authors) RETURNS SETOF books STABLE LANGUAGE sql
    AS $$ SELECT * FROM books WHERE author_id = $1.id AND pages > 300 $$;
CREATE FUNCTION neighbours(shelves) RETURNS SETOF shelves STABLE LANGUAGE sql
    AS $$ SELECT * FROM shelves WHERE floor = $1.floor AND id <> $1.id $$;
CREATE FUNCTION compatriots(authors) RETURNS SETOF members STABLE LANGUAGE sql
    AS $$ SELECT * FROM members WHERE id = $1.id $$;

-- Functions.
CREATE FUNCTION add(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT a + b $$;
COMMENT ON FUNCTION add(int, int) IS 'Adds two numbers';
CREATE FUNCTION greet(name text DEFAULT 'world') RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'Hello, ' || name $$;
CREATE FUNCTION describe(a int, b text DEFAULT 'x', c boolean DEFAULT false) RETURNS text IMMUTABLE LANGUAGE sql
    AS $$ SELECT a || b || c $$;
CREATE FUNCTION books_by(author int) RETURNS SETOF books STABLE LANGUAGE sql
    AS $$ SELECT * FROM books WHERE author_id = author ORDER BY id $$;
CREATE FUNCTION all_books() RETURNS SETOF books STABLE LANGUAGE sql AS $$ SELECT * FROM books ORDER BY id $$;
CREATE FUNCTION longest_book() RETURNS books STABLE LANGUAGE sql
    AS $$ SELECT * FROM books ORDER BY pages DESC NULLS LAST LIMIT 1 $$;
CREATE FUNCTION book_named(wanted text) RETURNS books STABLE LANGUAGE sql AS $$ SELECT * FROM books WHERE title = wanted $$;
CREATE FUNCTION list_view() RETURNS SETOF book_list STABLE LANGUAGE sql AS $$ SELECT * FROM book_list ORDER BY id $$;
CREATE FUNCTION small_primes() RETURNS SETOF int IMMUTABLE LANGUAGE sql AS $$ VALUES (2), (3), (5), (7) $$;
CREATE FUNCTION nobody() RETURNS SETOF members STABLE LANGUAGE sql AS $$ SELECT * FROM members WHERE false $$;
CREATE FUNCTION nothing() RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT NULL::int $$;
CREATE FUNCTION titles(at_least int DEFAULT 0) RETURNS TABLE (title text, pages int) STABLE LANGUAGE sql
    AS $$ SELECT b.title, b.pages FROM books b WHERE b.pages >= at_least ORDER BY b.pages $$;
CREATE FUNCTION one_column() RETURNS TABLE (a text) IMMUTABLE LANGUAGE sql AS $$ VALUES ('A') $$;
CREATE FUNCTION page_bounds(OUT lowest int, OUT highest int) STABLE LANGUAGE sql AS $$ SELECT min(pages), max(pages) FROM books $$;
CREATE FUNCTION successor(num int, OUT next int) IMMUTABLE LANGUAGE sql AS $$ SELECT num + 1 $$;
CREATE FUNCTION doubled(INOUT num int) IMMUTABLE LANGUAGE sql AS $$ SELECT num * 2 $$;
CREATE FUNCTION numbers_array() RETURNS int[] IMMUTABLE LANGUAGE sql AS $$ SELECT ARRAY[1, 2, 3] $$;
CREATE FUNCTION same_format(format book_format) RETURNS book_format IMMUTABLE LANGUAGE sql AS $$ SELECT format $$;
CREATE FUNCTION same_stars(stars starred) RETURNS starred IMMUTABLE LANGUAGE sql AS $$ SELECT stars $$;
CREATE FUNCTION numbers_between(low int, high int) RETURNS int4range IMMUTABLE LANGUAGE sql AS $$ SELECT int4range(low, high) $$;
CREATE FUNCTION as_object() RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$ SELECT '{"a": 1, "b": [true, null]}'::jsonb $$;
CREATE FUNCTION json_kind(arg json) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT json_typeof(arg) $$;
CREATE FUNCTION element_count(list int[]) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT coalesce(cardinality(list), 0) $$;
CREATE FUNCTION mixed(num int, flag boolean, day date, list text[], doc jsonb DEFAULT '{}')
    RETURNS TABLE (num2 int, flag2 boolean, day2 date, list2 text[], doc2 jsonb) IMMUTABLE LANGUAGE sql
    AS $$ SELECT num, flag, day, list, doc $$;
CREATE FUNCTION total(VARIADIC nums int[] DEFAULT '{}') RETURNS int IMMUTABLE LANGUAGE sql
    AS $$ SELECT coalesce(sum(n), 0)::int FROM unnest(nums) n $$;
CREATE FUNCTION "camelCall"("fullName" text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT upper("fullName") $$;
CREATE FUNCTION books_below(id int) RETURNS SETOF books STABLE LANGUAGE sql
    AS $$ SELECT * FROM books b WHERE b.id < books_below.id ORDER BY b.id $$;
CREATE FUNCTION echo_json(json) RETURNS json IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION echo_jsonb(jsonb) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION echo_text(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION echo_bytes(bytea) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION echo_xml(xml) RETURNS xml IMMUTABLE LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION length_of(text) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT length($1) $$;
CREATE FUNCTION area(side int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT side * side $$;
CREATE FUNCTION area(width int, height int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT width * height $$;
CREATE FUNCTION area() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'none' $$;
CREATE FUNCTION pick(x int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'int' $$;
CREATE FUNCTION pick(x text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'text' $$;
CREATE FUNCTION either(jsonb) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'document' $$;
CREATE FUNCTION either(x int, y int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'numbers' $$;
CREATE FUNCTION count_up(counter text) RETURNS int LANGUAGE sql
    AS $$ UPDATE counters SET n = n + 1 WHERE name = counter RETURNING n $$;
CREATE FUNCTION write_entry(entry text) RETURNS void LANGUAGE sql AS $$ INSERT INTO journal (entry) VALUES (entry) $$;
CREATE FUNCTION write_entries(entries text[]) RETURNS SETOF journal LANGUAGE sql
    AS $$ INSERT INTO journal (entry) SELECT unnest(entries) RETURNING * $$;
CREATE FUNCTION welcome(id int DEFAULT 1) RETURNS "text/html" IMMUTABLE LANGUAGE sql
    AS $$ SELECT '<p>' || welcome.id || '</p>' $$;
CREATE FUNCTION picture() RETURNS "image/png" IMMUTABLE LANGUAGE sql AS $$ SELECT '\x504e47'::bytea $$;
CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'I refuse' USING DETAIL = 'It is simple', HINT = 'Nothing can be done';
END $$;
CREATE FUNCTION refuse_quietly() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE FUNCTION payment_required() RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE SQLSTATE 'PT402' USING MESSAGE = 'Payment required', DETAIL = 'Quota exceeded', HINT = 'Upgrade';
END $$;
CREATE FUNCTION raise_state(state text) RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'raised' USING ERRCODE = state;
END $$;
CREATE FUNCTION assert_false() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'not so'; RETURN 1; END $$;
CREATE FUNCTION divide(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT a / b $$;
CREATE FUNCTION writes_though_stable() RETURNS int STABLE LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO notes VALUES ('x', 'y');
    RETURN 1;
END $$;

-- What a table's media type is made by.
CREATE FUNCTION books_tsv_line(state "text/tab-separated-values", next books) RETURNS "text/tab-separated-values"
    IMMUTABLE LANGUAGE sql AS $$ SELECT (state || next.id || E'\t' || next.title || E'\n')::"text/tab-separated-values" $$;
CREATE AGGREGATE books_tsv(books) (initcond = '', stype = "text/tab-separated-values", sfunc = books_tsv_line);

CREATE FUNCTION refuse_untouchable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.code = 'untouchable' THEN
        RAISE EXCEPTION 'locked' USING ERRCODE = 'check_violation';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER untouchable BEFORE UPDATE OR DELETE ON codes FOR EACH ROW EXECUTE FUNCTION refuse_untouchable();

-- Checked at the end of a transaction.
CREATE TABLE promises (id int PRIMARY KEY, book_id int REFERENCES books DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION whole_answer() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE SQLSTATE 'PGRST' USING MESSAGE = '{"code": "123", "message": "Not so", "details": "As said", "hint": "Otherwise"}',
        DETAIL = '{"status": 418, "headers": {"X-Reason": "tea", "Transfer-Encoding": "chunked", "Set-Cookie": "a=b"}}';
END $$;
