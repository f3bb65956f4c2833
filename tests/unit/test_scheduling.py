"""The scheduler: when a training turn is due, and what becomes of the process that runs it."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import tzset

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from radbridge.config import Training
from radbridge.flow.scheduling import LastTurn, Scheduler, find_due, find_last

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@pytest.fixture(autouse=True)
def _no_summer_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Days of 24 hours, wherever the tests run."""
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        tzset()
        yield
    tzset()


def turn(work: Path, name: str, *, ended: bool = True) -> None:
    """A turn's folder."""
    folder = work / name
    folder.mkdir(parents=True)
    told = {"began": NOON.isoformat(), "ended": NOON.isoformat() if ended else None}
    (folder / "turn.json").write_text(json.dumps(told))


def test_a_turn_is_due_a_period_after_the_last_one_began() -> None:
    """Without a time of day: at once where there was none, a period after the last, at once where that was cut off."""
    assert find_due(None, DAY, None, started=NOON) == NOON
    assert find_due(LastTurn(began=NOON, ended=True), DAY, None, started=NOON) == NOON + DAY
    assert find_due(LastTurn(began=NOON, ended=False), DAY, None, started=NOON + DAY) == NOON


@given(MOMENTS, st.times().map(lambda t: t.replace(second=0, microsecond=0)), st.integers(1, 14))
def test_a_turn_keeps_to_its_time_of_day(began: datetime, at: time, days: int) -> None:
    """With a time of day it begins just then, within half a day of its period, and never twice on one occasion."""
    due = find_due(LastTurn(began=began, ended=True), days * DAY, at, started=began)
    assert due.astimezone().time() == at
    assert abs(due - (began + days * DAY)) <= timedelta(hours=12)
    again = find_due(LastTurn(began=due, ended=True), days * DAY, at, started=began)
    assert again - due == days * DAY


def test_the_newest_turn_counts(tmp_path: Path) -> None:
    """The newest folder with a `turn.json` that can be read says when the last turn began, and whether it ended."""
    assert find_last(tmp_path / "none") is None
    turn(tmp_path, "20260303T120000")
    turn(tmp_path, "20260304T120000", ended=False)
    (tmp_path / "20260305T120000").mkdir()
    (tmp_path / "20260306T120000").mkdir()
    (tmp_path / "20260306T120000" / "turn.json").write_text('{"began": 5')
    assert find_last(tmp_path) == LastTurn(began=NOON, ended=False)


def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> tuple[Scheduler, io.StringIO]:
    """A scheduler whose command is a shell script, and the log that it passes lines on to."""
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command))
    told = io.StringIO()
    settings = Training(every="24h", work=tmp_path / "turns")
    return Scheduler(settings, period=DAY, config=tmp_path / "site.toml", told=told), told


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[LastTurn | None]:
    """What each look at the turns' folder found; there is little time between two."""
    found: list[LastTurn | None] = []

    def find(work: Path) -> LastTurn | None:
        found.append(find_last(work))
        return found[-1]

    monkeypatch.setattr("radbridge.flow.scheduling.find_last", find)
    monkeypatch.setattr("radbridge.flow.scheduling.LOOK_S", 0.01)
    return found


async def test_a_turn_runs_once_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[LastTurn | None]
) -> None:
    """The command gets the site's file; its log lines are passed on, other output isn't; then none is due any more."""
    began = datetime.now(UTC).isoformat()
    line = '{"event": "a turn", "level": "info"}'
    script = f"""echo "$@" >> asked; echo '{line}'; echo DOE JANE
        mkdir -p turns/20260304T120000
        echo '{{"began": "{began}", "ended": "{began}"}}' > turns/20260304T120000/turn.json; touch done"""
    running, told = scheduler(tmp_path, monkeypatch, script)
    task = asyncio.create_task(running.run())
    await until(lambda: sum(last is not None for last in looks) >= 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (tmp_path / "asked").read_text() == f"-m radbridge train run --config {tmp_path}/site.toml\n"
    assert told.getvalue() == f"{line}\n"


async def test_a_turn_ends_with_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that stops asks the turn to stop and waits for it; the turn goes on at the next start."""
    monkeypatch.setattr("radbridge.flow.scheduling.STOP_S", 600.0)
    running, _ = scheduler(
        tmp_path, monkeypatch, "trap 'touch stopped; kill $!; exit 0' TERM; touch begun; sleep 60 & wait"
    )
    task = asyncio.create_task(running.run())
    await until((tmp_path / "begun").exists)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (tmp_path / "stopped").exists()


@pytest.mark.parametrize(("rc", "level"), [(2, "error"), (3, "info")], ids=["it can't run", "another runs"])
async def test_a_turn_that_failed_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[LastTurn | None], rc: int, level: str
) -> None:
    """A command that ends badly at once isn't begun again and again; that another turn runs is no error."""
    running, _ = scheduler(tmp_path, monkeypatch, f"echo x >> asked; exit {rc}")
    with capture_logs() as logs:
        task = asyncio.create_task(running.run())
        await until(lambda: len(looks) >= 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (tmp_path / "asked").read_text() == "x\n"
    assert [(line["rc"], line["log_level"]) for line in logs if "rc" in line] == [(rc, level)]
