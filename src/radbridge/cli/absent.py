"""Commands that can't be loaded, most often for want of a library: they say so when called, and the others go on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, Final

import typer
from rich.markup import escape

from radbridge.cli.common import err

SETTINGS: Final[dict[str, Any]] = {
    "help": "Can't be loaded here; called, it says why.",
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""How it is registered: whatever follows its name gets the same answer, `--help` too."""
_EXTRAS: Final = {"models": "serve", "train": "train"}
"""By command: the extra of `radbridge` that brings its libraries."""


def stand_in(point: EntryPoint, error: Exception) -> Callable[[], None]:
    """What is called in its place. Ends with status 1.

    Of what isn't installed the library is named; any other error by its type, beside the place that is broken.
    """
    extra = _EXTRAS.get(point.name)
    what = f"pip install 'radbridge[{extra}]'" if extra else "install the package that brings it anew"
    why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__} in {point.value}"

    def tell() -> None:
        err.print(f"[red]error:[/] {point.name} can't be loaded ({escape(why)}): {escape(what)}", highlight=False)
        raise typer.Exit(1)

    return tell
