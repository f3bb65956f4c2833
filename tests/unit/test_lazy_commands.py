"""The command tree is there without the commands."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

from typer.main import get_command

from radbridge.cli.app import app
from radbridge.cli.lazy import GROUP, LazyGroup

ASKED = """
import sys
from radbridge.cli.app import app
app(["--version"], standalone_mode=False)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "fastapi", "structlog"}))
print(sorted(name for name in sys.modules if name.startswith("radbridge_")))
"""


def test_nobody_pays_for_another_command() -> None:
    """What the commands need is imported for none that needs it not."""
    told = subprocess.run([sys.executable, "-c", ASKED], check=True, capture_output=True, text=True).stdout
    assert told.splitlines()[1:] == ["[]", "[]"]


def test_every_command_is_there_and_says_what_it_does() -> None:
    """Our own and those of other packages: each can be loaded, has its name and a help."""
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    assert {point.name for point in entry_points(group=GROUP)} < set(group.commands)
    for name in group.commands:
        command = group.commands[name]
        assert command is group.commands[name]
        assert command.name == name
        assert command.help
        assert command.help != "Not installed here; called, it says what is missing."
