"""Encryption of a journal: on, off, under other keys, and while a gateway writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select

from radbridge.audit import Note, What
from radbridge.config.encryption import Encryption
from radbridge.config.store import Store
from radbridge.errors import SealError
from radbridge.journal import audit, backup, keys, resealing
from radbridge.journal.keys import Ring
from radbridge.journal.resealing import Mode
from radbridge.journal.schema import cases, memory
from radbridge.journal.sealing import MARK, sealer_of
from radbridge.journal.stores import Stores, open_store
from radbridge_adapters import cdshooks
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.journals import make_key, waiting_for_locks
from tests.support.live import live
from tests.support.live import make_site as make_live_site
from tests.support.planted import NAME, dump, plant

AT = datetime(2026, 11, 1, tzinfo=UTC)


def make_site(path: Path) -> Encryption:
    path.write_text(make_key())
    path.chmod(0o600)
    return Encryption(key_file=path)


@pytest.fixture
def site(tmp_path: Path) -> Encryption:
    return make_site(tmp_path / "kek")


@pytest.fixture
def sealed(url: str, site: Encryption) -> Iterator[Stores]:
    """A journal that was encrypted from the start."""
    opened = open_store(Store(url=url), site)
    yield opened
    opened.dispose()


def reseal(stores: Stores, mode: Mode) -> int:
    changed = 0
    for place in resealing.places():
        after = None
        while True:
            with stores.begin() as conn:
                done = resealing.reseal_some(conn, place, mode, after=after, at_most=3)
            changed += done.changed
            if (after := done.last) is None:
                break
    return changed


def ring_of(stores: Stores) -> Ring:
    ring = sealer_of(stores.writer.dialect)
    assert isinstance(ring, Ring)
    return ring


def read_raw(url: str) -> str:
    """What the tables hold for somebody without the key."""
    stores = open_store(url)
    found = []
    with stores.connect() as conn:
        for place in resealing.places():
            found += [str(bytes(value or b"")) for value in conn.execute(select(place.stored)).scalars()]
    stores.dispose()
    return "\n".join(found)


def test_no_document_is_readable_without_the_key(sealed: Stores, url: str) -> None:
    """With encryption on, every sealed column holds ciphertext, and reads as before through the key."""
    with sealed.begin() as conn:
        plant(conn, AT)
    assert NAME not in read_raw(url)
    with sealed.connect() as conn:
        assert conn.execute(select(cases.c.document)).scalar_one() == f"PID|{NAME}".encode()
        assert audit.verify(conn).events == 3
    plain = open_store(url)
    with plain.connect() as conn, pytest.raises(SealError):
        conn.execute(select(cases.c.document)).scalar_one()
    plain.dispose()


def test_a_plain_journal_is_sealed_and_unsealed(stores: Stores, url: str, site: Encryption) -> None:
    """`store seal` seals what was stored before, `store unseal` gives it back byte for byte; the chain holds."""
    awkward = [MARK + b"1 no seal at all", MARK + b"0", b"plain"]
    with stores.begin() as conn:
        plant(conn, AT)
        rows = [_remembered(n, value) for n, value in enumerate(awkward)]
        conn.execute(insert(memory), rows)
    with stores.connect() as conn:
        before = dump(conn)
    opened = open_store(Store(url=url), site)
    assert reseal(opened, Mode.SEALED) > 10
    assert reseal(opened, Mode.SEALED) == 0
    assert NAME not in read_raw(url)
    with opened.connect() as conn:
        kept = conn.execute(select(memory.c.document).order_by(memory.c.number)).scalars().all()
        assert kept[1:] == awkward
        assert audit.verify(conn).events == 3
        assert resealing.count_keys(conn).get(0) == 0
    reseal(opened, Mode.PLAIN)
    with opened.begin() as conn:
        keys.drop_all(conn)
    opened.dispose()
    with stores.connect() as conn:
        assert dump(conn) == before


def _remembered(number: int, document: bytes) -> dict[str, object]:
    return {
        "accession": f"M{number}",
        "issuer": "",
        "signer": "1001",
        "state": "kept",
        "document": document,
        "signed_at": AT,
    }


def test_no_key_is_dropped_while_something_is_sealed(sealed: Stores) -> None:
    """What another command has sealed meanwhile would be lost with its key: that stays, and one is told."""
    with sealed.begin() as conn:
        plant(conn, AT)
    with pytest.raises(SealError, match="meanwhile"), sealed.begin() as conn:
        resealing.end_sealing(conn, Note(at=AT, what=What.KEY_ROTATED))
    with sealed.connect() as conn:
        assert len(keys.load(conn)) == 1
    reseal(sealed, Mode.PLAIN)
    with sealed.begin() as conn:
        resealing.end_sealing(conn, Note(at=AT, what=What.KEY_ROTATED))
        assert keys.load(conn) == []


def test_nobody_seals_with_a_key_that_was_dropped(sealed: Stores, url: str, site: Encryption) -> None:
    """A command that opened the journal before `store unseal` ended is refused; nothing of it stays sealed."""
    late = open_store(Store(url=url), site)
    with sealed.begin() as conn:
        resealing.end_sealing(conn, Note(at=AT, what=What.KEY_ROTATED))
    with pytest.raises(SealError, match="dropped meanwhile"), late.begin() as conn:
        audit.note(conn, [Note(at=AT, what=What.VIEWED)])
    late.dispose()
    with sealed.connect() as conn:
        assert set(resealing.count_keys(conn)) == {0}


def test_unseal_waits_for_who_is_sealing(sealed: Stores, url: str, site: Encryption) -> None:
    """What another command seals while `store unseal` ends isn't lost: it ends after that one, or not at all."""
    late = open_store(Store(url=url), site)
    ended: list[object] = []

    def end() -> None:
        try:
            with sealed.begin() as conn:
                resealing.end_sealing(conn, Note(at=AT, what=What.KEY_ROTATED))
        except SealError as error:
            ended.append(error)

    thread = threading.Thread(target=end)
    with late.begin() as conn:
        thread.start()
        while sealed.is_shared and not waiting_for_locks(sealed):
            pass
        conn.execute(insert(memory), [_remembered(1, b"late")])
    thread.join(120)
    assert len(ended) == 1
    with late.connect() as conn:
        assert conn.execute(select(memory.c.document)).scalar_one() == b"late"
    late.dispose()


