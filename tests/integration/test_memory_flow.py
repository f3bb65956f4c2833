"""The style memory behind the listeners: reports are signed, remembered without their patient, shown, and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from radbridge.case import Case, CaseKey
from radbridge.config import Memory
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import DraftState
from radbridge.errors import JournalError
from radbridge.events import CaseEvent
from radbridge.flow.remembering import Recall, Recollection
from radbridge.journal import cases, drafts
from radbridge.journal import memory as stored
from radbridge.journal.schema import memory as table
from radbridge.testing import FakeModel
from tests.support.room import EFFUSION, SAID, room


def impressions(request: DraftRequest) -> list[str]:
    """Those of the examples."""
    return [example.impression for example in request.examples]


async def test_from_the_first_signed_report_on(tmp_path: Path) -> None:
    """The next draft after a signer's first signed report is made beside it, and says so in the journal."""
    async with room(tmp_path) as here:
        assert (await here.draft("A1")).examples == ()
        await here.sign("A1")
        request = await here.draft("A2")
        assert impressions(request) == [SAID]
        assert (request.examples[0].id, request.memory) == ("m1", "m1/1")
        await here.flow.until(lambda: any("draft A2" in sent for sent in here.flow.delivered()))
        of_case = partial(drafts.of_case, key=CaseKey(accession="A2"))
        (made,) = here.flow.journal.read_now(of_case)
        assert (made.draft.examples, made.draft.memory) == (("m1",), "m1/1")


async def test_the_most_alike_first(tmp_path: Path) -> None:
    """The report with the most similar findings comes first, whenever it was signed, and the newest behind it."""
    async with room(tmp_path, Memory(alike=1, newest=1)) as here:
        await here.sign("A1")
        await here.sign("A2", "Nondisplaced fracture of the distal radius.", "Radius fracture.")
        await here.sign("A3", "Unremarkable liver and spleen.", "Normal abdomen.")
        assert impressions(await here.draft("A4", "Left pleural effusion.")) == [SAID, "Normal abdomen."]


async def test_nobody_elses(tmp_path: Path) -> None:
    """A radiologist is never shown what another one signed; a report without a signer is shown to nobody."""
    async with room(tmp_path) as here:
        await here.sign("A1", signer="1001")
        await here.sign("A2", signer="")
        assert (await here.draft("A3", signer="1002")).examples == ()
        assert (await here.draft("A4", signer="")).examples == ()
        assert list(here.kept()) == ["A1"]


async def test_no_patient_in_it(tmp_path: Path) -> None:
    """What identifies the patient or a colleague is neither kept in the memory nor sent."""
    text = "Jane Doe, MRN 900001, accession A100001, seen 3/1/2026. There is a small effusion. Dr. Read knows."
    async with room(tmp_path) as here:
        await here.sign("A100001", text, text)
        request = await here.draft("A2", "Small effusion.")
        for said in ("Jane", "Doe", "900001", "A100001", "Read", "3/1/2026"):
            assert said.encode() not in here.kept()["A100001"]
            assert said not in request.examples[0].findings + request.examples[0].impression
        assert "small effusion" in request.examples[0].impression


async def test_a_correction_replaces(tmp_path: Path) -> None:
    """A corrected report takes the place of the former text, under a new number."""
    async with room(tmp_path) as here:
        await here.sign("A1")
        await here.sign("A1", impression="Small RIGHT effusion.")
        (example,) = (await here.draft("A2")).examples
        assert (example.id, example.impression) == ("m2", "Small RIGHT effusion.")
        assert b"left" not in here.kept()["A1"].split(b"impression")[1]


@pytest.mark.parametrize(
    "fact",
    [
        {"do": "withdraw", "accession": "A1"},
        {"do": "merge", "mrn": "900002", "prior": "900001"},
        {"do": "tell", "name": "ROE^JOAN"},
        {"do": "sign", "accession": "A1", "findings": EFFUSION, "impression": SAID, "mrn": "900009", "signer": "1002"},
    ],
    ids=["wrong patient", "patients merged", "another name", "another signer"],
)
async def test_what_leaves(tmp_path: Path, fact: dict[str, str]) -> None:
    """A report that was withdrawn, or whose patient turns out to be another, is shown to its signer no more."""
    async with room(tmp_path) as here:
        await here.sign("A1")
        assert (await here.draft("A2", mrn="900003", name="POE^MARY")).examples
        await here.say(**fact)
        assert (await here.draft("A3", mrn="900003", name="POE^MARY")).examples == ()


async def test_a_report_of_the_wrong_patient(tmp_path: Path) -> None:
    """A report that is corrected onto another patient is scrubbed of the first one too."""
    text = "Small effusion. Jane Doe knows."
    async with room(tmp_path) as here:
        await here.sign("A1", text, text)
        await here.sign("A1", text, text, mrn="900002", name="ROE^ANN")
        (document,) = here.kept().values()
        assert b"Jane" not in document
        assert b"Doe" not in document


@pytest.mark.parametrize("signed", [False, True])
async def test_a_former_name_that_only_the_census_told(tmp_path: Path, *, signed: bool) -> None:
    """A case whose patient lost a name after its text was there is never remembered: nobody knows whom it names."""
    text = "Small effusion. Jane Doe knows."
    async with room(tmp_path) as here:
        await here.say(do="dictate", accession="A1", findings=text, name="")
        await here.say(do="tell", name="DOE^JANE")
        if signed:
            await here.sign("A1", text, text, name="")
        await here.say(do="tell", name="DOE^JANE^Q")
        assert len(here.kept()) == signed
        await here.say(do="tell", name="SMITH^JANE")
        await here.sign("A1", text, text, name="SMITH^JANE")
        assert here.kept() == {"A1": b""}
        assert (await here.draft("A2", mrn="900003", name="POE^MARY")).examples == ()


