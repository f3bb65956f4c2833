"""The torture run and the simulated day start and judge: each in a few seconds, so that neither rots unnoticed."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import day
from tests.bench.day_script import HOURS, write_day
from tests.support.stub_model import drafting
from tests.torture.evidence import load


async def test_a_short_torture_breaks_nothing(tmp_path: Path) -> None:
    """`make torture` on SQLite: a gateway is harmed for some seconds, and the checker finds every promise kept."""
    options = ["--store", "sqlite", "--seconds", "5", "--seed", "3", "--senders", "2", "--keep", str(tmp_path)]
    events = ["--only", "stop a gateway", "--only", "lock the journal", "--only", "step a clock"]
    command = [sys.executable, "-m", "tests.torture", *options, *events]
    run = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told, _ = await run.communicate()
    assert run.returncode == 0, told.decode()
    evidence = load(tmp_path / "evidence.json.gz")
    assert evidence.acknowledged
    assert evidence.taken
    assert evidence.of("event")
    assert "| sqlite, 5 s, seed 3, 2 RIS, only: stop a gateway, " in told.decode()


async def test_a_short_day_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make day` with few studies and a fast clock: what the gateway holds is noted by the hour, shown and drawn."""
    async with drafting() as model:
        settings = f'url = "{model.url}"\nstrategy = "coarse"'
        samples = await day.run(tmp_path, write_day(1, 12), 12_000, every_s=0.1, model=settings)
    assert samples[-1].hour > HOURS - 4
    assert all(s.rss_mb and s.journal_files and s.sockets and s.threads and s.journal_mb for s in samples)
    # A machine that stood still may have slept through most hours of so fast a clock.
    day.show([replace(s, hour=HOURS * n / len(samples)) for n, s in enumerate(samples)])
    assert "\nSlope an hour from 6:00 on" in capsys.readouterr().out
    day.draw(samples, tmp_path / "day.svg")
    assert (tmp_path / "day.svg").stat().st_size
