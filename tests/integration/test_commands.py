"""Commands that other rooms add to `radbridge`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest


@pytest.mark.parametrize("command", sorted(entry_points(group="radbridge.commands")), ids=lambda command: command.name)
def test_a_command_is_a_module_like_any_other(command: EntryPoint) -> None:
    """Its module can be imported by itself: it needs no command line that imports it in turn."""
    subprocess.run([sys.executable, "-c", f"import {command.module}"], check=True, timeout=600)


WITHOUT_YAML = "import sys; sys.modules['yaml'] = None; from radbridge.cli.app import app; app()"


def test_a_command_whose_extra_is_absent() -> None:
    """Called, with whatever words, it says which extra to install; no other command says a thing of it."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        start = [sys.executable, "-c", WITHOUT_YAML]
        return subprocess.run([*start, *words], check=False, timeout=600, capture_output=True, text=True)

    for called in (run("train", "run", "--config", "x"), run("train", "--help")):
        assert called.returncode == 1
        assert "pip install 'radbridge[train]'" in called.stderr
        assert called.stderr.count("\n") == 1
    other = run("--help")
    assert (other.returncode, other.stderr) == (0, "")
    assert "Can't be loaded here" in other.stdout
