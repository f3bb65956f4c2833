"""Encryption of the journal's documents, as a seam: the core seals what goes into a sealed column and knows no cipher.

    plain value                      what it was, unless it begins with MARK
    MARK '0' plain value             a value that itself begins so
    MARK '1' key id, nonce, text     sealed: `radbridge_adapters.security.cipher`

Without a sealer nothing is sealed; a sealed value is then refused and never taken for text.
"""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection, Dialect, Engine

from radbridge.errors import SealError

MARK = b"\0RB"
"""How everything begins that isn't simply the value: no message, no JSON and no DICOM object begins so."""
ESCAPED = MARK + b"0"
SEALED = MARK + b"1"
_KEY = slice(len(SEALED), len(SEALED) + 4)
_ATTRIBUTE = "radbridge_sealer"


class Sealer(Protocol):
    """Seals values for a place, `table.column`: a value that is moved to another place can't be opened there."""

    def seal(self, value: bytes, place: str) -> bytes:
        """The sealed form, which begins with SEALED."""
        ...

    def unseal(self, value: bytes, place: str) -> bytes:
        """The value. Raises SealError when the key isn't there or somebody changed the bytes."""
        ...

    def tend(self, conn: Connection) -> None:
        """Count what was sealed, take another key when one is due, and learn of keys that others have made."""
        ...


def use(engine: Engine, sealer: Sealer | None) -> None:
    """Seal with this from now on what goes through the engine."""
    setattr(engine.dialect, _ATTRIBUTE, sealer)


def sealer_of(dialect: Dialect) -> Sealer | None:
    """Who seals for the engine of this dialect."""
    sealer: Sealer | None = getattr(dialect, _ATTRIBUTE, None)
    return sealer


def seal(dialect: Dialect, value: bytes, place: str) -> bytes:
    """What is stored for a value. Empty stays empty: it tells nothing, and queries ask for it."""
    if not value:
        return value
    sealer = sealer_of(dialect)
    return escape(value) if sealer is None else sealer.seal(value, place)


def unseal(dialect: Dialect, value: bytes, place: str) -> bytes:
    """The value that is stored. Raises SealError."""
    if not value.startswith(MARK):
        return value
    if not value.startswith(SEALED):
        return unescape(value)
    sealer = sealer_of(dialect)
    if sealer is None:
        raise SealError("the journal is encrypted: set encryption.key_file or encryption.key_command")
    return sealer.unseal(value, place)


def key_of(stored: bytes) -> int:
    """The number of the key that a value is sealed with; 0: it isn't."""
    return int.from_bytes(stored[_KEY], "big") if stored.startswith(SEALED) else 0


def escape(value: bytes) -> bytes:
    """A value as it is stored unsealed."""
    return ESCAPED + value if value.startswith(MARK) else value


def unescape(value: bytes) -> bytes:
    """The value of an unsealed form."""
    return value.removeprefix(ESCAPED)
