"""HTML that can't be broken by what stands in it: every text is escaped, unless it was made here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

_NO_TEXT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What neither XML nor HTML may hold."""


class Html(str):
    """Markup. Any other text is escaped where it meets one."""

    __slots__ = ()


def tag(name: str, *inside: str, **attributes: str) -> Html:
    """One element. `class_` stands for `class`, `aria_label` for `aria-label`; an empty attribute is left out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape_text(value)}"' for key, value in attributes.items() if value
    )
    return Html(f"<{name}{told}>{join(inside)}</{name}>")


def escape_text(text: str) -> str:
    """`text` for an element or a quoted attribute."""
    return escape(_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", text))


def join(parts: Iterable[str]) -> Html:
    """The parts one after another, a line for each element."""
    return Html("\n".join(part if isinstance(part, Html) else escape_text(part) for part in parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> Html:
    """A table whose rows begin with what they are about. A row of one cell is a heading over the ones below."""
    body = (_part(row[0], len(head)) if len(row) == 1 else _row(row) for row in rows)
    heads = (tag("th", cell, scope="col") for cell in head)
    told = [tag("caption", caption)] if caption else []
    return tag(
        "div",
        tag("table", *told, tag("thead", tag("tr", *heads)), tag("tbody", *body)),
        class_="wide",
    )


def _row(cells: Sequence[str]) -> Html:
    first, *others = cells
    return tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in others))


def _part(title: str, columns: int) -> Html:
    return tag("tr", tag("th", title, colspan=str(columns), scope="rowgroup"), class_="part")
