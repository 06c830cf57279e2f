-- Since psql 16 and 18: the extended protocol and pipelines.
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item VALUES ($1, $2) \bind 1 'one' \g
SELECT name FROM item WHERE id = $1 \parse reader
\bind_named reader 1 \g
\bind_named reader 99 \g
\close_prepared reader
\bind_named reader 1 \g
\startpipeline
SELECT $1 AS a \bind 1 \sendpipeline
SELECT $1 AS b \bind 2 \sendpipeline
\syncpipeline
INSERT INTO item VALUES ($1) \bind 2 \sendpipeline
INSERT INTO item VALUES ($1) \bind 2 \sendpipeline
INSERT INTO item VALUES ($1) \bind 3 \sendpipeline
\syncpipeline
SELECT count(*) FROM item \bind \sendpipeline
\flushrequest
\getresults
\endpipeline
COPY item FROM STDIN;
7	seven
\.
SELECT id FROM item ORDER BY id;
