"""What a peer wrote stands in the operators' tables as it is: no markup of ours, and nothing a terminal obeys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from radbridge.audit import Note, What
from radbridge.case import Case, CaseKey, Patient, ReportText
from radbridge.cli.app import app
from radbridge.journal import audit, cases, messages
from radbridge.journal.stores import open_store
from radbridge.wire import Rejected

HOSTILE = "A1[/x][red]\x1b[2J\x9b2J"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a case, a message that was refused, and a note, all with a hostile name."""
    folder = tmp_path_factory.mktemp("site")
    stores = open_store(f"sqlite:///{folder}/radbridge.db")
    with stores.begin() as conn:
        key = CaseKey(accession=HOSTILE)
        cases.save(conn, Case(key=key, patient=Patient(name=HOSTILE), report=ReportText(findings=HOSTILE)))
        said: dict[str, Any] = {
            "peer": HOSTILE,
            "kind": HOSTILE,
            "detail": HOSTILE,
            "raw": HOSTILE.encode(),
            "size": len(HOSTILE),
        }
        messages.reject(conn, [Rejected(wire="hl7v2", reason="junk", control_id="1", ack=b"", **said)])
        audit.note(conn, [Note(at=datetime.now(UTC), what=What.VIEWED, actor=HOSTILE, entity=key)])
        audit.chain_pending(conn)
    stores.dispose()
    config = folder / "site.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{folder}/radbridge.db"\n')
    return config


@pytest.mark.parametrize(
    "words", [("cases",), ("show", HOSTILE), ("problems",), ("dead", "list"), ("dead", "show", "m1"), ("audit", "show")]
)
def test_a_hostile_name_is_only_shown(site: Path, words: tuple[str, ...]) -> None:
    """Brackets are shown, and control characters are not."""
    result = CliRunner().invoke(app, [*words, "--config", str(site)], terminal_width=200)
    assert result.exit_code == 0, result.output
    assert "[/x][red]" in result.output
    assert not {"\x1b", "\x9b"} & set(result.output)
