"""Withdrawal: rows are forgotten, what was trained on them is marked, and none of it comes back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from typer.testing import CliRunner, Result

from radbridge.case import Case, CaseKey, Patient
from radbridge.cli.app import app
from radbridge.errors import JournalError
from radbridge.journal import edits, learning, lora_events, secrets, sources
from radbridge.journal import withdrawals as withdrawn
from radbridge.journal.schema import EditState, LoraAction, audit_events, audit_pending, withdrawals
from radbridge.journal.sources import Mark
from radbridge.registry import LoraRegistry, personas
from tests.support.registry import publish_new
from tests.support.room import Room, room

JANE, JOAN, MARY = {"mrn": "900001"}, {"mrn": "900002", "name": "ROE^JOAN"}, {"mrn": "900003", "name": "POE^MARY"}
FIRST, SECOND, OTHER = (f"rad/{who}@v{n}-{n:012d}" for who, n in (("1001", 1), ("1001", 2), ("1002", 3)))
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site's file."""
    file = tmp_path / "site.toml"
    file.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/radbridge.db"\n[model]\nloras = "{tmp_path}/loras"\n'
        f'[training]\nwork = "{tmp_path}/turns"\n'
    )
    return file


def forget(config: Path, *options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["forget", "--config", str(config), *options])


async def fill(here: Room) -> None:
    """Three signed reports of three patients; a LoRA of the first, one that went on from it, one of the third."""
    await here.flow.journal.write(secrets.make, secrets.PSEUDONYMS)
    for accession, who, signer in (("A1", JANE, "1001"), ("A2", JOAN, "1001"), ("A3", MARY, "1002")):
        await here.draft(accession, signer=signer, **who)
        await here.flow.until(partial(_is_delivered, here, accession))
        await here.sign(accession, signer=signer, **who)
    await here.flow.journal.write(_train, None)


def _is_delivered(here: Room, accession: str) -> bool:
    return any(f"draft {accession}" in sent for sent in here.flow.delivered())


def _train(conn: Connection, items: Sequence[None]) -> Sequence[None]:
    keys = {n: CaseKey(accession=f"A{n}") for n in (1, 2, 3)}
    sources.record(conn, FIRST, [keys[1]], "")
    sources.record(conn, SECOND, [keys[2]], FIRST)
    sources.record(conn, OTHER, [keys[3]], "")
    return items


def ids(here: Room) -> list[str]:
    """Of the reports that may be learned from, by signer and order."""
    read = partial(learning.read_reports, secret=b"secret", consent=lambda _: True)
    rows = (here.flow.journal.read_now(partial(read, radiologist=signer)) for signer in ("1001", "1002"))
    return [f"{row.radiologist}/{row.order}" for of_signer in rows for row in of_signer]


async def test_a_patient(tmp_path: Path, config: Path) -> None:
    """A patient's report and edit go, with their texts; what was trained on them, or went on from that, is marked."""
    async with room(tmp_path) as here:
        await fill(here)
        assert ids(here) == ["1001/1", "1001/2", "1002/3"]
        result = forget(config, "--patient", "900001")
        assert (result.exit_code, result.stderr) == (0, "1 report and 1 edit forgotten\n")
        assert result.stdout.split() == [word for v in (FIRST, SECOND) for word in (v, "to", "be", "trained", "anew")]
        assert ids(here) == ["1001/2", "1002/3"]
        ((edit, state),) = here.flow.journal.read_now(partial(edits.of_case, key=CaseKey(accession="A1")))
        assert (edit.draft, edit.signed, state) == ("", "", EditState.DROPPED)
        assert here.kept()["A1"] == b""
        events = here.flow.journal.read_now(partial(lora_events.of_owner, owner="rad/1001"))
        assert [(e.version, e.action) for e in events] == [(FIRST, LoraAction.MARKED), (SECOND, LoraAction.MARKED)]
        assert here.flow.journal.read_now(sources.marked) == {FIRST, SECOND}


async def test_what_is_sent_again(tmp_path: Path, config: Path) -> None:
    """A withdrawn patient's report that is corrected, or a new one of theirs, is neither remembered nor paired."""
    async with room(tmp_path) as here:
        await fill(here)
        forget(config, "--patient", "900001")
        await here.sign("A1", impression="Small effusion on the left.", **JANE)
        await here.draft("A4", **JANE)
        await here.flow.until(partial(_is_delivered, here, "A4"))
        await here.sign("A4", **JANE)
        assert ids(here) == ["1001/2", "1002/3"]
        assert here.flow.journal.read_now(partial(edits.of_case, key=CaseKey(accession="A4"))) == []
        await here.sign("A5", impression="Small effusion on the left.", **JOAN)
        assert ids(here) == ["1001/2", "1001/5", "1002/3"]


