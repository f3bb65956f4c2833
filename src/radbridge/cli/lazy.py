"""Commands that are imported when somebody asks for them: whoever runs one pays for none of the others."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group_from_info
from typer.models import TyperInfo

GROUP: Final = "radbridge.commands"
"""Entry points of other packages' commands: a function, or a `typer.Typer` of several."""
_OWN: Final = {
    "up": "up:up",
    "check": "check:check",
    "cases": "cases:list_cases",
    "show": "cases:show",
    "problems": "problems:problems",
    "edits": "edits:edits",
    "forget": "forget:forget",
    "import": "importing:import_reports",
    "draft": "draft:draft",
    "evaluate": "evaluate:evaluate",
    "guard": "guard:guard",
    "gateways": "gateways:gateways",
    "replay": "replay:replay",
    "loras": "loras:app",
    "memory": "memory:app",
    "dead": "dead:app",
    "destinations": "destinations:app",
    "audit": "audit:app",
    "store": "store:app",
    "users": "users:app",
    "apikeys": "apikeys:app",
}
"""Name -> its module here, and what in it."""
_MARKUP: Final = "rich"


class Commands(UserDict[str, Any]):
    """Name -> command."""

    def __getitem__(self, name: str) -> Any:
        """The command, imported at the first call."""
        found = self.data[name]
        if isinstance(found, EntryPoint):
            found = self.data[name] = _load(found)
        return found


class LazyGroup(TyperGroup):
    """Our own commands in the order of their use, then other packages' by name."""

    def __init__(self, **settings: Any) -> None:
        """As typer makes it."""
        super().__init__(**settings)
        own = (EntryPoint(name, f"radbridge.cli.{place}", GROUP) for name, place in _OWN.items())
        others = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        self.commands = Commands({point.name: point for point in (*own, *others)})


def _load(point: EntryPoint) -> Any:
    try:
        return _build(point.name, point.load())
    except Exception as error:  # noqa: BLE001 - an extra that isn't installed, or any fault of a plug-in: the others go on
        from radbridge.cli import absent

        return _make(point.name, absent.stand_in(point, error), absent.SETTINGS)


def _build(name: str, found: Any) -> Any:
    if isinstance(found, typer.Typer):
        info = TyperInfo(found, name=name)
        return get_group_from_info(info, pretty_exceptions_short=True, rich_markup_mode=_MARKUP, suggest_commands=True)
    return _make(name, found, {})


def _make(name: str, function: Callable[..., None], settings: dict[str, Any]) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=_MARKUP)
    alone.command(name, **settings)(function)
    return get_command(alone)
