"""Run by Alembic: uses the connection that the store opened, inside the transaction that it began."""

from __future__ import annotations

from alembic import context

from workload.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
