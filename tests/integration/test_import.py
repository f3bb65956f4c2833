"""`radbridge import`: a site's history in one go, in both forms, beside a running gateway, and with faults in it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine
from typer.testing import CliRunner, Result

from radbridge.case import CaseKey
from radbridge.cli.app import app
from radbridge.flow import remembering
from radbridge.journal import memory
from radbridge.memory import Remembered
from radbridge.registry import LoraRegistry, read_choices
from tests.support.live import live, make_site
from tests.support.registry import publish_new
from tests.support.ris import FINDINGS, Ris
from tests.support.serving import captured_logs
from tests.support.store import in_a_file

DAY = datetime(2024, 3, 1, 10, tzinfo=UTC)
WORDY = "There is a nodule measuring {} mm, which is seen within the right upper lobe of the lung."


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """The command sets logging up for its process: here it is put back."""
    with captured_logs():
        yield


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A line of a file; rows of later numbers were signed earlier."""
    told = {
        "id": f"OLD{number}",
        "findings": FINDINGS,
        "impression": WORDY.format(number + 3),
        "radiologist": "2001",
        "signed_at": DAY.replace(day=28 - number).isoformat(),
        "patient": f"77{number}",
    }
    return told | changes


class Site:
    """A site in a folder, with a registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = LoraRegistry(folder / "loras")
        self.config = folder / "site.toml"
        self.config.write_text(
            f'[store]\nurl = "sqlite:///{folder}/radbridge.db"\n[model]\nloras = "{self.registry.root}"\n'
        )

    def write(self, name: str, *rows: dict[str, Any]) -> Path:
        """A file of JSON lines."""
        file = self.folder / name
        file.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return file

    def take(self, source: Path, *words: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(app, ["import", str(source), "--config", str(self.config), *words])

    def query(self, sql: str) -> list[Any]:
        """Rows of the journal."""
        engine = create_engine(f"sqlite:///{self.folder}/radbridge.db")
        try:
            with engine.connect() as conn:
                return [tuple(r) if len(r) > 1 else r[0] for r in conn.exec_driver_sql(sql)]
        finally:
            engine.dispose()

    def remembered(self) -> list[Any]:
        """Signers and texts in the memory, in the order of their numbers."""
        found = [json.loads(text) for text in self.query("select document from memory where state = 'kept' order by 1")]
        return sorted(found, key=lambda report: report["number"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def count(result: Result, what: str) -> int:
    """A figure of the table that is printed."""
    (line,) = [line for line in result.stdout.splitlines() if what in line]
    return int(line.split("│")[2])


def test_rows_fill_the_memory_and_choose_personas(site: Site) -> None:
    """Rows are remembered in the order of signing, whatever theirs in the file; who signed enough gets a persona."""
    rows = [row(n) for n in range(12)]
    rows += [row(n, id=f"B{n}", radiologist=2002, persona="succinct") for n in range(2)]
    result = site.take(site.write("reports.jsonl", *rows))
    assert result.exit_code == 0, result.output
    assert [count(result, what) for what in ("new", "known before", "reports in the memory")] == [14, 0, 14]
    own = [r["impression"] for r in site.remembered() if r["signer"] == "2001"]
    assert own == [WORDY.format(n + 3) for n in reversed(range(12))]
    assert set(site.query("select state from message")) == {"done"}
    assert site.query("select count(*) from draft_request") == [0]
    chosen = read_choices(site.registry.root)
    assert chosen["2002"] == "persona/succinct"
    assert chosen["2001"] != "persona/succinct"


def test_a_second_time_changes_nothing(site: Site) -> None:
    """The same rows again are known; another text under an id takes the place of the first as a correction."""
    file = site.write("reports.jsonl", row(1), row(2))
    assert count(site.take(file), "new") == 2
    before = site.remembered()
    again = site.take(file)
    assert (again.exit_code, count(again, "new"), count(again, "known before")) == (0, 0, 2)
    assert site.remembered() == before
    assert count(site.take(site.write("more.jsonl", row(1, impression="Another nodule of 9 mm."))), "new") == 1
    assert {r["impression"] for r in site.remembered()} == {"Another nodule of 9 mm.", WORDY.format(5)}


def test_a_champion_needs_no_persona(site: Site) -> None:
    """Who has a LoRA of their own is left as they are."""
    own = publish_new(site.registry, site.folder / "made", b"own", "rad/2001")
    site.registry.promote(own)
    assert site.take(site.write("reports.jsonl", *(row(n) for n in range(12)))).exit_code == 0
    assert read_choices(site.registry.root) == {}


def test_a_folder_of_messages(site: Site) -> None:
    """HL7 files of an archive, framed or not, several in one, build the same memory, and rows beside them too."""
    archive = site.folder / "archive"
    (archive / "2024").mkdir(parents=True)
    one, two, three = (Ris(accession=f"A{n}", mrn=f"9000{n}") for n in range(3))
    (archive / "2024" / "a.HL7").write_bytes(one.order() + b"\n" + one.signed("Nodule. No effusion for Jane Doe."))
    (archive / "b.txt").write_bytes(
        b"\x0b" + two.dictated() + b"\x1c\r\x0b" + two.signed("A small nodule.") + b"\x1c\r"
    )
    (archive / "c.hl7").write_bytes(three.signed("Nodule, 6 mm.").replace(b"\r", b"\r\n"))
    (archive / "unsigned.hl7").write_bytes(Ris(accession="A9").dictated())
    (archive / "d.pdf").write_bytes(b"%PDF")
    (archive / "rows.jsonl").write_text(json.dumps(row(1)) + "\n")
    result = site.take(archive)
    assert result.exit_code == 0, result.output
    assert [count(result, what) for what in ("new", "reports in the memory")] == [7, 4]
    assert {r["impression"] for r in site.remembered()} == {
        "Nodule.", "A small nodule.", "Nodule, 6 mm.", WORDY.format(4),
    }  # fmt: skip
    assert site.query("select count(*) from draft_request") == [0]
    assert count(site.take(archive), "new") == 0


def test_what_a_wire_said_last_stands(site: Site) -> None:
    """A row, or a message that was signed earlier, changes nothing of a study that the RIS told of."""
    ris = Ris(accession="A1", mrn="900001")
    live, old = site.folder / "live.hl7", site.folder / "old.hl7"
    live.write_bytes(ris.signed("Small left effusion.", status="C", save=2))
    old.write_bytes(ris.signed("Small right effusion.").replace(b"20260301093000||CT", b"20250301093000||CT"))
    assert count(site.take(live), "new") == 1
    before = site.query('select document from "case"'), site.remembered()
    stale = site.write("rows.jsonl", row(1, id="A1", patient="900001", impression="Small right effusion."))
    for again in (old, stale):
        assert count(site.take(again), "known before") == 1
    assert (site.query('select document from "case"'), site.remembered()) == before


BAD_ROWS = (
    (b'{"id": "A", "findings": "', "isn't JSON"),
    (b"[1]", "isn't a JSON object"),
    (json.dumps(row(3, impression=" ")).encode(), "impression is missing or empty"),
    (json.dumps({"id": "A", "findings": "Secret.", "impression": "Secret."}).encode(), "radiologist is missing"),
    (json.dumps(row(3, signed_at="yesterday")).encode(), "signed_at: "),
    (json.dumps(row(3, sex="Secret")).encode(), "sex: "),
    (json.dumps(row(3, age=-1)).encode(), "age: "),
    (json.dumps(row(3)).encode()[:-2] + b"\xff\xff", "UTF-8"),
)


def test_every_bad_row_is_told_and_nothing_is_taken_in(site: Site) -> None:
    """Each fault is told with file and line and none of the text; with `--skip-bad` the rest is taken in."""
    file = site.write("reports.jsonl", row(1))
    file.write_bytes(
        b"\n".join((file.read_bytes().rstrip(), *(line for line, _ in BAD_ROWS), b"")) + json.dumps(row(2)).encode()
    )
    result = site.take(file)
    assert result.exit_code == 2
    for number, (_, told) in enumerate(BAD_ROWS, 2):
        (line,) = [line for line in result.output.splitlines() if f"reports.jsonl, line {number}: " in line]
        assert told in line
    assert "Secret" not in result.output
    assert site.query("select count(*) from message") == [0]
    assert count(site.take(file, "--skip-bad"), "new") == 2


def test_a_bad_message_is_told_by_its_line(site: Site) -> None:
    """What a listener would refuse is told with its reason; the messages around it are found."""
    good, bad = Ris(accession="A1").signed("Nodule."), Ris(accession="").signed("Secret.")
    file = site.folder / "archive.hl7"
    file.write_bytes(good + b"\n" + bad + b"\n" + Ris(accession="A2").signed("Nodule."))
    result = site.take(file)
    assert result.exit_code == 2
    begins = good.count(b"\r") + 1
    assert f"archive.hl7, line {begins}: no_accession" in result.output
    assert "Secret" not in result.output
    assert count(site.take(file, "--skip-bad"), "not read") == 1


def test_nothing_to_read_is_told(site: Site) -> None:
    """An empty folder, a file of another kind: the forms that are read are named."""
    (site.folder / "empty").mkdir()
    (site.folder / "data.csv").write_text("id\n")
    for what in ("empty", "data.csv"):
        result = site.take(site.folder / what)
        assert result.exit_code == 2
        assert ".hl7, .jsonl, .txt" in result.output


def test_the_signers_key_may_have_another_name(site: Site) -> None:
    """`--radiologist` names the key; an export's own words need no rewriting."""
    told = {k: v for k, v in row(1).items() if k != "radiologist"} | {"dictated_by": 7}
    assert site.take(site.write("reports.jsonl", told), "--radiologist", "dictated_by").exit_code == 0
    assert [r["signer"] for r in site.remembered()] == ["7"]


