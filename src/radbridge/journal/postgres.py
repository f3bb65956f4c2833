"""The journal on PostgreSQL: several gateways, each with two writers. Needs the extra `postgres`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from struct import Struct
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from radbridge.config.store import Store
from radbridge.errors import ConfigError, StoreRefused
from radbridge.journal.tables.core import ARRIVING

if TYPE_CHECKING:  # an extra: on SQLite nobody needs it
    import psycopg

    Apart = psycopg.Connection[tuple[Any, ...]]
    """A connection beside the engines."""

LOCK_MIGRATE = 0x5241_4442
"""The advisory lock of whoever changes the tables."""
OLDEST = 140000
"""`server_version_num` of the oldest PostgreSQL that has what is asked of it; 16 and 18 are tested."""
_CONNECT_S = 5
_SILENT_S = 10
"""After so long without a sign of the server a connection is lost, and a transaction that does nothing is ended."""
_NETWORK: dict[str, Any] = {
    "connect_timeout": _CONNECT_S,
    "keepalives": 1,
    "keepalives_idle": _SILENT_S,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": _SILENT_S * 1000,
    "application_name": "radbridge",
}
_KEEP = (
    "SELECT set_config('idle_session_timeout', '0', false) WHERE current_setting('idle_session_timeout', true) <> '0'"
)
"""A session is there for the next message, however late at night that comes. A server that is too old
doesn't know it, and is refused by `check` in words of ours."""
_APART = f"""{_KEEP}; SET tcp_keepalives_idle = {_SILENT_S}; SET tcp_keepalives_interval = 3;
SET tcp_keepalives_count = 3; SET tcp_user_timeout = '{_SILENT_S}s'"""
"""The server, too, soon sees that the other end is gone without a word: a session apart may be a sign of life."""
_READER_S = 60
"""A connection that reads is made anew after so long: its server may have been replaced, and answer all the same."""
_RETRIED = {"40001": "serialization", "40P01": "deadlock"}
_READ_ONLY = "25006"
"""What a server says that has become somebody's replica: another one has the journal now."""
_LOCKED = "55P03"
"""A lock was waited for in vain."""
_CANCELED = "57014"
"""A statement went on for longer than `statement_timeout_s`."""
_TOO_MUCH = "54"
"""What the server says where a program limit is passed, such as the length of an indexed value."""
_ORDERED = ["-b", "B", "Z", "_", "a", "ä"]


def make_engines(store: Store) -> tuple[Engine, Engine]:
    """A reader, each of whose transactions sees one moment, and a writer. Raises ConfigError."""
    url = read_url(store)
    try:
        _array_types()  # before an engine copies what the driver knows
        # An error names its statement, and no value: that may be PHI, and tracebacks are logged.
        make = partial(create_engine, url, connect_args=_arguments(), hide_parameters=True)
        reader = make(pool_size=store.pool, pool_recycle=_READER_S, isolation_level="REPEATABLE READ")
        writer = make(pool_size=4, isolation_level="READ COMMITTED")
    except ModuleNotFoundError:
        problem = "store.url: PostgreSQL needs a driver: pip install 'radbridge[postgres]'"
        raise ConfigError([problem]) from None
    event.listen(reader, "connect", _preparation(store, reads=True))
    event.listen(writer, "connect", _preparation(store, reads=False))
    return reader, writer


def read_url(store: Store) -> URL:
    """The URL with its password, where a file holds one. Raises ConfigError."""
    from sqlalchemy.engine import make_url

    url = make_url(store.url)
    if store.password_file is None:
        return url
    try:
        return url.set(password=store.password_file.read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise ConfigError([f"store.password_file: {why}: {store.password_file}"]) from None


def connect(store: Store) -> Apart:
    """A connection apart from the engines, in autocommit. Raises psycopg's errors."""
    import psycopg

    url = read_url(store).set(drivername="postgresql")
    conn = psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, **_NETWORK)
    try:
        conn.execute(_APART)
    except psycopg.Error:
        conn.close()
        raise
    return conn


