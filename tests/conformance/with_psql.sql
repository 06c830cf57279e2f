-- What people do in psql: COPY both ways, cursors, errors, transactions, notifications, several statements.
\set ON_ERROR_STOP off
\set VERBOSITY verbose
\set SHOW_CONTEXT always
CREATE TABLE item (id int PRIMARY KEY, name text);
COPY item FROM STDIN;
1	one
2	zwei – ä
3	\N
\.
INSERT INTO item SELECT g, 'item ' || g FROM generate_series(4, 2000) AS g;
COPY item TO STDOUT;
\copy (SELECT * FROM item WHERE id < 4) TO STDOUT WITH CSV HEADER
COPY item FROM STDIN;
not a number	x
\.
SELECT 1/0;
SELECT 'one' AS first\; SELECT 2 AS second\; SELECT 3 WHERE false;
BEGIN;
INSERT INTO item VALUES (1);
SELECT 'ignored';
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT nonsense;
ROLLBACK TO a;
SELECT count(*) FROM item;
COMMIT;
\set FETCH_COUNT 100
SELECT id FROM item ORDER BY id;
\unset FETCH_COUNT
SELECT id, name FROM item WHERE id = 2 \gx
SELECT id, name FROM item \gdesc
SELECT format('SELECT %s AS made', id) FROM item ORDER BY id LIMIT 3 \gexec
PREPARE named (int) AS SELECT name FROM item WHERE id = $1;
EXECUTE named (2);
DEALLOCATE named;
LISTEN news;
NOTIFY news, 'hello';
SELECT pg_notify('news', 'again');
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; END $$;
SET client_encoding = 'LATIN1';
SELECT 'caf' || chr(233), '€' IS NULL;
RESET client_encoding;
\encoding UTF8
SET statement_timeout = 50;
SELECT pg_sleep(600);
RESET statement_timeout;
\d item
;
SELECT repeat('x', 1000000);
