"""What the imaging side tells, on its way through journal, processor, drafter and courier."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select
from typer.testing import CliRunner

from radbridge.case import Case, CaseKey, Patient, Radiologist, ReportText, Sex, Study
from radbridge.cli.app import app
from radbridge.config import Action
from radbridge.draft import DraftState, Flag, FlagKind, Severity
from radbridge.events import (
    Event,
    MeasurementsArrived,
    OrderPlaced,
    PriorsFound,
    ReportDictated,
    ReportSigned,
    StudyObserved,
)
from radbridge.flow.applying import UNPLACED
from radbridge.guard.policy import GuardPolicy
from radbridge.imaging import Measured, Prior, Told
from radbridge.journal import cases, dicom, drafts, edits, learning
from radbridge.journal.schema import EditState
from radbridge.journal.schema import messages as message_table
from radbridge.wire import Received
from tests.support.flow import KEY, Flow, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JANE = Patient(id="900001", issuer="HOSP", sex=Sex.FEMALE)
SIGNER = Radiologist(id="1001")
KNEE = Study(modality="CT", body_part="KNEE", laterality="R", at=NOON)
OLD = CaseKey(accession="A0")

ORDER = OrderPlaced(key=KEY, at=NOON, patient=JANE, study=KNEE)
IMAGES = StudyObserved(
    key=KEY,
    at=NOON,
    told=Told(study_uid="1.1", patient_id="900001", sex="F", modality="CT", body_part="KNEE", laterality="R", at=NOON),
)
MIXED_UP = replace(IMAGES, told=replace(IMAGES.told, patient_id="900002"))
NODULE = MeasurementsArrived(
    key=KEY,
    at=NOON,
    measured=(Measured(source="AI: Acme", finding="cyst", value="6", unit="mm"),),
    sop_uid="1.9",
)


def dictate(findings: str, key: CaseKey = KEY, study: Study = Study()) -> ReportDictated:
    report = ReportText(findings=findings)
    return ReportDictated(key=key, at=NOON, patient=JANE, study=study, report=report, signer=SIGNER)


def sign(impression: str, key: CaseKey = KEY) -> ReportSigned:
    return ReportSigned(key=key, at=NOON, report=ReportText(impression=impression), signer=SIGNER)


FACTS: dict[str, Sequence[Event]] = {
    "order": [ORDER],
    "images": [IMAGES],
    "another study": [replace(IMAGES, told=replace(IMAGES.told, study_uid="1.2"))],
    "mixed up": [MIXED_UP],
    "measured": [NODULE],
    "left": [dictate("16 mm cyst in the left knee. No fracture.")],
    "right": [dictate("6 mm cyst in the right knee. No fracture.")],
    "sign": [sign("Cyst of the right knee.")],
    "older": [
        dictate("Small effusion.", OLD, replace(KNEE, at=datetime(2025, 3, 1, tzinfo=UTC), uid="1.0")),
        sign("Large medial meniscal tear.", OLD),
    ],
    "archive": [
        PriorsFound(
            key=KEY,
            at=NOON,
            patient_id=JANE.id,
            priors=(
                Prior(study_uid="1.0", on=date(2025, 3, 1), modality="CT", body_part="KNEE"),
                Prior(study_uid="0.9", on=date(2024, 3, 1), modality="CT", body_part="KNEE"),
            ),
        )
    ],
    "study of the order": [replace(ORDER, study=replace(KNEE, uid="1.1"))],
    "no accession": [replace(IMAGES, key=CaseKey(accession=""), study=Study(uid="1.1"))],
}


def wire(raw: bytes) -> Sequence[Event]:
    return FACTS[json.loads(raw)["say"]]


async def say(flow: Flow, *names: str) -> None:
    for name in names:
        await flow.say(say=name)
    await flow.until(flow.applied)


def case_of(flow: Flow, key: CaseKey = KEY) -> Case:
    case = flow.journal.read_now(lambda conn: cases.load(conn, key))
    assert case is not None
    return case


def flags_of(flow: Flow) -> tuple[Flag, ...]:
    return flow.journal.read_now(lambda conn: drafts.of_case(conn, KEY))[-1].draft.flags


async def test_a_possible_mix_up_keeps_the_draft_back(tmp_path: Path) -> None:
    """Images of another patient block the draft, and take one back that was out; nothing is learned from the case."""
    async with running(tmp_path, wire=wire) as flow:
        await say(flow, "order", "right")
        await flow.until(flow.delivered)
        await say(flow, "mixed up")
        await flow.until(lambda: flow.states() == [DraftState.WITHDRAWN, DraftState.BLOCKED])
        await flow.until(lambda: len(flow.delivered()) == 2)
        assert flow.delivered()[1].startswith("withdrawal A1")
        assert FlagKind.CONTRADICTION in {f.kind for f in flags_of(flow)}
        await say(flow, "sign")
        kept = flow.journal.read_now(lambda conn: edits.of_case(conn, KEY))
        assert {state for _, state in kept} <= {EditState.DROPPED}
        assert len(flow.delivered()) == 2


async def test_a_mix_up_that_was_put_right_gives_a_draft(tmp_path: Path) -> None:
    """Once the images name the same patient, the draft is made anew and goes out."""
    async with running(tmp_path, wire=wire) as flow:
        await say(flow, "order", "mixed up", "right")
        await flow.until(lambda: flow.states() == [DraftState.BLOCKED])
        assert flow.delivered() == []
        await say(flow, "images")
        await flow.until(flow.delivered)
        assert flow.states() == [DraftState.BLOCKED, DraftState.CURRENT]


async def test_a_site_may_let_it_travel(tmp_path: Path) -> None:
    """With `contradiction = "flag"` the draft goes out with the flag."""
    policy = GuardPolicy(site={FlagKind.CONTRADICTION: {Severity.CRITICAL: Action.FLAG}})
    async with running(tmp_path, policy=policy, wire=wire) as flow:
        await say(flow, "order", "mixed up", "right")
        await flow.until(flow.delivered)
        [flag] = [f for f in flags_of(flow) if f.kind == FlagKind.CONTRADICTION]
        assert flag.severity is Severity.CRITICAL


async def test_dictation_that_machines_contradict_travels_with_flags(tmp_path: Path) -> None:
    """A dictated left side of a right study, and 16 mm against 6 mm, go out with the draft as flags."""
    async with running(tmp_path, wire=wire) as flow:
        await say(flow, "order", "images", "measured", "left")
        await flow.until(flow.delivered)
        told = {f.kind: f for f in flags_of(flow)}
        assert told["laterality"].message == "the findings tell of the left; the study is of the right knee"
        assert "6 mm; AI: Acme" in told["measurement"].message
        [request] = flow.model.requests
        assert "Acme" not in request.findings + request.comparison + request.indication


async def test_the_first_images_of_a_study_prefetch(tmp_path: Path) -> None:
    """Whoever is known to sign is expected when a study's first images are told of, and not with every series."""
    async with running(tmp_path, settle_s=30.0, again_s=0.0, wire=wire) as flow:
        await say(flow, "images", "order")
        await say(flow, "right")
        await flow.until(lambda: len(flow.model.prefetched) == 1)
        await say(flow, "images", "another study", "another study")
        await flow.until(lambda: len(flow.model.prefetched) == 2)
        await say(flow, "order", "measured")
        assert flow.model.prefetched == ["1001", "1001"]


