"""The queries that read the target's catalog; ``advisor.catalog`` turns their rows into objects."""

from __future__ import annotations

SERVER = """
SELECT current_database() AS database, current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_num, current_user::text AS user,
       coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), false) AS superuser,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_schemas(true)::text[] AS search_path
"""

EXTENSIONS = """
SELECT a.name::text, n.nspname::text AS schema
  FROM pg_catalog.pg_available_extensions a
  LEFT JOIN pg_catalog.pg_extension e ON e.extname = a.name
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
"""

_RELATIONS = """
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.reltuples::float8 AS rows, c.relpages AS pages, {size} AS bytes,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
   AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND ($1::text[] IS NULL OR c.relname = ANY ($1::text[]))
 ORDER BY n.nspname, c.relname
"""

_LIVE_SIZE = "CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END"
_KNOWN_SIZE = "c.relpages::int8 * pg_catalog.current_setting('block_size')::int8"


def relations(live_sizes: bool) -> str:
    """Tables and views with their sizes: from the files, which takes a lock, or as last vacuumed."""
    return _RELATIONS.format(size=_LIVE_SIZE if live_sizes else _KNOWN_SIZE)


COLUMNS = """
SELECT a.attrelid::int8 AS relation, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name, a.attnotnull AS not_null,
       s.n_distinct::float8 AS n_distinct, s.null_frac::float8 AS null_frac, s.avg_width,
       s.correlation::float8 AS correlation,
       t.typtype IN ('e', 'd', 'r', 'c') OR t.typcategory = 'A' OR EXISTS (
           SELECT 1 FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
            WHERE m.amname = 'btree' AND o.opcdefault
              AND (o.opcintype = a.atttypid OR EXISTS (
                   SELECT 1 FROM pg_catalog.pg_cast k
                    WHERE k.castsource = a.atttypid AND k.casttarget = o.opcintype AND k.castmethod = 'b'))
       ) AS default_btree
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_stats s
    ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid::int8 = ANY ($1::int8[])
 ORDER BY a.attrelid, a.attnum
"""

INDEXES = """
SELECT i.indrelid::int8 AS relation, c.relname::text AS name, m.amname::text AS method,
       i.indisunique AS unique, i.indisprimary AS primary, i.indisvalid AND i.indisready AS valid,
       coalesce(pg_catalog.pg_get_expr(i.indpred, i.indrelid), '') AS predicate,
       c.relpages::int8 * pg_catalog.current_setting('block_size')::int8 AS bytes,
       EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AS constraint,
       i.indnkeyatts AS keys,
       ARRAY(SELECT coalesce(a.attname::text, '')
               FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, pos)
               LEFT JOIN pg_catalog.pg_attribute a
                 ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
              ORDER BY k.pos) AS columns,
       i.indoption::int2[] AS options
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am m ON m.oid = c.relam
 WHERE i.indrelid::int8 = ANY ($1::int8[])
 ORDER BY i.indrelid, c.relname
"""


VIEWS = """
SELECT c.oid::int8 AS relation, pg_catalog.pg_get_viewdef(c.oid) AS definition
  FROM pg_catalog.pg_class c
 WHERE c.relkind = 'v' AND c.oid::int8 = ANY ($1::int8[])
"""
