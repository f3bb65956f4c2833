"""Messages whose stored bytes can't be opened any more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from radbridge.case import CaseKey
from radbridge.config.encryption import Encryption
from radbridge.errors import SealBroken, SealError
from radbridge.flow.process import Processor
from radbridge.journal import Journal, cases, dead, messages, queue
from radbridge.journal.buckets import ALL
from radbridge.metrics import Metrics
from radbridge.wire import Received
from tests.support.flow import translate
from tests.support.journals import make_key, received
from tests.support.sharing import at_work, until

BROKEN = "UPDATE message SET raw = CAST(substr(raw, 1, length(raw) - 1) || x'00' AS BLOB) WHERE id = 2"


def dictated(control_id: str, accession: str) -> Received:
    raw = json.dumps({"accession": accession, "dictate": f"Text {control_id}. More."}).encode()
    return received(control_id, raw, wire="test", accession=accession)


async def test_one_message_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were changed cost their message alone: what is behind it waits until it is set aside, no other does.

    Its reason says so, and nothing counts as an outage.
    """
    monkeypatch.setattr("radbridge.flow.process.FIRST_AGAIN_S", 0.05)
    kek = tmp_path / "kek"
    kek.write_text(make_key())
    kek.chmod(0o600)
    journal = await Journal.open(f"sqlite:///{tmp_path}/radbridge.db", encryption=Encryption(key_file=kek))
    for control_id, accession in (("1", "A1"), ("2", "A1"), ("3", "A1"), ("4", "A2")):
        await journal.write(messages.accept, dictated(control_id, accession))

    def change(conn: Connection, items: Sequence[str]) -> list[None]:
        for sql in items:
            conn.execute(text(sql))
        return [None] * len(items)

    def findings(accession: str) -> str:
        case = journal.read_now(lambda conn: cases.load(conn, CaseKey(accession=accession)))
        return case.report.findings if case else ""

    await journal.write(change, BROKEN)
    seen: list[tuple[str, str]] = []
    ours = Processor(
        journal,
        {"test": translate},
        settle_s=0.0,
        metrics=Metrics(),
        on_change=lambda: seen.append((findings("A1"), findings("A2"))),
        poll_s=0.02,
    )
    async with at_work(ours.run):
        await until(lambda: findings("A1") == "Text 3. More.")
    assert ("Text 1. More.", "Text 4. More.") in seen
    rows = journal.read_now(lambda conn: conn.execute(text("SELECT state FROM message ORDER BY id")).all())
    assert [row.state for row in rows] == ["done", "quarantined", "done", "done"]
    [letter] = journal.read_now(lambda conn: dead.everything(conn, 9))
    assert (letter.id, letter.raw) == ("m2", b"")
    assert letter.reason == "a sealed value of message.raw was changed, or stood elsewhere before"
    await journal.close()


async def test_a_key_that_is_away_is_an_outage(tmp_path: Path) -> None:
    """Where nothing can be opened, because the site's key isn't named, no message is blamed for it."""
    kek = tmp_path / "kek"
    kek.write_text(make_key())
    kek.chmod(0o600)
    url = f"sqlite:///{tmp_path}/radbridge.db"
    sealed = await Journal.open(url, encryption=Encryption(key_file=kek))
    await sealed.write(messages.accept, dictated("1", "A1"))
    await sealed.close()
    plain = await Journal.open(url)
    with pytest.raises(SealError, match="key_file") as refused:
        await plain.read(lambda conn: queue.read_batch(conn, buckets=ALL, at_most=9))
    assert not isinstance(refused.value, SealBroken)
    await plain.close()