def test_a_signers_key_that_isnt_there_is_named(site: Site) -> None:
    """Who asked for another key hears of that one, by line."""
    result = site.take(site.write("reports.jsonl", row(1)), "--radiologist", "doctor")
    assert result.exit_code == 2
    assert "line 1: doctor is missing" in result.output.replace("\n", " ")


def test_a_persona_that_nobody_has_is_told(site: Site) -> None:
    """A row's persona has to be one that can draft; what was misspelt is told by line, with those there are."""
    result = site.take(site.write("reports.jsonl", row(1, persona="../x")))
    assert result.exit_code == 2
    assert "persona is none of: elaborate, " in result.output.replace("\n", " ")
    assert not read_choices(site.registry.root)


def test_names_that_a_row_tells_are_taken_out(site: Site) -> None:
    """A sentence that names the patient or the signer is in no example."""
    impression = f"{WORDY.format(3)} Zyx is told. Read by Qwop."
    named = row(1, impression=impression, patient_name="ABC^ZYX", radiologist_name="Qwop, Dr.")
    assert site.take(site.write("reports.jsonl", named)).exit_code == 0
    assert [r["impression"] for r in site.remembered()] == [WORDY.format(3)]


def test_rows_without_a_patients_name_are_told(site: Site) -> None:
    """Where no name is told, none can be looked for: the operator hears how many rows that is."""
    file = site.write("reports.jsonl", row(1), row(2), row(3, patient_name="ABC^ZYX"))
    assert "2 reports don't name their patient" in site.take(file).output.replace("\n", " ")


