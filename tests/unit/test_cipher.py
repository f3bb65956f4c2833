"""The journal's cipher: what is sealed opens only where it was sealed, and only under its key."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.pool import StaticPool

from radbridge.config.encryption import Encryption
from radbridge.errors import ConfigError, SealError
from radbridge.journal import keys, sealing
from radbridge.journal.schema import data_keys, metadata, secrets
from radbridge_adapters.security import cipher
from radbridge_adapters.security.cipher import AesRing, CommandKek, FileKek
from tests.support.journals import make_key

_PLAIN = create_engine("sqlite://").dialect


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still is no key service that hangs."""
    monkeypatch.setattr(cipher, "COMMAND_S", 600.0)


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    metadata.create_all(made)
    yield made
    made.dispose()


def write_key(path: Path, key: str = "") -> Encryption:
    path.write_text(key or make_key())
    path.chmod(0o600)
    return Encryption(key_file=path)


@pytest.fixture
def site(tmp_path: Path) -> Encryption:
    return write_key(tmp_path / "kek")


@given(value=st.binary(max_size=200) | st.binary(max_size=20).map(lambda b: sealing.MARK + b))
@settings(max_examples=300)
def test_without_a_key_any_bytes_come_back(value: bytes) -> None:
    """No value is mistaken for a sealed one, also one that begins with the mark."""
    assert sealing.unseal(_PLAIN, sealing.seal(_PLAIN, value, "a.b"), "a.b") == value


def test_a_sealed_column_holds_no_plain_byte(engine: Engine, site: Encryption) -> None:
    """What a sealed column stores can't be read in the file, and is read through the column as it was."""
    keys.attach([engine], site)
    with engine.begin() as conn:
        conn.execute(secrets.insert(), {"name": "one", "value": b"DOE^JANE"})
        stored = conn.exec_driver_sql("SELECT value FROM secret").scalar_one()
        assert b"DOE" not in stored
        assert stored.startswith(sealing.SEALED)
        assert conn.execute(select(secrets.c.value)).scalar_one() == b"DOE^JANE"


@given(at=st.integers(min_value=0), mask=st.integers(1, 255))
@settings(max_examples=200)
def test_a_changed_byte_is_refused(at: int, mask: int) -> None:
    """Whichever byte of a sealed value is changed, nothing is read from it."""
    ring = _ring()
    value = bytearray(ring.seal(b"the findings", "case.document"))
    value[at % len(value)] ^= mask
    if bytes(value).startswith(sealing.SEALED):
        with pytest.raises(SealError):
            ring.unseal(bytes(value), "case.document")


@cache
def _ring() -> AesRing:
    """One for all of hypothesis' examples; its key service gives back what it gets."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    script = "import sys; sys.stdout.write(sys.stdin.read())"
    return AesRing(engine, engine, Encryption(key_command=(sys.executable, "-c", script)))


def test_a_value_opens_only_in_its_place(engine: Engine, site: Encryption) -> None:
    """A sealed value that somebody moved to another column is refused."""
    ring = AesRing(engine, engine, site)
    with pytest.raises(SealError, match=r"secret\.value"):
        ring.unseal(ring.seal(b"x", "case.document"), "secret.value")


def test_a_wrong_key_opens_nothing(engine: Engine, site: Encryption, tmp_path: Path) -> None:
    """With another key file the journal isn't opened at all, and the error doesn't show the key."""
    AesRing(engine, engine, site)
    other = write_key(tmp_path / "other")
    with pytest.raises(SealError, match=r"encryption\.key_file") as caught:
        AesRing(engine, engine, other)
    assert (tmp_path / "other").read_text() not in str(caught.value)


def test_a_sealed_journal_without_a_key_is_refused(engine: Engine, site: Encryption) -> None:
    """A sealed value is never given as text where no key is set."""
    keys.attach([engine], site)
    with engine.begin() as conn:
        conn.execute(secrets.insert(), {"name": "one", "value": b"x"})
        sealing.use(engine, None)
        with pytest.raises(SealError, match="key_file or"):
            conn.execute(select(secrets.c.value)).scalar_one()


def test_after_a_rotation_old_values_open_and_new_ones_have_the_new_key(engine: Engine, site: Encryption) -> None:
    """A running ring goes on with the old key until it learns of the new one, and opens what either sealed."""
    running, command = AesRing(engine, engine, site), AesRing(engine, engine, site)
    old = running.seal(b"old", "p.q")
    with engine.begin() as conn:
        number = command.rotate(conn)
    with engine.begin() as conn:
        running.tend(conn)
    new = running.seal(b"new", "p.q")
    assert (sealing.key_of(old), sealing.key_of(new)) == (1, number)
    assert (command.unseal(new, "p.q"), running.unseal(old, "p.q")) == (b"new", b"old")


def test_what_is_new_has_a_new_key_when_the_newest_is_lost(engine: Engine, site: Encryption) -> None:
    """A key that was retired seals nothing any more, also where the one behind it was given up."""
    ring = AesRing(engine, engine, site)
    with engine.begin() as conn:
        keys.give_up(conn, ring.rotate(conn), at=datetime.now(UTC))
    again = AesRing(engine, engine, site)
    assert sealing.key_of(again.seal(b"x", "p.q")) == 3
    assert again.unseal(ring.seal(b"old", "p.q"), "p.q") == b"old"


def test_a_rotation_that_is_rolled_back_seals_nothing(engine: Engine, site: Encryption) -> None:
    """No value is ever sealed with a key that isn't committed: it could never be opened."""
    ring = AesRing(engine, engine, site)
    with engine.connect() as conn:
        ring.rotate(conn)
        ring.seal(b"x", "p.q")
        conn.rollback()
    assert sealing.key_of(ring.seal(b"x", "p.q")) == 1


