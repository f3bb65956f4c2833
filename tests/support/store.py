"""Where a test's journal is kept when it doesn't say so itself: `RADBRIDGE_TEST_STORE=postgresql` chooses."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


@cache
def store_url(folder: Path) -> str:
    """A file in the folder, or a database of its own; the same one each time."""
    if os.environ.get("RADBRIDGE_TEST_STORE", "sqlite") == "sqlite":
        return f"sqlite:///{folder}/radbridge.db"
    from tests.support.postgres import the_cluster  # it needs ports of tests.support.gateway

    cluster = the_cluster()
    return cluster.url(cluster.database())
