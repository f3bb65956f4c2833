"""The command tree is there without the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from typer.main import get_command

from radbridge.cli.app import app
from radbridge.cli.lazy import GROUP, Commands, LazyGroup

ASKED = """
import sys
from radbridge.cli.app import app
app(["--version"], standalone_mode=False)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "fastapi", "structlog"}))
print(sorted(name for name in sys.modules if name.startswith("radbridge_")))
"""
LOGGED = """
from importlib.metadata import EntryPoint
import structlog
from radbridge.cli import app, lazy
def odd():
    report = "impression".upper()
    try:
        raise ValueError(report)
    except ValueError:
        structlog.get_logger().exception("odd")
    structlog.get_logger().info("quiet")
    raise ArithmeticError(report)
lazy.entry_points = lambda group: [EntryPoint("odd", "__main__:odd", group)]
app.app(["odd"])
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
        assert command.help != "Can't be loaded here; called, it says why."


@pytest.mark.parametrize("fault", ["{}['DOE']", "1 / 0", "import nowhere", "("])
def test_a_broken_plug_in_is_told(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with another package's command, the help goes on, and called it says what is broken."""
    (tmp_path / "broken_plug_in.py").write_text(fault)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_plug_in", raising=False)
    commands = Commands({"odd": EntryPoint("odd", "broken_plug_in:odd", GROUP)})
    command = commands.get("odd")
    assert command is not None
    assert command.help == "Can't be loaded here; called, it says why."
    with pytest.raises(SystemExit) as ended:
        command.main(["--any"], "odd")
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "odd can't be loaded" in said
    assert ("nowhere" if "nowhere" in fault else "Error in broken_plug_in:odd") in said
    assert "DOE" not in said


def test_an_error_shows_no_values() -> None:
    """What any command logs of an error, and an error that nobody expected, hold no text that the command held."""
    done = subprocess.run([sys.executable, "-c", LOGGED], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["odd", "uncaught exception"]
    assert "ArithmeticError" in done.stderr
    assert "IMPRESSION" not in done.stderr