def test_a_training_turn_may_follow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--train` begins a turn with the same file in a process of its own, and ends with its status."""
    python = site.folder / "python"
    python.write_text(f'#!/bin/sh\necho "$@" > {site.folder}/called\nexit 3\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    file = site.write("reports.jsonl", row(1))
    assert site.take(file, "--train").exit_code == 3
    assert (site.folder / "called").read_text().split() == [
        "-m",
        "radbridge",
        "train",
        "run",
        "--config",
        str(site.config),
    ]
    site.config.write_text(site.config.read_text().partition("[model]")[0])
    refused = site.take(file, "--train")
    assert (refused.exit_code, "model.loras" in refused.output) == (2, True)


def test_without_a_memory_there_is_nothing_to_import_for(site: Site) -> None:
    """A site that remembers nothing is told so."""
    site.config.write_text(site.config.read_text() + "[memory]\nenabled = false\n")
    assert "memory" in site.take(site.write("reports.jsonl", row(1))).output


async def test_what_another_process_remembered_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that never waited in the gateway's own sight is found by its next look."""
    monkeypatch.setattr(remembering, "LOOK_S", 0.02)

    def remember(conn: Connection, numbers: Sequence[int]) -> list[bool]:
        memory.expect(conn, CaseKey(accession="OLD"), signer="1001", signed_at=DAY)
        (waiting,) = memory.waiting(conn, 1)
        return memory.keep(conn, [Remembered(number=waiting.number, signer="1001", findings="a", impression="b")])

    async with live(make_site(tmp_path)) as gateway:
        assert await gateway.journal.write(remember, 0)
        await gateway.until(lambda: b"radbridge_memory_reports 1.0" in gateway.metrics_page())


@in_a_file
async def test_beside_a_running_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that runs meanwhile applies nothing again, drafts nothing, and shows the reports from then on."""
    monkeypatch.setattr(remembering, "LOOK_S", 0.02)
    site = Site(tmp_path)
    # A fourth of the model's time is the most that a draft waits for its examples.
    async with live(make_site(tmp_path, memory={"wait_s": 60}, model={"deadline_s": 240})) as gateway:
        file = site.write("reports.jsonl", *(row(n, radiologist="1001") for n in range(3)))
        result = await asyncio.to_thread(site.take, file)
        assert result.exit_code == 0, result.output
        await gateway.until(lambda: b"radbridge_memory_reports 3.0" in gateway.metrics_page())
        assert gateway.journal.read_now(memory.count) == 3
        host, _, port = gateway.addresses["hl7v2"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x0b" + Ris(accession="NEW").dictated() + b"\x1c\r")
        assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
        writer.close()
        await gateway.until(lambda: gateway.drafts("NEW"))
        assert len(gateway.drafts("NEW")[0].draft.examples) == 3
        assert site.query("select count(*) from draft") == [1]
        assert b"radbridge_messages_failed_total 0.0" in gateway.metrics_page()