def test_a_key_that_is_in_use_is_put_back(sealed: Stores, url: str) -> None:
    """A gateway whose key was dropped under it keeps what it sealed: it stores that key again."""
    with sealed.begin() as conn:
        plant(conn, AT)
        keys.drop_all(conn)
    with sealed.writer.begin() as conn:
        ring_of(sealed).tend(conn)
    with sealed.connect() as conn:
        assert [key.id for key in keys.load(conn)] == [1]
        assert conn.execute(select(cases.c.document)).scalar_one() == f"PID|{NAME}".encode()


def test_no_note_is_given_up_while_the_key_service_is_away(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note under a key that nobody unwraps just now may be opened in a minute: it stays, and one is told."""
    monkeypatch.setattr("radbridge_adapters.security.cipher.COMMAND_S", 60.0)
    away, service = tmp_path / "away", tmp_path / "service"
    service.write_text(f"#!/bin/sh\ntest ! -e {away} && cat\n")
    service.chmod(0o700)
    command = Encryption(key_command=(str(service),))
    early, gateway = open_store(Store(url=url), command), open_store(Store(url=url), command)
    with gateway.begin() as conn:
        ring_of(gateway).rotate(conn)
    with gateway.begin() as conn:
        ring_of(gateway).tend(conn)
        audit.note(conn, [Note(at=AT, what=What.VIEWED)])
    away.touch()
    with pytest.raises(SealError, match="key_command"), early.begin() as conn:
        audit.give_up(conn, lambda _: Note(at=AT, what=What.DROPPED))
    away.unlink()
    with early.begin() as conn:
        assert audit.give_up(conn, lambda _: Note(at=AT, what=What.DROPPED)) == 0
        assert audit.chain_pending(conn) == 1
    for opened in (early, gateway):
        opened.dispose()


def test_a_rotation_leaves_no_value_under_the_old_key(sealed: Stores) -> None:
    """After `rotate --rewrite` the old key has sealed nothing that is still there."""
    with sealed.begin() as conn:
        plant(conn, AT)
    ring = ring_of(sealed)
    with sealed.begin() as conn:
        number = ring.rotate(conn)
    with sealed.begin() as conn:
        ring.tend(conn)
    reseal(sealed, Mode.NEWEST)
    with sealed.connect() as conn:
        assert set(resealing.count_keys(conn)) == {0, number}
        assert audit.verify(conn).events == 3


def test_a_journal_is_rotated_while_it_is_written(sealed: Stores, url: str, site: Encryption) -> None:
    """A gateway that writes on, with the old key and then the new one, loses nothing to a rewrite beside it."""
    gateway = open_store(Store(url=url), site)
    with sealed.begin() as conn:
        conn.execute(insert(memory), [_remembered(n, b"0") for n in range(20)])
    stop = threading.Event()
    written: dict[str, bytes] = {}

    def work() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            accession, value = f"M{turn % 20}", str(turn).encode()
            with gateway.begin() as conn:
                conn.execute(memory.update().where(memory.c.accession == accession).values(document=value))
            written[accession] = value
            if turn == 30:
                with gateway.begin() as conn:
                    ring_of(gateway).tend(conn)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not written:
            assert thread.is_alive()
            time.sleep(0.001)
        ring = ring_of(sealed)
        for _ in range(3):
            with sealed.begin() as conn:
                ring.rotate(conn)
            with sealed.begin() as conn:
                ring.tend(conn)
            reseal(sealed, Mode.NEWEST)
    finally:
        stop.set()
        thread.join()
    with sealed.connect() as conn:
        found = {row.accession: row.document for row in conn.execute(select(memory.c.accession, memory.c.document))}
    gateway.dispose()
    assert found == {f"M{n}": b"0" for n in range(20)} | written


def test_a_rewrite_never_overwrites_what_is_newer(
    sealed: Stores, url: str, site: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a gateway writes between a rewrite's look and its change stands."""
    if not sealed.is_shared:
        return  # SQLite lets nobody write in between
    gateway = open_store(Store(url=url), site)
    with sealed.begin() as conn:
        conn.execute(insert(memory), [_remembered(1, b"old")])
    turn = resealing._turn  # noqa: SLF001 - the moment between look and change

    def write_first(*arguments: Any) -> bytes:
        with gateway.begin() as conn:
            conn.execute(memory.update().values(document=b"new"))
        return turn(*arguments)

    monkeypatch.setattr(resealing, "_turn", write_first)
    (place,) = (place for place in resealing.places() if place.name == "memory.document")
    with sealed.begin() as conn:
        resealing.reseal_some(conn, place, Mode.PLAIN)
    with gateway.connect() as conn:
        assert conn.execute(select(memory.c.document)).scalar_one() == b"new"
    gateway.dispose()


def test_an_encrypted_backup_needs_the_key(sealed: Stores, site: Encryption, tmp_path: Path) -> None:
    """A backup holds ciphertext and names its key; with another one it is refused before anything is written."""
    with sealed.begin() as conn:
        plant(conn, AT)
    with sealed.connect() as conn:
        manifest = backup.write(conn, tmp_path / "b")
        before = dump(conn)
    there = backup.read_keys(tmp_path / "b")
    assert manifest.keys == [there[0].kek]
    for wrong in (make_site(tmp_path / "other"), Encryption()):
        with pytest.raises(SealError):
            keys.check(wrong, there)
    keys.check(site, there)
    other = Store(url=f"sqlite:///{tmp_path}/other.db")
    plain = open_store(other)
    with plain.begin() as conn:
        backup.restore(conn, tmp_path / "b")
    plain.dispose()
    opened = open_store(other, site)
    with opened.connect() as conn:
        assert dump(conn) == before
    opened.dispose()


async def test_a_gateway_works_on_an_encrypted_journal(url: str, site: Encryption, tmp_path: Path) -> None:
    """A report comes in, is drafted and shown, and no document of it can be read in the database."""
    patient = {"cdshooks": {"deadline_s": 60.0}}
    made = make_live_site(tmp_path, store={"url": url}, encryption=site.model_dump(), **patient)
    async with (
        live(made, cdshooks.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        (card,) = (await http.post(REPORT_DRAFT, json=draft_call())).json()["cards"]
        assert "7 mm nodule" in card["detail"]
    found = read_raw(url)
    assert "RB1" in found
    for word in ("nodule", "900001", "A500001"):
        assert word not in found