def _arguments() -> dict[str, Any]:
    return {"prepare_threshold": 0, **_NETWORK}


def _preparation(store: Store, *, reads: bool) -> Callable[[Any, Any], None]:
    """What every session begins with: a commit is on the server's disk when it returns (rule 1).

    A replica is refused by readers too: one that gets no more from its primary would show them the past.
    """
    settings = [
        _KEEP,
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        f"SET statement_timeout = {round(store.statement_timeout_s * 1000)}",
        f"SET lock_timeout = '{_SILENT_S}s'",
        "SET jit = off",  # no statement is long enough to be compiled, and some look so to the planner
    ]
    if not reads:
        # Whoever reads holds nothing that others wait for, and may think about it as long as he wants.
        settings.append(f"SET idle_in_transaction_session_timeout = '{_SILENT_S}s'")
        settings.append("SET enable_seqscan = off")  # a plan made for an empty table is kept as it fills

    def prepare(connection: psycopg.Connection, _record: Any) -> None:
        from psycopg import OperationalError

        before, connection.autocommit = connection.autocommit, True
        if connection.execute("SELECT pg_is_in_recovery()", prepare=False).fetchone() == (True,):
            connection.close()
            raise OperationalError("the server is a replica")
        connection.execute("; ".join(settings), prepare=False)
        connection.autocommit = before
        connection.read_only = reads

    return prepare


def check(conn: Connection) -> None:
    """Refuse a server that would lose what it committed, or that sorts otherwise. Raises StoreRefused."""
    fsync, whole, encoding, version, collation = conn.exec_driver_sql(
        "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('server_encoding'),"
        " current_setting('server_version_num')::int, (SELECT datcollate FROM pg_database"
        " WHERE datname = current_database())"
    ).one()
    if version < OLDEST:
        raise StoreRefused([f"store.url: PostgreSQL {OLDEST // 10000} or newer is needed"])
    for name, value in (("fsync", fsync), ("full_page_writes", whole)):
        if value != "on":
            raise StoreRefused([f"store.url: the server runs with {name} = off and would lose messages; set it to on"])
    ordered = conn.exec_driver_sql("SELECT array(SELECT x FROM unnest(%s::text[]) x ORDER BY x)", (_ORDERED,)).scalar()
    if encoding != "UTF8" or ordered != _ORDERED:
        wanted = "createdb --template=template0 --encoding=UTF8 --locale=C NAME"
        raise StoreRefused([f"store.url: the database is {encoding} and sorts by {collation}; make one by {wanted}"])


def lock_for_migration(conn: Connection) -> None:
    """One gateway changes the tables, the others wait; a change takes as long as it takes."""
    for timeout in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        conn.exec_driver_sql(f"SET LOCAL {timeout} = 0")
    conn.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK_MIGRATE,))


def is_lost(error: SQLAlchemyError) -> bool:
    """Whether the server is away, or isn't the one that takes writes: nothing else of ours will do better there."""
    if not isinstance(error, DBAPIError) or not type(error.orig).__module__.startswith("psycopg"):
        return False
    state = state_of(error)
    unreached = not state and type(error.orig).__name__ == "OperationalError"
    return error.connection_invalidated or unreached or state == _READ_ONLY or state[:2] == "08" or state[:3] == "57P"


def is_locked(error: DBAPIError) -> bool:
    """Whether somebody else has held what was asked for, for longer than is waited for."""
    return state_of(error) == _LOCKED


def is_refusal(error: DBAPIError) -> bool:
    """Whether it is this statement that the server doesn't take, or not in time: it may well take others."""
    return state_of(error) == _CANCELED or state_of(error)[:2] == _TOO_MUCH


def retry_reason(error: SQLAlchemyError) -> str:
    """Why the same transaction may do better at once; empty: it would not."""
    return _RETRIED.get(state_of(error), "") if isinstance(error, DBAPIError) else ""


def state_of(error: DBAPIError) -> str:
    """The SQLSTATE; empty where the server said none."""
    return str(getattr(error.orig, "sqlstate", None) or "")


