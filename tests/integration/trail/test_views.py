"""Whoever a command shows a patient's data to is in the trail, with every case and patient they saw."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from radbridge.audit import Note, What
from radbridge.case import Case, CaseKey, Patient, ReportText
from radbridge.cli.app import app
from radbridge.cli.common import account
from radbridge.draft import DraftState
from radbridge.flow import noting
from radbridge.journal import audit, cases, drafts, messages, secrets
from radbridge.journal.schema import MessageState
from radbridge.journal.stores import Stores
from radbridge.wire import Received, Rejected
from tests.support.drafts import DRAFT

SEEN = {("A1", "900001"), ("A2", "900002")}


@pytest.fixture
def config(url: str, stores: Stores, tmp_path: Path) -> Path:
    """Two cases, the second with a draft kept back; a message of A1 and one of a patient that failed; a refused one."""
    with stores.begin() as conn:
        for number in (1, 2):
            patient = Patient(id=f"90000{number}", name="DOE^JANE")
            key = CaseKey(accession=f"A{number}")
            cases.save(conn, Case(key=key, patient=patient, report=ReportText(findings="Clear.")))
        drafts.add(conn, CaseKey(accession="A2"), DRAFT, DraftState.BLOCKED)
        messages.accept(conn, [told("1", accession="A1"), told("2", touches=("P:900003",))])
        for waiting in messages.waiting(conn, buckets=range(64), at_most=2):
            noting.failed(conn, waiting, MessageState.QUARANTINED)
            messages.settle(conn, waiting.id, MessageState.QUARANTINED, "poison")
        messages.reject(conn, [Rejected(wire="hl7v2", peer="p", reason="junk", detail="", raw=b"x", size=1, ack=b"")])
    path = tmp_path / "site.toml"
    path.write_text(f'[store]\nurl = "{url}"\n')
    return path


def told(control_id: str, *, accession: str = "", touches: tuple[str, ...] = ()) -> Received:
    return Received(
        wire="hl7v2",
        peer="p",
        sender="RIS",
        control_id=control_id,
        kind="ADT^A40",
        accession=accession,
        touches=touches,
        raw=b"MSH|" + control_id.encode(),
        ack=b"",
    )


def notes(stores: Stores) -> list[Note]:
    with stores.begin() as conn:
        audit.chain_pending(conn)
    with stores.connect() as conn:
        return [event.note for event in audit.chained(conn)]


def seen(found: list[Note], command: str) -> set[tuple[str, str]]:
    """Accession and patient of what a command has shown."""
    mine = [n for n in found if n.actor == account() and n.detail.get("command") == command]
    return {(n.entity.accession if n.entity else "", n.patient) for n in mine if n.what is not What.SEARCHED}


@pytest.mark.parametrize(
    ("command", "of", "expected"),
    [
        ("cases", "", SEEN),
        ("show", "A1", {("A1", "900001")}),
        ("show", "A9", {("A9", "")}),
        ("problems", "", {("A1", ""), ("", "900003"), ("A2", "")}),
        ("dead list", "", {("A1", ""), ("", "900003")}),
        ("dead show", "m1", {("A1", "")}),
        ("dead show", "m2", {("", "900003")}),
        ("dead show", "m3", {("", "")}),
        ("audit show", "--accession A1", {("A1", "")}),
        ("audit export", "", {("", "")}),
    ],
)
def test_a_command_notes_whose_data_it_shows(
    config: Path, stores: Stores, command: str, of: str, expected: set[tuple[str, str]]
) -> None:
    """Every case and patient that is listed or shown is in the trail, under the account that looked."""
    CliRunner().invoke(app, [*command.split(), *of.split(), "--config", str(config)])
    assert seen(notes(stores), command) == expected


def test_a_replay_notes_whose_messages_it_takes(config: Path, stores: Stores, tmp_path: Path) -> None:
    """A replay copies messages into a folder: their cases and patients are exported."""
    now = datetime.now(UTC)
    span = ("--from", f"{now - timedelta(days=1):%Y-%m-%d}", "--to", f"{now + timedelta(days=2):%Y-%m-%d}")
    words = ("replay", *span, "--into", str(tmp_path / "into"), "--config", str(config))
    subprocess.run([sys.executable, "-m", "radbridge", *words], check=False, capture_output=True)  # it shuts itself in
    assert seen(notes(stores), "replay") == {("A1", ""), ("", "900003")}


def test_who_forgets_whom_is_noted(config: Path, stores: Stores) -> None:
    """`forget` and `memory forget` change what is kept: the patient, or the radiologist, is named."""
    with stores.begin() as conn:
        secrets.make(conn, [secrets.PSEUDONYMS])
    CliRunner().invoke(app, ["forget", "--patient", "900001", "--config", str(config)])
    CliRunner().invoke(app, ["memory", "forget", "--signer", "1234", "--config", str(config)])
    patient, signer = [note for note in notes(stores) if note.what is What.PURGED]
    assert (patient.patient, signer.detail["radiologist"]) == ("900001", "1234")


def test_a_message_that_changes_nothing_is_noted(config: Path, stores: Stores) -> None:
    """One that was set aside is noted with its case or patient, one that was refused with the peer."""
    first, second, refused = [note for note in notes(stores) if note.what is What.MESSAGE_FAILED]
    assert (first.entity, second.patient) == (CaseKey(accession="A1"), "900003")
    assert (first.detail["state"], first.outcome) == ("quarantined", "8")
    assert (refused.peer, refused.detail["reason"], refused.outcome) == ("p", "junk", "4")
