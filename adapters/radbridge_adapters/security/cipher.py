"""AES-256-GCM for the journal's documents, in envelopes: the site's key wraps data keys, data keys seal documents.

    00 'RB1'  key id (4 bytes)  nonce (12 bytes)  ciphertext  tag (16 bytes)

The place (`table.column`) and the key's number are authenticated with the text, so that a value can't be moved to
another place. Nonces are random: NIST SP 800-38D, 8.3 allows 2^32 of them under one key, and a key is changed after
half as many. Seals are counted in memory and written down once a minute; a crash loses the count of one minute.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from radbridge.config.encryption import Encryption
from radbridge.config.files import OTHERS
from radbridge.errors import ConfigError, JournalError, KeyUnfit, SealBroken, SealError
from radbridge.journal import keys
from radbridge.journal.keys import DataKey
from radbridge.journal.locks import Lock, hold
from radbridge.journal.sealing import SEALED, key_of

log = structlog.get_logger(__name__)

KEY_BYTES = 32
NONCE_BYTES = 12
MOST_SEALS = 2**31
"""Of one data key."""
COMMAND_S = 10.0
_HEAD = len(SEALED) + 4 + NONCE_BYTES


class Kek(Protocol):
    """The site's key, which wraps the journal's."""

    @property
    def name(self) -> str:
        """A reference that tells nothing of the key."""
        ...

    def wrap(self, key: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """Raises KeyUnfit when it was wrapped under another key, SealError when nobody can say."""
        ...


class FileKek:
    """A key in a file."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for a file that isn't 32 bytes as base64, or that others may read."""
        key = _read_key(path)
        self._cipher = AESGCM(key)
        self.name = hashlib.sha256(b"radbridge kek\0" + key).hexdigest()[:16]

    def wrap(self, key: bytes) -> bytes:
        """With a random nonce before it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, b"data_key")

    def unwrap(self, wrapped: bytes) -> bytes:
        """The key that `wrap` was given."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], b"data_key")
        except (InvalidTag, ValueError):
            raise KeyUnfit("the key in encryption.key_file isn't the one that the journal is encrypted under") from None


