"""The types of the journal's columns: the same rows on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    TypeDecorator,
    select,
    type_coerce,
)

from radbridge.errors import SealBroken
from radbridge.journal.sealing import seal, unseal

MAX_KEY_BYTES = 1000
"""Of a value that is searched by: an index of PostgreSQL takes 2,704 bytes, of two such values together."""
Key = BigInteger().with_variant(Integer, "sqlite")
"""A counted key. SQLite counts by itself only what is declared INTEGER, which holds 64 bits there."""


class Utc(TypeDecorator[datetime]):
    """An aware time, stored in UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware to naive UTC; a naive time is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Naive UTC to aware."""
        return None if value is None else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text that came over a wire, which may hold what PostgreSQL refuses.

    The row is what is searched; the bytes as they came are kept beside it.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is stored, and what is searched for, goes through the same `clean`."""
        return None if value is None else clean(value)


class Sealed(TypeDecorator[bytes]):
    """A document that may hold PHI: encrypted where the site wants that, plain where it doesn't.

    `place` is `table.column`; a sealed value can't be opened in any other. Nothing searches such a column by SQL.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Seal. Empty stays empty: it says that there is nothing."""
        return seal(dialect, value, self.place) if value else value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Open."""
        return unseal(dialect, value, self.place) if value else value


def as_stored(table: Table, document: Column[bytes]) -> Select[tuple[Any, ...]]:
    """Rows with one document, `stored`, as it is stored: where it can't be opened, the others still can."""
    plain = [column for column in table.columns if not isinstance(column.type, Sealed)]
    return select(*plain, type_coerce(document, LargeBinary).label("stored"))


def open_stored(conn: Connection, stored: bytes, place: str) -> tuple[bytes, str]:
    """The document, and why it can't be opened: empty, it can. Raises SealError where none can be."""
    try:
        return unseal(conn.dialect, stored, place), ""
    except SealBroken as error:
        return b"", str(error)


def is_too_long(key: str) -> bool:
    """Whether an index would not take it: no case and no patient could be found by it."""
    return len(key) > MAX_KEY_BYTES // 4 and len(key.encode(errors="replace")) > MAX_KEY_BYTES


def clean(text: str) -> str:
    """Without NUL, and with `?` for half of a surrogate pair: neither is text to PostgreSQL."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