async def test_a_former_number(tmp_path: Path, config: Path) -> None:
    """A patient is found under the number that they had before a merge, and what was trained on them is marked."""
    async with room(tmp_path) as here:
        await fill(here)
        await here.say(do="merge", mrn="900009", name="DOE^JANE", prior="900001")
        await here.sign("A1", mrn="900009", impression="Small effusion, again.")
        assert ids(here)[0] == "1001/2"
        assert "1001/4" in ids(here)
        result = forget(config, "--patient", "900001")
        assert result.stderr == "1 report and 1 edit forgotten\n"
        assert FIRST in result.stdout
        assert ids(here) == ["1001/2", "1002/3"]


async def test_merged_after_they_withdrew(tmp_path: Path, config: Path) -> None:
    """Once a withdrawn number is merged into another, nothing of that one is learned from either, old or new."""
    async with room(tmp_path) as here:
        await fill(here)
        forget(config, "--patient", "900001")
        await here.say(do="merge", mrn="900002", name="ROE^JOAN", prior="900001")
        assert ids(here) == ["1002/3"]
        assert here.flow.journal.read_now(sources.marked) == {FIRST, SECOND}
        await here.sign("A8", **JOAN)
        assert ids(here) == ["1002/3"]


async def test_what_serves_and_what_is_on_trial(tmp_path: Path, config: Path) -> None:
    """A marked version ends its trial; of a radiologist who withdrew nothing is served, and no persona is chosen."""
    registry = LoraRegistry(tmp_path / "loras")
    champion, challenger = (publish_new(registry, tmp_path, c, "rad/1001") for c in (b"1", b"2"))
    registry.promote(champion)
    registry.challenge(challenger)
    personas.write_choices(registry.root, {"1001": "persona/numbered", "1002": "persona/numbered"})
    async with room(tmp_path) as here:
        await fill(here)
        record = partial(_record, version=challenger.name)
        await here.flow.journal.write(record, None)
        forget(config, "--patient", "900001")
        names = registry.alias_names("rad/1001")
        assert (names.champion, names.challenger) == (champion.folder, "")
        forget(config, "--radiologist", "1001")
        assert registry.alias_names("rad/1001").champion == ""
        assert personas.read_choices(registry.root) == {"1002": "persona/numbered"}
        events = here.flow.journal.read_now(partial(lora_events.of_owner, owner="rad/1001"))
        done = [(e.version, e.action) for e in events if e.action is not LoraAction.MARKED]
        assert done == [(challenger.name, LoraAction.WITHDRAWN), ("rad/1001", LoraAction.ROLLED_BACK)]


