"""Run the migrations on the connection `geomon.stores.database` hands over."""

from typing import Any

from alembic import context

from geomon.stores.schema import metadata

config: Any = getattr(context, "config", None)  # absent unless a migration is under way
if config is not None:
    context.configure(connection=config.attributes["connection"], target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
