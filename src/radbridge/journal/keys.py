"""The keys that documents are sealed with: wrapped under the site's own key, a row for each.

A key is never taken out: what was sealed with it can be opened by no other. `retired_at` says that nothing new is
sealed with it, `lost_at` that somebody has given it up: nothing opens what it sealed, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from sqlalchemy import Connection, Engine, bindparam, delete, func, select, update

from radbridge.config.encryption import Encryption
from radbridge.errors import KeyUnfit, SealError
from radbridge.journal import sealing
from radbridge.journal.schema import data_keys
from radbridge.journal.sealing import Sealer
from radbridge.journal.upsert import insert

_ALL = select(data_keys).order_by(data_keys.c.id)
_ANY = select(data_keys.c.id).limit(1).with_for_update(read=True, key_share=True)
_EVERY = select(data_keys.c.id).with_for_update()
_ADD = insert(data_keys).on_conflict_do_nothing()
_ONE = data_keys.c.id == bindparam("of_key")
_RETIRE = update(data_keys).where(_ONE, data_keys.c.retired_at.is_(None)).values(retired_at=bindparam("at"))
_COUNT = update(data_keys).where(_ONE).values(seals=data_keys.c.seals + bindparam("more"))
_LOSE = (
    update(data_keys)
    .where(_ONE)
    .values(lost_at=bindparam("at"), retired_at=func.coalesce(data_keys.c.retired_at, bindparam("at")))
)
_FIND = update(data_keys).where(_ONE).values(lost_at=None)
_WRAP = update(data_keys).where(_ONE).values(wrapped=bindparam("as_wrapped"), kek=bindparam("under"))


@dataclass(frozen=True, kw_only=True, slots=True)
class DataKey:
    """A key as it is stored."""

    id: int
    wrapped: bytes = field(repr=False)
    kek: str
    """A reference of the key that it is wrapped under; it tells nothing of it."""
    seals: int = 0
    """Values sealed with it, as far as they were counted."""
    created_at: datetime
    retired_at: datetime | None = None
    lost_at: datetime | None = None

    @property
    def is_current(self) -> bool:
        """Whether what is new may be sealed with it."""
        return self.retired_at is None and self.lost_at is None


@runtime_checkable
class Ring(Sealer, Protocol):
    """A sealer whose keys are in the journal."""

    def rotate(self, conn: Connection) -> int:
        """Seal with a new key from now on; its number."""
        ...

    def rewrap(self, conn: Connection, settings: Encryption) -> int:
        """Wrap every key under the key of `settings`; how many there are. Nothing sealed changes."""
        ...


class Cipher(Protocol):
    """What is installed under the entry-point group `radbridge.sealers`."""

    def __call__(self, reader: Engine, writer: Engine, settings: Encryption) -> Ring:
        """The ring of the journal's keys; makes the first one. Raises SealError, ConfigError."""
        ...

    def check(self, settings: Encryption, there: Sequence[DataKey]) -> None:
        """Raise SealError unless the site's key opens what it wraps, KeyUnfit unless all these. Raises ConfigError."""
        ...


def load(conn: Connection) -> list[DataKey]:
    """Every key, the oldest first."""
    return [DataKey(**row._mapping) for row in conn.execute(_ALL)]  # noqa: SLF001 - SQLAlchemy's public name of it


def add(conn: Connection, key: DataKey) -> None:
    """Store a key, unless another gateway was first to make one of this number."""
    row = {"id": key.id, "wrapped": key.wrapped, "kek": key.kek, "seals": 0, "created_at": key.created_at}
    conn.execute(_ADD, row)


def usable(there: Iterable[DataKey]) -> list[DataKey]:
    """Those of them that nobody has given up."""
    return [key for key in there if key.lost_at is None]


def lost(conn: Connection) -> frozenset[int]:
    """The numbers of those that somebody has."""
    return frozenset(conn.execute(select(data_keys.c.id).where(data_keys.c.lost_at.is_not(None))).scalars())


def give_up(conn: Connection, id: int, *, at: datetime) -> None:
    """Nothing opens what it sealed, and from now on nobody waits for it; its row may be gone already."""
    row = {"id": id, "wrapped": b"", "kek": "", "seals": 0, "created_at": at, "retired_at": at}
    conn.execute(_ADD, row)
    conn.execute(_LOSE, {"of_key": id, "at": at})


def require_lost(settings: Encryption, key: DataKey | None) -> None:
    """Raise SealError where the site's own key is away, opens this one, or fails for it; None: its row is gone."""
    check(settings, [])
    if key is None or not key.wrapped:
        return
    for _ in range(2):  # with the site's own key tried before and behind: a key service may be away for a moment
        try:
            check(settings, [replace(key, lost_at=None)])
        except KeyUnfit:
            check(settings, [])
        else:
            raise SealError(f"the site's key opens key {key.id} of the journal: it isn't lost")


def take_back(conn: Connection, settings: Encryption, id: int) -> None:
    """A key that was given up is there after all. Raises SealError unless the site's key opens it and all others."""
    there = load(conn)
    check(settings, [replace(key, lost_at=None) if key.id == id else key for key in there])
    conn.execute(_FIND, {"of_key": id})


def retire(conn: Connection, id: int, *, at: datetime) -> None:
    """Nothing new is sealed with it."""
    conn.execute(_RETIRE, {"of_key": id, "at": at})


def count(conn: Connection, id: int, more: int) -> None:
    """So many more were sealed with it."""
    conn.execute(_COUNT, {"of_key": id, "more": more})


def wrap_again(conn: Connection, id: int, wrapped: bytes, kek: str) -> None:
    """The same key, wrapped otherwise."""
    conn.execute(_WRAP, {"of_key": id, "as_wrapped": wrapped, "under": kek})


def check(settings: Encryption, there: Sequence[DataKey]) -> None:
    """Raise SealError unless the site's key works, and opens all of these that nobody gave up, such as a backup's."""
    if settings.is_on:
        _load_cipher().check(settings, usable(there))
    elif there:
        raise SealError("the documents are encrypted: set encryption.key_file or encryption.key_command")


def hold(conn: Connection) -> None:
    """Have the keys stay until the end of this transaction. Raises SealError where they are gone already."""
    if conn.execute(_ANY).first() is None:
        raise SealError(
            "the journal's keys were dropped meanwhile: take [encryption] out of the site's file, and run this again"
        )


def drop_all(conn: Connection) -> None:
    """Forget every key. Only where nothing is sealed any more, and whoever would seal was waited for by `lock`."""
    conn.execute(delete(data_keys))


def lock(conn: Connection) -> None:
    """Wait for every transaction that may still seal, and have others wait for the end of this one."""
    conn.execute(_EVERY).all()


def _load_cipher() -> Cipher:
    for point in entry_points(group="radbridge.sealers"):
        cipher: Cipher = point.load()
        return cipher
    raise SealError("no cipher is installed under radbridge.sealers; install RadBridge anew")


def attach(engines: Sequence[Engine], settings: Encryption | None) -> Ring | None:
    """Seal and unseal with the site's key what goes through the engines; the last of them may write.

    Raises SealError for a journal that has keys where the site names none: it would be written half plain.
    """
    if settings is None:
        return None
    if not settings.is_on:
        with engines[0].connect() as conn:
            check(settings, load(conn))
        return None
    ring = _load_cipher()(engines[0], engines[-1], settings)
    for engine in engines:
        sealing.use(engine, ring)
    return ring
