"""The store's own migrations, run by Alembic when a store is made or is older than this pgcoach."""