async def test_the_prior_is_in_the_prompt(tmp_path: Path) -> None:
    """The newest relevant prior and what its report concluded are in the request, and in training as there."""
    async with running(tmp_path, wire=wire) as flow:
        await say(flow, "older")
        await say(flow, "order", "archive", "right")
        await flow.until(lambda: flow.states() == [DraftState.CURRENT])
        request = flow.model.requests[-1]
        assert (request.comparison, request.prior) == ("CT KNEE of 2025-03-01.", "Large medial meniscal tear.")
        await say(flow, "sign")
        case = case_of(flow)
        assert (case.compared_with, case.concluded_before) == (request.comparison, request.prior)
        await flow.until(lambda: sum(flow.journal.read_now(learning.count_reports).values()) == 2)
        read = partial(learning.read_reports, secret=b"secret", radiologist=case.signer.id, consent=lambda _: True)
        row = flow.journal.read_now(read)[-1]
        assert row.prior == "Large medial meniscal tear."
        assert re.fullmatch(r"CT KNEE of \d{4}-\d\d-\d\d\.", row.comparison)
        assert row.comparison != request.comparison  # its date is moved


async def test_what_names_no_accession_waits_for_its_study(tmp_path: Path) -> None:
    """Images without an accession change no case until somebody tells the accession of their study; then they do."""
    keyless = Received(
        wire="test",
        peer="peer",
        sender="MODALITY",
        control_id="1",
        kind="C-STORE",
        accession="",
        raw=b'{"say": "no accession"}',
        ack=b"",
    )
    async with running(tmp_path, wire=wire) as flow:
        await flow.journal.write(dicom.file, dicom.Filed(received=keyless, studies=(("1.1", None),)))
        await say(flow, "older")
        first = flow.journal.read_now(lambda conn: conn.execute(select(message_table)).first())
        assert first is not None
        assert (first.state, first.reason) == ("done", UNPLACED)
        await say(flow, "study of the order", "order")
        await flow.until(lambda: case_of(flow).told)
        assert case_of(flow).told == (IMAGES.told,)
        assert case_of(flow).by_ris.study == replace(KNEE, uid="1.1")


async def test_show_prints_machines_apart(tmp_path: Path) -> None:
    """`radbridge show` prints what machines measured in a block of its own, what contradicts, and no binary message."""
    site = tmp_path / "site.toml"
    site.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/radbridge.db"\n')
    async with running(tmp_path, settle_s=30.0, wire=lambda raw: wire(raw.rstrip(b"\0"))) as flow:
        await say(flow, "order", "mixed up", "measured", "right")
        received = Received(
            wire="test",
            peer="peer",
            sender="MODALITY",
            control_id="9",
            kind="C-STORE",
            accession="A1",
            raw=b'{"say": "measured"}\0',
            ack=b"",
        )
        await flow.intake.accept(received)
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["show", "A1", "--raw", "--config", str(site)])
    said = " ".join(shown.output.split())
    assert "measured by machines" in said
    assert "[AI: Acme] 6 mm cyst" in said
    assert "the order and the images name different patients" in said
    assert "20 bytes that are no text" in said
