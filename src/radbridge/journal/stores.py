"""Where the journal is: the engines on one database, whose tables are brought to the present shape at its opening."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from radbridge.config.encryption import Encryption
from radbridge.config.store import Store
from radbridge.errors import ConfigError, JournalError, JournalLost
from radbridge.journal import keys, postgres, sealing, secrets, sqlite
from radbridge.journal.keys import DataKey
from radbridge.journal.schema import data_keys
from radbridge.journal.schema import secrets as secret_table

if TYPE_CHECKING:
    from radbridge.journal.postgres import Apart

_FOLDER = Path(__file__).parent / "migrations"
_MIGRATE_TRIES = 5
"""An older gateway at work may take the same tables in another order; whom the server then breaks off begins again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """The engines on a journal's database."""

    store: Store
    reader: Engine
    """Each of its transactions sees one moment of the database, and changes nothing."""
    writer: Engine
    """On SQLite, one of its transactions at a time is open."""

    @property
    def is_shared(self) -> bool:
        """Whether other gateways may have the database open too."""
        return self.store.is_shared

    def claim(self) -> ExitStack:
        """Be the file's only gateway until this is closed; nothing where several may be. Raises ConfigError."""
        return ExitStack() if self.is_shared else sqlite.claim(make_url(self.store.url))

    def connect(self) -> Connection:
        """A connection to read with; close it soon."""
        return self.reader.connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that may write, committed at the end of the block.

        Raises SealError where the keys that it would seal with were dropped since: `store unseal` has ended.
        """
        with self.writer.begin() as conn:
            if sealing.sealer_of(conn.dialect) is not None:
                keys.hold(conn)
            yield conn

    def open_apart(self) -> Apart:
        """A connection to PostgreSQL beside the engines, in autocommit. Raises psycopg's errors."""
        return postgres.connect(self.store)

    def dispose(self) -> None:
        """Let go of every connection."""
        self.reader.dispose()
        self.writer.dispose()


def open_store(store: Store | str, encryption: Encryption | None = None) -> Stores:
    """Open the database and bring it to the present shape. Raises ConfigError and JournalError with what to do."""
    stores = make_stores(Store(url=store) if isinstance(store, str) else store)
    try:
        if stores.is_shared:
            with stores.writer.connect() as conn:
                postgres.check(conn)
        migrate(stores.writer)
        keys.attach((stores.reader, stores.writer), encryption)
    except SQLAlchemyError as error:
        stores.dispose()
        raise explain(error) from None
    except BaseException:
        stores.dispose()
        raise
    return stores


def look(store: Store) -> list[DataKey]:
    """See that a gateway can use the journal, or make it, and change nothing; the keys that it is encrypted under.

    Raises ConfigError, JournalError.
    """
    if not store.is_shared and not _is_there(store):
        return []
    stores = make_stores(store)
    try:
        with stores.reader.connect() as conn:
            if stores.is_shared:
                postgres.check(conn)
            _revision(conn, ScriptDirectory(str(_FOLDER)))
            tables = inspect(conn)
            if tables.has_table(secret_table.name):
                secrets.refuse_sandbox(conn)
            return keys.load(conn) if tables.has_table(data_keys.name) else []
    except SQLAlchemyError as error:
        raise explain(error) from None
    finally:
        stores.dispose()


def _is_there(store: Store) -> bool:
    """Whether there is a file. Raises ConfigError where it can't be written, or where it can't be made."""
    file = store.files[0]
    is_there = file.exists()
    place = file if is_there else next(folder for folder in file.absolute().parents if folder.exists())
    if not os.access(place, os.R_OK | os.W_OK):
        raise ConfigError([f"store.url: {place} can't be written by this account"])
    return is_there


def make_stores(store: Store) -> Stores:
    """The engines on a database that nobody has looked at yet. Raises ConfigError, JournalError."""
    if store.is_shared:
        reader, writer = postgres.make_engines(store)
        return Stores(store=store, reader=reader, writer=writer)
    try:
        url = make_url(store.url)
    except ArgumentError:
        raise ConfigError([f"store.url: {store.url} is no URL of a database"]) from None
    sqlite.make_folder(url)
    reader, writer = (sqlite.make_engine(url, begin=begin) for begin in ("BEGIN", "BEGIN IMMEDIATE"))
    return Stores(store=store, reader=reader, writer=writer)


def migrate(engine: Engine) -> None:
    """Bring the schema up to the current revision. Raises JournalError where a newer RadBridge has been here."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every start that nothing is to be done
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    scripts = ScriptDirectory.from_config(config)
    with engine.connect() as conn:
        if _revision(conn, scripts) == scripts.get_current_head():
            return
    for left in reversed(range(_MIGRATE_TRIES)):
        try:
            with engine.begin() as conn:
                if conn.dialect.name == "postgresql":
                    postgres.lock_for_migration(conn)
                config.attributes["connection"] = conn
                command.upgrade(config, "head")
            return
        except SQLAlchemyError as error:
            if not left or not postgres.retry_reason(error):
                raise


def _revision(conn: Connection, scripts: ScriptDirectory) -> str | None:
    revision = MigrationContext.configure(conn).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise JournalError(f"the journal was made by a newer RadBridge (its shape is {revision}): start that one")
    return revision


def explain(error: SQLAlchemyError) -> JournalError:
    """What went wrong in the database, without the values of the statement: they may hold PHI."""
    cause = getattr(error, "orig", None) or error
    kind = type(cause).__name__
    known = str(cause).strip().splitlines()[0] if kind in {"OperationalError", "DatabaseError"} else ""
    text = f"the journal can't be used ({kind}{': ' + known if known else ''}); check the disk and [store] url"
    return JournalLost(text) if postgres.is_lost(error) else JournalError(text)
