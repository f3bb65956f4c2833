"""Commands that other rooms add to `radbridge`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest


@pytest.mark.parametrize("command", sorted(entry_points(group="radbridge.commands")), ids=lambda command: command.name)
def test_a_command_is_a_module_like_any_other(command: EntryPoint) -> None:
    """Its module can be imported by itself: it needs no command line that imports it in turn."""
    subprocess.run([sys.executable, "-c", f"import {command.module}"], check=True, timeout=60)