class CommandKek:
    """A key that a key service keeps: a program wraps and unwraps with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self.name = hashlib.sha256(b"radbridge kek command\0" + "\0".join(self._command).encode()).hexdigest()[:16]

    def wrap(self, key: bytes) -> bytes:
        return self._ask("wrap", key)

    def unwrap(self, wrapped: bytes) -> bytes:
        key = self._ask("unwrap", wrapped)
        if len(key) != KEY_BYTES:
            # Nothing at all is what a program's failure looks like behind a pipe.
            raise (KeyUnfit if key else SealError)("encryption.key_command gave no key of 32 bytes")
        return key

    def _ask(self, verb: str, value: bytes) -> bytes:
        """Raises SealError without what the program said: it may hold the key."""
        try:
            done = subprocess.run(  # noqa: S603 - the site's own command, as a list, never by a shell
                [*self._command, verb],
                input=base64.b64encode(value),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=COMMAND_S,
                check=True,
            )
            return base64.b64decode(done.stdout.strip(), validate=True)
        except subprocess.TimeoutExpired:
            raise SealError(f"encryption.key_command didn't answer `{verb}` within {COMMAND_S:g} s") from None
        except subprocess.CalledProcessError as error:
            raise SealError(f"encryption.key_command ended with status {error.returncode} for `{verb}`") from None
        except OSError as error:
            raise ConfigError([f"encryption.key_command: can't be run: {error.strerror}"]) from None
        except binascii.Error:
            raise SealError(f"encryption.key_command answered `{verb}` with something that isn't base64") from None


def make_kek(settings: Encryption) -> Kek:
    """The site's key. Raises ConfigError when it can't be used."""
    return CommandKek(settings.key_command) if settings.key_file is None else FileKek(settings.key_file)


def _read_key(path: Path) -> bytes:
    try:
        if path.stat().st_mode & OTHERS:
            raise ConfigError([f"encryption.key_file: others may read {path}: chmod 600 it"])
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ConfigError([f"encryption.key_file: {path} can't be read: {error.strerror}"]) from None
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError([f"encryption.key_file: {path} must hold 32 bytes as base64: openssl rand -base64 32"])
    return key


class AesRing:
    """The journal's keys, open for one process; a `radbridge.journal.keys.Ring`."""

    def __init__(self, reader: Engine, writer: Engine, settings: Encryption) -> None:
        """Opens every key there is, and makes the first. Raises SealError, ConfigError, JournalError.

        Later only the reader is used: a value may be unsealed within a write, and SQLite has one writer.
        """
        self._reader = reader
        self._kek = make_kek(settings)
        self._lock = threading.Lock()
        self._ciphers: dict[int, AESGCM] = {}
        self._known: dict[int, DataKey] = {}
        self._current = 0
        self._counts = Counter[int]()
        self._learn()
        if not any(key.is_current for key in self._known.values()):
            with writer.begin() as conn:
                hold(conn, Lock.KEYS, [""])
                if not any(key.is_current for key in keys.load(conn)):  # another gateway's new key may have won
                    self.rotate(conn)
            self._learn()

    @staticmethod
    def check(settings: Encryption, there: Sequence[DataKey]) -> None:
        """Raise SealError unless the site's key opens what it wraps, KeyUnfit unless all these. Raises ConfigError."""
        kek = make_kek(settings)
        tried = secrets.token_bytes(KEY_BYTES)
        try:
            is_well = kek.unwrap(kek.wrap(tried)) == tried
        except KeyUnfit as error:  # by what it has wrapped itself: that says nothing of the journal's keys
            raise SealError(str(error)) from None
        if not is_well:
            raise SealError("encryption.key_command doesn't give back what it wrapped")
        for key in there:
            kek.unwrap(key.wrapped)

    def seal(self, value: bytes, place: str) -> bytes:
        """Under the newest key."""
        id = self._current
        nonce = os.urandom(NONCE_BYTES)
        head = SEALED + id.to_bytes(4, "big")
        with self._lock:
            self._counts[id] += 1
        return head + nonce + self._ciphers[id].encrypt(nonce, value, head + place.encode())

    def unseal(self, value: bytes, place: str) -> bytes:
        """Under whatever key it was sealed with. Raises SealError."""
        id = key_of(value)
        cipher = self._ciphers.get(id)
        if cipher is None:
            self._learn()  # another gateway may have made one
            cipher = self._ciphers.get(id)
        if cipher is None:
            was = "was given up as lost" if id in self._known else "is missing; was a row of data_key removed?"
            raise SealBroken(f"the journal's key {id} {was}")
        head, nonce = value[: len(SEALED) + 4], value[len(SEALED) + 4 : _HEAD]
        try:
            return cipher.decrypt(nonce, value[_HEAD:], head + place.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"a sealed value of {place} was changed, or stood elsewhere before") from None

    def tend(self, conn: Connection) -> None:
        """Count, change the key where it is worn, learn of others'."""
        hold(conn, Lock.KEYS, [""])
        with self._lock:
            counts, self._counts = self._counts, Counter()
        for id, more in counts.items():
            keys.count(conn, id, more)
        there = self._put_back(conn, keys.load(conn))
        self._take(there)
        there = keys.usable(there)
        if there and there[-1].seals >= MOST_SEALS:
            try:
                self.rotate(conn)  # not used before the next time: by then it is committed
            except SealError:
                log.exception("a worn key of the journal can't be changed", key_id=there[-1].id)

    def _put_back(self, conn: Connection, there: Sequence[DataKey]) -> Sequence[DataKey]:
        """A key that was dropped while this process sealed with it stays: nothing else opens what it sealed."""
        gone = self._known.keys() - {key.id for key in there}
        for id in sorted(gone):
            log.error("a key of the journal was dropped while it was in use: it is put back", key_id=id)
            keys.add(conn, self._known[id])
        return keys.load(conn) if gone else there

    def rotate(self, conn: Connection) -> int:
        """Make a key, retire the ones before; this ring seals with it once the transaction is committed.

        Raises SealError where the others were wrapped anew since: under two keys of the site a journal can't be opened.
        """
        hold(conn, Lock.KEYS, [""])
        now = datetime.now(UTC)
        there = keys.load(conn)
        if any(key.kek != self._kek.name for key in keys.usable(there)):
            raise SealError("the journal's keys are under another key of the site: name it under encryption, or rewrap")
        id = max((key.id for key in there), default=0) + 1
        wrapped = self._kek.wrap(AESGCM.generate_key(KEY_BYTES * 8))
        keys.add(conn, DataKey(id=id, wrapped=wrapped, kek=self._kek.name, created_at=now))
        for key in there:
            keys.retire(conn, key.id, at=now)
        return id

    def rewrap(self, conn: Connection, settings: Encryption) -> int:
        """From this site's key to another."""
        other = make_kek(settings)
        hold(conn, Lock.KEYS, [""])
        there = keys.usable(keys.load(conn))
        for key in there:
            keys.wrap_again(conn, key.id, other.wrap(self._kek.unwrap(key.wrapped)), other.name)
        return len(there)

    def _learn(self) -> None:
        try:
            with self._reader.connect() as conn:
                self._take(keys.load(conn))
        except SQLAlchemyError:
            raise JournalError from None

    def _take(self, there: Sequence[DataKey]) -> None:
        for key in there:
            self._known[key.id] = key
            if key.lost_at is None and key.id not in self._ciphers:
                self._ciphers[key.id] = AESGCM(self._kek.unwrap(key.wrapped))
        there = keys.usable(there)
        if there and there[-1].id != self._current:
            self._current = there[-1].id
            log.info("sealing with a key of the journal", key_id=self._current)
