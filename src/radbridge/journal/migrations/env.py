"""Alembic's entry: the caller hands over the connection; there is no ini file."""

from alembic import context

from radbridge.journal.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
