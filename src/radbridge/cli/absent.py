"""Commands whose libraries aren't installed: they say so when they are called, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import typer
from rich.markup import escape

from radbridge.cli.common import err

SETTINGS: Final[dict[str, Any]] = {
    "help": "Not installed here; called, it says what is missing.",
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""How it is registered: whatever follows its name gets the same answer, `--help` too."""
_EXTRAS: Final = {"models": "serve", "train": "train"}
"""By command: the extra of `radbridge` that brings its libraries."""


def stand_in(command: str, error: ImportError) -> Callable[[], None]:
    """What is called in its place. Ends with status 1."""
    extra = _EXTRAS.get(command)
    what = f"pip install 'radbridge[{extra}]'" if extra else "install the package that brings it anew"

    def tell() -> None:
        err.print(f"[red]error:[/] {command} can't be loaded ({escape(str(error))}): {escape(what)}", highlight=False)
        raise typer.Exit(1)

    return tell