def test_a_worn_key_is_changed(engine: Engine, site: Encryption, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many seals a new key is taken by itself."""
    monkeypatch.setattr(cipher, "MOST_SEALS", 3)
    ring = AesRing(engine, engine, site)
    for _ in range(3):
        ring.seal(b"x", "p.q")
    for _ in range(2):
        with engine.begin() as conn:
            ring.tend(conn)
    with engine.connect() as conn:
        first, second = keys.load(conn)
    assert first.seals == 3
    assert first.retired_at is not None
    assert second.retired_at is None
    assert sealing.key_of(ring.seal(b"x", "p.q")) == 2


def test_another_site_key_wraps_the_same_keys(engine: Engine, site: Encryption, tmp_path: Path) -> None:
    """After `rewrap` the old key file opens nothing, the new one everything."""
    ring = AesRing(engine, engine, site)
    value = ring.seal(b"x", "p.q")
    other = write_key(tmp_path / "other")
    with engine.begin() as conn:
        assert ring.rewrap(conn, other) == 1
    assert AesRing(engine, engine, other).unseal(value, "p.q") == b"x"
    with pytest.raises(SealError):
        AesRing(engine, engine, site)


def test_no_key_is_made_under_the_old_key_of_the_site(
    engine: Engine, site: Encryption, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who still has the old key after `rewrap` makes no key that only the old one opens: not asked, not by itself."""
    ring = AesRing(engine, engine, site)
    other = write_key(tmp_path / "other")
    ring.seal(b"x", "p.q")
    with engine.begin() as conn:
        ring.rewrap(conn, other)
    with engine.connect() as conn, pytest.raises(SealError, match="another key of the site"):
        ring.rotate(conn)
    monkeypatch.setattr(cipher, "MOST_SEALS", 1)
    with engine.begin() as conn:
        ring.tend(conn)
    with engine.connect() as conn:
        (only,) = keys.load(conn)
    assert only.seals == 1
    AesRing(engine, engine, other)


def test_key_services_are_told_apart() -> None:
    """Two commands are two keys of the site."""
    assert CommandKek(("kms", "one")).name == CommandKek(("kms", "one")).name
    assert CommandKek(("kms", "one")).name != CommandKek(("kms", "two")).name


def test_a_key_service_wraps_by_a_command(engine: Engine, tmp_path: Path) -> None:
    """A program gets `wrap` or `unwrap` and base64, and answers with base64; what it wrapped is what is stored."""
    script = tmp_path / "kms.py"
    script.write_text(
        "import base64, sys\n"
        "value = base64.b64decode(sys.stdin.read())\n"
        "out = value[::-1] + b'w' if sys.argv[1] == 'wrap' else value[:-1][::-1]\n"
        "sys.stdout.write(base64.b64encode(out).decode())\n"
    )
    site = Encryption(key_command=(sys.executable, str(script)))
    value = AesRing(engine, engine, site).seal(b"x", "p.q")
    assert AesRing(engine, engine, site).unseal(value, "p.q") == b"x"
    with engine.connect() as conn:
        assert conn.execute(select(data_keys.c.wrapped)).scalar_one().endswith(b"w")


@pytest.mark.parametrize(
    ("program", "said"),
    [("raise SystemExit(3)", "status 3"), ("print('?')", "base64"), ("print('AAAA')", "32 bytes")],
)
def test_a_key_service_that_fails_is_told_apart(program: str, said: str) -> None:
    """A command's bad end is an error that says which, and never what it printed."""
    with pytest.raises(SealError, match=said):
        CommandKek((sys.executable, "-c", program)).unwrap(b"x")


def test_a_key_service_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that doesn't answer in time is ended, and the error names the key of the file and how long it had."""
    monkeypatch.setattr(cipher, "COMMAND_S", 0.1)
    with pytest.raises(SealError, match=r"encryption\.key_command didn't answer `wrap` within 0\.1 s"):
        CommandKek((sys.executable, "-c", "import time; time.sleep(600)")).wrap(b"x")


def test_a_key_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A program that can't be run is a problem of the configuration."""
    with pytest.raises(ConfigError, match=r"encryption\.key_command: can't be run"):
        CommandKek((str(tmp_path / "nowhere"),)).wrap(b"x")


def test_a_key_file_that_is_lost_is_told(tmp_path: Path) -> None:
    """The error names the key of the file and where it was looked for."""
    with pytest.raises(ConfigError, match=r"encryption\.key_file: .*kek can't be read"):
        FileKek(tmp_path / "kek")


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode()])
def test_a_key_file_holds_32_bytes(tmp_path: Path, text: str) -> None:
    """Anything else in it is a problem of the configuration."""
    path = tmp_path / "kek"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="32 bytes"):
        FileKek(path)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The key is for RadBridge alone."""
    path = tmp_path / "kek"
    path.write_text(make_key())
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        FileKek(path)


def test_a_key_file_may_be_its_groups(tmp_path: Path) -> None:
    """A mounted secret of Kubernetes is root's, and read by the group."""
    path = tmp_path / "kek"
    path.write_text(make_key())
    path.chmod(0o440)
    FileKek(path)
