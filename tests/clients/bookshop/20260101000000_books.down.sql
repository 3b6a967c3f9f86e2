DROP FUNCTION raise_prices(numeric);
DROP FUNCTION books_by(text);
DROP FUNCTION add(integer, integer);
DROP VIEW cheap_books;
DROP TABLE books;
DROP TABLE authors;
DROP TYPE mood;