_TEXT, _BYTES, _NUMBER, _TRUTH = 25, 17, 23, 16
"""PostgreSQL's numbers for text, bytea, int and bool, and by them those of their arrays."""
_ARRAYS = {_TEXT: 1009, _BYTES: 1001, _NUMBER: 1007, _TRUTH: 1000}
_KINDS = {"raw": _BYTES, "ack": _BYTES, "size": _NUMBER, "bucket": _NUMBER, "urgent": _TRUTH, "reused_id": _TRUTH}
_HEAD = Struct("!iiIii")
"""Of a binary array: dimensions, whether there are nulls, its elements' type; length and first index."""
_INT = Struct("!i")
_NAMES = ", ".join(ARRIVING[:-1])
_ADD = f"""
INSERT INTO message (received_at, state, reason, {_NAMES}, reused_id)
SELECT %b::timestamp, 'accepted', '', {_NAMES},
       reused_id OR (SELECT true FROM message m WHERE m.sender_key = new.sender_key AND m.state <> 'rejected' LIMIT 1)
       IS NOT NULL
FROM unnest({", ".join("%b" for _ in ARRIVING)}) WITH ORDINALITY AS new({_NAMES}, reused_id, line)
ORDER BY line
ON CONFLICT (sender_key, digest) WHERE state <> 'rejected' DO NOTHING
RETURNING id, sender_key, digest, reused_id
"""  # noqa: S608 - our own names
"""One statement for a whole group, which also tells the duplicates: those that aren't returned. LIMIT keeps a planner
that knows no counts yet from reading the whole table once for a group."""
_FIND = """
SELECT id, sender_key, digest, ack, reply FROM unnest(%s::text[], %s::text[]) AS wanted(key, of_bytes)
JOIN message ON sender_key = key AND digest = of_bytes AND state <> 'rejected'
"""


def find_messages(conn: Connection, names: Collection[tuple[str, str]]) -> Sequence[Sequence[Any]]:
    """Id, sender's key, digest, answer and reply, as stored, of the messages of these keys and digests."""
    keys, digests = zip(*names, strict=True)
    return conn.exec_driver_sql(_FIND, (list(keys), list(digests))).fetchall()


def add_messages(
    conn: Connection, received_at: datetime, rows: Sequence[tuple[Any, ...]]
) -> dict[tuple[str, str], tuple[int, bool]]:
    """Store the messages that aren't there yet, in the order of ARRIVING.

    For each, by its sender's key and digest, its id, and whether its control id was used before.
    """
    columns = [_array(name, values) for name, values in zip(ARRIVING, zip(*rows, strict=True), strict=True)]
    added = conn.exec_driver_sql(_ADD, (received_at.replace(tzinfo=None), *columns))
    return {(key, digest): (id, reused) for id, key, digest, reused in added}


def _array(name: str, values: Sequence[Any]) -> Any:
    """A column as the driver would send an array, in a fifth of the time that it takes for one."""
    kind = _KINDS.get(name, _TEXT)
    if kind == _TEXT:
        parts = [value.encode() for value in values]
    elif kind == _BYTES:
        parts = list(values)
    elif kind == _NUMBER:
        parts = [_INT.pack(value) for value in values]
    else:
        parts = [b"\1" if value else b"\0" for value in values]
    head = _HEAD.pack(1, 0, kind, len(parts), 1)
    return _array_types()[kind](head + b"".join([piece for part in parts for piece in (_INT.pack(len(part)), part)]))


class _Array:
    """A column that is encoded already."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded


@cache
def _array_types() -> Mapping[int, type[_Array]]:
    """A class for each kind of elements, which the driver sends as an array of that kind."""
    import psycopg
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class AsItIs(Dumper):
        format = Format.BINARY

        def dump(self, obj: _Array) -> bytes:
            return obj.encoded

    types: dict[int, type[_Array]] = {}
    for kind, array in _ARRAYS.items():
        types[kind] = type(f"Array{kind}", (_Array,), {"__slots__": ()})
        psycopg.adapters.register_dumper(types[kind], type(f"Dumper{kind}", (AsItIs,), {"oid": array}))
    return types