async def test_what_ends_is_noted_before(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal fails between a flip and its event: the trail has what was wanted, and who did it is told."""
    registry = LoraRegistry(tmp_path / "loras")
    champion, challenger = (publish_new(registry, tmp_path, c, "rad/1001") for c in (b"1", b"2"))
    registry.promote(champion)
    registry.challenge(challenger)
    record = lora_events.record

    def lose(conn: Connection, events: Sequence[lora_events.LoraEvent]) -> list[None]:
        if events[0].action is LoraAction.MARKED:
            return record(conn, events)
        raise JournalError("away")

    async with room(tmp_path) as here:
        await fill(here)
        await here.flow.journal.write(partial(_record, version=challenger.name), None)
        monkeypatch.setattr(lora_events, "record", lose)
        for whom in (["--patient", "900001"], ["--radiologist", "1001"]):
            assert forget(config, *whom).exit_code == 1
        names = registry.alias_names("rad/1001")
        assert (names.champion, names.challenger) == ("", "")
        told = here.flow.journal.read_now(_trail)
        assert [f'"wanted":"{act}"' in told for act in ("withdraw", "retire")] == [True, True]


def _trail(conn: Connection) -> str:
    rows = [row for table in (audit_pending, audit_events) for row in conn.execute(select(table.c.document))]
    return "\n".join(row.document.decode() for row in rows)


def _record(conn: Connection, items: Sequence[None], version: str) -> Sequence[None]:
    sources.record(conn, version, [CaseKey(accession="A1")], "")
    return items


async def test_a_radiologist(tmp_path: Path, config: Path) -> None:
    """A radiologist's reports go, all their LoRAs are marked, and nothing they sign later is learned from."""
    async with room(tmp_path) as here:
        await fill(here)
        (tmp_path / "loras/rad/1001/v9-aaaaaaaaaaaa").mkdir(parents=True)
        result = forget(config, "--radiologist", "1001")
        assert result.stderr == "2 reports and 2 edits forgotten\n"
        assert result.stdout.split()[::5] == [FIRST, SECOND, "rad/1001@v9-aaaaaaaaaaaa"]
        await here.sign("A6", **MARY)
        assert ids(here) == ["1002/3"]


async def test_twice(tmp_path: Path, config: Path) -> None:
    """A second withdrawal of the same patient finds nothing left to take, and marks nothing anew."""
    async with room(tmp_path) as here:
        await fill(here)
        forget(config, "--patient", "900001")
        again = forget(config, "--patient", "900001")
        assert (again.stderr, again.stdout) == ("0 reports and 0 edits forgotten\n", "")


async def test_issuers(tmp_path: Path, config: Path) -> None:
    """A number with its issuer means that patient, and whoever's number came without one; the table names nobody."""
    async with room(tmp_path) as here:
        await fill(here)
        forget(config, "--patient", "0900002", "--issuer", "CITY")
        assert ids(here) == ["1001/1", "1002/3"]
        await here.sign("A7", **JOAN)
        assert ids(here) == ["1001/1", "1002/3"]
        told = here.flow.journal.read_now(lambda conn: conn.execute(select(withdrawals)).all())
        assert len(told) == 2
        assert "90000" not in str(told)


async def test_imported_rows_tell_no_issuer(tmp_path: Path, config: Path) -> None:
    """A withdrawal with an issuer takes the imported reports of that number too: a row never says who issued it."""
    case = Case(key=CaseKey(accession="H1"), patient=Patient(id="900001", issuer="IMPORT"))
    async with room(tmp_path) as here:
        await fill(here)
        forget(config, "--patient", "900001", "--issuer", "CITY")
        assert here.flow.journal.read_now(partial(withdrawn.is_withdrawn, case=case))
        other = replace(case, patient=Patient(id="900001", issuer="COUNTY"))
        assert not here.flow.journal.read_now(partial(withdrawn.is_withdrawn, case=other))


async def test_what_a_turn_has_on_disk(tmp_path: Path, config: Path) -> None:
    """What an unfinished turn made of the reports goes, and so do the rows that a finished one was told to keep."""
    async with room(tmp_path) as here:
        await fill(here)
        for turn, ended in (("20260301T120000", "2026-03-01T12:30:00Z"), ("20260302T120000", None)):
            for owner in ("1001", "1002"):
                step = tmp_path / "turns" / turn / "rad" / owner / "1-examples"
                step.mkdir(parents=True)
                (step / "learn.jsonl").write_text("{}\n")
                (step / "done.json").write_text("{}")
            (tmp_path / "turns" / turn / "turn.json").write_text(json.dumps({"ended": ended}))
        forget(config, "--patient", "900001")
        left = sorted(str(p.relative_to(tmp_path / "turns")) for p in (tmp_path / "turns").rglob("*/1-examples/*"))
        assert left == [
            "20260301T120000/rad/1001/1-examples/done.json",
            "20260301T120000/rad/1002/1-examples/done.json",
            "20260301T120000/rad/1002/1-examples/learn.jsonl",
            "20260302T120000/rad/1002/1-examples/done.json",
            "20260302T120000/rad/1002/1-examples/learn.jsonl",
        ]


@pytest.mark.parametrize(
    "options", [[], ["--patient", "1", "--radiologist", "2"], ["--radiologist", "2", "--issuer", "X"]]
)
def test_one_at_a_time(config: Path, options: list[str]) -> None:
    """Whom to forget has to be said, and only one."""
    result = forget(config, *options)
    assert result.exit_code == 2
    assert "forget needs one of" in result.stderr


async def test_marks_are_made_once(tmp_path: Path) -> None:
    """A version is marked by one event, however often it has to be."""
    async with room(tmp_path) as here:
        mark = partial(_mark, why=Mark(at=AT, actor="somebody", reason="a patient withdrew"))
        assert await here.flow.journal.write(mark, None) == {FIRST, SECOND}
        assert await here.flow.journal.write(mark, None) == frozenset()


def _mark(conn: Connection, items: Sequence[None], why: Mark) -> list[frozenset[str]]:
    return [sources.mark(conn, [FIRST, SECOND], why) for _ in items]
