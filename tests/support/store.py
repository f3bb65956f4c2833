"""Where a test's journal is kept when it doesn't say so itself: `RADBRIDGE_TEST_STORE=postgresql` chooses."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from radbridge.config.store import Store
from radbridge.journal import stores

IN_FILES = os.environ.get("RADBRIDGE_TEST_STORE", "sqlite") == "sqlite"
in_a_file = pytest.mark.skipif(not IN_FILES, reason="it looks into SQLite's file")
"""A test of a gateway whose journal has to be one."""


@cache
def store_url(folder: Path) -> str:
    """A file in the folder, or a database of its own; the same one each time."""
    if IN_FILES:
        return f"sqlite:///{folder}/radbridge.db"
    from tests.support.postgres import the_cluster  # it needs ports of tests.support.gateway

    cluster = the_cluster()
    return cluster.url(cluster.database())


def copy_new_journals() -> None:
    """From here on a new file of this process is a copy of one that was migrated, as PostgreSQL's databases are.

    All migrations together take 0.1 s of computing, and hundreds of tests make a journal.
    """

    @cache
    def migrated() -> bytes:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "migrated.db"
            made = stores.make_stores(Store(url=f"sqlite:///{file}"))
            migrate(made.writer)
            made.dispose()
            return file.read_bytes()

    def copy(engine: Engine) -> None:
        name = engine.url.database if engine.dialect.name == "sqlite" else None
        if name and name != ":memory:" and not Path(name).exists():
            beside = Path(f"{name}.{uuid4().hex}")
            beside.write_bytes(migrated())
            with suppress(FileExistsError):  # somebody else's is there meanwhile
                Path(name).hardlink_to(beside)
            beside.unlink()
        migrate(engine)

    migrate = stores.migrate
    stores.migrate = copy
