"""`make demo ARGS=--once` as a newcomer runs it, with the stage that needs no weights."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

PATIENT = "import radbridge_adapters.demo.process as it; it.START_S = 600.0; from radbridge.cli.app import app; app()"
"""Ray took more than 200 s to start beside other work."""


async def play(folder: Path, **environment: str) -> tuple[int, str]:
    """`radbridge demo --once` in `folder`; status and output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PATIENT, "demo", "--once", "--keep", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "RADBRIDGE_MODEL__DEADLINE_S": "60",
            "RADBRIDGE_MODEL__START_TIMEOUT_S": "600",
            **environment,
        },
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_one_case_is_played_through(tmp_path: Path) -> None:
    """The demo shows every step, the draft and the diff, leaves a de-identified example, and ends with status 0."""
    status, said = await play(tmp_path, RADBRIDGE_MODEL__STRATEGY="coarse")
    assert status == 0, said
    for step in (
        "order, ORM^O01",
        "report in progress, ORU^R01 (OBR-25 R)",
        "draft, ORU^R01 (OBX-11 R)",
        "the radiologist reads and edits",
        "signed report, ORU^R01 (OBR-25 F)",
        "training example stored: edited",
        "signed, word by word",
    ):
        assert step in said
    (row,) = (json.loads(line) for line in (tmp_path / "edits.jsonl").read_text().splitlines())
    assert row["outcome"] == "edited"
    assert not [planted for planted in ("DOE", "DEMO0", "900001", "MORROW") if planted in json.dumps(row)]


async def test_a_demo_without_a_model_says_so(tmp_path: Path) -> None:
    """Where the model server can't start, the demo ends with status 1, the reason, and the place of the logs."""
    status, said = await play(tmp_path, RADBRIDGE_MODEL__STRATEGY="coarse", RADBRIDGE_MODEL__START_TIMEOUT_S="0.01")
    assert status == 1
    assert "The demo failed." in said
    assert "model server" in said
    assert str(tmp_path) in "".join(said.split())
