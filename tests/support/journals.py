"""A journal on each database that it can be kept in: what is promised of one is promised of all."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from radbridge import journal as journal_package
from radbridge.case import Case, CaseKey
from radbridge.config.encryption import Encryption
from radbridge.config.store import Store
from radbridge.journal import Journal, cases, postgres
from radbridge.journal.stores import Stores, make_stores, open_store
from radbridge.wire import Received
from tests.support.postgres import the_cluster


def make_key() -> str:
    """A new key for a key file, as `openssl rand -base64 32` makes one."""
    return base64.b64encode(os.urandom(32)).decode()


DIALECTS = ("sqlite", "postgresql")
SEALED = "sealed"
"""SQLite with encrypted documents: for what reads and writes such."""
on_each = pytest.mark.parametrize("url", [*DIALECTS, SEALED], indirect=True)
"""A test on each of the three."""
KEY = CaseKey(accession="A1", issuer="HOSP")


PATIENCE_S = 600
"""For locks and open transactions of a machine that stands still meanwhile."""


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """A machine that stands still for some seconds is no server that can't be reached, and no lock that isn't given."""
    network = patch.dict(postgres._NETWORK, connect_timeout=60)  # noqa: SLF001 - five seconds, for hospitals
    with network, patch.object(postgres, "_SILENT_S", PATIENCE_S):
        yield


@pytest.fixture(params=DIALECTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/radbridge.db"
    cluster = the_cluster()
    return cluster.url(cluster.empty_database())


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A journal's database, made."""
    if request.param in {"sqlite", SEALED}:
        return f"sqlite:///{tmp_path}/{request.param}.db"
    cluster = the_cluster()
    return cluster.url(cluster.database())


@pytest.fixture
def unmade(empty_url: str) -> Iterator[Stores]:
    """The engines on a database without a table."""
    made = make_stores(Store(url=empty_url))
    yield made
    made.dispose()


@pytest.fixture
def encryption(url: str, tmp_path: Path) -> Encryption:
    """Sealed documents behave like plain ones; it makes no difference to a promise which database holds them."""
    if not url.endswith(f"{SEALED}.db"):
        return Encryption()
    key = tmp_path / "kek"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o600)
    return Encryption(key_file=key)


@pytest.fixture
def stores(url: str, encryption: Encryption) -> Iterator[Stores]:
    """The engines on it."""
    opened = open_store(url, encryption)
    yield opened
    opened.dispose()


@pytest.fixture
def conn(stores: Stores) -> Iterator[Connection]:
    """A transaction that writes, committed when the test is over."""
    with stores.begin() as opened:
        yield opened


@pytest.fixture
async def journal(url: str, encryption: Encryption) -> AsyncIterator[Journal]:
    """The journal, open."""
    opened = await Journal.open(url, encryption=encryption)
    yield opened
    await opened.close()


def upgrade(stores: Stores, revision: str) -> None:
    """Bring a database to one revision and no further."""
    config = Config()
    config.set_main_option("script_location", str(Path(journal_package.__file__).parent / "migrations"))
    with stores.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, revision)


def received(control_id: str, raw: bytes = b"raw", *, sender: str = "RIS", **more: Any) -> Received:
    """A message that a wire would hand over."""
    said = {
        "wire": "hl7v2",
        "peer": "127.0.0.1",
        "sender": sender,
        "control_id": control_id,
        "kind": "ORU^R01",
        "accession": "A1",
        "raw": raw,
        "ack": b"AA " + control_id.encode("utf-8", "replace"),
    }
    return Received(**(said | more))


def save(conn: Connection, items: Sequence[Case]) -> list[None]:
    """A write: cases."""
    for case in items:
        cases.save(conn, case)
    return [None] * len(items)


def count(conn: Connection, table: str = "message") -> int:
    """How many rows there are."""
    return int(conn.exec_driver_sql(f'SELECT count(*) FROM "{table}"').scalar_one())  # noqa: S608 - a test's own name


def waiting_for_locks(stores: Stores) -> int:
    """How many on the PostgreSQL server wait for somebody else's end."""
    with stores.connect() as conn:
        count: int = conn.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one()
    return count
