"""The whole circle in small: history in, a turn, live cases, a harmful version and back, on one running gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.loop.arms import Arm
from tests.bench.loop.forms import FORMS
from tests.bench.loop.run import Loop


@pytest.mark.timeout(1800)
async def test_the_circle_closes_by_itself(tmp_path: Path) -> None:
    """From an import of history to a rollback: nothing is lost, no draft is of a wrong version, nothing is restarted.

    The gate speaks of whoever was trained, and who wasn't is told why. A harmful version that is put in place by hand
    drafts the next report, and is taken back by what is signed over it.
    """
    loop = Loop(FORMS["quick"], tmp_path)
    result = await loop.run()
    assert [what for what, is_reached in result.aims if not is_reached] == []
    assert {figure.arm for figure in result.figures} == set(Arm)
    assert set(result.turns[0]) == {"rad/1001", "rad/1002"}
    assert result.turns[0]["rad/1001"].startswith(("refused", "published"))
    log = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in log if line["event"] in ("drafting", "up")] == ["up", "drafting"]
    assert not [line for line in log if line["level"] == "error"]
    harm = loop.state["harm"]["told"]
    assert harm["rolled_back"]
    assert list(harm["after"]) == [harm["expected"]] * 2
