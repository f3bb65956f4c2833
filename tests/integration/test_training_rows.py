"""What training learns from, read from a journal that real messages have filled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from radbridge.case import CaseKey
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Flag, FlagKind, Severity
from radbridge.journal import deliveries, drafts, learning
from radbridge.journal.schema import DeliveryState, MessageState, messages
from radbridge.learning import TrainingReport, Use
from radbridge.testing import FakeModel
from tests.support.room import EFFUSION, SAID, Room, room

SECRET = b"secret"


class Flagging(FakeModel):
    """A model server whose guard warns, or forbids what speaks of a fracture, and that says whom it asked."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The usual answer with a flag."""
        severity = Severity.CRITICAL if "Fracture" in request.findings else Severity.WARNING
        flag = Flag(kind=FlagKind.LATERALITY, message="side", severity=severity)
        return replace(await super().draft(request), flags=(flag,), asked="rad/1001@v1-000000000000")


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Room]:
    """A room whose model server flags."""
    async with room(folder, model=Flagging()) as here:
        yield here


async def draft_and_sign(here: Room, accession: str, findings: str = EFFUSION, impression: str = SAID) -> None:
    """A report is dictated, drafted, shown and signed."""
    await here.draft(accession, findings)
    of_case = partial(deliveries.of_case, key=CaseKey(accession=accession))
    blocked = partial(drafts.blocked, at_most=99)
    journal = here.flow.journal
    await here.flow.until(
        lambda: (
            any(d.state is DeliveryState.CONFIRMED for d in journal.read_now(of_case))
            or any(d.key.accession == accession for d in journal.read_now(blocked))
        )
    )
    await here.sign(accession, findings, impression)


def rows(here: Room, consent: Callable[[str], bool] = lambda _: True) -> list[TrainingReport]:
    """What radiologist 1001 gives to learn from."""
    read = partial(learning.read_reports, secret=SECRET, radiologist="1001", consent=consent)
    return here.flow.journal.read_now(read)


async def test_a_report_with_its_draft(tmp_path: Path) -> None:
    """A signed report is one row: both texts, what changed between them, who was asked, and the signing message."""
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A1", impression="Small left pleural effusion, unchanged in size.")
        (row,) = rows(here)
        assert (row.draft, row.signed) == (
            "Small left pleural effusion.",
            "Small left pleural effusion, unchanged in size.",
        )
        assert row.script == (
            ("keep", "Small left pleural"),
            ("delete", "effusion."),
            ("insert", "effusion, unchanged in size."),
        )
        assert (row.outcome, row.flags) == ("edited", ("laterality",))
        assert row.distance == pytest.approx(3 / 7)
        assert (row.lora, row.asked, row.stage) == ("base", "rad/1001@v1-000000000000", "coarse")
        assert (row.order, row.radiologist, row.corrected, row.use) == (1, "1001", False, Use.PREFERENCE)
        (signing,) = [
            m.id
            for m in here.flow.journal.read_now(lambda c: c.execute(messages.select()).all())
            if b'"sign"' in m.raw and m.state == MessageState.DONE
        ]
        assert row.message == signing


async def test_nobody_is_named(tmp_path: Path) -> None:
    """No text, key or pseudonym of a row tells the patient, the accession or a colleague."""
    text = "Jane Doe, MRN 900001, accession A100001, seen 3/1/2026. There is a small effusion. Dr. Read knows."
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A100001", text, text)
        (row,) = rows(here)
        said = " ".join(str(getattr(row, name)) for name in row.__slots__)
        assert "small effusion" in row.findings
        for name in ("Jane", "Doe", "900001", "A100001", "Read", "2026"):
            assert name not in said
        assert "effusion" not in repr(row)


async def test_a_correction(tmp_path: Path) -> None:
    """Of a report that was signed twice the last text counts, and nothing is preferred to its draft."""
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A1")
        await here.sign("A1", impression="Small left effusion. No pneumothorax.")
        (row,) = rows(here)
        assert (row.signed, row.corrected) == ("Small left effusion. No pneumothorax.", True)
        assert (row.use, row.why, row.order) == (Use.SFT, "correction", 2)


async def test_sent_again(tmp_path: Path) -> None:
    """The same report sent twice is no correction."""
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A1")
        await here.sign("A1", impression=f"{SAID}\n")
        (row,) = rows(here)
        assert (row.corrected, row.use) == (False, Use.PREFERENCE)


@pytest.mark.parametrize(
    "fact",
    [
        {"do": "withdraw", "accession": "A1"},
        {"do": "merge", "mrn": "900002", "prior": "900001"},
        {"do": "tell", "name": "ROE^JOAN"},
    ],
    ids=["wrong patient", "patients merged", "another name"],
)
async def test_what_leaves(tmp_path: Path, fact: dict[str, str]) -> None:
    """Nothing is learned from a report that was withdrawn, or whose patient turns out to be another."""
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A1")
        assert len(rows(here)) == 1
        await here.say(**fact)
        assert rows(here) == []


async def test_reasons(tmp_path: Path) -> None:
    """A draft that the guard kept back, or that there never was, is nothing to prefer another text to."""
    async with reading(tmp_path) as here:
        await draft_and_sign(here, "A1", "Fracture of the left radius.", "Left radius fracture.")
        await here.sign("A2")
        await draft_and_sign(here, "A3", "Small right effusion.", "Small right effusion.")
        assert [(row.use, row.why) for row in rows(here)] == [
            (Use.SFT, "blocked"),
            (Use.SFT, "not_seen"),
            (Use.SFT, "accepted"),
        ]
        assert {row.why for row in rows(here, lambda radiologist: radiologist != "1001")} == {"no_consent"}


async def test_counts_and_keys(tmp_path: Path) -> None:
    """Reports are counted by signer and from one on; the rows lead back to their cases, until those are forgotten."""
    async with reading(tmp_path) as here:
        began = datetime.now(UTC)
        for n in (1, 2, 3):
            await here.sign(f"A{n}", impression=f"Effusion of {n} cm on the left.")
        await here.sign("B1", signer="1002")
        read = here.flow.journal.read_now
        assert read(learning.count_reports) == {"1001": 3, "1002": 1}
        assert read(partial(learning.count_newer, radiologist="1001", order=1)) == 2
        ids = [row.id for row in rows(here)][1:]
        keys = [CaseKey(accession="A2"), CaseKey(accession="A3")]
        assert read(partial(learning.keys_of, ids=ids, secret=SECRET)) == keys
        assert read(partial(learning.keys_of, ids=ids, secret=b"another")) == []
        span = read(partial(learning.signed_between, keys=keys))
        assert span is not None
        assert 0 < (span[1] - span[0]).total_seconds() <= (datetime.now(UTC) - began).total_seconds()
        assert read(partial(learning.signed_between, keys=[])) is None
        await here.say(do="withdraw", accession="A2")
        assert read(partial(learning.keys_of, ids=ids, secret=SECRET)) == keys[1:]