async def test_a_row_that_cant_be_read(tmp_path: Path) -> None:
    """A broken row ends neither the memory nor a draft: it is scrubbed anew at the next start."""
    async with room(tmp_path) as here:
        await here.sign("A1")
        await here.sign("A2", impression="Effusion on the left.")
        await here.flow.journal.write(_break, "A1")
        assert impressions(await here.draft("A3")) == ["Effusion on the left."]
    async with room(tmp_path) as here:
        await here.flow.until(lambda: here.flow.metrics.registry.get_sample_value("radbridge_memory_reports") == 2)
        assert impressions(await here.draft("A4")) == ["Effusion on the left.", SAID]


def _break(conn: Connection, accessions: Sequence[str]) -> list[None]:
    for accession in accessions:
        conn.execute(update(table).where(table.c.accession == accession).values(document=b"{"))
    return [None] * len(accessions)


async def test_a_name_that_was_unknown(tmp_path: Path) -> None:
    """A report whose patient gets a name later is scrubbed anew with it."""
    async with room(tmp_path) as here:
        await here.sign("A1", "Small effusion. Zorilla knows.", "Effusion. ZORILLA knows.", name="")
        assert b"Zorilla" in here.kept()["A1"]
        await here.say(do="tell", name="ZORILLA^JANE")
        assert b"orilla" not in here.kept()["A1"].lower()
        assert (await here.draft("A2")).examples[0].id == "m2"


async def test_what_was_forgotten_stays_away(tmp_path: Path) -> None:
    """A report that an operator had forgotten isn't remembered anew because more is told of its patient."""
    async with room(tmp_path) as here:
        await here.sign("A1", name="")
        await here.flow.journal.write(lambda conn, items: [stored.forget_all(conn) for _ in items], None)
        await here.say(do="tell", name="ZORILLA^JANE")
        assert here.kept() == {}


async def test_after_a_restart(tmp_path: Path) -> None:
    """What was remembered before a restart is shown after it, and what was forgotten meanwhile isn't."""
    async with room(tmp_path) as here:
        await here.sign("A1")
        await here.sign("A2", impression="Effusion on the left.")
    async with room(tmp_path) as here:
        await here.flow.until(lambda: here.flow.metrics.registry.get_sample_value("radbridge_memory_reports") == 2)
        forget = partial(stored.forget, key=CaseKey(accession="A2"))
        await here.flow.journal.write(lambda conn, items: [forget(conn) for _ in items], None)
        request = await here.draft("A3")
        assert (impressions(request), request.memory) == ([SAID], "m1/2")
        assert here.flow.metrics.registry.get_sample_value("radbridge_memory_reports") == 1


async def test_never_beside_itself(tmp_path: Path) -> None:
    """A case is never shown its own report: neither one that stands nor one that was taken back."""
    async with room(tmp_path) as here:
        await here.sign("A1")
        await here.sign("A2", impression="Effusion on the left.")
        case = here.flow.journal.read_now(partial(cases.load, key=CaseKey(accession="A1")))
        assert case is not None
        assert [e.id for e in (await here.flow.rememberer.recall(case)).examples] == ["m2"]
        await here.say(do="withdraw", accession="A1")
        assert impressions(await here.draft("A1")) == ["Effusion on the left."]


class Boasting(FakeModel):
    """A model server that claims to have used a report that nobody sent it."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The usual answer, and the claim."""
        answer = await super().draft(request)
        return replace(answer, examples=(*answer.examples, "m999", "A1"))


async def test_only_what_was_sent_is_written_down(tmp_path: Path) -> None:
    """A draft is said to be made beside what was sent, whatever the server claims."""
    async with room(tmp_path, model=Boasting()) as here:
        await here.sign("A1")
        await here.draft("A2")
        await here.flow.until(here.flow.delivered)
        (made,) = here.flow.journal.read_now(partial(drafts.of_case, key=CaseKey(accession="A2")))
        assert made.draft.examples == ("m1",)


async def _broken(case: Case) -> Recollection:
    raise JournalError


async def _stuck(case: Case) -> Recollection:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("recall", [_broken, _stuck])
async def test_a_failing_memory_holds_up_no_draft(tmp_path: Path, recall: Recall) -> None:
    """A memory that fails or doesn't answer costs a draft its examples and nothing else (rule 4)."""
    async with room(tmp_path, recall=recall, recall_s=0.05) as here:
        assert (await here.draft("A1")).examples == ()
        await here.flow.until(here.flow.delivered)
        (made,) = here.flow.journal.read_now(partial(drafts.of_case, key=CaseKey(accession="A1")))
        assert (made.state, made.draft.memory) == (DraftState.CURRENT, "")


async def _slow(case: Case) -> Recollection:
    await asyncio.sleep(0.5)
    return Recollection()


async def test_the_models_time_is_what_is_left(tmp_path: Path) -> None:
    """The time that the memory took is taken off the deadline that the model server is told."""
    async with room(tmp_path, recall=_slow) as here:
        told_ms = (await here.draft("A1")).deadline_ms
        assert told_ms is not None
        assert told_ms <= 59_500  # of the flow's minute


async def test_a_text_that_cant_be_scrubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that the scrubber stumbles over is never kept, and those behind it are."""

    def stumble(case: Case, number: int, *, told: Iterable[CaseEvent], secret: bytes) -> None:
        raise ZeroDivisionError

    async with room(tmp_path) as here:
        with monkeypatch.context() as patched:
            patched.setattr("radbridge.flow.remembering.remember", stumble)
            await here.sign("A1")
        assert here.kept() == {}
        await here.sign("A2")
        assert list(here.kept()) == ["A2"]
