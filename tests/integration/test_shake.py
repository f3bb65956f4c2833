"""The plugins that find tests which fail now and then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HASTY = """
import asyncio

async def test_hasty():
    seen = []

    async def work():
        for n in range(100):
            seen.append(n)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(work())
    while not seen:
        await asyncio.sleep(0)
    for _ in range(15):
        await asyncio.to_thread(len, seen)
    task.cancel()
    assert len(seen) < 10
"""


@pytest.mark.parametrize("plugin", ["tests.shake.late_test", "tests.shake.late_io"])
def test_a_hasty_test_is_found(tmp_path: Path, plugin: str) -> None:
    """A test that counts what goes on holds as a rule, and fails when what it does comes late."""
    file = tmp_path / "test_hasty.py"
    file.write_text(HASTY)
    places: list[str | Path] = ["-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, file]
    asked = [sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider", *places]
    told = subprocess.run(asked, cwd=ROOT, check=False, capture_output=True, text=True, timeout=600)
    assert told.returncode == 1, told.stderr
    assert ">       assert len(seen) < 10" in told.stdout
